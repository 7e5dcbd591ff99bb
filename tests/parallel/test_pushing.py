"""Pushes on a real Airflow: killed and gone on with, and red with an account that the next task reads."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from coupa_provider.emulator import Emulator
from tests.parallel.running_airflow import RunningAirflow

pytestmark = [pytest.mark.postgresql, pytest.mark.slow]

DAG_FILE = Path(__file__).parent / "dags" / "pushing.py"
RECORDS = 600
#: So slow that most rows are left when a part is there.
PACE = 60


@pytest.fixture
def coupa(parallel_airflow: RunningAirflow) -> Iterator[Emulator]:
    with Emulator(empty=True, rate_limit=None) as coupa:
        parallel_airflow.add_connection(
            "coupa_pushing", "coupa", host=coupa.url, login=coupa.client_id, password=coupa.client_secret,
            extra={"requests_per_second": PACE},
        )  # fmt: skip
        parallel_airflow.add_dags(DAG_FILE, "killed_push", "rejected_rows")
        yield coupa


def write(path: Path, rows: list[dict]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path.as_uri()


def lines_of(url: str) -> list[dict]:
    return [json.loads(line) for line in Path(url.removeprefix("file://")).read_text().splitlines()]


@pytest.mark.parametrize("with_supervisor", [False, True])
def test_a_killed_push_goes_on_and_sends_each_record_once(
    parallel_airflow: RunningAirflow, coupa: Emulator, tmp_path: Path, with_supervisor: bool
) -> None:
    """While one answer in ten is lost, too. Without its supervisor nobody reports the end of the try."""
    airflow = parallel_airflow
    coupa.configure(faults={"rate": 0.1, "kinds": ["lost_write"], "methods": ["POST"], "seed": 3})
    rows = [{"name": f"Supplier {n}", "number": f"S-{n}"} for n in range(RECORDS)]
    run_id = airflow.trigger("killed_push", {"source": write(tmp_path / "suppliers.ndjson", rows)})
    process = airflow.wait_for_process("killed_push", run_id, "push")
    airflow.wait_for(lambda: len(coupa.ids("suppliers")) > RECORDS / 4, "the first records", 60)
    airflow.kill(*([process.supervisor] if with_supervisor else []), process.pid)
    before = len(coupa.ids("suppliers"))
    assert before < RECORDS - 100
    run = airflow.wait("killed_push", run_id)

    assert (run.state, run.of("push")[0].try_number) == ("success", 2)
    names = Counter(coupa.record("suppliers", one)["number"] for one in coupa.ids("suppliers"))
    assert names == Counter(row["number"] for row in rows)
    assert coupa.writes() == {"POST /api/suppliers": RECORDS}
    assert coupa.seen()["faults_served"]["lost_write"] > 10
    result = airflow.xcom(run, "push")
    told = {"created": RECORDS, "updated": 0, "unchanged": 0, "rejected": 0, "unknown": 0}
    assert {name: result[name] for name in ("records", *told)} == {"records": RECORDS, **told}
    # What the first try had an answer for was not looked up again: one more request for each of 49 others.
    assert result["requests"] < (RECORDS - before) * 1.5 + 40
    account = lines_of(result["outcomes"])
    assert [line["row"] for line in account] == list(range(1, RECORDS + 1))
    assert all(
        coupa.record("suppliers", line["id"])["number"] == rows[line["row"] - 1]["number"] for line in account
    )
    assert [path.name for path in Path(result["outcomes"].removeprefix("file://")).parent.glob("*.*")] == [
        "outcomes.ndjson"
    ]
    assert f"suppliers: {RECORDS} rows: {RECORDS} created" in airflow.log(run, "push", try_number=2)


def test_a_try_that_outlives_its_supervisor_makes_no_record_twice(
    parallel_airflow: RunningAirflow, coupa: Emulator, tmp_path: Path
) -> None:
    """Nobody ends it, so two tries push the same rows at a time: what one has made, the other finds."""
    airflow = parallel_airflow
    rows = [{"name": f"Supplier {n}", "number": f"S-{n}"} for n in range(3 * RECORDS)]
    run_id = airflow.trigger("killed_push", {"source": write(tmp_path / "suppliers.ndjson", rows)})
    first = airflow.wait_for_process("killed_push", run_id, "push")
    airflow.wait_for(lambda: coupa.ids("suppliers"), "the first record", 60)
    airflow.kill(first.supervisor)
    airflow.wait_for(
        lambda: any(process.try_number == 2 for process in airflow.processes("killed_push", run_id)),
        "the second try",
        60,
    )
    assert first.pid in airflow.pids()
    assert len(coupa.ids("suppliers")) < 2 * RECORDS
    run = airflow.wait("killed_push", run_id)

    assert (run.state, run.of("push")[0].try_number) == ("success", 2)
    airflow.wait_for(lambda: first.pid not in airflow.pids(), "the end of the first try", 60)
    names = Counter(coupa.record("suppliers", one)["number"] for one in coupa.ids("suppliers"))
    assert names == Counter(row["number"] for row in rows)
    assert coupa.writes() == {"POST /api/suppliers": 3 * RECORDS}
    result = airflow.xcom(run, "push")
    assert (result["records"], result["rejected"], result["unknown"]) == (3 * RECORDS, 0, 0)
    assert [line["row"] for line in lines_of(result["outcomes"])] == list(range(1, 3 * RECORDS + 1))


def test_rejected_rows_make_the_run_red_and_the_next_task_tells_of_them(
    parallel_airflow: RunningAirflow, coupa: Emulator, tmp_path: Path
) -> None:
    rows = [{"name": f"Supplier {n}", "number": f"S-{n}"} for n in range(1, 4)]
    rows[1]["payment-term"] = {"code": "Net 99"}
    source = write(tmp_path / "suppliers.ndjson", rows)
    run = parallel_airflow.run("rejected_rows", {"source": source})
    assert run.state == "failed"
    assert {task.task_id: (task.state, task.try_number) for task in run.tasks} == {
        "push": ("failed", 1),  # a retry would be of no use
        "tell": ("success", 1),
        "go_on": ("upstream_failed", 0),
    }
    result = parallel_airflow.xcom(run, "push")
    assert (result["created"], result["rejected"], result["records"]) == (2, 1, 3)
    [sample] = result["samples"]
    assert "Net 99" in " ".join(sample["errors"])  # Coupa's own words
    assert parallel_airflow.xcom(run, "tell") == f"row 2: {' '.join(sample['errors'])}"
    [mend] = lines_of(result["rejected_file"])
    assert mend == {"_row": 2, "_errors": sample["errors"], **rows[1]}
    log = parallel_airflow.log(run, "push")
    assert f"Mend {result['rejected_file']} and push it." in log

    # Coupa was mended instead; a person clears the task.
    coupa.load({"payment_terms": [{"id": 1, "code": "Net 99"}]})
    tasks = {"task_ids": ["push"], "dry_run": False, "dag_run_id": run.run_id, "include_downstream": True}
    parallel_airflow.call("POST", "dags/rejected_rows/clearTaskInstances", tasks | {"only_failed": False})
    again = parallel_airflow.wait("rejected_rows", run.run_id)
    assert again.state == "success"
    assert parallel_airflow.xcom(again, "push")["created"] == 3
    assert parallel_airflow.xcom(again, "tell") == ""
    assert coupa.writes() == {"POST /api/suppliers": 3}
