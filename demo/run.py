"""Runs ``dags/coupa_nightly.py`` twice on a real Airflow against the emulator, and reports.

``make demo`` is the way to call it. Everything is made under ``.demo/`` and nothing is left running.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / ".demo"
LAKE = DEMO / "lake"
DATABASE = DEMO / "warehouse.duckdb"
DAG_ID = "coupa_nightly"
RESOURCES = ("invoices", "purchase_orders", "suppliers")
#: Coupa's names for them in scopes.
SCOPES = {"invoices": "invoice", "purchase_orders": "purchase_order", "suppliers": "supplier"}
CLIENT_ID, CLIENT_SECRET = "demo", "demo-secret"
#: The limit Coupa documents, in requests a second.
LIMIT = 25
#: What happens in Coupa between the runs, to each resource at least so often.
CHANGES = {"inserted": 20, "updated": 50, "deleted": 10}
#: Columns shown of the first resource.
SHOWN = ("id", "invoice_number", "invoice_date_day", "status", "gross_total", "updated_at")
#: Airflow applies it to every task it loads. A failure shall be seen now, not after the DAG's ten minutes; and the
#: second run shall see what changed a moment ago, which the margin of five minutes leaves to the next.
POLICY = """
from datetime import timedelta

def task_policy(task):
    task.retries = 0
    if hasattr(task, "margin"):
        task.margin = timedelta(0)
"""
#: The emulator is on this machine: no proxy of the environment may come between.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class DemoError(Exception):
    """The demo did not do what it is there to show."""


@dataclass(frozen=True)
class Written:
    """What a task wrote in one run, from its manifest."""

    folder: Path
    records: int
    requests: int
    seconds: float

    @classmethod
    def read(cls, folder: Path) -> Written:
        """Read the manifest of a folder."""
        try:
            manifest: dict[str, Any] = json.loads((folder / "_manifest.json").read_text())
        except FileNotFoundError:
            raise DemoError(f"there is no manifest in {folder}") from None
        return cls(folder, manifest["records"], manifest["requests"], manifest["seconds"])


@dataclass(frozen=True)
class Run:
    """What a run of the DAG did to one resource."""

    extract: Written
    sweep: Written | None
    rows: int

    @classmethod
    def find(cls, resource: str, number: int) -> Run:
        """Find what a run left, 0 for the first."""
        lake = LAKE / resource
        folders = sorted(lake.iterdir()) if lake.exists() else []
        extracts = [folder for folder in folders if not folder.name.endswith("-deletions")]
        if len(extracts) != number + 1:
            raise DemoError(
                f"{resource}: expected the folders of {number + 1} runs in {lake}, found {len(extracts)}"
            )
        sweep = extracts[number].with_name(f"{extracts[number].name}-deletions")
        return cls(
            Written.read(extracts[number]),
            Written.read(sweep) if sweep.exists() else None,
            len(loaded(resource)),
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--scale", type=float, default=3.0, help="how much the emulated Coupa holds (default 3)"
    )
    parser.add_argument("--timeout", type=float, default=240, help="seconds a run may take (default 240)")
    options = parser.parse_args(argv)
    # SIGTERM unwinds like Ctrl-C does, so that the finally clauses stop what was started.
    signal.signal(signal.SIGTERM, interrupt)
    shutil.rmtree(DEMO, ignore_errors=True)
    DEMO.mkdir()
    started = time.monotonic()
    try:
        with ExitStack() as stack:
            say("Starting the emulated Coupa")
            url = stack.enter_context(emulator(options.scale))
            env = airflow_environment(url)
            say("Making an Airflow with SQLite")
            airflow("db", "migrate", env=env, log=DEMO / "airflow-db-migrate.log", timeout=options.timeout)

            say(f"First run of the DAG {DAG_ID}: everything there is, to Parquet files and DuckDB")
            airflow("dags", "test", DAG_ID, env=env, log=DEMO / "first-run.log", timeout=options.timeout)
            first = {resource: Run.find(resource, 0) for resource in RESOURCES}
            check(url)

            changed = change(url)
            say("Meanwhile in Coupa: " + ", ".join(f"{n:,} records {event}" for event, n in changed.items()))

            say("Second run: what has changed since, and a sweep for deletions")
            sweep = ("--conf", json.dumps({"sweep": True}))
            log = DEMO / "second-run.log"
            airflow("dags", "test", DAG_ID, *sweep, env=env, log=log, timeout=options.timeout)
            second = {resource: Run.find(resource, 1) for resource in RESOURCES}
            report(first, second)
            total = check(url)
            say(
                f"\nChecked: all {total:,} records of the emulated Coupa are in DuckDB, in their newest version, and no other."
            )
            say(f"Done in {time.monotonic() - started:.0f} s; files, database and logs are in {DEMO.name}/")
    except DemoError as error:
        say(f"FAILED: {error}")
        return 1
    except KeyboardInterrupt:
        say("Stopped")
        return 130
    return 0


def say(text: str) -> None:
    """Print at once: the output may be a pipe."""
    print(text, flush=True)


def interrupt(*_: object) -> NoReturn:
    """Turn a signal into an exception."""
    raise KeyboardInterrupt


@contextmanager
def emulator(scale: float) -> Iterator[str]:
    """Run the emulator and give its URL, once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [
        *(sys.executable, "-m", "coupa_provider.emulator", "--port", str(port), "--scale", str(scale)),
        *("--client-id", CLIENT_ID, "--client-secret", CLIENT_SECRET),
    ]
    log = DEMO / "emulator.log"
    with running(command, log=log) as process:
        deadline = time.monotonic() + 60
        while True:
            try:
                ask(f"{url}/_emulator")
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise DemoError(f"the emulator did not start\n{tail(log)}") from None
                time.sleep(0.1)
        yield url


