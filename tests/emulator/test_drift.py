from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from coupa_provider.emulator.drift import Drifter, DriftLog
from coupa_provider.emulator.seed import Seeder
from coupa_provider.emulator.settings import Drift, SettingError
from coupa_provider.emulator.stamps import parse_instant
from coupa_provider.emulator.store import Store

if TYPE_CHECKING:
    from tests.emulator.conftest import Caller

NOW = 1_800_000_000.0


def drifter(**rates: float) -> tuple[Drifter, Store, DriftLog]:
    seeder = Seeder(sizes={"invoices": 60})
    store = Store(lambda path: (seeder.rows(path), seeder.maker(path).own_names))
    log = DriftLog()
    return Drifter(Drift(**rates), store, seeder, log), store, log  # type: ignore[arg-type]


def ids(log: DriftLog, event: str) -> list[int]:
    return [entry["id"] for entry in log.report()[event]]


class TestOneStep:
    def test_inserts_get_new_higher_ids_and_resolve(self) -> None:
        drift, store, log = drifter(inserts_per_s=10)
        before = store.ids("invoices")
        drift.advance(1.0, NOW)
        new = [i for i in store.ids("invoices") if i not in before]
        assert new == ids(log, "inserted")
        assert len(new) == 10
        assert min(new) > max(before)
        record = store.record("invoices", new[0])
        assert record is not None
        assert parse_instant(record["created-at"]).timestamp() == NOW
        assert store.body("suppliers", record["supplier"]["id"])
        assert (
            len({(store.record("invoices", i) or {})["invoice-number"] for i in store.ids("invoices")}) == 70
        )

    def test_updates_change_an_attribute_and_the_time(self) -> None:
        drift, store, log = drifter(updates_per_s=5)
        before = {i: store.record("invoices", i) or {} for i in store.ids("invoices")}
        drift.advance(1.0, NOW)
        for i in ids(log, "updated"):
            after = store.record("invoices", i) or {}
            assert parse_instant(after["updated-at"]).timestamp() == NOW
            assert after["internal-note"] != before[i]["internal-note"]

    def test_deletes(self) -> None:
        drift, store, log = drifter(deletes_per_s=5)
        before = store.ids("invoices")
        drift.advance(1.0, NOW)
        assert sorted(set(before) - set(store.ids("invoices"))) == sorted(ids(log, "deleted"))
        assert len(ids(log, "deleted")) == 5
        for _ in range(30):
            drift.advance(1.0, NOW)
        assert store.ids("invoices") == []

    def test_another_consumer_exports(self) -> None:
        drift, store, log = drifter(exports_per_s=20)
        drift.advance(1.0, NOW)
        exported = ids(log, "exported")
        assert exported
        assert all((store.record("invoices", i) or {})["exported"] is True for i in exported)

    def test_lines_change_without_their_header(self) -> None:
        drift, store, log = drifter(silent_updates_per_s=5)
        before = {i: store.record("invoices", i) or {} for i in store.ids("invoices")}
        drift.advance(1.0, NOW)
        for i in ids(log, "silently_updated"):
            after = store.record("invoices", i) or {}
            assert after["updated-at"] == before[i]["updated-at"]
            assert after["invoice-lines"] != before[i]["invoice-lines"]

    def test_a_rate_below_one_adds_up(self) -> None:
        drift, _, log = drifter(inserts_per_s=0.5)
        for _ in range(10):
            drift.advance(1.0, NOW)
        assert len(ids(log, "inserted")) == 5


def test_it_runs_while_the_server_serves(coupa: Caller) -> None:
    coupa.emulator.load({"departments": [{"id": n, "name": f"D{n}"} for n in range(1, 40)]})
    coupa.emulator.configure(drift={"resource": "departments", "updates_per_s": 60, "inserts_per_s": 30})
    time.sleep(0.5)
    coupa.emulator.configure(drift=None)
    log = coupa.emulator.drift_log()
    assert 10 <= len(log["updated"]) <= 45
    assert 5 <= len(log["inserted"]) <= 25
    assert len(coupa.emulator.ids("departments")) == 39 + len(log["inserted"])
    time.sleep(0.15)
    assert coupa.emulator.drift_log() == log
    assert all(
        event["resource"] == "departments" and abs(event["at"] - time.time()) < 5 for event in log["updated"]
    )


def test_several_resources_at_once(coupa: Caller) -> None:
    coupa.emulator.configure(
        drift=[{"resource": "tasks", "inserts_per_s": 50}, {"resource": "projects", "inserts_per_s": 50}]
    )
    time.sleep(0.25)
    assert {e["resource"] for e in coupa.emulator.drift_log()["inserted"]} == {"tasks", "projects"}


def test_an_unknown_resource_is_refused(coupa: Caller) -> None:
    with pytest.raises(SettingError, match="no resource 'invoice'"):
        coupa.emulator.configure(drift={"resource": "invoice"})
