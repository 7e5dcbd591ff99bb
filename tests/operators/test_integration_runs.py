"""The operators around an integration run: arguments, results, what makes a run fail, and what a DAG needs of them."""

from __future__ import annotations

import inspect
import json
import logging
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, AirflowSkipException, BaseOperator

from coupa_provider.client.errors import CoupaUnavailableError
from coupa_provider.client.retry import RetryPolicy
from coupa_provider.emulator import Emulator
from coupa_provider.operators.coupa import (
    CoupaEndIntegrationRunOperator,
    CoupaReportOutcomesOperator,
    CoupaStartIntegrationRunOperator,
)

BEGAN = datetime.now(UTC)
COUNTS = {"created": 2, "updated": 1, "unchanged": 4, "rejected": 0, "unknown": 0}
GOOD = {"resource": "suppliers", "records": 7, **COUNTS}


@pytest.fixture(scope="module")
def emulator():
    with Emulator(seed=7, empty=True, rate_limit=None) as emulator:
        yield emulator


@pytest.fixture
def coupa(coupa):
    coupa.load({"integrations": [{"id": 1, "code": "ERP_PO", "name": "ERP"}]})
    coupa.configure(switches={"U21": "strict"})
    coupa.reset_seen()
    return coupa


class TaskInstance(SimpleNamespace):
    """What the operators use of a task instance; the states of others are asked for as in Airflow 3."""

    def __init__(self, states: dict[str, str] | None = None, try_number: int = 1) -> None:
        super().__init__(dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=try_number, pushed={})
        self.states = states or {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value

    def get_task_states(self, *, dag_id, task_ids, run_ids):
        assert (dag_id, run_ids) == ("d", ["r"])
        return {"r": {name: state for name, state in self.states.items() if name.split("_")[0] in task_ids}}


def context(**how) -> dict[str, Any]:
    return {"ti": TaskInstance(**how), "dag_run": SimpleNamespace(start_date=BEGAN)}


def execute(operator, given=None):
    """Render and execute, and return the result as other tasks get it."""
    given = given or context()
    operator.render_template_fields(given)
    result = operator.execute(given)
    assert json.loads(json.dumps(result)) == result
    return result


def start(**arguments):
    return CoupaStartIntegrationRunOperator(**{"task_id": "start", "integration": "ERP_PO"} | arguments)


def run_of(coupa, run_id=1):
    record = coupa.record("integration_runs", run_id)
    return record["status"], record["total-records"], record["records-processed"]


# ---------------------------------------------------------------------------------------------- the start


def test_a_run_begins_in_one_step_or_in_two(coupa):
    assert execute(start(total_records="{{ 40 + 2 }}")) == {
        "run_id": 1,
        "integration": "ERP_PO",
        "status": "started",
    }
    assert run_of(coupa) == ("started", 42, None)
    first = execute(start())
    assert first == {"run_id": 2, "integration": "ERP_PO", "status": "pending"}
    second = execute(start(integration=None, run=first, total_records={"records": 7, "files": []}))
    assert second == {**first, "status": "started"}
    assert run_of(coupa, 2) == ("started", 7, None)


def test_a_later_try_takes_over_the_run_of_the_first(coupa):
    """The first was killed before it could hand the run on."""
    created = execute(start(), context())
    assert execute(start(), context(try_number=2))["run_id"] == created["run_id"]
    coupa.load({"integration_runs": [{"id": 1, "created-at": (BEGAN - timedelta(hours=1)).isoformat()}]})
    assert execute(start(), context(try_number=3))["run_id"] != created["run_id"]
    assert execute(start(), context())["run_id"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"integration": "NOPE"}, "Unable to find valid Integration record"),
        ({"integration": None}, "Give either integration"),
        ({"integration": None, "run": "{{ None }}"}, "run must be the result of the task that started"),
        ({"total_records": "many"}, "total_records must be a number of records"),
        ({"total_records": {"records": -1}}, "total_records must be a number of records"),
    ],
)
def test_a_wrong_start_fails_at_once(coupa, arguments, message):
    with pytest.raises(AirflowFailException, match=message):
        execute(start(**arguments))
    assert coupa.ids("integration_runs") == []


# ------------------------------------------------------------------------------------------------ the end


