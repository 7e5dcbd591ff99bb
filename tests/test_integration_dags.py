"""The DAGs with an integration run that users copy: they go right and wrong on every Airflow supported, as Coupa shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coupa_provider.emulator import Emulator

DAGS = Path(__file__).parents[1] / "dags"
SCRIPT = """
import json, os, sys
from airflow.utils import db

db.initdb()
from airflow.models.dagbag import DagBag
try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    pass
bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
assert not bag.import_errors, bag.import_errors
run = bag.dags[sys.argv[1]].test()
print("shown", json.dumps([str(run.state), {ti.task_id: str(ti.state) for ti in run.get_task_instances()}]))
"""


@pytest.fixture
def coupa():
    codes = enumerate(("ERP_PO", "ERP_FX", "ERP_SUPPLIER"), 1)
    with Emulator(empty=True, rate_limit=None, switches={"U21": "strict"}) as coupa:
        coupa.load(
            {
                "integrations": [{"id": number, "code": code, "name": code} for number, code in codes],
                "currencies": [{"id": 1, "code": "USD"}, {"id": 2, "code": "EUR"}],
            }
        )
        yield coupa


@pytest.fixture
def run(coupa, tmp_path):
    """Run one of the DAGs: ``run("coupa_orders_to_erp")``; returns its state and those of its tasks."""

    def run(dag_id: str) -> tuple[str, dict[str, str]]:
        folder = tmp_path / "dags"
        folder.mkdir()
        # A wait of minutes between tries is no use here.
        text = (DAGS / f"{dag_id}.py").read_text().replace('"retries": 2', '"retries": 0')
        (folder / f"{dag_id}.py").write_text(text)
        connection = {"conn_type": "coupa", "host": coupa.url, "login": coupa.client_id}
        connection |= {"password": coupa.client_secret, "extra": {"requests_per_second": 1000}}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, dag_id],
            env={
                **os.environ,
                "AIRFLOW_HOME": str(tmp_path),
                "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
                "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
                "AIRFLOW_CONN_COUPA_DEFAULT": json.dumps(connection),
                "AIRFLOW_VAR_COUPA_LAKE": tmp_path.as_uri(),
                "AIRFLOW_VAR_COUPA_INBOX": tmp_path.as_uri(),
            },
            cwd=DAGS.parent,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        lines = [line for line in done.stdout.splitlines() if line.startswith("shown ")]
        assert lines, done.stdout[-3000:] + done.stderr[-3000:]
        print(done.stdout, done.stderr)  # shown when the test fails
        state, states = json.loads(lines[0].removeprefix("shown "))
        return state, states

    return run


def runs_in_coupa(coupa) -> dict[str, tuple]:
    runs = [coupa.record("integration_runs", number) for number in coupa.ids("integration_runs")]
    return {
        it["integration"]["code"]: (it["status"], it["total-records"], it["records-processed"]) for it in runs
    }


def alerts(coupa) -> list[tuple[str, str]]:
    errors = [coupa.record(it["path"], it["id"]) for it in coupa.seen()["alerts"]]
    return sorted((it["contact-alert-type"], it["responses"][0]["response-message"]) for it in errors)


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("number", "state", "status"), [("PO-3", "success", "successful"), (None, "failed", "failed")]
)
def test_orders_to_the_erp(coupa, run, number, state, status):
    numbers = {1: "PO-1", 2: "PO-2", 3: number}
    coupa.load(
        {
            "purchase_orders": [
                {"id": it, "po-number": name, "status": "issued", "exported": False}
                for it, name in numbers.items()
            ]
        }
    )
    shown, tasks = run("coupa_orders_to_erp")
    assert shown.endswith(state)
    assert tasks.pop("end") == state
    assert set(tasks.values()) == {"success"}
    assert runs_in_coupa(coupa) == {"ERP_PO": (status, 3, 3 if number else 2)}
    assert alerts(coupa) == ([] if number else [("Functional", "The order has no number")])


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_master_data_from_the_erp(coupa, run, tmp_path):
    day = tmp_path / f"{datetime.now(UTC):%Y-%m-%d}"
    day.mkdir()
    (day / "rates.csv").write_text(
        "from-currency.code,to-currency.code,rate,rate-date\nUSD,EUR,0.9,2026-11-24\n"
    )
    (day / "suppliers.csv").write_text("number,name,status\nS-1,Acme,active\nS-2,Acme,active\n")
    shown, tasks = run("coupa_master_data_from_erp")
    assert shown.endswith("failed")
    failed = {task for task, state in tasks.items() if state != "success"}
    assert failed == {"suppliers.push", "suppliers.end"}
    assert runs_in_coupa(coupa) == {"ERP_FX": ("successful", 1, 1), "ERP_SUPPLIER": ("failed", 2, 1)}
    functional, technical = alerts(coupa)
    assert functional == ("Functional", "Name has already been taken")
    assert technical[1].startswith(
        "Task suppliers.end of the Airflow DAG coupa_master_data_from_erp has failed in its"
    )
