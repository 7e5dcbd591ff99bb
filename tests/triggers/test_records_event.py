"""The trigger of asset watchers: every change becomes an event, whatever Coupa, Airflow and restarts do."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coupa_provider.client import pacing
from coupa_provider.client.token import forget_tokens
from coupa_provider.emulator import Emulator
from coupa_provider.triggers.coupa import CoupaRecordsEventTrigger
from coupa_provider.triggers.kept_watermark import KeptWatermark
from coupa_provider.watch import watcher

pytestmark = (
    pytest.mark.airflow
)  # where the store has no watermark, a Variable of an earlier Airflow is looked for

KEY = "watermark:coupa_default:invoices"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator(scale=0.1, rate_limit=None) as coupa:
        yield coupa


@pytest.fixture
def coupa(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    forget_tokens()
    pacing._pacers.clear()
    emulator.reset()
    emulator.add_client(emulator.client_id, emulator.client_secret)
    connection = {
        "conn_type": "coupa",
        "host": emulator.url,
        "login": emulator.client_id,
        "password": emulator.client_secret,
        "extra": {"requests_per_second": 2000},
    }
    monkeypatch.setenv("AIRFLOW_CONN_COUPA_DEFAULT", json.dumps(connection))
    monkeypatch.setattr(watcher, "_SENT_SECONDS", 0.3)
    return emulator


def ten_seconds_ago() -> str:
    return (datetime.now(UTC) - timedelta(seconds=10)).isoformat()


class Store:
    """An asset's state store, which notes what happens to it; ``broken`` makes it fail."""

    def __init__(self, **values: str) -> None:
        self.values = values
        self.written: list[str] = []
        self.broken = False

    async def aget(self, key: str, default: Any = None) -> Any:
        if self.broken:
            raise RuntimeError("the API server is away")
        return self.values.get(key, default)

    async def aset(self, key: str, value: str) -> None:
        if self.broken:
            raise RuntimeError("the API server is away")
        self.values[key] = value
        self.written.append(value)


