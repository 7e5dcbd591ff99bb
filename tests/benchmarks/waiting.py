"""Runs of candidates that wait for many records on one event loop, as a triggerer has it."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from candidate import CANDIDATES
from emulating import CLIENT_ID, CLIENT_SECRET, Emulator
from loading import run_script


@dataclass(frozen=True)
class Cost:
    """What waiting costs in an interval.

    :param requests: requests to ``/api``.
    :param cpu_seconds: user and system time of all threads.
    """

    requests: float
    cpu_seconds: float


def run_wait(name: str, emulator: Emulator, waiting: int, rounds: int, interval: float) -> Cost:
    """Have a candidate wait, and see what it takes once it is under way.

    :param name: a file in ``candidates/``.
    :param emulator: where to look.
    :param waiting: how many invoices are waited for, each by one.
    :param rounds: intervals that are measured.
    :param interval: seconds from one look to the next.
    """
    coupa = {"conn_type": "coupa", "host": emulator.url, "login": CLIENT_ID, "password": CLIENT_SECRET}
    task = {
        "url": emulator.url,
        "token": emulator.token(),
        "ids": emulator.ids[:waiting],
        "interval": interval,
        "rounds": rounds,
    }
    with tempfile.TemporaryDirectory(prefix="coupa-benchmark-") as folder:
        report = run_script(
            CANDIDATES / f"{name}.py",
            Path(folder),
            json.dumps(task),
            AIRFLOW_CONN_COUPA_DEFAULT=json.dumps(coupa),
            AIRFLOW_CONN_HTTP_DEFAULT=json.dumps({"conn_type": "http", "host": emulator.url}),
        )
    return Cost(emulator.seen()["requests"] / rounds, report["cpu_seconds"] / rounds)