@pytest.fixture
def ending(coupa):
    """Execute the end of a run that was started, after tasks with these states: ``ending({"push": "failed"})``."""

    def run(states, results=(), times=1, **arguments):
        begun = execute(start(total_records=7))
        given = context(states=states)
        with DAG("d", schedule=None, start_date=BEGAN):
            first = start().as_setup()
            works = [BaseOperator(task_id=name) for name in dict.fromkeys(it.split("_")[0] for it in states)]
            end = CoupaEndIntegrationRunOperator(task_id="end", run=begun, results=results, **arguments)
            first >> works >> end.as_teardown(setups=first)
        for _ in range(times):
            try:
                result = execute(end, given)
            except AirflowFailException as error:
                return given["ti"].pushed["return_value"], str(error)
        return result, None

    return run


def test_a_run_ends_well(coupa, ending):
    result, error = ending({"push": "success", "other": "skipped"}, [GOOD, None], times=2)
    assert error is None
    assert result == {
        "run_id": 1, "integration": "ERP_PO", "status": "successful", "failed_tasks": [], "records": 7,
        "records_processed": 7, **COUNTS,
    }  # fmt: skip
    assert run_of(coupa) == ("successful", 7, 7)


def test_without_results_nothing_is_said_of_records(coupa, ending):
    result, _ = ending({"push": "success"})
    assert (result["records"], result["records_processed"]) == (None, None)
    assert run_of(coupa) == ("successful", 7, None)


@pytest.mark.parametrize("state", ["failed", "upstream_failed"])
def test_a_run_fails_with_a_task(coupa, ending, state):
    result, error = ending({"push_0": "success", "push_1": state, "report": "skipped"}, [None])
    assert error == "Integration run 1 of ERP_PO is failed in Coupa: tasks failed: push_1"
    assert (result["status"], result["failed_tasks"]) == ("failed", ["push_1"])
    assert run_of(coupa)[0] == "failed"


@pytest.mark.parametrize(
    ("fail_on", "status"), [("any", "failed"), (0.1, "failed"), (0.5, "successful"), ("all", "successful")]
)
def test_rejected_records_count_as_they_do_for_the_push(coupa, ending, fail_on, status):
    bad = GOOD | {"records": 10, "rejected": 2, "unknown": 1}
    result, error = ending({"push": "success"}, [bad], fail_on=fail_on)
    assert result["status"] == status
    assert run_of(coupa) == (status, 10, 7)
    if status == "failed":
        assert error.endswith("is failed in Coupa: 2 of 10 records were rejected and 1 are unknown")


def test_an_end_without_work_before_it_is_told_so(coupa):
    with DAG("d", schedule=None, start_date=BEGAN):
        first = start().as_setup()
        end = CoupaEndIntegrationRunOperator(task_id="end", run={"run_id": 1, "integration": "X"})
        first >> end.as_teardown(setups=first)
    with pytest.raises(
        AirflowFailException, match="No task comes before end but the one that started the run"
    ):
        end.execute(context())


def test_a_lost_coupa_leaves_the_end_to_a_retry(coupa, ending, monkeypatch):
    patience = RetryPolicy(attempts=2, first_delay=0.01)
    monkeypatch.setattr("coupa_provider.client.client.RetryPolicy", lambda: patience)
    coupa.configure(faults={"always": True, "kinds": ["500"], "methods": ["PUT"], "after": 1})
    with pytest.raises(CoupaUnavailableError, match="Given up after 2 tries"):
        ending({"push": "failed"})
    assert run_of(coupa)[0] == "started"


def test_it_is_a_teardown_that_fails_the_dag():
    with DAG("d", schedule=None, start_date=BEGAN):
        first = start().as_setup()
        end = CoupaEndIntegrationRunOperator(task_id="end", run=first.output).as_teardown(setups=first)
        other = CoupaEndIntegrationRunOperator(task_id="other", run=first.output)
        other.as_teardown(setups=first, on_failure_fail_dagrun=False)
    assert (end.is_teardown, end.on_failure_fail_dagrun, other.on_failure_fail_dagrun) == (True, True, False)
    assert CoupaEndIntegrationRunOperator(task_id="end", run={}).trigger_rule == "all_done"


# -------------------------------------------------------------------------------------------- the report


@pytest.fixture
def pushed(tmp_path):
    """The result of a push with one row that was rejected."""
    lines = [
        {"row": 1, "outcome": "created", "id": 11, "key": {"number": "S-1"}, "errors": []},
        {"row": 2, "outcome": "rejected", "id": None, "key": {"number": "S-2"}, "errors": ["Name is taken"]},
    ]
    file = tmp_path / "outcomes.ndjson"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return {"resource": "suppliers", "outcomes": file.as_uri(), "records": 2}


