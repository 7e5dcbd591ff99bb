"""One run of one candidate, in a fresh process that reports on itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from emulating import CLIENT_ID, CLIENT_SECRET, Emulator

CANDIDATES = Path(__file__).parent / "candidates"
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Report:
    """What a candidate says of its run, from after its imports to its end.

    :param records: records written.
    :param wall_seconds: time on the clock.
    :param cpu_seconds: user and system time, of all threads and child processes.
    :param peak_bytes: most memory resident at a time, imports included.
    """

    records: int
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int

    @property
    def per_second(self) -> float:
        """Records a second on the clock."""
        return self.records / self.wall_seconds

    @property
    def per_cpu_second(self) -> float:
        """Records a second of CPU."""
        return self.records / self.cpu_seconds


def run(
    name: str,
    emulator: Emulator,
    records: int,
    *,
    file_format: str = "ndjson",
    requests_per_second: float | None = None,
    warm_up: bool = True,
) -> Report:
    """Have a candidate read the first invoices and write them to files.

    :param name: a file in ``candidates/``.
    :param emulator: where to read.
    :param records: how many.
    :param file_format: ``ndjson`` or ``parquet``, for candidates that can write both.
    :param requests_per_second: pace to set; None leaves the product's default.
    :param warm_up: read one page first and do not count it: what is imported late is not counted then.
    """
    with tempfile.TemporaryDirectory(prefix="coupa-benchmark-") as folder:
        extra = {"requests_per_second": requests_per_second} if requests_per_second else {}
        coupa = {
            "conn_type": "coupa",
            "host": emulator.url,
            "login": CLIENT_ID,
            "password": CLIENT_SECRET,
            "extra": {"scopes": ["core.invoice.read"], **extra},
        }
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW_", "DLT_"))},
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(CANDIDATES.parent)]),
            "HOME": folder,
            "AIRFLOW_HOME": folder,
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db",
            "AIRFLOW_CONN_COUPA_DEFAULT": json.dumps(coupa),
            "AIRFLOW_CONN_HTTP_DEFAULT": json.dumps({"conn_type": "http", "host": emulator.url}),
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "NO_PROXY": "127.0.0.1,localhost",
        }
        task = {
            "url": emulator.url,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "token": emulator.token(),
            "last_id": emulator.ids[records - 1],
            "file_format": file_format,
            "folder": folder,
            "warm_up_id": emulator.ids[min(records, 50) - 1] if warm_up else None,
        }
        finished = subprocess.run(
            [sys.executable, str(CANDIDATES / f"{name}.py"), json.dumps(task)],
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
        )
    if finished.returncode:
        raise RuntimeError(f"{name} failed:\n{finished.stdout[-2000:]}\n{finished.stderr[-4000:]}")
    report = Report(**json.loads(finished.stdout.splitlines()[-1]))
    if report.records != records:
        raise RuntimeError(f"{name} wrote {report.records} records, not {records}")
    return report