def airflow_environment(coupa_url: str) -> dict[str, str]:
    """Give the environment of an Airflow that knows nothing of any other Airflow on this machine."""
    home = DEMO / "airflow"
    (home / "config").mkdir(parents=True)
    (home / "config" / "airflow_local_settings.py").write_text(POLICY)
    connection = {
        "conn_type": "coupa",
        "host": coupa_url,
        "login": CLIENT_ID,
        "password": CLIENT_SECRET,
    }
    database = {
        "conn_type": "adbc",
        "extra": {"dialect": "duckdb", "db_kwargs": {"uri": str(DATABASE)}},
    }
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    return env | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW_CONN_COUPA_DEFAULT": json.dumps(connection),
        "AIRFLOW_CONN_DUCKDB": json.dumps(database),
        "AIRFLOW_VAR_COUPA_LAKE": LAKE.as_uri(),
        "COUPA_DATABASE": "duckdb",
    }


def airflow(*arguments: str, env: dict[str, str], log: Path, timeout: float) -> None:
    """Run Airflow's command line to its end; what it says goes to a log."""
    with running([sys.executable, "-m", "airflow", *arguments], env=env, log=log) as process:
        try:
            status = process.wait(timeout=timeout)
        except subprocess.TimeoutExpired:
            status = None
    if status != 0:
        how = f"took longer than {timeout:g} s" if status is None else f"ended with status {status}"
        raise DemoError(f"airflow {' '.join(arguments)} {how}\n{tail(log)}")