def report(**arguments):
    return CoupaReportOutcomesOperator(**{"task_id": "report", **arguments})


def test_outcomes_are_reported_once(coupa, pushed, tmp_path, caplog, capsys):
    run = execute(start())
    with caplog.at_level(logging.INFO):
        result = execute(report(outcomes=pushed, run=run, contact_alert_type="Both", history=True))
    assert result.pop("journal").startswith(f"{tmp_path.as_uri()}/_reported/run-1-")
    assert 0 <= result.pop("seconds") < 60
    assert result.pop("requests") > 0
    assert result == {
        "resource": "suppliers", "run_id": 1, "outcomes": pushed["outcomes"], "records": 2, "created": 1, "updated": 0,
        "unchanged": 0, "rejected": 1, "unknown": 0, "alerts": 1, "recorded": 1, "resolved": 0, "throttled": 0,
    }  # fmt: skip
    again = execute(report(outcomes=pushed, run=run, contact_alert_type="Both", history=True))
    assert (again["alerts"], again["requests"]) == (1, 0)
    assert len(coupa.seen()["alerts"]) == 1
    (error,) = (coupa.record("integration_errors", number) for number in coupa.ids("integration_errors"))
    assert (error["contact-alert-type"], error["document-type"]) == ("Both", "Supplier")
    text = caplog.text + capsys.readouterr().out  # Airflow 3.3 logs past the standard library
    assert "suppliers: 2 records reported to run 1 of ERP_PO: 1 alerts, 1 history records, 0 resolved" in text


def test_without_outcomes_it_is_skipped(coupa):
    with pytest.raises(AirflowSkipException, match="left no outcomes"):
        execute(report(outcomes=None, run=None))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"run": None}, "run must be the result of the task .* missing: did that task end well"),
        ({"run": "7"}, "run must be the result of the task .* str instead"),
        ({"outcomes": "file:///tmp/outcomes.ndjson"}, "outcomes must be the result of a task"),
        ({"outcomes": {"resource": "suppliers", "outcomes": "/tmp/o"}}, "is no URL"),
        (
            {"outcomes": {"resource": "suppliers", "outcomes": "file:///no/o.ndjson"}},
            "There is no outcome file",
        ),
        ({"contact_alert_type": "all"}, "contact_alert_type must be one of"),
        ({"document_type": "Sullpier"}, "Document type must be one of"),
    ],
)
def test_a_wrong_report_fails_at_once(coupa, pushed, arguments, message):
    run = execute(start())
    with pytest.raises(AirflowFailException, match=message):
        execute(report(**{"outcomes": pushed, "run": run} | arguments))


def test_a_report_stands_between_setup_and_teardown():
    """Airflow allows no all_done straight after a setup, and runs no other rule after a push that failed."""
    with DAG("d", schedule=None, start_date=BEGAN) as dag:
        first = start().as_setup()
        push = BaseOperator(task_id="push")
        told = report(outcomes=push.output, run=first.output)
        end = CoupaEndIntegrationRunOperator(task_id="end", run=first.output, results=[told.output])
        first >> push >> told >> end.as_teardown(setups=first)
    dag.validate_setup_teardown()
    assert told.trigger_rule == "all_done"
    assert told.upstream_task_ids == {"push"}


def test_importing_them_is_quick():
    code = (
        "import sys, coupa_provider.operators.coupa, coupa_provider.notifications.coupa\n"
        "print([name for name in sys.modules if name.startswith(('coupa_provider.push', 'coupa_provider.client'))])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("heading", "operator"),
    [
        ("The start", CoupaStartIntegrationRunOperator),
        ("The report", CoupaReportOutcomesOperator),
        ("The end", CoupaEndIntegrationRunOperator),
    ],
)
def test_the_page_describes_their_arguments(heading, operator):
    page = (Path(__file__).parents[2] / "docs" / "integration-runs.md").read_text()
    section = page.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    told = {
        name: (default.strip().strip("`"), templated == "yes")
        for name, default, templated in re.findall(r"^\| `(\w+)` \| ([^|]+) \| (yes|no) \|", section, re.M)
    }
    own = {
        name: (
            "required" if it.default is inspect.Parameter.empty else repr(it.default).replace("'", '"'),
            name in operator.template_fields,
        )
        for name, it in inspect.signature(operator.__init__).parameters.items()
        if name not in ("self", "kwargs")
    }
    assert told == own
