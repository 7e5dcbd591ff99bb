"""The DAGs with an integration run run on a real Airflow; what it shows and what Coupa shows are the same."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from coupa_provider.emulator import Emulator

pytestmark = [pytest.mark.postgresql, pytest.mark.slow]

DAGS = Path(__file__).parents[2] / "dags"
ORDERS = 60
CODES = ("ERP_PO", "ERP_FX", "ERP_SUPPLIER")
RATES = (
    "from-currency.code,to-currency.code,rate,rate-date\nUSD,EUR,0.91,2026-11-24\nUSD,GBP,0.79,2026-11-24\n"
)
SUPPLIERS = "number,name,status\nS-1,Acme,active\nS-2,Globex,active\nS-3,Initech,active\n"


@pytest.fixture(scope="module")
def emulator():
    with Emulator(seed=7, empty=True, rate_limit=None) as emulator:
        yield emulator


@pytest.fixture
def coupa(emulator):
    emulator.reset()
    integrations = [{"id": number, "code": code, "name": code} for number, code in enumerate(CODES, 1)]
    orders = [
        {"id": number, "po-number": f"PO-{number}", "status": "issued", "exported": False}
        for number in range(1, ORDERS + 1)
    ]
    contacts = [
        {"contact-alert-type": kind, "integration": integration}
        for integration in integrations
        for kind in ("Functional", "Technical")
    ]
    emulator.load(
        {
            "integrations": integrations,
            "integration_contacts": [{"id": number, **it} for number, it in enumerate(contacts, 1)],
            "purchase_orders": orders,
            "currencies": [
                {"id": number, "code": code} for number, code in enumerate(("USD", "EUR", "GBP"), 1)
            ],
        }
    )
    emulator.configure(switches={"U21": "strict", "U22": "array"})
    emulator.reset_seen()
    return emulator


@pytest.fixture
def airflow(parallel_airflow, coupa):
    fields = {"host": coupa.url, "login": coupa.client_id, "password": coupa.client_secret}
    parallel_airflow.add_connection("coupa_default", "coupa", **fields, extra={"requests_per_second": 200})
    return parallel_airflow


@pytest.fixture
def folder(airflow, tmp_path):
    for name in ("coupa_lake", "coupa_inbox"):
        airflow.call("POST", "variables", {"key": name, "value": f"file://{tmp_path}"})
    yield tmp_path
    for name in ("coupa_lake", "coupa_inbox"):
        airflow.call("DELETE", f"variables/{name}")


@pytest.fixture
def add(airflow, tmp_path_factory):
    """Add a DAG as it is shipped but for name, schedule, its retries, which take minutes, and other ``changes``."""

    def add(dag_id: str, suffix: str, **changes: str) -> str:
        text = (DAGS / f"{dag_id}.py").read_text()
        changes = {
            f'dag_id="{dag_id}"': f'dag_id="{dag_id}_{suffix}"',
            '"retries": 2': '"retries": 0',
            **changes,
        }
        for old, new in changes.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        text = re.sub(r'schedule="[^"]+"', "schedule=None", text)
        file = tmp_path_factory.mktemp("dags") / f"{dag_id}_{suffix}.py"
        file.write_text(text)
        airflow.add_dags(file, f"{dag_id}_{suffix}")
        return f"{dag_id}_{suffix}"

    return add


def states(run) -> dict[str, str]:
    return {task.task_id: task.state for task in run.tasks}


def runs_in_coupa(coupa) -> dict[str, tuple]:
    """What Coupa shows of its only run of each integration."""
    runs = [coupa.record("integration_runs", number) for number in coupa.ids("integration_runs")]
    assert len({run["integration"]["code"] for run in runs}) == len(runs)
    return {
        run["integration"]["code"]: (run["status"], run["total-records"], run["records-processed"])
        for run in runs
    }


def mails(coupa) -> Counter:
    """Who was told of what."""
    found = Counter()
    for alert in coupa.seen()["alerts"]:
        error = coupa.record(alert["path"], alert["id"])
        found[
            error["contact-alert-type"], error["external-id"], error["responses"][0]["response-message"]
        ] += 1
        assert len(alert["contacts"]) == 1
    return found


# --------------------------------------------------------------------------------------------- to the ERP


def test_orders_that_the_erp_takes(airflow, coupa, folder, add):
    broken = {"id": 1, "document-type": "OrderHeader", "document-id": 5, "resolved": False, "status": "Error"}
    coupa.load({"integration_errors": [broken | {"integration": {"id": 1, "code": "ERP_PO"}}]})
    run = airflow.run(add("coupa_orders_to_erp", "green"), timeout=120)
    assert (run.state, set(states(run).values())) == ("success", {"success"}), states(run)
    assert runs_in_coupa(coupa) == {"ERP_PO": ("successful", ORDERS, ORDERS)}
    assert all(coupa.record("purchase_orders", number)["exported"] for number in coupa.ids("purchase_orders"))
    history = [
        coupa.record("integration_history_records", it) for it in coupa.ids("integration_history_records")
    ]
    assert sorted(it["document-id"] for it in history) == coupa.ids("purchase_orders")
    assert {(it["document-type"], it["status"]) for it in history} == {("OrderHeader", "Success")}
    assert coupa.record("integration_errors", 1)["resolved"] is True
    assert mails(coupa) == {}
    print(airflow.xcom(run, "report"), airflow.xcom(run, "end"))


def test_an_order_that_the_erp_refuses(airflow, coupa, folder, add):
    coupa.load({"purchase_orders": [{"id": 7, "po-number": None, "status": "issued", "exported": False}]})
    run = airflow.run(add("coupa_orders_to_erp", "red"), timeout=120)
    assert run.state == "failed"
    assert {task for task, state in states(run).items() if state != "success"} == {"end"}
    assert runs_in_coupa(coupa) == {"ERP_PO": ("failed", ORDERS, ORDERS - 1)}
    assert mails(coupa) == {("Functional", "row 7", "The order has no number"): 1}
    (number,) = coupa.ids("integration_errors")
    assert coupa.record("integration_errors", number)["document-id"] == 7
    log = airflow.log(run, "end")
    assert (
        "Integration run 1 of ERP_PO is failed in Coupa: 1 of 60 records were rejected and 0 are unknown"
        in log
    )


def test_a_task_between_is_killed(airflow, coupa, folder, add):
    slow = {"            try:\n": "            __import__('time').sleep(0.2)\n            try:\n"}
    dag_id = add("coupa_orders_to_erp", "killed", **slow)
    run_id = airflow.trigger(dag_id)
    airflow.kill(airflow.wait_for_process(dag_id, run_id, "hand_over").pid)
    run = airflow.wait(dag_id, run_id)
    assert run.state == "failed"
    assert states(run)["hand_over"] == states(run)["end"] == "failed"
    assert states(run)["report"] == "skipped"
    assert runs_in_coupa(coupa) == {"ERP_PO": ("failed", ORDERS, None)}
    assert airflow.xcom(run, "end")["failed_tasks"] == ["hand_over"]
    assert mails(coupa) == {}
    # Somebody clears it: Airflow takes setup and teardown along, and Coupa gets another run.
    clear = {
        "dag_run_id": run_id,
        "task_ids": ["hand_over"],
        "include_downstream": True,
        "only_failed": False,
    }
    airflow.call(
        "POST", f"dags/{dag_id}/clearTaskInstances", {**clear, "dry_run": False, "reset_dag_runs": True}
    )
    run = airflow.wait(dag_id, run_id)
    assert (run.state, set(states(run).values())) == ("success", {"success"})
    runs = [coupa.record("integration_runs", number) for number in coupa.ids("integration_runs")]
    assert [(it["status"], it["records-processed"]) for it in runs] == [
        ("failed", None),
        ("successful", ORDERS),
    ]


# ------------------------------------------------------------------------------------------- from the ERP


@pytest.fixture
def inbox(airflow, folder):
    """Where the files of the day of a run are put: today's."""
    from datetime import UTC, datetime

    day = folder / f"{datetime.now(UTC):%Y-%m-%d}"
    day.mkdir()
    (day / "rates.csv").write_text(RATES)
    (day / "suppliers.csv").write_text(SUPPLIERS)
    return day