class EarlierStore:
    """That of Airflow 3.3.0, which has only calls that block."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)

    def set(self, key: str, value: str) -> None:
        self.values[key] = value


class Stores:
    """Those of several assets, as the triggerer hands them over."""

    def __init__(self, **by_name: Store) -> None:
        self._by_name = by_name
        self._by_uri: dict[str, Store] = {}


def trigger(store: Any, *arguments: Any, **more: Any) -> CoupaRecordsEventTrigger:
    """Make a trigger the way the triggerer does, from what was stored; it looks each 50 ms."""
    _, kwargs = CoupaRecordsEventTrigger(*(arguments or ("invoices",)), **more).serialize()
    made = CoupaRecordsEventTrigger(**json.loads(json.dumps(kwargs)))
    made.poll_interval = 0.05
    made.asset_state_store = store
    return made


class Listener:
    """Takes the events of a running trigger."""

    def __init__(self, made: CoupaRecordsEventTrigger) -> None:
        self.events: list[dict[str, Any]] = []
        self._made = made

    async def listen(self) -> None:
        async with aclosing(self._made.run()) as events:
            async for event in events:
                self.events.append(event.payload)

    def told(self, resource: str = "invoices") -> list[int]:
        return [it["id"] for event in self.events if event["resource"] == resource for it in event["records"]]

    async def until(self, condition: Any, seconds: float = 10) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def listening(made: CoupaRecordsEventTrigger) -> AsyncIterator[Listener]:
    listener = Listener(made)
    task = asyncio.create_task(listener.listen())
    try:
        yield listener
    finally:
        assert not task.done(), task.exception()  # a watcher that ends is started anew by Airflow each second
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert {it.get_name() for it in asyncio.all_tasks()} == {asyncio.current_task().get_name()}


def change(coupa: Emulator, record_id: int, **attributes: Any) -> None:
    coupa.change("invoices", record_id, attributes or {"comments": "changed"})


def instants(texts: list[str]) -> list[datetime]:
    return [datetime.fromisoformat(it) for it in texts]


def test_changes_become_events(coupa):
    store, [one, two, three] = Store(), coupa.ids("invoices")[:3]

    async def scenario():
        async with listening(trigger(store, fields=["invoice-number", {"supplier": ["name"]}])) as listener:
            await listener.until(lambda: store.written)
            assert instants(store.written)[0] > datetime.now(UTC) - timedelta(seconds=5)
            await asyncio.sleep(0.2)
            assert listener.events == []  # nothing of before
            change(coupa, one, status="approved")
            change(coupa, two)
            await listener.until(lambda: len(listener.told()) == 2)
            change(coupa, three)
            await listener.until(lambda: len(listener.told()) == 3)
            await asyncio.sleep(0.3)
            return listener

    listener = asyncio.run(scenario())
    assert sorted(listener.told()) == sorted([one, two, three])  # each once
    event, last = listener.events[0], listener.events[-1]
    [record] = [it for event in listener.events for it in event["records"] if it["id"] == one]
    assert set(record) == {"id", "updated-at", "created-at", "status", "invoice-number", "supplier"}
    assert record["status"] == "approved"
    assert set(event) == {"resource", "instance", "records", "count", "since", "until"}
    assert event["resource"] == "invoices"
    assert event["count"] == len(event["records"])
    assert coupa.url.endswith(event["instance"])
    assert instants([event["since"]])[0] < instants([event["until"]])[0] <= instants([last["until"]])[0]
    json.dumps(event)


def test_filters_choose_and_several_resources_are_watched(coupa):
    [invoice, other], [supplier] = coupa.ids("invoices")[:2], coupa.ids("suppliers")[:1]
    wish = {"invoices": {"status": "approved", "exported": False}, "suppliers": None}

    async def scenario():
        async with listening(trigger(Store(), wish)) as listener:
            await asyncio.sleep(0.3)
            change(coupa, other, status="draft", exported=False)
            change(coupa, invoice, status="approved", exported=False)
            coupa.change("suppliers", supplier, {"name": "Renamed"})
            await listener.until(lambda: listener.told() and listener.told("suppliers"))
            await asyncio.sleep(0.2)
            return listener

    listener = asyncio.run(scenario())
    assert listener.told() == [invoice]
    assert listener.told("suppliers") == [supplier]


def test_many_changes_come_in_pieces(coupa, monkeypatch):
    monkeypatch.setattr(watcher, "MOST_TOGETHER", 20)
    ids = coupa.ids("invoices")[:110]

    async def scenario():
        store = Store(**{KEY: datetime.now(UTC).isoformat()})
        for record_id in ids:
            change(coupa, record_id)
        async with listening(trigger(store)) as listener:
            await listener.until(lambda: len(listener.told()) == 110)
            return listener

    listener = asyncio.run(scenario())
    assert sorted(listener.told()) == sorted(ids)
    assert [event["count"] for event in listener.events] == [20, 20, 20, 20, 20, 10]


def test_the_watermark_is_kept_a_look_later(coupa):
    """It may be kept only when the events up to it are safe, which takes the triggerer a while."""
    store, [one] = Store(**{KEY: ten_seconds_ago()}), coupa.ids("invoices")[:1]
    change(coupa, one)

    async def scenario():
        async with aclosing(trigger(store).run()) as events:
            first = (await anext(events)).payload
            await asyncio.sleep(0.5)
            assert store.written == []  # nobody asked for more: the event may not have been taken
            upcoming = asyncio.create_task(anext(events))
            await asyncio.sleep(0.2)
            assert store.written == []
            async with asyncio.timeout(5):
                while not store.written:
                    await asyncio.sleep(0.01)
            assert store.written == [first["until"]]
            upcoming.cancel()
            await asyncio.gather(upcoming, return_exceptions=True)

    asyncio.run(scenario())


@pytest.mark.parametrize("restarts", [1, 6])
def test_nothing_is_lost_when_the_triggerer_is_killed(coupa, restarts):
    """A stream of changes; each restart begins with what the store holds. Told twice is what the overlap shows again."""
    store, changed, listeners = Store(), [], []
    ids = iter(coupa.ids("invoices"))

    async def scenario():
        for _ in range(restarts + 1):
            async with listening(trigger(store, overlap=1)) as listener:
                listeners.append(listener)
                await listener.until(lambda: store.values)
                for _ in range(10):
                    changed.append(next(ids))
                    change(coupa, changed[-1])
                    await asyncio.sleep(0.05)
        async with listening(trigger(store, overlap=1)) as listener:
            listeners.append(listener)
            await listener.until(lambda: set(changed) <= {it for each in listeners for it in each.told()})

    asyncio.run(scenario())
    for listener in listeners:
        assert len(listener.told()) == len(set(listener.told()))  # twice only after a restart


def test_an_outage_is_borne_and_tells_of_itself(coupa, caplog):
    [one] = coupa.ids("invoices")[:1]

    async def scenario():
        async with listening(trigger(Store())) as listener:
            await asyncio.sleep(0.2)
            coupa.configure(faults={"always": True, "kinds": ["503"]})
            change(coupa, one)
            await listener.until(lambda: "failure 1 in a row" in caplog.text, 30)
            assert listener.events == []
            coupa.configure(faults=None)
            await listener.until(lambda: listener.told() == [one], 20)

    with caplog.at_level(logging.INFO, "coupa_provider.watch.watcher"):
        asyncio.run(scenario())
    assert "invoices could not be watched (failure 1 in a row, for 0 s): CoupaUnavailableError" in caplog.text
    assert "watched again after" in caplog.text
    assert {it.levelname for it in caplog.records if "could not" in it.message} == {"WARNING"}


def test_a_resource_that_may_not_be_read_does_not_hold_the_others(coupa, caplog, monkeypatch):
    monkeypatch.setattr(watcher, "_LONG_SECONDS", 0.0)
    coupa.add_client(coupa.client_id, coupa.client_secret, ["core.supplier.read"])
    [one], [supplier] = coupa.ids("invoices")[:1], coupa.ids("suppliers")[:1]

    async def scenario():
        async with listening(trigger(Store(), ["invoices", "suppliers"])) as listener:
            await listener.until(lambda: "invoices could not be watched" in caplog.text)
            change(coupa, one)
            coupa.change("suppliers", supplier, {"name": "Renamed"})
            await listener.until(lambda: listener.told("suppliers") == [supplier])
            assert listener.told() == []

    asyncio.run(scenario())
    errors = [it for it in caplog.records if it.levelname == "ERROR"]  # it has failed for long
    assert errors
    assert all("CoupaScopeError" in it.getMessage() and it.exc_info is None for it in errors)
    assert coupa.client_secret not in caplog.text


def test_a_connection_is_read_anew_for_each_look(coupa, caplog, monkeypatch):
    right = json.loads(os.environ["AIRFLOW_CONN_COUPA_DEFAULT"])
    [one] = coupa.ids("invoices")[:1]

    async def scenario():
        monkeypatch.setenv("AIRFLOW_CONN_COUPA_DEFAULT", json.dumps({**right, "password": "outdated-secret"}))
        async with listening(trigger(Store())) as listener:
            await listener.until(lambda: "CoupaAuthenticationError" in caplog.text)
            monkeypatch.delenv("AIRFLOW_CONN_COUPA_DEFAULT")
            await listener.until(lambda: "Airflow did not give the connection" in caplog.text)
            monkeypatch.setenv("AIRFLOW_CONN_COUPA_DEFAULT", json.dumps(right))
            change(coupa, one)
            await listener.until(lambda: listener.told() == [one])

    asyncio.run(scenario())
    assert "outdated-secret" not in caplog.text


def test_a_store_out_of_reach_costs_nothing_but_repetitions(coupa, caplog):
    store, [one, two] = Store(**{KEY: ten_seconds_ago()}), coupa.ids("invoices")[:2]

    async def scenario():
        store.broken = True
        async with listening(trigger(store)) as listener:
            await listener.until(lambda: "could not be watched" in caplog.text)
            store.broken = False
            change(coupa, one)
            await listener.until(lambda: listener.told() == [one])
            store.broken = True
            change(coupa, two)
            await listener.until(lambda: listener.told() == [one, two])
            await listener.until(
                lambda: "could not be kept (RuntimeError: the API server is away)" in caplog.text
            )
            assert store.written == []
            store.broken = False
            await listener.until(lambda: store.written)

    asyncio.run(scenario())


def test_a_watermark_that_is_no_instant_is_told_and_waits_for_a_person(coupa, caplog):
    store = Store(**{KEY: "yesterday"})

    async def scenario():
        async with listening(trigger(store)) as listener:
            await listener.until(lambda: "which is no instant" in caplog.text)
            store.values[KEY] = "2026-11-23T06:00:00+00:00"
            await listener.until(lambda: store.written)

    asyncio.run(scenario())


def test_the_oldest_of_several_assets_counts_and_all_are_kept():
    early, late = "2026-11-23T06:00:00+00:00", "2026-11-23T08:00:00+00:00"
    one, two, new = Store(**{KEY: late}), Store(**{KEY: early}), Store()
    kept = KeptWatermark(Stores(one=one, two=two, new=new), "coupa_default:invoices")
    assert asyncio.run(kept.read()) == datetime.fromisoformat(early)
    now = datetime(2026, 11, 23, 9, tzinfo=UTC)
    asyncio.run(kept.write(now))
    assert [store.values[KEY] for store in (one, two, new)] == [now.isoformat()] * 3


def test_the_store_of_airflow_3_3_0_is_used_from_a_thread():
    kept = KeptWatermark(store := EarlierStore(), "coupa_default:invoices")
    assert asyncio.run(kept.read()) is None
    now = datetime(2026, 11, 23, 9, tzinfo=UTC)
    asyncio.run(kept.write(now))
    assert store.values == {KEY: now.isoformat()}
    assert asyncio.run(kept.read()) == now


def test_without_a_store_it_is_a_variable():
    kept = KeptWatermark(None, "coupa_default:suppliers/7/addresses:0123456789")
    assert asyncio.run(kept.read()) is None
    now = datetime(2026, 11, 23, 9, tzinfo=UTC)
    asyncio.run(kept.write(now))
    assert str(kept) == "Variable 'coupa_watermark_coupa_default_suppliers.7.addresses_0123456789'"
    assert asyncio.run(kept.read()) == now
    assert asyncio.run(KeptWatermark(Store(), "coupa_default:suppliers/7/addresses:0123456789").read()) == now


def test_equal_wishes_are_one_trigger():
    one = CoupaRecordsEventTrigger({"suppliers": {}, "invoices": {"id[in]": [2, 3], "exported": False}})
    two = CoupaRecordsEventTrigger({"/invoices": {"exported": "false", "id[in]": "2,3"}, "suppliers": None})
    assert json.dumps(one.serialize()) == json.dumps(two.serialize())
    path, kwargs = one.serialize()
    assert path == "coupa_provider.triggers.records_event.CoupaRecordsEventTrigger"
    assert CoupaRecordsEventTrigger(**kwargs).serialize() == one.serialize()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resources": "invoices", "poll_interval": 0}, "poll_interval must be a number of seconds, 1 or more; got 0"),
        ({"resources": "invoices", "poll_interval": "60"}, "got '60'"),
        ({"resources": "invoices", "overlap": -1}, "overlap must be a number of seconds, 0 or more"),
        ({"resources": "invoices", "coupa_conn_id": ""}, "coupa_conn_id must be"),
        ({"resources": {"invoices": {"status[foo]": 1}}}, "no operator 'foo'"),
        ({"resources": []}, "name at least one"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_when_the_dag_is_parsed(arguments, message):
    with pytest.raises(ValueError, match=message):
        CoupaRecordsEventTrigger(**arguments)


def test_a_log_of_an_event_holds_no_record(coupa):
    [one] = coupa.ids("invoices")[:1]

    async def scenario():
        store = Store(**{KEY: datetime.now(UTC).isoformat()})
        change(coupa, one)
        async with aclosing(trigger(store, fields=["invoice-number"]).run()) as events:
            return await anext(events)

    event = asyncio.run(scenario())
    for text in (repr(event), str(event)):
        assert "'records': '...', 'count': 1" in text
        assert event.payload["records"][0]["invoice-number"] not in text