@contextmanager
def running(
    command: list[str], *, log: Path, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process in a group of its own and end the whole group on the way out."""
    with log.open("wb") as sink:
        process = subprocess.Popen(  # noqa: S603 - our own commands
            command, env=env, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True
        )
    try:
        yield process
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
                process.wait(timeout=10)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue


def tail(log: Path) -> str:
    """Give the end of a log, and say where the rest is."""
    lines = log.read_text(errors="replace").splitlines()[-40:]
    return "\n".join([*lines, f"(all of it: {log})"])


def ask(url: str, data: object = None, token: str | None = None) -> Any:
    """Get JSON from the emulator, or post some to it; a mapping as a form if it is for a token."""
    request = urllib.request.Request(url)  # noqa: S310 - always http to this machine
    if data is not None:
        request.data = (
            urllib.parse.urlencode(data).encode()  # type: ignore[arg-type]
            if url.endswith("/oauth2/token")
            else json.dumps(data).encode()
        )
    if token:
        request.add_header("Authorization", f"Bearer {token}")
        request.add_header("Accept", "application/json")
    with OPENER.open(request, timeout=30) as answer:
        return json.load(answer)


def emulated(url: str, resource: str) -> dict[int, int]:
    """Ask the emulator what it holds, without the provider's own code: ids and seconds of the last update."""
    grant = {
        "grant_type": "client_credentials",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "scope": f"core.{SCOPES[resource]}.read",
    }
    token = ask(f"{url}/oauth2/token", grant)["access_token"]
    there: dict[int, int] = {}
    last = 0
    while True:
        query = {"id[gt]": last, "order_by": "id", "dir": "asc", "fields": '["id","updated_at"]'}
        page = ask(f"{url}/api/{resource}?{urllib.parse.urlencode(query)}", token=token)
        if not page:
            return there
        for record in page:
            last = record["id"]
            there[last] = int(datetime.fromisoformat(record["updated-at"]).timestamp())


def loaded(resource: str) -> list[tuple[int, int]]:
    """Read ids and seconds of the last update from the database."""
    import duckdb

    with duckdb.connect(str(DATABASE), read_only=True) as database:
        return database.sql(f"SELECT id, epoch(updated_at)::BIGINT FROM coupa.{resource}").fetchall()  # noqa: S608 - our own names


def change(url: str) -> dict[str, int]:
    """Let things happen in Coupa, and count them."""
    rates = {"inserts_per_s": 40, "updates_per_s": 100, "deletes_per_s": 20}
    drift = [{"resource": resource, "seed": 1, **rates} for resource in RESOURCES]
    ask(f"{url}/_emulator/configure", {"drift": drift})
    deadline = time.monotonic() + 30
    while True:
        events = ask(f"{url}/_emulator/drift")
        done = {
            event: [sum(it["resource"] == resource for it in events[event]) for resource in RESOURCES]
            for event in CHANGES
        }
        if all(min(done[event]) >= least for event, least in CHANGES.items()):
            break
        if time.monotonic() > deadline:
            raise DemoError(f"too little happened in the emulated Coupa: {done}")
        time.sleep(0.1)
    ask(f"{url}/_emulator/configure", {"drift": None})
    events = ask(f"{url}/_emulator/drift")
    # Windows are of whole seconds: the next one ends before the second that it begins in.
    time.sleep(1)
    return {event: len(events[event]) for event in CHANGES}


def report(first: dict[str, Run], second: dict[str, Run]) -> None:
    """Print both runs side by side."""
    say(f"\n{'':<17}{'first run':>32}    {'second run':>32}{'sweep':>18}")
    columns = f"{'records':>9}{'requests':>9}{'s':>6}{'rows':>8}    "
    say(f"{'resource':<17}{columns}{columns}{'requests':>9}{'deleted':>9}".rstrip())
    for resource in RESOURCES:
        line = f"{resource:<17}"
        for run in (first[resource], second[resource]):
            it = run.extract
            line += f"{it.records:>9,}{it.requests:>9,}{it.seconds:>6.1f}{run.rows:>8,}    "
        sweep = second[resource].sweep
        if sweep is None:
            raise DemoError(f"{resource}: the second run made no sweep")
        say(f"{line}{sweep.requests:>9,}{sweep.records:>9,}")
    say("\nThe files:")
    for run in (first, second):
        for it in (run[RESOURCES[0]].extract, run[RESOURCES[0]].sweep):
            if it is not None:
                names = sorted(str(file.relative_to(it.folder)) for file in it.folder.rglob("*.*"))
                say(f"  {it.folder.relative_to(DEMO.parent)}/  ({', '.join(names)})")
    newest_rows()


def newest_rows(rows: int = 5) -> None:
    """Print what changed last, a few columns wide."""
    import duckdb

    table, columns = f"coupa.{RESOURCES[0]}", ", ".join(SHOWN[:-1])
    with duckdb.connect(str(DATABASE), read_only=True) as database:
        newest = database.table(table).order("updated_at DESC, id").limit(rows)
        found = newest.select(
            f"{columns}, strftime(updated_at AT TIME ZONE 'UTC', '%Y-%m-%d %H:%MZ')"
        ).fetchall()
    lines = [SHOWN, *([shown(value) for value in row] for row in found)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(SHOWN))]
    say(f"\nThe newest rows of {table} in {DATABASE.relative_to(DEMO.parent)}:")
    for line in lines:
        say("  " + "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def shown(value: object) -> str:
    """Give a value as people write it."""
    return f"{value:,.2f}" if isinstance(value, Decimal) else str(value)


def check(url: str) -> int:
    """Compare the database with the emulator, record by record, and count them.

    :raises DemoError: they differ.
    """
    # The demo asks as fast as it can; that is not what it shows.
    ask(f"{url}/_emulator/configure", {"rate_limit": None})
    there = {resource: emulated(url, resource) for resource in RESOURCES}
    ask(f"{url}/_emulator/configure", {"rate_limit": LIMIT})
    for resource in RESOURCES:
        compare(resource, loaded(resource), there[resource])
    return sum(map(len, there.values()))


def compare(resource: str, loaded: list[tuple[int, int]], there: dict[int, int]) -> None:
    """Compare the ids and the times of the last update.

    :raises DemoError: they differ.
    """
    here = dict(loaded)
    if len(here) < len(loaded):
        raise DemoError(f"{resource}: {len(loaded) - len(here)} records are in the table twice")
    missing, strange = there.keys() - here.keys(), here.keys() - there.keys()
    if missing or strange:
        raise DemoError(f"{resource}: {len(missing)} records are missing, {len(strange)} are not in Coupa")
    stale = sum(here[id_] != updated for id_, updated in there.items())
    if stale:
        raise DemoError(f"{resource}: {stale} records differ from those in Coupa")


if __name__ == "__main__":
    sys.exit(main())
