"""Single calls on a real Airflow: killed, retried, cleared, and found in Coupa by the button of the task."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from coupa_provider.emulator import Emulator
from tests.parallel.running_airflow import DagRun, RunningAirflow

pytestmark = [pytest.mark.postgresql, pytest.mark.slow]

DAG_FILE = Path(__file__).parent / "dags" / "single_calls.py"


@pytest.fixture
def coupa(parallel_airflow: RunningAirflow) -> Iterator[Emulator]:
    with Emulator(empty=True) as coupa:
        coupa.load({"invoices": [{"id": 7, "status": "approved"}]})
        parallel_airflow.add_connection(
            "coupa_single_calls", "coupa", host=coupa.url, login=coupa.client_id, password=coupa.client_secret
        )
        parallel_airflow.add_dags(DAG_FILE, "single_calls")
        yield coupa


def links(airflow: RunningAirflow, run: DagRun, task_id: str) -> dict[str, str | None]:
    """Return the task's buttons, as the page of the task gets them."""
    path = f"dags/{run.dag_id}/dagRuns/{quote(run.run_id)}/taskInstances/{task_id}/links"
    return airflow.call("GET", path)["extra_links"]


def test_each_task_leads_to_its_record_and_may_be_cleared(
    parallel_airflow: RunningAirflow, coupa: Emulator
) -> None:
    airflow = parallel_airflow
    run = airflow.run("single_calls", {"name": "Acme"})
    assert run.state == "success"
    supplier = airflow.xcom(run, "supplier")
    assert supplier == {"id": supplier["id"], "created": True}
    assert airflow.xcom(run, "change") == {"id": supplier["id"], "name": "Acme Inc"}
    assert airflow.xcom(run, "read") == {"id": 7, "status": "approved"}
    assert airflow.xcom(run, "void") == {"id": 7, "status": "voided"}
    page = f"{coupa.url}/suppliers/show/{supplier['id']}"
    for task_id, url in {
        "supplier": page,
        "change": page,
        "read": f"{coupa.url}/invoices/7",
        "void": f"{coupa.url}/invoices/7",
    }.items():
        assert links(airflow, run, task_id) == {"Open in Coupa": url}
    assert not links(airflow, run, "keyless")["Open in Coupa"]

    tasks = {
        "task_ids": ["supplier", "void"],
        "dry_run": False,
        "dag_run_id": run.run_id,
        "only_failed": False,
    }
    airflow.call("POST", "dags/single_calls/clearTaskInstances", tasks)
    again = airflow.wait("single_calls", run.run_id)
    assert [again.of(task)[0].try_number for task in ("supplier", "void")] == [2, 2]
    assert again.state == "success"
    assert airflow.xcom(again, "supplier") == {"id": supplier["id"], "created": False}
    assert airflow.xcom(again, "void") == {"id": 7, "status": "voided"}
    assert set(coupa.writes().values()) == {1}


def test_a_killed_create_is_made_once(parallel_airflow: RunningAirflow, coupa: Emulator) -> None:
    """One create arrives and the task is killed before it can look it up; of another nobody knows what came of it."""
    airflow = parallel_airflow
    run_id = ""
    for task_id, kind in (("supplier", "lost_write"), ("keyless", "stall")):
        coupa.configure(faults={"always": True, "kinds": [kind], "methods": ["POST"], "stall_s": 60})
        run_id = run_id or airflow.trigger("single_calls", {"name": "Killed"})
        process = airflow.wait_for_process("single_calls", run_id, task_id)
        airflow.wait_for(lambda kind=kind: coupa.seen()["faults_served"].get(kind), f"a {kind}", 60)
        airflow.kill(process.pid)
    coupa.configure(faults={"times": 0})
    run = airflow.wait("single_calls", run_id)
    outcomes = {task: (run.of(task)[0].state, run.of(task)[0].try_number) for task in ("supplier", "keyless")}
    assert outcomes == {"supplier": ("success", 2), "keyless": ("failed", 2)}
    [created] = coupa.ids("suppliers")
    assert airflow.xcom(run, "supplier") == {"id": created, "created": False}
    assert "an earlier try created it" in airflow.log(run, "supplier", try_number=2)
    assert "so nothing was sent. Look for it in Coupa" in airflow.log(run, "keyless", try_number=2)
    assert set(coupa.writes().values()) == {1}
