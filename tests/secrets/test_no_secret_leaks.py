"""No secret in anything a full run prints or stores: a real scheduler, at DEBUG level, with canaries."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote_plus

import pytest

from coupa_provider.emulator import Emulator

CLIENT_SECRET = "canary-client-secret-91c2"
WRONG_SECRET = "canary-wrong-secret-77ab"
PROXY_PASSWORD = "canary-proxy-password-3f"
DEADLINE_SECONDS = 240
EXPECTED = {
    "extract_coupa_good": "success",
    "extract_coupa_refresh": "success",
    "extract_coupa_wrong_secret": "failed",
    "extract_coupa_proxy": "failed",
    "extract_coupa_bad_scopes": "failed",
    "window": "success",
    "mark": "success",
    "sweep": "success",
    "hook_by_hand": "success",
    "refusal": "failed",
    "error_page": "failed",
}


@pytest.fixture(scope="module")
def coupa():
    with Emulator(seed=7, scale=0.1, client_secret=CLIENT_SECRET) as emulator:
        yield emulator


def connections(coupa, refresh_token: str) -> dict:
    def connection(secret: str = CLIENT_SECRET, **extra) -> dict:
        fields = {"conn_type": "coupa", "host": coupa.url, "login": coupa.client_id, "password": secret}
        return {**fields, "extra": {"timeout_seconds": 5, **extra}}

    return {
        "coupa_good": connection(),
        "coupa_refresh": connection(grant_type="refresh_token", refresh_token=refresh_token),
        "coupa_wrong_secret": connection(WRONG_SECRET),
        "coupa_proxy": connection(proxy=f"http://user:{PROXY_PASSWORD}@127.0.0.1:9"),
        "coupa_bad_scopes": connection(scopes=["core.no_such.read"]),
    }


@pytest.fixture(scope="module")
def run(coupa, tmp_path_factory):
    """Run the DAG under ``airflow standalone``; return its home, its output and the task states."""
    import airflow

    home = tmp_path_factory.mktemp("canary-home")
    elsewhere = tmp_path_factory.mktemp("canary-input")
    (home / "dags").mkdir()
    shutil.copy(Path(__file__).with_name("canary_dag.py"), home / "dags")
    (home / "landing").mkdir()
    refresh_token = coupa.issue_refresh_token(coupa.client_id, ["core.common.read", "offline_access"])
    known = elsewhere / "connections.json"
    known.write_text(json.dumps(connections(coupa, refresh_token)))
    port = _free_port()
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    env |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # standalone starts `airflow`
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "CANARY_LANDING": str(home / "landing"),
    }
    if airflow.__version__.startswith("2."):
        pytest.skip("the run needs the processes of Airflow 3")
    command = [sys.executable, "-m", "airflow"]

    def cli(*arguments: str) -> str:
        done = subprocess.run(
            [*command, *arguments], env=env, check=True, capture_output=True, text=True, timeout=120
        )
        return done.stdout + done.stderr

    printed = cli("db", "migrate") + cli("connections", "import", str(known))
    output = home / "standalone.out"
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [*command, "standalone"], env=env, stdout=sink, stderr=sink, start_new_session=True
        )
    try:
        deadline = time.monotonic() + DEADLINE_SECONDS
        _wait(deadline, output, lambda: _rows(home, "select 1 from dag where dag_id = 'canary'"))
        printed += cli("dags", "trigger", "canary")
        finished = "select 1 from dag_run where dag_id = 'canary' and state in ('success', 'failed')"
        _wait(deadline, output, lambda: _rows(home, finished))
        printed += cli("connections", "test", "coupa_good")
        states = dict(_rows(home, "select task_id, state from task_instance where dag_id = 'canary'"))
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
                process.wait(timeout=20)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
    (home / "commands.out").write_text(printed)
    return home, states, refresh_token


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _rows(home: Path, query: str) -> list:
    with sqlite3.connect(f"file:{home}/airflow.db?mode=ro", uri=True, timeout=10) as database:
        return database.execute(query).fetchall()


def _wait(deadline: float, output: Path, condition) -> None:
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"Airflow was not done in {DEADLINE_SECONDS} s:\n{output.read_text()[-3000:]}")
        time.sleep(1)


@pytest.mark.slow
def test_the_run_did_all_it_should(run):
    """Otherwise finding nothing would mean nothing."""
    home, states, _ = run
    assert states == EXPECTED
    logs = "".join(path.read_text() for path in home.glob("logs/**/*.log"))
    assert '"level":"debug"' in logs
    assert "coupa_no_such" not in logs
    for said in ("did not accept the client", "core.no_such.read", "No connection to the proxy"):
        assert said in logs
    assert len(list(home.glob("landing/*/_manifest.json"))) == 4
    assert list(home.glob("landing/window/_exported/*/*.ndjson"))
    [(value,)] = _rows(home, "select value from asset_state_store where key = 'watermark:canary.window'")
    assert value.startswith('"20')
    assert _rows(home, "select 1 from variable where key like 'coupa_refresh_token_%' and is_encrypted")


@pytest.mark.slow
def test_no_secret_stands_anywhere(run, coupa):
    home, _, refresh_token = run
    tokens = coupa.issued_tokens()
    assert len(tokens) >= 5
    secrets = {CLIENT_SECRET, WRONG_SECRET, PROXY_PASSWORD, refresh_token, *tokens}
    spellings = {spelling.encode() for secret in secrets for spelling in (secret, quote_plus(secret))}
    # A JWT cut short is no use to anybody, but its signature alone shows that one was printed.
    spellings |= {token.rsplit(".", 1)[-1].encode() for token in tokens}
    searched = [path for path in home.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in searched) > 500_000
    leaks = [
        f"{path.relative_to(home)}: ...{content[max(0, place - 120) : place]!r}"
        for path in searched
        for content in [path.read_bytes()]
        for spelling in spellings
        if (place := content.find(spelling)) >= 0
    ]
    assert leaks == []
