"""The sensor for loads of files: every end a load can have, in each mode alike."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from coupa_provider.client import pacing
from coupa_provider.client.token import forget_tokens
from coupa_provider.emulator import Emulator
from coupa_provider.sensors.coupa import CoupaDataFileSensor
from coupa_provider.sensors.waiting import CoupaWaitingSensor
from coupa_provider.triggers.coupa import CoupaDataFileTrigger
from tests.sensors.modes import AIRFLOW_2, MODES, Outcome, run

pytestmark = pytest.mark.airflow

NAME = "colours_20261124.csv"
SHOWN = f"_Incoming_LookupValues_{NAME}"
BAD_ROWS = sorted({2 + 135 * place for place in range(37)})


@pytest.fixture(scope="module")
def emulator():
    with Emulator(seed=7, empty=True, rate_limit=None) as emulator:
        yield emulator


@pytest.fixture
def coupa(emulator, monkeypatch):
    forget_tokens()
    pacing._pacers.clear()
    emulator.reset()
    connection = {"conn_type": "coupa", "host": emulator.url, "login": emulator.client_id}
    connection |= {"password": emulator.client_secret, "extra": {"requests_per_second": 2000}}
    monkeypatch.setenv("AIRFLOW_CONN_COUPA_DEFAULT", json.dumps(connection))
    return emulator


def load(status: str = "Pending", **more: Any) -> dict[str, Any]:
    """A load as Coupa shows it."""
    return {
        "id": 7,
        "type": "BackgroundCsvFileLoad",
        "source-for": "LookupValue",
        "file-file-name": SHOWN,
        "status": status,
        "created-at": datetime.now(UTC).isoformat(timespec="seconds"),
        **more,
    }


def done(rows: int = 100, bad: list[int] | tuple[int, ...] = (), **more: Any) -> dict[str, Any]:
    """What a load shows when it is done."""
    errors = [
        {
            "id": 900 + row,
            "type": "UploadRowError",
            "row": row,
            "first-column": f"COMPANY-KEY-{row}",
            "field-with-error": "name",
            "value": f"COMPANY-VALUE-{row}",
            "field-errors": ["Name has already been taken"],
        }
        for row in bad
    ]
    return {
        "status": "done",
        "result-text": f"{rows} rows processed, creating 0 new rows and updating {rows - len(bad)} rows.",
        "progress": rows,
        "records-count": rows,
        "records-created": 0,
        "records-updated": rows - len(bad),
        "upload-errors-count": len(bad),
        "upload-errors": errors,
        **more,
    }


def wait(mode: str, **how: Any) -> Outcome:
    given = {"file_name": NAME, "poke_interval": 0.1, "timeout": 30, **how}
    if "data_file_source_id" in given:
        del given["file_name"]
    return run(lambda **modes: CoupaDataFileSensor(task_id="t", **given, **modes), mode)


@pytest.fixture
def logged(caplog, capsys):
    """What was logged so far: ``logged()``."""
    caplog.set_level(logging.DEBUG)
    return lambda: caplog.text + capsys.readouterr().out  # Airflow 3.3 logs past the standard library


@pytest.fixture(params=MODES)
def mode(request):
    return request.param


def test_from_not_yet_picked_up_to_done(coupa, mode, logged):
    coupa.add("data_file_sources", load(), after_seconds=0.5)
    for number, status in enumerate(("Uploading", "Submitted to Resque", "Loading", "Dreaming", "Paused")):
        coupa.add(
            "data_file_sources",
            load("Done", id=70 + number, **{"file-file-name": f"_Incoming_Users_more_{NAME}"}),
        )
        coupa.change("data_file_sources", 7, {"status": status}, after_seconds=0.8 + number * 0.3)
    coupa.change("data_file_sources", 7, done(5000), after_seconds=2.4)
    outcome = wait(mode)
    assert outcome.state == "success", outcome.message
    assert outcome.result == {
        "id": 7,
        "file": SHOWN,
        "status": "done",
        "result_text": "5000 rows processed, creating 0 new rows and updating 5000 rows.",
        "records": 5000,
        "created": 0,
        "updated": 5000,
        "errors": 0,
        "error_rows": [],
        "errors_file": None,
    }
    text = logged()
    for told in ("is not yet picked up", "is 'Submitted to Resque'", "'Dreaming', which is no status"):
        assert told in text
    assert outcome.starts == {"poke": 1, "deferrable": 2}.get(mode, outcome.starts)
    # Once the whole record: what is looked at again and again is small.
    assert [it["path"] for it in coupa.seen()["recent"]].count("/api/data_file_sources/7") == 1


@pytest.mark.parametrize("status", ["Failed", "failed", "Stopped"])
def test_it_failed_or_was_stopped(coupa, mode, status):
    coupa.add("data_file_sources", load("Loading"))
    coupa.change(
        "data_file_sources", 7, {"status": status, "result-text": "The header is not known"}, after_reads=2
    )
    outcome = wait(mode)
    assert outcome.state == "failed"
    assert f"Data file source 7 ({SHOWN}) is {status.lower()}" in outcome.message
    assert "Coupa says: 'The header is not known'" in outcome.message
    pushed = outcome.pushed["return_value"]
    assert (pushed["id"], pushed["status"], pushed["result_text"]) == (7, status, "The header is not known")


def test_never_picked_up(coupa, mode):
    coupa.add("data_file_sources", load("Done", id=3, **{"file-file-name": "_Incoming_Users_x.csv"}))
    began = datetime.now(UTC)
    outcome = wait(mode, pick_up_timeout=1.5)
    assert outcome.state == "failed"
    assert f"{NAME} was never picked up in 2 seconds" in outcome.message
    assert 1.5 < (datetime.now(UTC) - began).total_seconds() < 8
    assert outcome.pushed == {}
    assert outcome.starts > 3 or mode != "reschedule"


def test_of_two_loads_of_the_same_name_the_later_counts(coupa, mode):
    before = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    coupa.load({"data_file_sources": [load(id=5, **{**done(), "created-at": before})]})
    coupa.add("data_file_sources", load(id=6, **done(bad=[4])), after_seconds=0.5)
    outcome = wait(mode)
    assert outcome.state == "failed"
    assert outcome.pushed["return_value"]["id"] == 6
    coupa.add("data_file_sources", load(id=8, **done(50)))
    assert wait(mode, since=before).result["records"] == 50


def test_by_its_id(coupa, mode):
    coupa.add(
        "data_file_sources", load("Loading", id=17, **{"file-file-name": "other.csv"}), after_seconds=0.3
    )
    coupa.change("data_file_sources", 17, done(12), after_reads=2)
    outcome = wait(mode, data_file_source_id="17")
    assert (outcome.state, outcome.result["records"]) == ("success", 12)
    assert wait(mode, data_file_source_id="18", pick_up_timeout=0.3).message.startswith(
        "There is no data file source 18"
    )


def test_five_thousand_rows_of_which_37_are_bad(coupa, mode, tmp_path, logged):
    """A file of 5,000 rows that the emulator picks up, archives and loads; 37 names are there already."""
    taken = [{"name": f"COMPANY-VALUE-{row}", "lookup": {"id": 1}} for row in BAD_ROWS]
    coupa.load({"lookups": [{"id": 1, "name": "Colours"}], "lookup_values": taken})
    coupa.configure(file_pick_up_s=0.5, file_rows_per_s=3000)
    rows = "".join(f"COMPANY-KEY-{row},Colours,COMPANY-VALUE-{row}\n" for row in range(2, 5002))
    coupa.put_file(f"./Incoming/LookupValues/{NAME}", f"External Ref Num,Lookup,Name\n{rows}")
    outcome = wait(mode, errors_destination=(tmp_path / "errors").as_uri(), poke_interval=0.3, timeout=60)
    assert outcome.state == "failed"
    assert "is done, but with 37 errors in 37 of 5,000 rows; max_errors is 0" in outcome.message
    [listed] = re.findall(r"Rows ([\d, ]+)\.", outcome.message)
    assert [int(row) for row in listed.split(", ")] == BAD_ROWS
    assert "name: Name has already been taken (37 times)" in outcome.message
    pushed = outcome.pushed["return_value"]
    assert {name: pushed[name] for name in ("file", "records", "created", "updated", "errors")} == {
        "file": SHOWN,
        "records": 5000,
        "created": 4963,
        "updated": 0,
        "errors": 37,
    }
    assert pushed["error_rows"] == [
        {
            "row": row,
            "field": "name",
            "value": f"COMPANY-VALUE-{row}",
            "messages": ["Name has already been taken"],
        }
        for row in BAD_ROWS[:20]
    ]
    file = Path(pushed["errors_file"].removeprefix("file://"))
    assert file == tmp_path / "errors" / f"data_file_source_{pushed['id']}_errors.ndjson"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["row"] for line in lines] == BAD_ROWS
    assert lines[0] == {**pushed["error_rows"][0], "first_column": f"COMPANY-KEY-{BAD_ROWS[0]}"}
    assert pushed["errors_file"] in outcome.message
    text = logged()
    assert "is 'Loading', progress " in text
    assert "COMPANY" not in outcome.message + text
    assert coupa.files() == [f"Incoming/Archive/LookupValues/{NAME}"]
    assert len(coupa.ids("lookup_values")) == 5000


@pytest.mark.parametrize(
    ("max_errors", "state"),
    [
        (36, "failed"),
        (37, "success"),
        (0.0073, "failed"),
        (0.0074, "success"),
        (1, "failed"),
        (1.0, "success"),
    ],
)
def test_a_number_or_a_share_of_errors_may_be(coupa, mode, max_errors, state, tmp_path):
    coupa.add("data_file_sources", load(**done(5000, BAD_ROWS)))
    outcome = wait(mode, max_errors=max_errors, errors_destination=tmp_path.as_uri())
    assert outcome.state == state
    result = outcome.result if state == "success" else outcome.pushed["return_value"]
    assert result["errors"] == 37
    assert Path(result["errors_file"].removeprefix("file://")).read_text().count("\n") == 37


def test_time_runs_out_while_it_loads(coupa, mode):
    coupa.add("data_file_sources", load("Loading", progress=12))
    outcome = wait(mode, timeout=0.5)
    assert outcome.state == "timed_out"
    assert "is 'Loading', progress 12" in outcome.message


def test_soft_fail_skips_and_the_result_is_there(coupa, mode):
    coupa.add("data_file_sources", load(**done(10, [3])))
    outcome = wait(mode, soft_fail=True)
    assert outcome.state == "skipped"
    assert "with 1 error in 1 of 10 rows" in outcome.message
    assert outcome.pushed["return_value"]["errors"] == 1
    assert wait(mode, soft_fail=True, file_name="other.csv", pick_up_timeout=0).state == "skipped"


def test_nobody_tells_whether_rows_failed(coupa, mode):
    silent = dict.fromkeys(("upload-errors", "upload-errors-count", "records-count"))
    coupa.add("data_file_sources", load("done", **{"result-text": "Finished", **silent}))
    outcome = wait(mode)
    assert outcome.state == "failed"
    assert "shows this connection neither upload-errors nor their number" in outcome.message


def test_an_outage_when_the_load_is_read(coupa, mode):
    coupa.add("data_file_sources", load(**done(10, [3])))
    coupa.outage("503", seconds=1, paths=["data_file_sources/7"])
    outcome = wait(mode, max_errors=1)
    assert (outcome.state, outcome.result["errors"]) == ("success", 1)


def test_no_result_is_pushed_where_none_is_wanted(coupa):
    coupa.add("data_file_sources", load(**done(10, [3])))
    outcome = wait("poke", do_xcom_push=False)
    assert (outcome.state, outcome.pushed) == ("failed", {})


def test_templates(coupa):
    coupa.add("data_file_sources", load(**done(10)))
    arguments = {
        "file_name": "./Incoming/{{ folder }}/colours_{{ day }}.csv",
        "source_for": "{{ 'lookup' ~ 'value' }}",
        "since": "{{ dag_run.start_date }}",
    }

    def make(**modes: Any) -> CoupaDataFileSensor:
        return CoupaDataFileSensor(task_id="t", **arguments, **modes)

    assert run(make, "poke", folder="LookupValues", day="20261124").state == "success"


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"file_name": ""}, "Give either file_name"),
        ({"since": "{{ nothing }}"}, "since: '' is no instant"),
        ({"errors_destination": "{{ None }}"}, "errors_destination is empty"),
        ({"errors_destination": "errors"}, "errors_destination 'errors' is no URL"),
    ],
)
def test_a_wrong_argument_fails_at_once(coupa, mode, how, message):
    outcome = wait(mode, **how)
    assert outcome.state == "failed"
    assert message in outcome.message
    assert coupa.seen()["requests"] == 0


@pytest.mark.parametrize("max_errors", [-1, True, 1.5, -0.1, "3", None])
def test_no_such_threshold(max_errors):
    with pytest.raises(ValueError, match="max_errors must be a number of errors"):
        CoupaDataFileSensor(task_id="t", file_name=NAME, max_errors=max_errors)


@pytest.mark.parametrize("seconds", [-1, True, "3", None])
def test_no_such_time_to_be_picked_up_in(seconds):
    with pytest.raises(ValueError, match="pick_up_timeout must be a number of seconds"):
        CoupaDataFileSensor(task_id="t", file_name=NAME, pick_up_timeout=seconds)


def test_a_crowd_on_the_triggerer_shares_its_looks(coupa):
    """Eighty deferred sensors, each with a file of its own, are released in time by what one of them would ask for."""
    names = [f"crowd_{number:02}.csv" for number in range(80)]
    coupa.load(
        {
            "data_file_sources": [
                load("Loading", id=100 + number, **{"file-file-name": f"_Incoming_Users_{name}"})
                for number, name in enumerate(names)
            ]
        }
    )
    for number in range(80):
        coupa.change("data_file_sources", 100 + number, done(10), after_seconds=1.5 + number / 80)
    began = time.monotonic()

    async def released(name: str) -> tuple[Any, float]:
        load = {"file_name": name, "since": "2020-01-01T00:00:00Z"}
        how = {"started_at": time.time(), "pick_up_timeout": 60, **load}
        events = CoupaDataFileTrigger(how, poke_interval=1, timeout_at=time.time() + 30).run()
        event = await anext(events)
        await events.aclose()
        return event.payload, time.monotonic() - began

    async def crowd() -> list[tuple[Any, float]]:
        return await asyncio.gather(*(released(name) for name in names))

    for number, (event, seconds) in enumerate(asyncio.run(crowd())):
        assert (event["state"], event["result"]) == ("met", {"id": 100 + number})
        assert -0.1 < seconds - 1.5 - number / 80 < 2.5
    # A look costs two pages and two requests that prove they were all; there are about four looks.
    assert coupa.seen()["requests"] <= 6 * 4


def test_the_arguments_are_those_described():
    parameters = {
        **inspect.signature(CoupaWaitingSensor.__init__).parameters,
        **inspect.signature(CoupaDataFileSensor.__init__).parameters,
    }
    page = (Path(__file__).parents[2] / "docs" / "data-files.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|([^|]*)\| (yes|no) \|", page, re.M)
    assert {name for name, _, _ in rows} == set(parameters) - {"self", "kwargs"}
    for name, default, templated in rows:
        told = default.strip().strip("`")
        assert told in (repr(parameters[name].default).replace("'", '"'), "", "Airflow's setting")
        assert (templated == "yes") == (name in CoupaDataFileSensor.template_fields)


DAG_FILE = """
import os
from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, task

