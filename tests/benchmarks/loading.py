"""Loading into PostgreSQL: the server, the extracts, and runs of candidates that report on themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from candidate import CANDIDATES, ROOT
from emulating import CLIENT_ID, CLIENT_SECRET, Emulator

sys.path.append(str(ROOT))
from tests.postgresql import PostgreSQL, find_binaries, running_server


@dataclass(frozen=True)
class Seconds:
    """How long a candidate took.

    :param first: into an empty table.
    :param update: into the full table, every row changed.
    """

    first: float
    update: float


class Loading:
    """Extracts and a server, for candidates to load the one into the other.

    :param folder: where the extracts lie: ``first``, ``later`` with every row changed, and ``few`` to warm up.
    :param server: the database server.
    """

    def __init__(self, folder: Path, server: PostgreSQL) -> None:
        self._folder = folder
        self._server = server

    def run(self, name: str) -> Seconds:
        """Have a candidate load into a fresh database, and see that all is there.

        :param name: a file in ``candidates/``.
        """
        database = self._server.fresh_database()
        connection = {
            "host": database.host,
            "port": database.port,
            "schema": database.dbname,
            "login": database.user,
            "password": database.password,
        }
        report = run_script(
            CANDIDATES / f"{name}.py",
            self._folder,
            AIRFLOW_CONN_ADBC_DEFAULT=json.dumps(
                {"conn_type": "adbc", **connection, "extra": {"dialect": "postgresql"}}
            ),
            AIRFLOW_CONN_POSTGRES_DEFAULT=json.dumps({"conn_type": "postgres", **connection}),
        )
        rows, changed = report["content"]
        if not rows == changed == report["rows"]:
            raise RuntimeError(f"{name} loaded {rows} rows and changed {changed}, not {report['rows']}")
        return Seconds(report["first"], report["update"])


def postgresql_is_here() -> bool:
    """Return whether there is a server to start."""
    try:
        find_binaries()
    except BaseException:  # noqa: BLE001 - pytest's way to fail
        return False
    return True


@contextmanager
def prepared(emulator: Emulator, records: int) -> Iterator[Loading]:
    """Extract so many invoices, and run a server."""
    with tempfile.TemporaryDirectory(prefix="coupa-benchmark-") as folder, running_server() as server:
        emulator.configure(rate_limit=None, latency_ms=0)
        coupa = {
            "conn_type": "coupa",
            "host": emulator.url,
            "login": CLIENT_ID,
            "password": CLIENT_SECRET,
            "extra": {"scopes": ["core.invoice.read"], "requests_per_second": 10_000},
        }
        run_script(
            Path(__file__).with_name("extracting.py"),
            Path(folder),
            str(emulator.ids[records - 1]),
            AIRFLOW_CONN_COUPA_DEFAULT=json.dumps(coupa),
        )
        yield Loading(Path(folder), server)


def run_script(script: Path, folder: Path, *arguments: str, **variables: str) -> dict:
    """Run a script in a fresh process, and return the report that it prints last.

    :param script: the script; its first argument is the folder.
    :param folder: its working directory and Airflow's home.
    :param arguments: its further arguments.
    :param variables: environment variables beside those that it inherits.
    """
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW_")}
    environment = {
        **inherited,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(CANDIDATES.parent)]),
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db",
        "NO_PROXY": "127.0.0.1,localhost",
        **variables,
    }
    finished = subprocess.run(
        [sys.executable, str(script), str(folder), *arguments],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
    )
    if finished.returncode:
        raise RuntimeError(f"{script.stem} failed:\n{finished.stdout[-2000:]}\n{finished.stderr[-4000:]}")
    return json.loads(finished.stdout.splitlines()[-1])
