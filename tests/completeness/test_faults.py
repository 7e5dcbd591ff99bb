"""Under every fault: all records once, or, when the fault never ends, a clear failure and no manifest."""

from __future__ import annotations

import time

import pytest
from airflow.exceptions import AirflowException

from coupa_provider.client.errors import CoupaError
from coupa_provider.client.retry import RetryPolicy

INVOICES = 8_000
KINDS = [
    "500", "502", "503", "429", "429_seconds", "429_date", "drop_before", "drop_middle", "truncated", "stall",
    "login_redirect", "revoke_token",
]  # fmt: skip
DRIFT = {"updates_per_s": 20, "inserts_per_s": 5, "deletes_per_s": 2}


@pytest.mark.parametrize("kind", KINDS)
def test_passing_faults_lose_nothing(coupa, extract, there_all_along, kind):
    before = coupa.ids("invoices")
    rate = 0.02 if kind in ("stall", "429_seconds", "429_date", "revoke_token") else 0.05
    coupa.configure(faults={"rate": rate, "kinds": [kind], "seed": 3, "stall_s": 3}, drift=DRIFT)
    landing = extract()
    found = landing.ids()
    assert coupa.seen()["faults_served"].get(kind, 0) >= 2
    assert max(found.values()) == 1
    assert there_all_along(before) - set(found) == set()
    assert landing.manifest["records"] == found.total() >= 7_900


def test_all_faults_at_once_lose_nothing(coupa, extract, there_all_along):
    before = coupa.ids("invoices")
    coupa.configure(faults={"rate": 0.08, "kinds": KINDS, "seed": 11, "stall_s": 2}, drift=DRIFT)
    found = extract().ids()
    assert len(coupa.seen()["faults_served"]) >= 8
    assert max(found.values()) == 1
    assert there_all_along(before) - set(found) == set()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "revoke_token"])
def test_a_fault_that_never_ends_fails_clearly_and_publishes_nothing(coupa, extract, kind):
    coupa.configure(faults={"always": True, "kinds": [kind], "after": 60, "stall_s": 1.5})
    started = time.monotonic()
    with pytest.raises((CoupaError, AirflowException)) as failure:
        extract(retry=RetryPolicy(attempts=3, first_delay=0.05, longest_delay=0.2), timeout_seconds=0.5)
    assert time.monotonic() - started < 30
    assert not extract.landing.published
    assert list(extract.landing.folder.glob("part-*")) == []
    text = str(failure.value)
    assert "attempts" in text
    assert "/api/invoices" in text


def test_tokens_that_are_revoked_again_and_again_fail_clearly(coupa, extract):
    coupa.configure(faults={"always": True, "kinds": ["revoke_token"], "after": 60})
    with pytest.raises((CoupaError, AirflowException), match="access token"):
        extract()
    assert not extract.landing.published
    # No lock-out by a storm of token requests: three renewals a request, shared by those under way.
    assert coupa.seen()["tokens_minted"] < 100
