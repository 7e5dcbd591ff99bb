"""A file is attached once: lost answers are looked into, and what cannot be told is left to a person."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest

from coupa_provider.client.blocking import run_in_background
from coupa_provider.client.client import CoupaClient
from coupa_provider.client.errors import (
    CoupaOutcomeUnknownError,
    CoupaUnavailableError,
    CoupaValidationError,
)
from coupa_provider.push.attach import attach_once, put_scan
from coupa_provider.push.errors import PushError

NESTED = "invoices/:invoice_id/attachments"
PDF = b"%PDF-1.7 scan %%EOF"
DOUBTFUL = ["lost_write", "500", "502", "drop_before", "drop_middle", "truncated"]


@pytest.fixture
def attach(client):
    """Attach a file to invoice 7: ``attach(since=...)``."""

    def attaching(content=PDF, name="scan 7 (final).pdf", **options):
        file = io.BytesIO(content)
        return run_in_background(attach_once(client.client, "invoices", 7, file, name=name, **options))

    return attaching


@pytest.fixture
def scan(client):
    """Give invoice 7 a scan."""

    def giving(content=PDF):
        return run_in_background(put_scan(client.client, 7, io.BytesIO(content), name="scan.pdf"))

    return giving


def lose(coupa, kind, *, times=1, method="POST"):
    coupa.configure(faults={"always": True, "kinds": [kind], "methods": [method], "times": times})


def held(coupa) -> list[dict]:
    return coupa.record("invoices", 7)["attachments"]


@pytest.mark.parametrize("intent", ["Internal", "Supplier"])
def test_a_file_is_attached(attach, coupa, intent):
    done = attach(intent=intent)
    (shown,) = held(coupa)
    assert (done.id, done.bytes, done.created) == (shown["id"], len(PDF), True)
    assert (shown["file-file-name"], shown["intent"]) == ("scan 7 (final).pdf", intent)
    assert coupa.file(NESTED, done.id) == PDF


@pytest.mark.parametrize("kind", DOUBTFUL)
def test_a_lost_answer_leaves_one_attachment(attach, coupa, kind):
    attach()  # the same file from another day does not count
    lose(coupa, kind)
    done = attach()
    assert done.created
    assert done.id == max(shown["id"] for shown in held(coupa))
    assert len(held(coupa)) == 2


def test_more_answers_may_be_lost(attach, coupa):
    lose(coupa, "500", times=4)
    attach()
    assert len(held(coupa)) == 1


def test_patience_ends(attach, coupa):
    lose(coupa, "drop_before", times=None)
    with pytest.raises(CoupaUnavailableError, match="Given up after 8 tries"):
        attach()
    assert held(coupa) == []


def test_a_name_that_coupa_cleaned_is_recognised(attach, coupa, monkeypatch):
    upload = CoupaClient.upload

    async def cleaned(self, path, file, *, name, **more):
        await upload(self, path, file, name="scan_7__final_.pdf", **more)
        raise CoupaOutcomeUnknownError("lost")

    monkeypatch.setattr(CoupaClient, "upload", cleaned)
    assert attach().created
    assert len(held(coupa)) == 1


@pytest.mark.parametrize("other", [{"name": "b.pdf"}, {"content": b"%PDF another %%EOF"}], ids=str)
def test_what_has_only_the_name_or_the_size_leaves_it_open(attach, coupa, client, monkeypatch, other):
    """Somebody else attaches a file while the answer is lost."""
    upload = CoupaClient.upload

    async def overtaken(self, path, file, *, name, **more):
        content = other.get("content", PDF)
        await upload(self, path, io.BytesIO(content), name=other.get("name", name), **more)
        raise CoupaOutcomeUnknownError("The line broke")

    monkeypatch.setattr(CoupaClient, "upload", overtaken)
    with pytest.raises(CoupaOutcomeUnknownError, match="has its name or its size and not both"):
        attach()
    assert len(held(coupa)) == 1


def test_a_later_try_finds_what_an_earlier_one_attached(attach, coupa):
    began = datetime.now(UTC)
    first = attach()
    again = attach(since=began)
    assert (again.id, again.created) == (first.id, False)
    assert len(held(coupa)) == 1


def test_a_later_try_does_not_take_an_older_one_for_its_own(attach, coupa):
    attach()
    assert attach(since=datetime.now(UTC) + timedelta(minutes=10)).created
    assert len(held(coupa)) == 2


def test_a_refusal_is_final(attach, coupa):
    coupa.configure(switches={"U6": "422"})
    with pytest.raises(PushError, match="intent 'All' is not one of Internal, Supplier"):
        attach(intent="All")
    assert held(coupa) == []


def test_a_scan_is_given(scan, coupa):
    assert scan().id is None
    assert coupa.file("invoices", 7, "image_scan") == PDF


@pytest.mark.parametrize("kind", DOUBTFUL)
def test_a_lost_answer_to_a_scan_is_looked_into(scan, coupa, kind):
    lose(coupa, kind, method="PUT")
    scan()
    assert coupa.file("invoices", 7, "image_scan") == PDF
    sent = coupa.seen()["requests_by_path"]["PUT /api/invoices/:id/image_scan"]
    assert sent == (1 if kind in ("lost_write", "drop_middle", "truncated") else 2)


def test_a_refused_scan_is_final(client, coupa, monkeypatch):
    async def refused(self, *_, **__):
        raise CoupaValidationError("no")

    monkeypatch.setattr(CoupaClient, "upload", refused)
    with pytest.raises(CoupaValidationError):
        run_in_background(put_scan(client.client, 7, io.BytesIO(PDF), name="scan.pdf"))