from coupa_provider.sensors.coupa import CoupaDataFileSensor

WAYS = {"poke": {}, "reschedule": {"mode": "reschedule"}, "deferrable": {"deferrable": True}}


@task(trigger_rule="all_done")
def report(*loads):
    return [[load["errors"], [it["row"] for it in load["error_rows"]], load["errors_file"]] for load in loads]


with DAG("loads", schedule=None, start_date=datetime(2026, 1, 1)):
    bad = [
        CoupaDataFileSensor(
            task_id=way,
            file_name="{{ 'bad_' ~ task.task_id }}.csv",
            since="{{ dag_run.start_date.replace(year=2020) }}",
            errors_destination=os.environ["LAKE"] + "/{{ task.task_id }}",
            poke_interval=0.5,
            **how,
        )
        for way, how in WAYS.items()
    ]
    report(*(sensor.output for sensor in bad))
    for way, how in WAYS.items():
        CoupaDataFileSensor(
            task_id=f"never_{way}", file_name="other.csv", pick_up_timeout=2, poke_interval=0.5, **how
        )
    CoupaDataFileSensor(task_id="good", file_name="good.csv", max_errors=0.01, since="2020-01-01T00:00:00Z")
"""

SCRIPT = """
import json, os, sqlite3
from airflow.utils import db

