"""Marking an extract: what is marked, what is not, and what happens when answers are lost or refused."""

from __future__ import annotations

import logging

import httpx
import pytest

from coupa_provider.client.errors import CoupaScopeError, CoupaUnavailableError
from coupa_provider.client.token import forget_tokens
from coupa_provider.emulator import answers, writes
from coupa_provider.extract.manifest import Manifest
from coupa_provider.extract.manifest_reader import ManifestReader
from coupa_provider.push.errors import PushError
from coupa_provider.push.exported import mark_exported

LATER = "2026-11-21T08:00:00-08:00"


def exported(coupa, resource="invoices") -> set[int]:
    return {number for number in coupa.ids(resource) if coupa.record(resource, number)["exported"]}


def test_every_record_is_marked_once(coupa, client, land, marks):
    extract = land(coupa)
    done = mark_exported(client, extract)
    assert done.records == 300
    assert done.counts == {"marked": 300, "already": 0, "changed": 0, "gone": 0}
    assert done.samples == {"already": [], "changed": [], "gone": []}
    assert marks() == dict.fromkeys(range(1, 301), 1)
    assert exported(coupa) == set(coupa.ids("invoices"))
    # Seven look-ups for 300 records.
    assert done.requests == coupa.seen()["requests"] == 307


@pytest.mark.parametrize("bumps", ["yes", "no"])
def test_a_second_run_sends_nothing(coupa, client, land, bumps):
    coupa.configure(switches={"U18": bumps})
    extract = land(coupa)
    first = mark_exported(client, extract)
    coupa.reset_seen()
    second = mark_exported(client, extract)
    assert second.counts == first.counts
    assert second.requests == coupa.seen()["requests"] == 0


@pytest.mark.parametrize("bumps", ["yes", "no"])
def test_what_happened_since_the_extract_is_respected(coupa, client, land, marks, bumps):
    coupa.configure(switches={"U18": bumps})
    extract = land(coupa)
    client.call("PUT", "invoices/5", params={"exported": "true"})
    client.call("DELETE", "invoices/6")
    coupa.load({"invoices": [{"id": 7, "exported": False, "updated-at": LATER}]})
    coupa.load({"invoices": [{"id": 8, "exported": True, "updated-at": LATER}]})
    coupa.reset_seen()
    done = mark_exported(client, extract)
    assert done.counts == {"marked": 296, "already": 2, "changed": 1, "gone": 1}
    assert done.samples == {"already": [5, 8], "changed": [7], "gone": [6]}
    assert marks() == dict.fromkeys(set(range(1, 301)) - {5, 6, 7, 8}, 1)
    # The next pull brings the change, and only that.
    again = land(coupa)
    assert [row["id"] for rows in again.batches(["id"]) for row in rows.to_pylist()] == [7]
    assert mark_exported(client, again).counts["marked"] == 1


def test_without_updated_at_changes_cannot_be_noticed_and_it_says_so(coupa, client, land, caplog):
    extract = land(coupa, dated=False)
    coupa.load({"invoices": [{"id": 7, "exported": False, "updated-at": LATER}]})
    with caplog.at_level(logging.WARNING):
        done = mark_exported(client, extract)
    assert done.counts["marked"] == 300
    assert "300 of the records were landed without updated-at" in caplog.text


def test_an_extract_made_anew_has_a_journal_of_its_own(coupa, client, land, marks, tmp_path):
    """What Coupa reset since is marked again, though the same folder once held the same ids."""
    folder = tmp_path / "same"
    first = mark_exported(client, land(coupa, folder=folder))
    coupa.load({"invoices": [{"id": 9, "exported": False, "updated-at": LATER}]})
    extract = land(coupa, folder=folder)
    second = mark_exported(client, extract)
    assert second.counts == {"marked": 1, "already": 0, "changed": 0, "gone": 0}
    assert marks() == {9: 1}
    assert first.journal != second.journal


