"""A real Airflow 3 that runs tasks side by side: PostgreSQL below, LocalExecutor, all four components.

SQLite serves one writer at a time and hides what goes wrong between tasks; a task that is not a process of
its own cannot be killed. So here is the whole of it, started from nothing and killed as a whole.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.postgresql import PostgreSQL, free_port

ROOT = Path(__file__).parents[2]
START_SECONDS = 180
PARALLELISM = 8
#: A task whose supervisor is gone is given up after this long; a supervisor reports every other second.
HEARTBEAT_TIMEOUT_SECONDS = 10
#: The triggers of a triggerer that is gone are taken over after this long; a triggerer reports every second.
TRIGGERER_TIMEOUT_SECONDS = 5
#: A proxy of the environment must not come between a test and this machine.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class TaskRun:
    """A task instance as its last try left it.

    :param map_index: -1 where the task is not mapped.
    :param started: start of the last try; None before.
    """

    task_id: str
    map_index: int
    state: str | None
    try_number: int
    started: datetime | None
    ended: datetime | None


@dataclass(frozen=True)
class DagRun:
    """A run and its task instances, in the order of their names and indexes."""

    dag_id: str
    run_id: str
    state: str
    tasks: tuple[TaskRun, ...]

    def of(self, task_id: str) -> list[TaskRun]:
        """Return the instances of one task, by map index."""
        return [task for task in self.tasks if task.task_id == task_id]


@dataclass(frozen=True)
class TaskProcess:
    """A try that is being executed.

    :param pid: the process that runs the operator's code.
    :param supervisor: the executor's process it was forked from, which talks to the API server for it.
    """

    pid: int
    supervisor: int
    task_id: str
    map_index: int
    try_number: int


class RunningAirflow:
    """What a test can do with the Airflow that ``running_airflow`` started."""

    def __init__(self, url: str, home: Path, session: int, env: Mapping[str, str]) -> None:
        self.url = url
        self.home = home
        self._sessions = {session}
        #: Environment of all components.
        self.env = env
        self._triggerer: subprocess.Popen[bytes] | None = None
        self._token: str | None = None

    def add_dags(self, file: Path, *dag_ids: str, timeout: float = 60) -> None:
        """Copy a file into the DAGs folder and wait until the scheduler knows its DAGs."""
        shutil.copy(file, self.home / "dags")
        for dag_id in dag_ids:
            self.wait_for(lambda dag_id=dag_id: self._knows(dag_id), f"the DAG {dag_id}", timeout)

    def add_connection(self, connection_id: str, conn_type: str, **fields: Any) -> None:
        """Store a connection, in place of an earlier one of that name; ``extra`` may be a dict."""
        if not isinstance(fields.get("extra", ""), str):
            fields["extra"] = json.dumps(fields["extra"])
        with contextlib.suppress(urllib.error.HTTPError):
            self.call("DELETE", f"connections/{connection_id}")
        self.call("POST", "connections", {"connection_id": connection_id, "conn_type": conn_type, **fields})

    def run(self, dag_id: str, conf: Mapping[str, Any] | None = None, *, timeout: float = 120) -> DagRun:
        """Trigger a DAG and wait for the run's end, good or bad."""
        return self.wait(dag_id, self.trigger(dag_id, conf), timeout=timeout)

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Begin a run and return its id."""
        body = {"logical_date": None, "conf": dict(conf or {})}
        return self.call("POST", f"dags/{dag_id}/dagRuns", body)["dag_run_id"]

    def wait(self, dag_id: str, run_id: str, *, timeout: float = 120) -> DagRun:
        """Wait until a run has succeeded or failed."""
        self.wait_for(
            lambda: self.state_of(dag_id, run_id).state in ("success", "failed"),
            f"the end of {dag_id} {run_id}",
            timeout,
        )
        return self.state_of(dag_id, run_id)

    def state_of(self, dag_id: str, run_id: str) -> DagRun:
        """Return a run as it is now."""
        state = self.call("GET", f"dags/{dag_id}/dagRuns/{quote(run_id)}")["state"]
        tasks = [
            TaskRun(
                task_id=instance["task_id"],
                map_index=instance["map_index"],
                state=instance["state"],
                try_number=instance["try_number"],
                started=_instant(instance["start_date"]),
                ended=_instant(instance["end_date"]),
            )
            for instance in self._instances(dag_id, run_id)
        ]
        tasks.sort(key=lambda task: (task.task_id, task.map_index))
        return DagRun(dag_id, run_id, state, tuple(tasks))

    def xcom(
        self, run: DagRun, task_id: str, map_index: int = -1, key: str = "return_value", default: Any = None
    ) -> Any:
        """Return what a task instance pushed, or ``default`` where it pushed nothing."""
        path = f"dags/{run.dag_id}/dagRuns/{quote(run.run_id)}/taskInstances/{task_id}/xcomEntries/{key}"
        try:
            return self.call("GET", f"{path}?map_index={map_index}&stringify=false")["value"]
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return default
            raise

    def log(self, run: DagRun, task_id: str, map_index: int = -1, try_number: int = 1) -> str:
        """Return the log of one try, JSON lines; it is read from the file, which is there even after a kill."""
        folder = self.home / "logs" / f"dag_id={run.dag_id}" / f"run_id={run.run_id}" / f"task_id={task_id}"
        if map_index >= 0:
            folder /= f"map_index={map_index}"
        return (folder / f"attempt={try_number}.log").read_text()

    def output(self) -> str:
        """Return what the components printed; the killed and the crashed are found here."""
        return (self.home / "standalone.out").read_text()

    def processes(self, dag_id: str, run_id: str) -> list[TaskProcess]:
        """Return the processes that execute tasks of a run at this moment.

        A task process gives itself a title with the id of its task instance, new for each try: one that outlived
        its supervisor is no longer listed once the next try is due.
        """
        instances = {instance["id"]: instance for instance in self._instances(dag_id, run_id)}
        found = []
        for pid in self.pids():
            with contextlib.suppress(OSError):
                title = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()
                instance = instances.get(title.removeprefix("airflow worker -- "))
                if instance:
                    found.append(
                        TaskProcess(
                            pid=pid,
                            supervisor=int(_stat(pid)[1]),
                            task_id=instance["task_id"],
                            map_index=instance["map_index"],
                            try_number=instance["try_number"],
                        )
                    )
        return sorted(found, key=lambda process: (process.task_id, process.map_index))

    def wait_for_process(
        self, dag_id: str, run_id: str, task_id: str, map_index: int = -1, *, timeout: float = 60
    ) -> TaskProcess:
        """Wait until a task instance is being executed."""

        def wanted() -> TaskProcess | None:
            for process in self.processes(dag_id, run_id):
                if (process.task_id, process.map_index) == (task_id, map_index):
                    return process
            return None

        return self.wait_for(wanted, f"a process of {task_id}[{map_index}]", timeout)

    def kill(self, *pids: int) -> None:
        """Kill without warning, as the kernel does when memory runs out.

        Name the supervisor before its task: otherwise it may live to see the task die.
        """
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def kill_triggerer(self) -> None:
        """Kill the triggerer without warning: its supervisor, then the process in which the triggers run."""
        self.kill(*self.triggerer_pids())
        self._reap_triggerer()

    def stop_triggerer(self, *, timeout: float = 30) -> None:
        """End the triggerer as a deployment does: it is asked to, and waited for."""
        pids = self.triggerer_pids()
        os.kill(pids[0], signal.SIGTERM)
        self._reap_triggerer()
        self.wait_for(lambda: not set(pids) & set(self.pids()), "the end of the triggerer", timeout)

    def triggerer_pids(self) -> list[int]:
        """Return the triggerer's supervisor and, after it, its children; in one of these the triggers run."""
        parents, named = {}, set()
        for pid in self.pids():
            with contextlib.suppress(OSError):
                parents[pid] = int(_stat(pid)[1])
                if b"triggerer" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                    named.add(pid)
        supervisors = [pid for pid in named if parents[pid] not in named]
        if not supervisors:
            pytest.fail(f"There is no triggerer. Airflow said:\n{self.output()[-5000:]}")
        return [*supervisors, *(pid for pid, parent in parents.items() if parent in supervisors)]

    def _reap_triggerer(self) -> None:
        if self._triggerer is not None:
            self._triggerer.wait()
            self._triggerer = None

    def start_triggerer(self) -> None:
        """Start a triggerer in place of the one that was killed, and return at once.

        It takes over the triggers of the dead one ``TRIGGERER_TIMEOUT_SECONDS`` after that reported last.
        """
        with (self.home / "standalone.out").open("ab") as sink:
            self._triggerer = subprocess.Popen(
                [sys.executable, "-m", "airflow", "triggerer"],
                cwd=self.home,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        self._sessions.add(self._triggerer.pid)

    def asset_events(self, asset_name: str) -> list[dict[str, Any]]:
        """Return all events of an asset, the oldest first, as the REST API shows them."""
        [asset] = [
            asset
            for asset in self.call("GET", f"assets?name_pattern={quote(asset_name)}")["assets"]
            if asset["name"] == asset_name
        ]
        found: list[dict[str, Any]] = []
        while True:
            page = self.call(
                "GET",
                f"assets/events?asset_id={asset['id']}&order_by=timestamp&limit=100&offset={len(found)}",
            )
            found += page["asset_events"]
            if len(found) >= page["total_entries"] or not page["asset_events"]:
                return found

    def pids(self) -> list[int]:
        """Return all processes of this Airflow, those without a parent too, but not the dead nobody waited for."""
        found = []
        for pid in [int(entry) for entry in os.listdir("/proc") if entry.isdecimal()]:
            with contextlib.suppress(OSError):
                state, _, _, session = _stat(pid)[:4]
                if int(session) in self._sessions and state != "Z":
                    found.append(pid)
        return found

    def cpu_seconds(self) -> float:
        """Return the CPU time all processes took so far, those that ended and were waited for included."""
        ticks = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                ticks += sum(int(field) for field in _stat(pid)[11:15])
        return ticks / os.sysconf("SC_CLK_TCK")

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request to the REST API and return the decoded answer."""
        if self._token is None:
            with OPENER.open(f"{self.url}/auth/token", timeout=30) as answer:
                self._token = json.load(answer)["access_token"]
        request = urllib.request.Request(
            f"{self.url}/api/v2/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
            method=method,
        )
        content = _answer_to(request)
        return json.loads(content) if content else None

    def wait_for(self, condition: Callable[[], Any], what: str, timeout: float) -> Any:
        """Return the first true answer of ``condition``; fail, with what the components said last, without."""
        deadline = time.monotonic() + timeout
        while not (answer := condition()):
            if time.monotonic() > deadline:
                pytest.fail(f"Waited {timeout:g} s for {what}. Airflow said:\n{self.output()[-5000:]}")
            time.sleep(0.2)
        return answer

    def _knows(self, dag_id: str) -> bool:
        errors = self.call("GET", "importErrors")["import_errors"]
        if errors:
            pytest.fail("".join(error["stack_trace"] for error in errors))
        try:
            return not self.call("GET", f"dags/{dag_id}")["is_stale"]
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return False
            raise

    def _instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            path = f"dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances?limit=100&offset={len(found)}"
            page = self.call("GET", path)
            found += page["task_instances"]
            if len(found) >= page["total_entries"] or not page["task_instances"]:
                return found


@contextlib.contextmanager
def running_airflow(
    database: PostgreSQL, home: Path, settings: Mapping[str, str] | None = None
) -> Iterator[RunningAirflow]:
    """Start an Airflow; kill all of it on the way out.

    :param database: an empty one, for the metadata.
    :param home: an empty folder; DAGs go to ``dags``, logs to ``logs``.
    :param settings: more environment variables, for all components and tasks.
    """
    (home / "dags").mkdir()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    env |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # standalone starts `airflow`
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": base64.b64encode(os.urandom(32)).decode(),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": str(PARALLELISM),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.url,
        "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "1",
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(HEARTBEAT_TIMEOUT_SECONDS),
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "1",
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": str(TRIGGERER_TIMEOUT_SECONDS),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
        **(settings or {}),
    }
    with (home / "standalone.out").open("wb") as sink:
        # In a session of its own: a signal to the parent alone would leave the components behind.
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", "standalone"],
            cwd=home,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    airflow = RunningAirflow(url, home, process.pid, env)
    try:
        airflow.wait_for(lambda: _is_healthy(airflow, process), "a healthy Airflow", START_SECONDS)
        yield airflow
    finally:
        # Nothing of it is needed any more, so no time is spent on an orderly end.
        while pids := airflow.pids():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()
            time.sleep(0.05)


def _answer_to(request: urllib.request.Request) -> bytes:
    """Send a request; what is asked while Airflow writes the same rows may fail there, and is asked again."""
    tries = 5 if request.get_method() == "GET" else 1
    while True:
        tries -= 1
        try:
            with OPENER.open(request, timeout=60) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            if error.code != 500 or not tries:
                raise
        time.sleep(0.5)


def _is_healthy(airflow: RunningAirflow, process: subprocess.Popen[bytes]) -> bool:
    if process.poll() is not None:
        pytest.fail(f"Airflow ended with {process.returncode}:\n{airflow.output()[-5000:]}")
    try:
        health = airflow.call("GET", "monitor/health")
    except OSError:
        return False
    components = ("metadatabase", "scheduler", "triggerer", "dag_processor")
    return all(health[component]["status"] == "healthy" for component in components)


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _stat(pid: int) -> list[str]:
    """Return the fields of `/proc/<pid>/stat` after the name, which may hold blanks: state, parent, group, session, ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