db.initdb()
from airflow.models.dagbag import DagBag
try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    pass
run = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags["loads"].test()
states = {ti.task_id: str(ti.state).lower().rpartition(".")[2] for ti in run.get_task_instances()}
with sqlite3.connect(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].removeprefix("sqlite:///")) as known:
    (value,) = known.execute("SELECT value FROM xcom WHERE task_id = 'report' AND key = 'return_value'").fetchone()
found = json.loads(value)
print("shown", json.dumps([states, json.loads(found) if isinstance(found, str) else found]))
"""


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_it_is_at_home_in_a_dag(coupa, tmp_path):
    """The result of a task that failed is there for the next; Airflow itself knows since when a sensor waits."""
    for number, name in enumerate(MODES, 1):
        coupa.add(
            "data_file_sources",
            load(id=number, **done(5000, BAD_ROWS), **{"file-file-name": f"bad_{name}.csv"}),
        )
    coupa.add("data_file_sources", load(id=9, **done(5000, BAD_ROWS), **{"file-file-name": "good.csv"}))
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "loads.py").write_text(DAG_FILE)
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={
            **os.environ,
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
            "LAKE": tmp_path.as_uri(),
            # Airflow 2 lets no other one use SQLite.
            **({"AIRFLOW__CORE__EXECUTOR": "SequentialExecutor"} if AIRFLOW_2 else {}),
        },
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-5000:]
    [shown] = [line for line in ran.stdout.splitlines() if line.startswith("shown ")]
    states, reported = json.loads(shown.removeprefix("shown "))
    assert states == {
        **dict.fromkeys(MODES, "failed"),
        **{f"never_{mode}": "failed" for mode in MODES},
        "report": "success",
        "good": "success",
    }
    files = [
        f"{tmp_path.as_uri()}/{mode}/data_file_source_{n}_errors.ndjson" for n, mode in enumerate(MODES, 1)
    ]
    assert reported == [[37, BAD_ROWS[:20], file] for file in files]
    text = ran.stdout + ran.stderr
    every = (
        f"37 errors in 37 of 5,000 rows; max_errors is 0. Coupa says: '{done(5000, BAD_ROWS)['result-text']}'"
    )
    assert text.count(f"{every}. Rows {', '.join(map(str, BAD_ROWS))}. Coupa") >= 3
    assert text.count("other.csv was never picked up in 2 seconds") >= 3
    assert "COMPANY-VALUE" not in text
