"""What every candidate does around its own work: read the task, measure, report."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PAGE = 50


@dataclass(frozen=True)
class Task:
    """What to read, and where to write it.

    :param url: address of the emulator.
    :param client_id: OAuth client.
    :param client_secret: its secret.
    :param token: an access token, for candidates that cannot get one.
    :param last_id: highest id to read.
    :param file_format: ``ndjson`` or ``parquet``.
    :param folder: where to write.
    """

    url: str
    client_id: str
    client_secret: str
    token: str
    last_id: int
    file_format: str
    folder: Path


def measure(work: Callable[[Task], int]) -> None:
    """Do the task on the command line and print a report on it.

    :param work: does the task and returns how many records it wrote.
    """
    given = json.loads(sys.argv[1])
    warm_up_id = given.pop("warm_up_id")
    folder = Path(given.pop("folder"))
    if warm_up_id:
        work(Task(**{**given, "last_id": warm_up_id}, folder=folder / "warm-up"))
    cpu, clock = cpu_seconds(), time.monotonic()
    records = work(Task(**given, folder=folder / "out"))
    report = {
        "records": records,
        "wall_seconds": time.monotonic() - clock,
        "cpu_seconds": cpu_seconds() - cpu,
        "peak_bytes": peak_bytes(),
    }
    print()
    print(json.dumps(report))


def peak_bytes() -> int:
    """Return the most memory that was resident at a time."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def cpu_seconds() -> float:
    """Return user and system time so far, of all threads and child processes."""
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
