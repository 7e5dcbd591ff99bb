from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from coupa_provider.emulator.observed import Observed
from coupa_provider.emulator.rate_limit import LeakyBucket

if TYPE_CHECKING:
    from tests.emulator.conftest import Caller


class TestLeakyBucket:
    def test_of_many_at_once_one_is_served_and_twenty_wait(self) -> None:
        bucket = LeakyBucket()
        waits = [bucket.admit(100.0, 25, 20) for _ in range(25)]
        assert waits[:21] == pytest.approx([n / 25 for n in range(21)])
        assert waits[21:] == [None] * 4

    def test_a_client_that_keeps_the_rate_never_waits_long(self) -> None:
        bucket = LeakyBucket()
        waits = [bucket.admit(n / 25, 25, 20) for n in range(10_000)]
        assert max(wait or 0 for wait in waits) < 0.001
        assert None not in waits

    def test_a_client_that_is_a_little_faster_is_refused_in_the_end(self) -> None:
        bucket = LeakyBucket()
        waits = [bucket.admit(n / 26, 25, 20) for n in range(26 * 60)]
        first = waits.index(None)
        assert 20 * 26 < first < 22 * 26
        # What is refused takes no place: about 25 a second go on being served.
        served = sum(wait is not None for wait in waits[first:])
        assert served == pytest.approx((len(waits) - first) * 25 / 26, rel=0.01)

    def test_it_recovers(self) -> None:
        bucket = LeakyBucket()
        for _ in range(30):
            bucket.admit(0.0, 25, 20)
        assert bucket.admit(1.0, 25, 20) == 0.0


class TestServed:
    def test_429_beyond_the_burst_and_the_rest_in_order(self, coupa: Caller) -> None:
        coupa.emulator.configure(rate_limit=50, burst=5)
        coupa.emulator.reset_seen()
        begin = time.monotonic()
        with ThreadPoolExecutor(12) as pool:
            statuses = list(pool.map(lambda _: coupa.get("departments").status_code, range(12)))
        assert time.monotonic() - begin >= 0.08
        assert 6 <= statuses.count(200) <= 9
        seen = coupa.emulator.seen()
        assert seen["throttled"] == statuses.count(429) == 12 - statuses.count(200)
        assert seen["queued"] >= 4
        assert seen["most_in_one_second"] == 12

    def test_it_can_be_turned_off(self, coupa: Caller) -> None:
        coupa.emulator.configure(rate_limit=None)
        assert {coupa.get("departments").status_code for _ in range(60)} == {200}

    def test_the_token_endpoint_is_not_limited(self, coupa: Caller) -> None:
        coupa.emulator.configure(rate_limit=0.001, burst=0)
        assert {coupa.token().status_code for _ in range(5)} == {200}


class TestObserved:
    def test_any_second_counts_not_only_whole_ones(self) -> None:
        observed = Observed()
        for at in (0.6, 0.7, 0.8, 1.1, 1.2, 1.59, 1.65, 5.0):
            observed.arrived("GET", "/api/invoices/7", "", at)
        report = observed.report()
        assert report["most_in_one_second"] == 6
        assert report["most_in_flight"] == report["in_flight"] == 8
        assert report["requests_by_path"] == {"GET /api/invoices/:id": 8}

    def test_what_a_run_left_behind(self, coupa: Caller) -> None:
        coupa.emulator.reset_seen()
        coupa.token()
        size = len(coupa.get("departments", {"limit": 3}).content)
        coupa.get("departments/99")
        seen = coupa.emulator.seen()
        assert seen["requests"] == 2
        assert seen["tokens_minted"] == 1
        assert seen["requests_by_path"]["POST /oauth2/token"] == 1
        assert seen["statuses"] == {"200": 2, "404": 1}
        assert seen["bytes"] > size
        assert [(r["path"], r["query"]) for r in seen["recent"]] == [
            ("/api/departments", "limit=3"),
            ("/api/departments/99", ""),
        ]

    def test_most_in_flight(self, coupa: Caller) -> None:
        coupa.emulator.configure(latency={"fixed_ms": 150})
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda _: coupa.get("departments"), range(6)))
        assert 4 <= coupa.emulator.seen()["most_in_flight"] <= 6


def test_secrets_in_the_query_of_the_token_endpoint_are_not_kept(coupa: Caller) -> None:
    coupa.http.post("/oauth2/token", params={"client_secret": "very-secret"})
    assert "very-secret" not in repr(coupa.emulator.seen())
