"""Runs ``dags/coupa_daily_extract.py`` on a real Airflow against the emulator, and reports.

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
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / ".demo"
LAKE = DEMO / "lake"
DAG_ID = "coupa_daily_extract"
RESOURCES = ("invoices", "purchase_orders", "suppliers")
CLIENT_ID, CLIENT_SECRET = "demo", "demo-secret"
#: Columns shown of the first resource, where it has them.
SHOWN = ("id", "invoice_number", "invoice_date_day", "status", "gross_total", "updated_at")
#: Airflow applies it to every task it loads: a failure shall be seen now, not after the DAG's ten minutes.
POLICY = "def task_policy(task):\n    task.retries = 0\n"
#: The emulator is on this machine: no proxy of the environment may come between.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class DemoError(Exception):
    """The demo did not do what it is there to show."""


@dataclass(frozen=True)
class Extract:
    """What one task landed, from its manifest."""

    resource: str
    folder: Path
    records: int
    files: tuple[Path, ...]
    seconds: float
    requests: int

    @classmethod
    def find(cls, resource: str) -> Extract:
        """Read the only manifest below the resource's folder."""
        found = sorted((LAKE / resource).rglob("_manifest.json"))
        if len(found) != 1:
            raise DemoError(f"{resource}: expected one manifest below {LAKE / resource}, found {len(found)}")
        manifest: dict[str, Any] = json.loads(found[0].read_text())
        folder = found[0].parent
        return cls(
            resource=resource,
            folder=folder,
            records=manifest["records"],
            files=tuple(folder / file["name"] for file in manifest["files"]),
            seconds=manifest["seconds"],
            requests=manifest["requests"],
        )

    def ids(self) -> list[int]:
        """Read the ids from the Parquet files themselves."""
        import pyarrow.parquet as pq

        return [id_ for file in self.files for id_ in pq.read_table(file, columns=["id"])["id"].to_pylist()]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--scale", type=float, default=4.0, help="how much the emulated Coupa holds (default 4)"
    )
    parser.add_argument("--timeout", type=float, default=240, help="seconds the DAG may take (default 240)")
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
            say(f"Running the DAG {DAG_ID}: everything there is, as Parquet")
            day = datetime.now(UTC).date().isoformat()
            full_load = ("--conf", json.dumps({"full_load": True}))
            log = DEMO / "airflow-dags-test.log"
            airflow("dags", "test", DAG_ID, day, *full_load, env=env, log=log, timeout=options.timeout)
            extracts = [Extract.find(resource) for resource in RESOURCES]
            report(extracts)
            check(extracts, url)
            say(f"Done in {time.monotonic() - started:.0f} s; the logs are in {DEMO.relative_to(ROOT)}/")
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
                emulated_ids(url, RESOURCES[0])
                break
            except (urllib.error.URLError, OSError):
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
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    return env | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW_CONN_COUPA_DEFAULT": json.dumps(connection),
        "AIRFLOW_VAR_COUPA_LAKE": LAKE.as_uri(),
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


def emulated_ids(url: str, resource: str) -> list[int]:
    """Ask the emulator which records it holds."""
    with OPENER.open(f"{url}/_emulator/ids/{resource}", timeout=30) as answer:
        ids: list[int] = json.load(answer)
    return ids


def report(extracts: list[Extract]) -> None:
    """Print what landed."""
    say(f"\n{'resource':<18}{'records':>9}{'files':>7}{'requests':>10}{'seconds':>9}{'records/s':>11}")
    for it in extracts:
        speed = it.records / it.seconds if it.seconds else 0
        say(
            f"{it.resource:<18}{it.records:>9,}{len(it.files):>7}{it.requests:>10,}{it.seconds:>9.1f}"
            f"{speed:>11,.0f}"
        )
    say("\nThe files:")
    for it in extracts:
        say(
            f"  {it.folder.relative_to(ROOT)}/  ({', '.join(file.name for file in it.files)}, _manifest.json)"
        )
    first_rows(extracts[0])


def first_rows(extract: Extract, rows: int = 5) -> None:
    """Print the top of the first file, a few columns wide."""
    import pyarrow.parquet as pq

    file = extract.files[0]
    columns = pq.read_schema(file).names
    table = pq.read_table(file, columns=[name for name in SHOWN if name in columns]).slice(0, rows)
    lines = [table.column_names, *([shown(value) for value in row.values()] for row in table.to_pylist())]
    widths = [max(len(line[i]) for line in lines) for i in range(table.num_columns)]
    say(f"\nThe first rows of {file.relative_to(ROOT)} ({len(columns)} columns):")
    for line in lines:
        say("  " + "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def shown(value: object) -> str:
    """Give a value as people write it."""
    if isinstance(value, Decimal):
        return f"{value:,.2f}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}Z"
    return str(value)


def check(extracts: list[Extract], url: str) -> None:
    """Compare the ids in the files with the ids in the emulator, one by one.

    :raises DemoError: they differ.
    """
    for it in extracts:
        landed, there = it.ids(), emulated_ids(url, it.resource)
        if len(landed) != len(set(landed)):
            raise DemoError(f"{it.resource}: {len(landed) - len(set(landed))} records landed twice")
        if set(landed) != set(there):
            missing, strange = set(there) - set(landed), set(landed) - set(there)
            raise DemoError(f"{it.resource}: {len(missing)} records missing, {len(strange)} unknown ones")
    total = sum(it.records for it in extracts)
    say(f"\nChecked: all {total:,} records of the emulated Coupa are in the files, each once.")


if __name__ == "__main__":
    sys.exit(main())
