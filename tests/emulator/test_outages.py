"""Times during which everything goes wrong in one way, over real connections."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from coupa_provider.emulator import Emulator
from coupa_provider.emulator.settings import FAULT_KINDS, SettingError

if TYPE_CHECKING:
    from tests.emulator.conftest import Caller

LONG = 60
PATHS = {"paths": ["/oauth2", "invoices"]}


@pytest.fixture(autouse=True)
def ended(module_emulator: Emulator) -> Iterator[None]:
    """No outage outlives its test."""
    yield
    module_emulator.reset()


@pytest.fixture
def invoices(coupa: Caller) -> Caller:
    coupa.emulator.load({"invoices": [{"id": 1, "status": "draft"}], "suppliers": [{"id": 1}]})
    return coupa


def until(happened: Callable[[], Any], seconds: float = 5) -> float:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)
    return time.time()


def status(coupa: Caller, path: str = "invoices/1") -> int | None:
    """Status of an answer, None when there was none."""
    try:
        return coupa.get(path).status_code
    except httpx.TransportError:
        return None


def accepts(emulator: Emulator) -> bool:
    host, _, port = emulator.url.removeprefix("http://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), 5).close()
    except ConnectionRefusedError:
        return False
    return True


class TestKinds:
    @pytest.mark.parametrize("kind", ["500", "502", "503"])
    def test_html_of_a_proxy_for_every_request(self, invoices: Caller, kind: str) -> None:
        invoices.emulator.outage(kind, seconds=LONG)
        for _ in range(5):
            answer = invoices.get("invoices")
            assert answer.status_code == int(kind)
            assert answer.headers["content-type"].startswith("text/html")
        assert invoices.emulator.seen()["faults_served"] == {kind: 5}

    @pytest.mark.parametrize(
        ("kind", "found"),
        [
            ("429", 429),
            ("429_seconds", 429),
            ("429_date", 429),
            ("login_redirect", 302),
            ("drop_before", None),
        ],
    )
    def test_other_ways(self, invoices: Caller, kind: str, found: int | None) -> None:
        invoices.emulator.outage(kind, seconds=LONG)
        assert [status(invoices), status(invoices)] == [found, found]
        assert invoices.emulator.seen()["faults_served"] == {kind: 2}

    @pytest.mark.parametrize("kind", ["drop_middle", "truncated"])
    def test_half_an_answer(self, invoices: Caller, kind: str) -> None:
        invoices.emulator.outage(kind, seconds=LONG)
        for _ in range(2):
            with pytest.raises((httpx.RemoteProtocolError, ValueError)):
                invoices.get("invoices").json()

    def test_a_stall_lasts_until_the_outage_is_over(self, invoices: Caller) -> None:
        invoices.emulator.outage("stall", seconds=0.5)
        begin = time.monotonic()
        with pytest.raises(httpx.ReadTimeout):
            invoices.http.get("/api/invoices/1", headers=invoices.headers(), timeout=0.1)
        with pytest.raises(httpx.RemoteProtocolError):
            invoices.get("invoices/1")
        assert 0.49 < time.monotonic() - begin < 1.5
        assert status(invoices) == 200

    def test_tokens_are_revoked_again_and_again(self, invoices: Caller) -> None:
        invoices.emulator.outage("revoke_token", seconds=LONG)
        for _ in range(2):
            invoices.authorize()
            assert status(invoices) == 401

    def test_writes_happen_and_their_answers_are_lost(self, invoices: Caller) -> None:
        invoices.emulator.outage("lost_write", seconds=LONG)
        assert status(invoices) == 200
        with pytest.raises(httpx.RemoteProtocolError):
            invoices.send("POST", "departments", {"name": "A"})
        assert len(invoices.emulator.ids("departments")) == 1

    def test_every_kind_of_fault_is_one_of_outage(self, invoices: Caller) -> None:
        for kind in FAULT_KINDS:
            invoices.emulator.outage(kind, seconds=0.2 if kind == "stall" else LONG, methods=["POST"])
            with contextlib.suppress(httpx.TransportError):
                invoices.send("POST", "departments", {"name": kind})
            # The next kind has its turn; what was counted is for the end.
            invoices.emulator._instance.outages.reset()
            invoices.authorize()
        assert invoices.emulator.seen()["faults_served"] == dict.fromkeys(FAULT_KINDS, 1)

    def test_the_first_one_planned_has_its_way(self, invoices: Caller) -> None:
        invoices.emulator.configure(faults={"always": True, "kinds": ["500"]})
        invoices.emulator.outage("502", seconds=LONG, paths=["invoices"])
        invoices.emulator.outage("503", seconds=LONG)
        found = [status(invoices), status(invoices, "suppliers/1")]
        invoices.emulator._instance.outages.reset()
        assert [*found, status(invoices)] == [502, 503, 500]


class TestRefused:
    def test_no_connection_can_be_opened(self, invoices: Caller) -> None:
        assert accepts(invoices.emulator)
        url = invoices.emulator.url
        begin = time.monotonic()
        invoices.emulator.outage("refused", seconds=0.5)
        # Also the connection that was open before ends.
        with pytest.raises(httpx.RemoteProtocolError):
            invoices.get("invoices/1")
        assert invoices.emulator.seen()["faults_served"] == {"refused": 1}
        until(lambda: not accepts(invoices.emulator))
        with pytest.raises(httpx.ConnectError):
            invoices.get("invoices/1")
        with pytest.raises(httpx.ConnectError):
            invoices.token()
        until(lambda: accepts(invoices.emulator))
        assert 0.5 <= time.monotonic() - begin < 1.5
        assert invoices.emulator.url == url
        assert status(invoices) == 200

    def test_again_and_again_until_a_reset(self, invoices: Caller) -> None:
        for _ in range(2):
            invoices.emulator.outage("refused", seconds=LONG)
            until(lambda: not accepts(invoices.emulator))
            invoices.emulator.reset()
            until(lambda: accepts(invoices.emulator))
        assert status(invoices, "invoices") == 200

    def test_the_emulator_stops_meanwhile_and_its_port_is_free(self) -> None:
        with Emulator(empty=True) as emulator:
            port = int(emulator.url.rpartition(":")[2])
            emulator.outage("refused", seconds=LONG)
            until(lambda: not accepts(emulator))
        with Emulator(empty=True, port=port) as emulator:
            assert accepts(emulator)


class TestWhichRequests:
    def test_paths(self, invoices: Caller) -> None:
        invoices.emulator.outage("503", seconds=LONG, paths=["invoices"])
        assert [status(invoices), status(invoices, "suppliers/1")] == [503, 200]

    def test_methods(self, invoices: Caller) -> None:
        invoices.emulator.outage("503", seconds=LONG, methods=["PUT"])
        assert status(invoices) == 200
        assert invoices.send("PUT", "invoices/1", {"internal-note": "x"}).status_code == 503

    def test_tokens_only_where_paths_say_so(self, invoices: Caller) -> None:
        invoices.emulator.outage("502", seconds=LONG)
        assert invoices.token().status_code == 200
        invoices.emulator.outage("503", seconds=LONG, paths=["/oauth2"])
        assert invoices.token().status_code == 503
        invoices.emulator.reset()
        invoices.emulator.outage("drop_before", seconds=LONG, paths=["/oauth2"])
        with pytest.raises(httpx.TransportError):
            invoices.token()

    def test_never_the_control_endpoint(self, invoices: Caller) -> None:
        invoices.emulator.outage("503", seconds=LONG, paths=["/"])
        assert status(invoices) == 503
        assert invoices.token().status_code == 503
        assert invoices.http.get("/_emulator/seen").status_code == 200


class TestSchedule:
    def test_one_after_the_other(self, invoices: Caller) -> None:
        given = time.time()
        invoices.emulator.outage("503", seconds=0.3, after_seconds=0.3)
        invoices.emulator.outage("502", seconds=0.3, after_seconds=0.9)
        phases: list[tuple[int | None, float]] = []
        while time.time() < given + 1.5:
            now = status(invoices)
            if not phases or phases[-1][0] != now:
                phases.append((now, time.time() - given))
        assert [found for found, _ in phases] == [200, 503, 200, 502, 200]
        for (_, begin), planned in zip(phases[1:], (0.3, 0.6, 0.9, 1.2), strict=True):
            assert 0 <= begin - planned < 0.3

    def test_what_is_over_running_and_to_come(self, invoices: Caller) -> None:
        given = time.time()
        invoices.emulator.outage("500", seconds=0.05)
        invoices.emulator.outage("503", seconds=LONG, paths=["/oauth2", "invoices"], methods=["GET"])
        invoices.emulator.outage("refused", seconds=LONG, after_seconds=LONG)
        until(lambda: invoices.emulator.outages()["over"])
        told = invoices.emulator.outages()
        assert {state: [one["kind"] for one in found] for state, found in told.items()} == {
            "over": ["500"],
            "running": ["503"],
            "to_come": ["refused"],
        }
        [running] = told["running"]
        assert (running["paths"], running["methods"]) == (["/oauth2", "invoices"], ["GET"])
        assert abs(running["begin"] - given) < 0.5
        assert abs(running["end"] - running["begin"] - LONG) < 0.01

    def test_reset_ends_it(self, invoices: Caller) -> None:
        invoices.emulator.outage("503", seconds=LONG)
        assert status(invoices) == 503
        invoices.emulator.reset()
        assert status(invoices, "invoices") == 200
        assert invoices.emulator.outages() == {"over": [], "running": [], "to_come": []}

    def test_timed_changes_go_on(self, invoices: Caller) -> None:
        invoices.emulator.outage("503", seconds=LONG)
        invoices.emulator.change("invoices", 1, {"status": "approved"}, after_seconds=0.05)
        until(lambda: invoices.emulator.changes()["done"])
        assert (invoices.emulator.record("invoices", 1) or {})["status"] == "approved"


class TestOverHttp:
    def post(self, coupa: Caller, body: Any) -> httpx.Response:
        return coupa.http.post("/_emulator/outages", json=body)

    def test_one_and_a_schedule(self, invoices: Caller) -> None:
        assert self.post(invoices, {"kind": "502", "seconds": LONG, **PATHS}).status_code == 201
        assert [status(invoices), invoices.token().status_code] == [502, 502]
        later = [
            {"kind": "503", "seconds": 5, "after_seconds": LONG},
            {"kind": "refused", "seconds": 5, "after_seconds": 2 * LONG},
        ]
        assert self.post(invoices, later).status_code == 201
        told = invoices.http.get("/_emulator/outages").json()
        assert [one["kind"] for one in told["running"]] == ["502"]
        assert [one["kind"] for one in told["to_come"]] == ["503", "refused"]

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ({"kind": "earthquake", "seconds": 1}, "no outage kind 'earthquake'; kinds are 500, "),
            ({"seconds": 1}, "no outage kind ''"),
            ({"kind": "503"}, "an outage lasts a number of seconds above 0"),
            ({"kind": "503", "seconds": "1"}, "seconds is a number of seconds"),
            ({"kind": "503", "seconds": 1, "after_seconds": -1}, "after_seconds is a number of seconds"),
            ({"kind": "503", "seconds": 1, "after": 1}, "outage has no after"),
            ({"kind": "503", "seconds": 1, "paths": "invoices"}, "paths and methods are lists"),
            ({"kind": "503", "seconds": 1, "methods": [1]}, "paths and methods are lists"),
            ({"kind": "refused", "seconds": 1, "paths": ["/oauth2"]}, "leave paths and methods out"),
        ],
    )
    def test_what_cannot_be_is_refused_whole(
        self, invoices: Caller, body: dict[str, Any], message: str
    ) -> None:
        answer = self.post(invoices, [{"kind": "503", "seconds": LONG}, body])
        assert answer.status_code == 400
        assert message in answer.json()["error"]
        assert status(invoices) == 200


def test_what_cannot_be_is_refused_in_python_too(coupa: Caller) -> None:
    with pytest.raises(SettingError, match="no outage kind 'timeout'"):
        coupa.emulator.outage("timeout", seconds=1)
    with pytest.raises(SettingError, match="above 0"):
        coupa.emulator.outage("503", seconds=0)