def test_an_empty_extract_needs_no_request(coupa, client, land):
    extract = land(coupa, filters={"id[gt]": 10**6})
    assert mark_exported(client, extract).counts["marked"] == 0
    assert coupa.seen()["requests"] == 0


@pytest.mark.parametrize("resource", ["coupa_pay/payments", "payables/allocations"])
def test_payments_and_allocations_are_marked_by_a_call_of_their_own(
    coupa, client, land, marks, filled, resource
):
    filled(coupa, 60, resource)
    done = mark_exported(client, land(coupa, resource))
    assert done.counts["marked"] == 60
    assert marks(resource, "/export") == dict.fromkeys(range(1, 61), 1)
    assert len(exported(coupa, resource)) == 80


def test_progress_is_told(coupa, client, land):
    coupa.configure(latency={"fixed_ms": 40})
    told = []
    mark_exported(client, land(coupa), on_progress=told.append, progress_seconds=0.02)
    counts = [progress.records for progress in told]
    assert counts == sorted(counts)
    assert 0 < counts[-1] <= 300


# ------------------------------------------------------------------------------------ lost answers


@pytest.mark.parametrize(
    "kind", ["lost_write", "drop_before", "drop_middle", "truncated", "500", "503", "429"]
)
def test_a_lost_answer_never_makes_a_second_mark(coupa, client, land, marks, kind):
    extract = land(coupa)
    # After a 429 the client slows down for long: a few are enough.
    most = 5 if kind == "429" else 30
    coupa.configure(faults={"rate": 0.15, "kinds": [kind], "methods": ["PUT"], "seed": 3, "times": most})
    done = mark_exported(client, extract)
    assert coupa.seen()["faults_served"][kind] == most
    assert done.counts == {"marked": 300, "already": 0, "changed": 0, "gone": 0}
    assert marks() == dict.fromkeys(range(1, 301), 1)


def test_faults_of_all_kinds_everywhere(coupa, client, land, marks):
    extract = land(coupa)
    kinds = [
        "lost_write",
        "500",
        "502",
        "503",
        "429",
        "drop_before",
        "drop_middle",
        "truncated",
        "revoke_token",
    ]
    coupa.configure(faults={"rate": 0.1, "kinds": kinds, "seed": 5})
    assert mark_exported(client, extract).counts["marked"] == 300
    assert marks() == dict.fromkeys(range(1, 301), 1)


def test_marks_that_never_come_through_fail_the_try_and_the_next_goes_on(coupa, client, land, marks):
    extract = land(coupa)
    coupa.configure(faults={"always": True, "kinds": ["500"], "methods": ["PUT"], "after": 100})
    with pytest.raises(
        CoupaUnavailableError, match="records of 'invoices' were still not exported after 8 tries"
    ):
        mark_exported(client, extract)
    coupa.configure(faults=None)
    done = mark_exported(client, extract)
    assert done.counts == {"marked": 300, "already": 0, "changed": 0, "gone": 0}
    assert marks() == dict.fromkeys(range(1, 301), 1)
    assert done.requests < 220


# -------------------------------------------------------------------------------------- refusals


@pytest.fixture
def refusing(monkeypatch):
    """Make the emulator refuse to mark some records."""
    original = writes.set_exported

    def start(ids) -> None:
        def refuse(instance, path, record, flag) -> None:
            if record["id"] in ids:
                answer = answers.errors_answer(400, "invoice-header", ["Status is locked"], False)
                raise answers.Refusal(answer)
            original(instance, path, record, flag)

        monkeypatch.setattr(writes, "set_exported", refuse)

    return start


def test_records_that_coupa_refuses_fail_the_task_after_the_others_are_marked(
    coupa, client, land, marks, refusing
):
    extract = land(coupa)
    refusing({10, 20})
    with pytest.raises(
        PushError, match=r"refused to mark 2 of 300 invoices: .*Status is locked.* Records 10, 20;"
    ):
        mark_exported(client, extract)
    assert marks() == dict.fromkeys(set(range(1, 301)) - {10, 20}, 1)
    refusing(set())
    assert mark_exported(client, extract).counts["marked"] == 300
    assert marks() == dict.fromkeys(range(1, 301), 1)


