"""No secret in anything a full run prints or stores: a real scheduler, at DEBUG level, with canaries.

Nor a value of a record that is read or written, but where Coupa's own message quotes it.
"""

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
#: In the files that are pushed and attached.
PUSHED = "canary-pushed-value-61f0"
#: In the records that the DAG itself writes.
WRITTEN = "canary-written-value-b3d7"
#: Refused by Coupa in words that quote it: these are for the person who mends it.
QUOTED = "canary-quoted-value-19ce"
DEADLINE_SECONDS = 420
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
    "push": "success",
    "push_wrong_secret": "failed",
    "start": "success",
    "push_rejected": "failed",
    "report": "success",
    "end": "failed",
    "create": "success",
    "update": "success",
    "get": "success",
    "request": "success",
    "wait": "success",
    "wait_deferred": "success",
    "wait_wrong_secret": "failed",
    "create_lost": "success",
    "create_refused": "failed",
    "request_refused": "failed",
    "act": "success",
    "act_refused": "failed",
    "graphql": "success",
    "graphql_refused": "failed",
    "attach": "success",
    "attachments": "success",
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


def write_files(folder: Path) -> None:
    """Write what the DAG pushes and attaches."""
    folder.mkdir()
    lines = [f"{PUSHED} {n},G-{n},https://{PUSHED}.example.com" for n in range(60)]
    (folder / "good.csv").write_text("\n".join(["name,number,website", *lines]) + "\n")
    rows = [
        {"name": f"{PUSHED} Ltd", "number": "B-1", "payment-term": {"code": QUOTED}},
        {"name": f"{PUSHED} SE", "number": "B-2", "nmae": PUSHED},  # not an attribute
        {"name": f"{PUSHED} AG", "number": "B-1"},  # the same key again
        {"name": f"{PUSHED} Co", "website": PUSHED},  # no key
        {"name": f"{PUSHED} Pty", "number": "B-3", "website": f"https://{PUSHED}.example.com"},
    ]
    broken = f'{{"name": "{PUSHED}'
    (folder / "bad.ndjson").write_text("\n".join([*map(json.dumps, rows), broken]) + "\n")
    (folder / "note.txt").write_text(f"Paid: {PUSHED}")


def open_invoice(coupa) -> int:
    """Return an invoice that may be disputed."""
    return next(
        one for one in coupa.ids("invoices")
        for record in [coupa.record("invoices", one)] if record["status"] == "pending_approval" and not record["exported"]
    )  # fmt: skip


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
    write_files(elsewhere / "files")
    coupa.configure(
        faults={
            "always": True,
            "kinds": ["lost_write"],
            "methods": ["POST"],
            "paths": ["projects"],
            "times": 1,
        }
    )
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
        "CANARY_FILES": str(elsewhere / "files"),
        "CANARY_INVOICE": str(open_invoice(coupa)),
        "CANARY_WRITTEN": WRITTEN,
        "CANARY_QUOTED": QUOTED,
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
    return home, elsewhere / "files", states, refresh_token


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
def test_the_run_did_all_it_should(run, coupa):
    """Otherwise finding nothing would mean nothing."""
    home, files, states, _ = run
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
    # What was pushed, written and attached is in Coupa, each once.
    names = [coupa.record("suppliers", one)["name"] for one in coupa.ids("suppliers")]
    assert sum(name.startswith(PUSHED) for name in names) == 61
    assert [name for name in names if name.startswith(WRITTEN)] == [f"{WRITTEN} Inc"]
    assert coupa.seen()["faults_served"] == {"lost_write": 1}
    assert [coupa.record("projects", one)["description"] for one in coupa.ids("projects")].count(WRITTEN) == 1
    for folder in ("attached", "bad.ndjson.outcomes"):
        stored = [path.read_bytes() for path in (files / folder).rglob("*") if path.is_file()]
        assert any(PUSHED.encode() in content for content in stored)
    assert "The contacts of ERP_SUPPLIER were told of the failure" in logs


@pytest.mark.slow
def test_no_secret_stands_anywhere(run, coupa):
    home, files, _, refresh_token = run
    tokens = coupa.issued_tokens()
    assert len(tokens) >= 5
    secrets = {CLIENT_SECRET, WRONG_SECRET, PROXY_PASSWORD, refresh_token, *tokens}
    spellings = {spelling.encode() for secret in secrets for spelling in (secret, quote_plus(secret))}
    # A JWT cut short is no use to anybody, but its signature alone shows that one was printed.
    spellings |= {token.rsplit(".", 1)[-1].encode() for token in tokens}
    searched = [path for folder in (home, files) for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in searched) > 500_000
    assert _leaks(searched, spellings) == []


@pytest.mark.slow
def test_no_value_of_a_pushed_record_stands_anywhere_in_airflow(run):
    """Neither in logs nor in the database: XComs, rendered fields. Coupa's own words are wanted in both."""
    home, _, _, _ = run
    assert _leaks([path for path in home.rglob("*") if path.is_file()], {PUSHED.encode()}) == []
    xcoms = dict(_rows(home, "select task_id, value from xcom where key = 'return_value'"))
    assert {"push", "push_rejected", "report", "end", "attach", "attachments"} <= xcoms.keys()
    assert QUOTED in xcoms["push_rejected"]
    rejected = [path.read_text() for path in home.glob("logs/dag_id=canary/*/task_id=push_rejected/*.log")]
    assert f'{{\\"code\\"=>\\"{QUOTED}\\"}}' in "".join(rejected)
    [(rendered,)] = _rows(
        home, "select rendered_fields from rendered_task_instance_fields where task_id = 'push_rejected'"
    )
    assert "bad.ndjson" in rendered


@pytest.mark.slow
def test_no_value_of_a_written_record_stands_in_logs_and_xcoms(run):
    """The DAG and its rendered fields show what a person wrote into them; nothing tells it again."""
    home, _, _, _ = run
    logs = list(home.glob("logs/dag_id=canary/**/*.log"))
    assert len(logs) >= len(EXPECTED)
    assert _leaks(logs, {WRITTEN.encode()}) == []
    xcoms = _rows(home, "select task_id, value from xcom")
    assert len(xcoms) > 15
    # What waited for the record was asked to return it.
    assert {task_id for task_id, value in xcoms if WRITTEN in str(value)} == {"wait", "wait_deferred"}
    assert any("fired event" in log.read_text() for log in logs)
    shown = _rows(home, "select rendered_fields from rendered_task_instance_fields where task_id = 'create'")
    assert WRITTEN in str(shown)


def _leaks(paths: list[Path], spellings: set[bytes]) -> list[str]:
    return [
        f"{path}: ...{content[max(0, place - 120) : place]!r}"
        for path in paths
        for content in [path.read_bytes()]
        for spelling in spellings
        if (place := content.find(spelling)) >= 0
    ]
