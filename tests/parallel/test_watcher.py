"""Asset watchers on a real Airflow: approved invoices are paid within a minute, and a killed triggerer loses no change."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from coupa_provider.emulator import Emulator
from tests.parallel.running_airflow import RunningAirflow

pytestmark = [pytest.mark.postgresql, pytest.mark.slow]

HERE = Path(__file__).parent
PAYMENTS = HERE.parents[1] / "dags" / "coupa_pay_approved_invoices.py"
KILLS = 5
#: What tests/parallel/dags/watched.py says.
OVERLAP = timedelta(seconds=2)


@pytest.fixture
def pause(parallel_airflow: RunningAirflow) -> Iterator[list[str]]:
    """DAGs to pause in the end: a watcher would go on and on."""
    dag_ids: list[str] = []
    yield dag_ids
    for dag_id in dag_ids:
        parallel_airflow.call("PATCH", f"dags/{dag_id}", {"is_paused": True})


@pytest.fixture
def lake(parallel_airflow: RunningAirflow, tmp_path: Path) -> Iterator[Path]:
    """The folder that the Variable ``coupa_lake`` names."""
    parallel_airflow.call("POST", "variables", {"key": "coupa_lake", "value": tmp_path.as_uri()})
    yield tmp_path
    parallel_airflow.call("DELETE", "variables/coupa_lake")


def connect(airflow: RunningAirflow, connection_id: str, coupa: Emulator) -> None:
    login = {"login": coupa.client_id, "password": coupa.client_secret}
    airflow.add_connection(connection_id, "coupa", host=coupa.url, **login)


def watermark(airflow: RunningAirflow, asset_name: str) -> dict[str, Any] | None:
    """Return the entry that the watcher keeps in the asset's state store."""
    assets = airflow.call("GET", f"assets?name_pattern={asset_name}")["assets"]
    entries = [
        entry
        for asset in assets
        for entry in airflow.call("GET", f"assets/{asset['id']}/state-store")["asset_state_store"]
    ]
    assert len(entries) <= 1
    return entries[0] if entries else None


@pytest.mark.timeout(240)
def test_an_approved_invoice_is_paid_within_a_minute(
    parallel_airflow: RunningAirflow, pause: list[str], lake: Path
) -> None:
    airflow = parallel_airflow
    with Emulator(scale=0.1) as coupa:
        connect(airflow, "coupa_default", coupa)
        airflow.add_dags(PAYMENTS, "coupa_pay_approved_invoices")
        pause.append("coupa_pay_approved_invoices")
        airflow.wait_for(lambda: watermark(airflow, "coupa_invoices_to_pay"), "the watcher", 60)
        # Right after a look, so that it takes as long as it can.
        airflow.wait_for(
            lambda: coupa.seen()["requests_by_path"].get("GET /api/invoices"), "the first look", 30
        )
        [one, two] = coupa.ids("invoices")[:2]
        approved_at = datetime.now(UTC)
        for record_id in (one, two):
            coupa.change("invoices", record_id, {"status": "approved", "paid": False, "exported": False})

        runs = "dags/coupa_pay_approved_invoices/dagRuns?order_by=run_after"
        airflow.wait_for(lambda: airflow.call("GET", runs)["dag_runs"], "a run", 90)
        first = airflow.call("GET", runs)["dag_runs"][0]["dag_run_id"]
        run = airflow.wait("coupa_pay_approved_invoices", first)
        [find] = run.of("find_invoices")
        started = (find.started - approved_at).total_seconds()
        paid = (max(task.ended for task in run.tasks) - approved_at).total_seconds()
        print(f"approved; {started:.1f} s later a task of the DAG ran, {paid:.1f} s later both were paid")
        assert run.state == "success"
        assert started < 60
        orders = {path.name for path in (lake / "payments" / "orders").iterdir()}
        assert orders == {f"invoice-{one}.json", f"invoice-{two}.json"}
        assert [coupa.record("invoices", it)["exported"] for it in (one, two)] == [True, True]


