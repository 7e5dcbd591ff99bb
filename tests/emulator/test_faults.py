"""Everything that goes wrong on demand, over real connections."""

from __future__ import annotations

import contextlib
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from coupa_provider.emulator.faults import FaultPlan
from coupa_provider.emulator.settings import FAULT_KINDS, Faults, SettingError

if TYPE_CHECKING:
    from tests.emulator.conftest import Caller


def always(coupa: Caller, kind: str, **more: Any) -> None:
    coupa.emulator.configure(faults={"always": True, "kinds": [kind], **more})


class TestChoice:
    def choices(self, faults: Faults, number: int = 400) -> list[str | None]:
        plan = FaultPlan(faults)
        return [plan.choose("GET", "/api/invoices") for _ in range(number)]

    def test_a_seed_repeats_a_run(self) -> None:
        assert self.choices(Faults(rate=0.2, seed=5)) == self.choices(Faults(rate=0.2, seed=5))
        assert self.choices(Faults(rate=0.2, seed=5)) != self.choices(Faults(rate=0.2, seed=6))

    def test_rate_after_and_times(self) -> None:
        share = sum(kind is not None for kind in self.choices(Faults(rate=0.25), 4000)) / 4000
        assert 0.22 < share < 0.28
        late = self.choices(Faults(always=True, after=10, times=3))
        assert [kind is not None for kind in late[:15]] == [False] * 10 + [True] * 3 + [False] * 2

    def test_paths_and_methods(self) -> None:
        plan = FaultPlan(Faults(always=True, paths=("invoices", "/oauth2/token"), methods=("GET", "POST")))
        assert plan.choose("GET", "/api/invoices/5")
        assert plan.choose("POST", "/oauth2/token")
        assert plan.choose("GET", "/api/suppliers") is None
        assert plan.choose("PUT", "/api/invoices/5") is None

    def test_a_lost_write_needs_a_write(self) -> None:
        plan = FaultPlan(Faults(always=True, kinds=("lost_write",)))
        assert plan.choose("GET", "/api/invoices") is None
        assert plan.choose("POST", "/api/invoices") == "lost_write"

    def test_what_does_not_exist_is_refused(self, coupa: Caller) -> None:
        with pytest.raises(SettingError, match="no fault kind"):
            coupa.emulator.configure(faults={"kinds": ["earthquake"]})
        with pytest.raises(SettingError, match="faults has no raet"):
            coupa.emulator.configure(faults={"raet": 1})


class TestKinds:
    @pytest.mark.parametrize("status", ["500", "502", "503"])
    def test_html_of_a_proxy(self, coupa: Caller, status: str) -> None:
        always(coupa, status)
        answer = coupa.get("invoices")
        assert answer.status_code == int(status)
        assert answer.headers["content-type"].startswith("text/html")

    def test_429_in_three_forms(self, coupa: Caller) -> None:
        told = {}
        for kind in ("429", "429_seconds", "429_date"):
            always(coupa, kind, retry_after_s=4)
            answer = coupa.get("invoices")
            assert answer.status_code == 429
            told[kind] = answer.headers.get("retry-after")
        assert told["429"] is None
        assert told["429_seconds"] == "4"
        assert 1 < parsedate_to_datetime(told["429_date"] or "").timestamp() - time.time() <= 4.1

    def test_connection_dropped_before_an_answer(self, coupa: Caller) -> None:
        always(coupa, "drop_before")
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            coupa.get("invoices")
        assert coupa.emulator.seen()["statuses"]["dropped"] == 1

    def test_connection_dropped_in_the_middle_of_a_body(self, coupa: Caller) -> None:
        coupa.emulator.load({"departments": [{"id": 1}]})
        always(coupa, "drop_middle")
        with pytest.raises(httpx.RemoteProtocolError, match="complete message body"):
            coupa.get("departments")

    def test_truncated_json_with_a_right_length(self, coupa: Caller) -> None:
        coupa.emulator.load({"departments": [{"id": 1}]})
        always(coupa, "truncated")
        answer = coupa.get("departments")
        assert answer.status_code == 200
        assert len(answer.content) == int(answer.headers["content-length"])
        with pytest.raises(ValueError):
            answer.json()

    def test_stall(self, coupa: Caller) -> None:
        always(coupa, "stall", stall_s=0.3)
        with pytest.raises(httpx.ReadTimeout):
            coupa.http.get("/api/invoices", headers=coupa.headers(), timeout=0.1)
        begin = time.monotonic()
        with pytest.raises(httpx.RemoteProtocolError):
            coupa.get("invoices")
        assert time.monotonic() - begin >= 0.3

    def test_redirect_to_a_login_page(self, coupa: Caller) -> None:
        always(coupa, "login_redirect")
        answer = coupa.get("invoices")
        assert answer.status_code == 302
        page = coupa.http.get(answer.headers["location"])
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")

    def test_token_revoked_in_mid_run(self, coupa: Caller) -> None:
        always(coupa, "revoke_token", times=1)
        assert coupa.get("invoices").status_code == 401
        assert coupa.get("invoices").status_code == 401
        coupa.authorize()
        assert coupa.get("invoices").status_code == 200

    def test_a_write_is_executed_and_its_answer_lost(self, coupa: Caller) -> None:
        always(coupa, "lost_write")
        with pytest.raises(httpx.RemoteProtocolError):
            coupa.send("POST", "departments", {"name": "A"})
        assert len(coupa.emulator.ids("departments")) == 1

    def test_a_write_that_was_dropped_before_is_not_executed(self, coupa: Caller) -> None:
        always(coupa, "drop_before")
        with pytest.raises(httpx.RemoteProtocolError):
            coupa.send("POST", "departments", {"name": "A"})
        assert coupa.emulator.ids("departments") == []

    def test_at_the_token_endpoint(self, coupa: Caller) -> None:
        always(coupa, "503", paths=["/oauth2/token"])
        assert coupa.token().status_code == 503
        assert coupa.get("invoices").status_code == 200

    def test_every_kind_is_counted(self, coupa: Caller) -> None:
        for kind in FAULT_KINDS:
            always(coupa, kind, stall_s=0)
            with contextlib.suppress(httpx.TransportError):
                coupa.send("POST", "departments", {"name": kind})
            coupa.authorize()
        assert coupa.emulator.seen()["faults_served"] == dict.fromkeys(FAULT_KINDS, 1)


class TestLatency:
    def elapsed(self, coupa: Caller, **query: int) -> float:
        return coupa.get("invoices", query).elapsed.total_seconds()

    def test_fixed_and_jitter(self, coupa: Caller) -> None:
        coupa.emulator.configure(latency={"fixed_ms": 60})
        assert 0.06 <= self.elapsed(coupa) < 0.3
        coupa.emulator.configure(latency={"jitter_ms": 80})
        times = [self.elapsed(coupa) for _ in range(8)]
        assert max(times) - min(times) > 0.01

    def test_growing_with_the_offset(self, coupa: Caller) -> None:
        coupa.emulator.configure(latency={"per_1000_offset_ms": 50})
        assert self.elapsed(coupa, offset=4000) >= 0.2
        assert self.elapsed(coupa, offset=0) < 0.15
