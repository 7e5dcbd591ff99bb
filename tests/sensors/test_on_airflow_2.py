"""Twelve scenarios in three modes on a real Airflow 2: its scheduler, triggerer, task runner and database.

``tests/parallel/test_sensors.py`` is the same for Airflow 3.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coupa_provider.emulator import Emulator
from tests.postgresql import free_port
from tests.sensors import twelve
from tests.sensors.modes import AIRFLOW_2

pytestmark = [
    pytest.mark.first,
    pytest.mark.skipif(not AIRFLOW_2, reason="tests/parallel/test_sensors.py is the same for Airflow 3"),
]

ROOT = Path(__file__).parents[2]
DAG_FILE = ROOT / "tests" / "parallel" / "dags" / "sensors.py"
RUN = "a-run"


@pytest.fixture
def coupa() -> Iterator[Emulator]:
    with Emulator(empty=True, rate_limit=None) as coupa:
        yield coupa


class RunningAirflow2:
    """A scheduler and a triggerer on SQLite, which are enough to run DAGs."""

    def __init__(self, home: Path, connections: dict[str, dict[str, Any]]) -> None:
        self.home = home
        self.database = home / "airflow.db"
        self._processes: list[subprocess.Popen[bytes]] = []
        (home / "dags").mkdir()
        shutil.copy(DAG_FILE, home / "dags")
        env = {
            name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "PYTEST"))
        }
        self.env = env | {
            # Tasks are processes beside each other; what writes to the database at the same time waits.
            "_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK": "1",
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "8",
            "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.database}",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS": "tests.sensors.patient_sqlite.ARGUMENTS",
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
            **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(it) for name, it in connections.items()},
        }

    def __enter__(self) -> RunningAirflow2:
        self.airflow("db", "migrate")
        self.airflow("dags", "reserialize")
        self.airflow("dags", "trigger", "sensors", "--run-id", RUN)
        for component in ("scheduler", "triggerer"):
            with (self.home / f"{component}.out").open("wb") as sink:
                self._processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "airflow", component],
                        cwd=self.home,
                        env=self.env,
                        stdin=subprocess.DEVNULL,
                        stdout=sink,
                        stderr=sink,
                        start_new_session=True,
                    )
                )
        return self

    def __exit__(self, *error: object) -> None:
        sessions = {process.pid for process in self._processes}
        while pids := [pid for pid in _pids() if _session(pid) in sessions]:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for process in self._processes:
                process.wait()
            time.sleep(0.05)

    def airflow(self, *arguments: str) -> None:
        """Run a command of Airflow's own."""
        ended = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            cwd=self.home,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-3000:]

    def wait_for(self, condition: Callable[[], bool], what: str, timeout: float = 180) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"Waited {timeout:g} s for {what}. Airflow said:\n{self.output()[-5000:]}")
            time.sleep(0.3)

    def output(self) -> str:
        return "".join((self.home / f"{name}.out").read_text() for name in ("triggerer", "scheduler"))

    def ask(self, question: str, *values: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self.database, timeout=60)) as database:
            return database.execute(question, values).fetchall()

    def is_over(self) -> bool:
        return self.ask("SELECT state FROM dag_run")[0][0] in ("success", "failed")

    def end(self, task_id: str) -> tuple[str | None, int]:
        [found] = self.ask("SELECT state, try_number FROM task_instance WHERE task_id = ?", task_id)
        return found

    def result(self, task_id: str) -> Any:
        found = self.ask("SELECT value FROM xcom WHERE task_id = ? AND key = 'return_value'", task_id)
        return json.loads(found[0][0]) if found else None

    def log(self, task_id: str) -> str:
        folder = self.home / "logs" / "dag_id=sensors" / f"run_id={RUN}"
        return "".join(file.read_text() for file in folder.glob(f"task_id={task_id}/*"))


def _pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdecimal()]


def _session(pid: int) -> int | None:
    """Return the session of a process, None for one that is gone or dead: tasks are in groups of their own."""
    with contextlib.suppress(OSError):
        state, _, _, session = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:4]
        return None if state == "Z" else int(session)
    return None


def test_the_modes_agree(coupa: Emulator, tmp_path: Path) -> None:
    twelve.prepare(coupa)
    connection = {"conn_type": "coupa", "host": coupa.url, "login": coupa.client_id}
    connections = {
        twelve.RIGHT: {**connection, "password": coupa.client_secret},
        twelve.WRONG: {**connection, "password": twelve.SECRET},
    }
    with RunningAirflow2(tmp_path, connections) as airflow:
        twelve.go_on(coupa, airflow, airflow.wait_for)
        airflow.wait_for(airflow.is_over, "the end of the run")
        twelve.check(airflow)
