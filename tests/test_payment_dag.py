"""The DAG that pays approved invoices: each once, though told twice; loads on every Airflow supported."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import airflow
import pytest

from coupa_provider.emulator import Emulator

DAG_FILE = Path(__file__).parents[1] / "dags" / "coupa_pay_approved_invoices.py"
#: Two runs in one process: starting Airflow takes longer than they do.
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
for conf in json.loads(sys.argv[1]):
    run = bag.dags["coupa_pay_approved_invoices"].test(run_conf=conf)
    states = sorted([ti.task_id, ti.map_index, str(ti.state)] for ti in run.get_task_instances())
    print("shown", json.dumps([str(run.state), states]))
"""


@pytest.fixture
def coupa() -> Iterator[Emulator]:
    with Emulator(empty=True, rate_limit=None) as coupa:
        coupa.load({"suppliers": [{"id": 7, "name": "Acme"}], "currencies": [{"id": 1, "code": "EUR"}]})
        yield coupa


def invoice(record_id: int, **attributes: Any) -> dict[str, Any]:
    return {
        "id": record_id,
        "invoice-number": f"INV-{record_id}",
        "status": "approved",
        "paid": False,
        "exported": False,
        "supplier": {"id": 7},
        "currency": {"id": 1},
        **attributes,
    }


@pytest.fixture
def run(coupa: Emulator, tmp_path: Path) -> Callable[..., list[Any]]:
    """Run the DAG by hand, once for each list of ids: ``run([33, 34], [33])``; returns the states."""

    def run(*ids: list[int]) -> list[Any]:
        folder = tmp_path / "dags"
        folder.mkdir()
        # A wait between tries is no use here; small batches show that there may be several.
        text = DAG_FILE.read_text().replace('"retries": 2', '"retries": 0')
        (folder / DAG_FILE.name).write_text(text.replace("TOGETHER = 200", "TOGETHER = 3"))
        connection = {"conn_type": "coupa", "host": coupa.url, "login": coupa.client_id}
        connection |= {"password": coupa.client_secret, "extra": {"requests_per_second": 1000}}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, json.dumps([{"ids": it} for it in ids])],
            env={
                **os.environ,
                "AIRFLOW_HOME": str(tmp_path),
                "AIRFLOW__CORE__DAGS_FOLDER": str(folder),
                "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
                "AIRFLOW_CONN_COUPA_DEFAULT": json.dumps(connection),
                "AIRFLOW_VAR_COUPA_LAKE": tmp_path.as_uri(),
            },
            cwd=DAG_FILE.parents[1],
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        lines = [line for line in done.stdout.splitlines() if line.startswith("shown ")]
        assert len(lines) == len(ids), done.stdout[-3000:] + done.stderr[-3000:]
        print(done.stdout, done.stderr)  # shown when the test fails
        return [json.loads(line.removeprefix("shown ")) for line in lines]

    return run


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_each_invoice_is_paid_once(coupa, run, tmp_path):
    others = [invoice(6, status="draft"), invoice(7, exported=True), invoice(8, paid=True), invoice(9)]
    coupa.load({"invoices": [*(invoice(number) for number in range(1, 6)), *others]})
    orders = tmp_path / "payments" / "orders"
    orders.mkdir(parents=True)
    (orders / "invoice-4.json").write_text(
        "ordered by a try that was killed before it could mark the invoice"
    )
    told = [5, 3, 4, 1, 2, 6, 7, 8]
    shown = run(told, told[:2])
    assert [state.rpartition(".")[2].lower() for state, _ in shown] == ["success", "success"]
    steps = ["pay.extract", "pay.mark", "pay.order_payments"]
    batches = [[step, index, "success"] for step in steps for index in range(3)]
    assert shown[0][1] == [["find_invoices", -1, "success"], *batches]
    written = {path.name: path.read_text() for path in orders.iterdir()}
    assert sorted(written) == [f"invoice-{number}.json" for number in range(1, 6)]  # 9 was not told
    assert written["invoice-4.json"].startswith("ordered by")
    order = json.loads(written["invoice-2.json"])
    assert order["invoice-number"] == "INV-2"
    assert order["currency"]["code"] == "EUR"
    assert order["supplier"]["name"] == "Acme"
    marks = {path: count for path, count in coupa.writes().items() if "/invoices/" in path}
    assert marks == {f"PUT /api/invoices/{number}": 1 for number in range(1, 6)}


@pytest.fixture(scope="module")
def module() -> Any:
    spec = importlib.util.spec_from_file_location("coupa_pay_approved_invoices", DAG_FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_events_of_a_run_are_one_list(module):
    def event(*ids: int) -> SimpleNamespace:
        return SimpleNamespace(
            extra={"from_trigger": True, "payload": {"records": [{"id": it} for it in ids]}}
        )

    find = module.dag.get_task("find_invoices").python_callable
    by_hand = SimpleNamespace(extra={})  # somebody who pressed the button of the asset
    events = {"asset": [event(3, 1), by_hand, event(3, 2)]}
    no_conf = SimpleNamespace(conf=None)
    assert find(triggering_asset_events=events, dag_run=no_conf) == [{**module.TO_PAY, "id[in]": [1, 2, 3]}]
    assert find(dag_run=no_conf) == []
    many = find(triggering_asset_events={"asset": [event(*range(450))]}, dag_run=no_conf)
    assert [len(batch["id[in]"]) for batch in many] == [200, 200, 50]


def test_it_is_watched_where_airflow_can(module):
    dag = module.dag
    assert dag.max_active_runs == 1
    if airflow.__version__.startswith("2."):
        assert dag.description.startswith("Needs Airflow 3")
        assert module.schedule is None
        return
    [asset] = module.schedule
    [watcher] = asset.watchers
    _, kwargs = watcher.trigger.serialize()
    assert kwargs["resources"] == {"invoices": {"status": "approved", "paid": "false", "exported": "false"}}
    assert kwargs["poll_interval"] <= 30
