"""Tasks really run side by side, and one that is killed is tried again."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = [pytest.mark.postgresql, pytest.mark.slow]

DAG_FILE = Path(__file__).parent / "dags" / "side_by_side.py"


@pytest.fixture
def meeting(tmp_path):
    folder = tmp_path / "meeting"
    folder.mkdir()
    return folder


@pytest.fixture
def airflow(parallel_airflow):
    parallel_airflow.add_dags(DAG_FILE, "side_by_side")
    return parallel_airflow


def most_at_once(intervals):
    steps = sorted([(start, 1) for start, _ in intervals] + [(end, -1) for _, end in intervals])
    now = most = 0
    for _, step in steps:
        now += step
        most = max(most, now)
    return most


def test_four_tasks_run_at_a_time(airflow, meeting):
    run = airflow.run("side_by_side", {"meeting": str(meeting)})
    assert [(task.map_index, task.state, task.try_number) for task in run.of("work")] == [
        (index, "success", 1) for index in range(6)
    ]
    told = [airflow.xcom(run, "work", index) for index in range(6)]
    assert most_at_once([(each["started"], each["ended"]) for each in told]) == 4


@pytest.fixture
def hanging(airflow, meeting):
    """A run with one task that hangs in its first try: the run's id and the task's process."""
    run_id = airflow.trigger("side_by_side", {"meeting": str(meeting), "hangs": 3})
    airflow.wait_for((meeting / "3-alive").exists, "the task that hangs", 60)
    process = airflow.wait_for_process("side_by_side", run_id, "work", 3)
    assert process.try_number == 1
    return run_id, process


def assert_tried_again(airflow, run_id):
    run = airflow.wait("side_by_side", run_id)
    assert run.state == "success"
    assert [task.try_number for task in run.of("work")] == [1, 1, 1, 2, 1, 1]
    assert airflow.xcom(run, "work", 3)
    assert airflow.processes("side_by_side", run_id) == []


def test_a_killed_task_is_tried_again(airflow, hanging):
    run_id, process = hanging
    airflow.kill(process.pid)
    assert_tried_again(airflow, run_id)
    assert "SIGKILL" in airflow.log(airflow.state_of("side_by_side", run_id), "work", 3, try_number=1)


def test_a_task_killed_with_its_supervisor_is_tried_again(airflow, hanging):
    run_id, process = hanging
    airflow.kill(process.supervisor, process.pid)
    assert_tried_again(airflow, run_id)


def test_a_task_without_its_supervisor_goes_on_beside_its_second_try(airflow, hanging):
    """Nobody ends it: two tries of one task write at the same time, and what they write must bear that."""
    run_id, process = hanging
    airflow.kill(process.supervisor)
    assert_tried_again(airflow, run_id)
    assert process.pid in airflow.pids()
    airflow.kill(process.pid)
