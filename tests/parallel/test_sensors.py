"""Twelve scenarios in three modes on a real Airflow 3: tasks, a triggerer and a database of their own kind."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from coupa_provider.emulator import Emulator
from tests.parallel.running_airflow import RunningAirflow
from tests.sensors import twelve

pytestmark = [pytest.mark.postgresql, pytest.mark.slow]

DAG_FILE = Path(__file__).parent / "dags" / "sensors.py"


@pytest.fixture
def coupa(parallel_airflow: RunningAirflow) -> Iterator[Emulator]:
    with Emulator(empty=True, rate_limit=None) as coupa:
        for name, secret in ((twelve.RIGHT, coupa.client_secret), (twelve.WRONG, twelve.SECRET)):
            parallel_airflow.add_connection(
                name, "coupa", host=coupa.url, login=coupa.client_id, password=secret
            )
        parallel_airflow.add_dags(DAG_FILE, "sensors")
        yield coupa


class Ended:
    """The tasks of a run."""

    def __init__(self, airflow: RunningAirflow, run_id: str) -> None:
        self._airflow = airflow
        self._run_id = run_id
        self.run = airflow.state_of("sensors", run_id)

    def refresh(self) -> None:
        self.run = self._airflow.state_of("sensors", self._run_id)

    def end(self, task_id: str) -> tuple[str | None, int]:
        [task] = self.run.of(task_id)
        return task.state, task.try_number

    def result(self, task_id: str) -> Any:
        return self._airflow.xcom(self.run, task_id)

    def log(self, task_id: str) -> str:
        folder = self._airflow.home / "logs" / "dag_id=sensors" / f"run_id={self._run_id}"
        return "".join(file.read_text() for file in folder.glob(f"task_id={task_id}/*"))


def test_the_modes_agree(parallel_airflow: RunningAirflow, coupa: Emulator) -> None:
    twelve.prepare(coupa)
    run_id = parallel_airflow.trigger("sensors")
    ended = Ended(parallel_airflow, run_id)
    twelve.go_on(coupa, ended, partial(parallel_airflow.wait_for, timeout=120))
    parallel_airflow.wait("sensors", run_id, timeout=180)
    ended.refresh()
    twelve.check(ended)