def test_files_that_coupa_takes(airflow, coupa, inbox, add):
    run = airflow.run(add("coupa_master_data_from_erp", "green"), timeout=120)
    assert (run.state, set(states(run).values())) == ("success", {"success"})
    assert runs_in_coupa(coupa) == {"ERP_FX": ("successful", 2, 2), "ERP_SUPPLIER": ("successful", 3, 3)}
    assert [len(coupa.ids(resource)) for resource in ("exchange_rates", "suppliers")] == [2, 3]
    assert mails(coupa) == {}


def test_a_row_that_coupa_rejects(airflow, coupa, inbox, add):
    (inbox / "suppliers.csv").write_text(SUPPLIERS + "S-4,Acme,active\n")
    dag_id = add("coupa_master_data_from_erp", "red")
    run = airflow.run(dag_id, timeout=120)
    assert run.state == "failed"
    assert {task for task, state in states(run).items() if state != "success"} == {
        "suppliers.push",
        "suppliers.end",
    }
    assert runs_in_coupa(coupa) == {"ERP_FX": ("successful", 2, 2), "ERP_SUPPLIER": ("failed", 4, 3)}
    message = f"Task suppliers.end of the Airflow DAG {dag_id} has failed in its run {run.run_id}."
    assert mails(coupa) == {
        ("Functional", "S-4", "Name has already been taken"): 1,
        ("Technical", f"{dag_id}/{run.run_id}/suppliers.end/-1", message): 1,
    }


def test_a_push_is_killed(airflow, coupa, inbox, add):
    coupa.configure(latency={"fixed_ms": 200})
    names = "".join(f"T-{number},Supplier {number},active\n" for number in range(500))
    (inbox / "suppliers.csv").write_text(SUPPLIERS + names)
    dag_id = add("coupa_master_data_from_erp", "killed")
    run_id = airflow.trigger(dag_id)
    pid = airflow.wait_for_process(dag_id, run_id, "suppliers.push").pid
    airflow.wait_for(lambda: coupa.ids("suppliers"), "the first supplier", 60)
    airflow.kill(pid)
    run = airflow.wait(dag_id, run_id)
    assert run.state == "failed"
    failed = {task for task, state in states(run).items() if state != "success"}
    assert failed == {"suppliers.push", "suppliers.report", "suppliers.end"}
    assert states(run)["suppliers.report"] == "skipped"
    assert runs_in_coupa(coupa) == {"ERP_FX": ("successful", 2, 2), "ERP_SUPPLIER": ("failed", None, None)}
    assert [kind for kind, _, _ in mails(coupa)] == ["Technical"]
