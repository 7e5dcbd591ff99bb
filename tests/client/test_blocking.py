"""The synchronous face: the same client, from any thread, after a fork, and when it is interrupted."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from coupa_provider.client import blocking
from coupa_provider.client.blocking import BlockingClient, run_in_background
from coupa_provider.client.errors import CoupaNotFoundError, CoupaQueryError


@pytest.fixture
def client(emulator, config_for):
    with BlockingClient(config_for(emulator.url)) as opened:
        yield opened


class TimeOut(BaseException):
    """As Airflow's own, which is no Exception either."""


@pytest.fixture
def alarm():
    """Raise in this thread after so many seconds."""

    def ring(*_):
        raise TimeOut

    before = signal.signal(signal.SIGALRM, ring)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_every_call_has_its_synchronous_twin(emulator, client):
    created = client.create("suppliers", {"name": "Twin"})
    assert client.update("suppliers", created["id"], {"name": "Twins"})["name"] == "Twins"
    assert client.get("suppliers", created["id"], fields=["id", "name"]) == {
        "id": created["id"],
        "name": "Twins",
    }
    assert client.call("GET", "suppliers", params={"name": "Twins"})[0]["id"] == created["id"]
    assert client.token().lifetime == 86399
    with pytest.raises(CoupaNotFoundError):
        client.get("suppliers", 999_999_999)


def test_a_walk_yields_every_record_and_says_how_it_went(emulator, client):
    with client.pages("suppliers", fields=["id", "name"]) as walk:
        found = [record_id for page in walk for record_id in page.ids]
        assert walk.counters.records == len(found)
        assert walk.counters.requests == emulator.seen()["requests"]
    assert sorted(found) == emulator.ids("suppliers")
    assert walk.query == {"fields": '["id","name"]'}
    assert walk.instance == client.config.instance
    assert walk.reports == []


def test_a_walk_is_iterated_over_once(client):
    walk = client.pages("departments")
    assert sum(len(page) for page in walk) > 0
    with pytest.raises(RuntimeError, match="once"):
        list(walk)
    walk.close()
    walk.close()


def test_a_wrong_query_is_refused_before_anything_is_sent(emulator, client):
    with pytest.raises(CoupaQueryError):
        client.pages("invoices", filters={"limit": 5})
    assert emulator.seen()["requests"] == 0


def test_leaving_a_walk_early_stops_its_requests(emulator, client):
    with client.pages("invoices") as walk:
        for _ in walk:
            break
    time.sleep(0.1)
    before = emulator.seen()
    time.sleep(0.3)
    assert before["in_flight"] == 0
    assert emulator.seen()["requests"] == before["requests"]


def test_a_closed_client_opens_again(emulator, client):
    assert len(client.call("GET", "departments", params={"limit": 1})) == 1
    first = client.client
    client.close()
    client.close()
    assert len(client.call("GET", "departments", params={"limit": 1})) == 1
    assert client.client is not first


def test_threads_may_share_a_client(emulator, client):
    client.token()
    with ThreadPoolExecutor(8) as threads:
        answers = list(
            threads.map(lambda _: client.call("GET", "departments", params={"limit": 1}), range(40))
        )
    assert {len(answer) for answer in answers} == {1}
    assert emulator.seen()["tokens_minted"] == 1


def test_all_blocking_clients_run_on_one_loop(client):
    async def where() -> tuple[int, str]:
        return id(asyncio.get_running_loop()), threading.current_thread().name

    assert run_in_background(where()) == run_in_background(where())
    assert run_in_background(where())[1] == "coupa-client"
    assert threading.current_thread().name != "coupa-client"


def test_a_time_out_comes_through_a_call_and_cancels_it(emulator, client, alarm):
    client.token()
    emulator.configure(latency={"fixed_ms": 5000})
    started = time.monotonic()
    alarm(0.3)
    with pytest.raises(TimeOut):
        client.call("GET", "departments")
    assert time.monotonic() - started < 2
    emulator.configure(latency=None)
    assert len(client.call("GET", "departments", params={"limit": 1})) == 1


def test_a_time_out_comes_through_a_walk_and_stops_it(emulator, client, alarm):
    client.token()
    emulator.configure(latency={"fixed_ms": 300})
    alarm(0.5)
    with pytest.raises(TimeOut), client.pages("invoices") as walk:
        for _ in walk:
            pass
    time.sleep(0.5)
    before = emulator.seen()["requests"]
    time.sleep(0.4)
    assert emulator.seen()["requests"] == before


def test_the_clean_up_of_a_cancelled_call_is_waited_for(alarm):
    cleaned = []

    async def work() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0.2)
            cleaned.append(True)

    alarm(0.1)
    with pytest.raises(TimeOut):
        run_in_background(work())
    assert cleaned == [True]


def test_a_forked_child_gets_a_loop_and_connections_of_its_own(emulator, client):
    assert len(client.call("GET", "departments", params={"limit": 1})) == 1
    with blocking._loop_lock:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                signal.alarm(10)
                code = 0 if len(client.call("GET", "departments", params={"limit": 1})) == 1 else 2
            finally:
                os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    # The parent's connections are still its own, and the token was minted once for both.
    assert len(client.call("GET", "departments", params={"limit": 1})) == 1
    assert emulator.seen()["tokens_minted"] == 1