def test_when_all_are_refused_it_stops_early(coupa, client, land, refusing):
    extract = land(coupa)
    refusing(set(range(400)))
    with pytest.raises(PushError, match="so it is not about single ones"):
        mark_exported(client, extract)
    assert coupa.seen()["requests"] < 200


def test_a_missing_permission_stops_it_at_once(coupa, client, land):
    extract = land(coupa)
    coupa.add_client(coupa.client_id, coupa.client_secret, ["core.invoice.read"])
    forget_tokens()
    with pytest.raises(CoupaScopeError, match=r"core\.invoice\.write"):
        mark_exported(client, extract)
    assert coupa.writes() == {}
    assert coupa.seen()["requests"] < 100


def test_a_resource_without_the_flag_is_refused_before_anything_is_sent(coupa, client, land):
    coupa.load({"suppliers": [{"id": 1, "name": "Fishy"}]})
    extract = land(coupa, "suppliers", filters=None)
    with pytest.raises(PushError, match=r"'suppliers' has no exported flag \(article 0074\)"):
        mark_exported(client, extract)
    assert coupa.seen()["requests"] == 0


def test_nothing_is_marked_in_the_dark(coupa, client, land):
    """Coupa leaves an attribute out: whether the record is exported cannot be known."""
    extract = land(coupa)
    coupa.load({"invoices": [{"id": 7, "exported": None, "updated-at": "2026-11-20T08:00:00-08:00"}]})
    coupa.configure(switches={"U29": "omitted"})
    with pytest.raises(PushError, match=r"does not show 'exported' of 'invoices'.*record 7"):
        mark_exported(client, extract)


def changed(extract: ManifestReader, **changes) -> ManifestReader:
    """Return an extract whose manifest says something else."""
    path = extract.folder.path_of("_manifest.json")
    manifest = Manifest.from_json(extract.folder.fs.cat_file(path))
    values = {name: getattr(manifest, name) for name in manifest.__struct_fields__}
    extract.folder.fs.pipe_file(path, Manifest(**{**values, **changes}).to_json())
    return ManifestReader(extract.folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"instance": "acme.coupahost.com"},
            "was extracted from acme.coupahost.com, but the connection leads to",
        ),
        ({"kind": "deletions"}, "lists deletions: there is nothing to mark"),
    ],
)
def test_an_extract_that_cannot_be_meant_is_refused(coupa, client, land, changes, message):
    extract = changed(land(coupa), **changes)
    with pytest.raises(PushError, match=message):
        mark_exported(client, extract)
    assert coupa.seen()["requests"] == 0


# ---------------------------------------------------------------------------------------- the trap


def test_the_usual_loop_passes_over_records(coupa, client, land):
    """Marking takes records out of the result that the loop pages through, so each offset passes some over."""
    form = {
        "client_id": coupa.client_id, "client_secret": coupa.client_secret, "grant_type": "client_credentials",
    }  # fmt: skip
    read: list[int] = []
    with httpx.Client(base_url=coupa.url, trust_env=False) as http:
        token = http.post("/oauth2/token", data=form).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        while True:
            query = {"exported": "false", "offset": len(read), "limit": 50, "fields": '["id"]'}
            page = http.get("/api/invoices", params=query, headers=headers).json()
            for record in page:
                read.append(record["id"])
                http.put(f"/api/invoices/{record['id']}?exported=true", headers=headers).raise_for_status()
            if len(page) < 50:
                break
    assert len(read) == 150  # of 300
    # What it left over is all there for an extract.
    extract = land(coupa)
    assert mark_exported(client, extract).counts["marked"] == 150
    assert exported(coupa) == set(coupa.ids("invoices"))
