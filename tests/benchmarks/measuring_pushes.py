"""What every candidate that pushes does around its own work: read the task, warm up, measure, report."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

from measuring import cpu_seconds, peak_bytes

_direct = build_opener(ProxyHandler({}))


@dataclass(frozen=True)
class Push:
    """What to push.

    :param url: address of the emulator.
    :param client_id: OAuth client.
    :param client_secret: its secret.
    :param scopes: scopes of the token, parted by spaces.
    :param resource: path under ``/api``.
    :param key: attribute by which a record is recognised.
    :param source: file with the rows, NDJSON.
    :param repeats: whether a peer sends a create again whose answer was lost, as well as all other requests.
    """

    url: str
    client_id: str
    client_secret: str
    scopes: str
    resource: str
    key: str
    source: Path
    repeats: bool

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows."""
        return [json.loads(line) for line in self.source.read_text().splitlines()]


def measure(work: Callable[[Push], Mapping[str, bool]]) -> None:
    """Do the push on the command line and print a report on it.

    :param work: pushes the rows, and tells of each, by its key, whether Coupa holds it now.
    """
    folder, given = Path(sys.argv[1]), json.loads(sys.argv[2])
    work(Push(**given, source=folder / "warm_up.ndjson"))
    _direct.open(Request(f"{given['url']}/_emulator/reset_seen", b"{}", method="POST")).close()
    cpu, clock = cpu_seconds(), time.monotonic()
    told = work(Push(**given, source=folder / "rows.ndjson"))
    report = {
        "wall_seconds": time.monotonic() - clock,
        "cpu_seconds": cpu_seconds() - cpu,
        "peak_bytes": peak_bytes(),
        "told": dict(told),
    }
    print()
    print(json.dumps(report))