class Changes:
    """Changes one invoice after the other, each once, until told to stop."""

    def __init__(self, coupa: Emulator) -> None:
        self.made: dict[int, datetime] = {}
        self._coupa = coupa
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Changes:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        pace = random.Random(3)
        for record_id in self._coupa.ids("invoices"):
            if self._over.wait(pace.expovariate(5)):
                return
            self._coupa.change("invoices", record_id, {"internal-note": "changed"})
            stamp = self._coupa.record("invoices", record_id)["updated-at"]
            self.made[record_id] = datetime.fromisoformat(stamp)


def told(airflow: RunningAirflow) -> dict[int, list[datetime]]:
    """Return when each record was told, by the times of the asset's events."""
    found: dict[int, list[datetime]] = {}
    for event in airflow.asset_events("coupa_watched"):
        for record in event["extra"]["payload"]["records"]:
            found.setdefault(record["id"], []).append(datetime.fromisoformat(event["timestamp"]))
    return found


@pytest.mark.timeout(300)
def test_a_killed_triggerer_loses_no_change(parallel_airflow: RunningAirflow, pause: list[str]) -> None:
    airflow, moments, kills = parallel_airflow, random.Random(7), []
    with Emulator(scale=1, rate_limit=None) as coupa:
        connect(airflow, "coupa_watched", coupa)
        airflow.add_dags(HERE / "dags" / "watched.py", "watched")
        pause.append("watched")
        airflow.wait_for(lambda: watermark(airflow, "coupa_watched"), "the watcher", 60)
        begun = time.monotonic()
        with Changes(coupa) as changes:
            for number in range(KILLS):
                looks, events = coupa.seen()["requests"], len(airflow.asset_events("coupa_watched"))
                if number:
                    airflow.start_triggerer()
                if number % 2:
                    # The first look brings all that changed meanwhile; the events of it may be anywhere on their way.
                    airflow.wait_for(lambda looks=looks: coupa.seen()["requests"] > looks, "a look", 60)
                    time.sleep(moments.uniform(0, 2))
                else:
                    airflow.wait_for(
                        lambda events=events: len(airflow.asset_events("coupa_watched")) > events, "news", 60
                    )
                    time.sleep(moments.uniform(0, 10))
                airflow.kill_triggerer()
                killed = datetime.now(UTC)
                kept = datetime.fromisoformat(watermark(airflow, "coupa_watched")["value"])
                kills.append((killed, kept))
            airflow.start_triggerer()
            time.sleep(5)
        airflow.wait_for(lambda: changes.made.keys() <= told(airflow).keys(), "all changes", 60)
        seconds = time.monotonic() - begun

        times = told(airflow)
        repeated = {record_id: at for record_id, at in times.items() if len(at) > 1}
        print(
            f"{len(changes.made)} changes in {seconds:.0f} s, {KILLS} kills, "
            f"{len(airflow.asset_events('coupa_watched'))} events; none lost, {len(repeated)} told more than once; when "
            f"killed, the watermark was {', '.join(f'{(at - kept).total_seconds():.0f}' for at, kept in kills)} s old"
        )
        assert set(times) == set(changes.made)
        # Twice only with a kill in between, and only what was changed since the watermark of then, or in the overlap.
        for record_id, at in repeated.items():
            for first, second in itertools.pairwise(at):
                assert any(
                    first
                    <= killed + timedelta(seconds=1)  # what had left the triggerer may have been written then
                    and killed <= second
                    and changes.made[record_id] >= kept.replace(microsecond=0) - OVERLAP
                    for killed, kept in kills
                )
        entry = watermark(airflow, "coupa_watched")
        assert entry["key"] == "watermark:coupa_watched:invoices"
        assert entry["last_updated_by"]["kind"] == "watcher"
        assert datetime.fromisoformat(entry["value"]) > min(changes.made.values())
        assert coupa.client_secret not in json.dumps(airflow.asset_events("coupa_watched"))
        assert "'updated-at'" not in airflow.output()  # Airflow logs events, these without their records
