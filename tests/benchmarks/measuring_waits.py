"""What every candidate that waits does around its own work: read the task, run one event loop, measure, report."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

from measuring import cpu_seconds, peak_bytes

_direct = build_opener(ProxyHandler({}))


@dataclass(frozen=True)
class Waiting:
    """What is waited for: invoices whose status never comes to be the one that is wanted.

    :param url: address of the emulator.
    :param token: an access token, for candidates that cannot get one.
    :param ids: of the invoices.
    :param interval: seconds from one look to the next.
    :param rounds: intervals that are measured.
    """

    url: str
    token: str
    ids: Sequence[int]
    interval: float
    rounds: int


def measure(wait: Callable[[Waiting, int], Coroutine[Any, Any, Any]]) -> None:
    """Wait for all that the command line names, as a triggerer does, and print a report on it.

    :param wait: waits for one invoice, and does not end.
    """
    task = Waiting(**json.loads(sys.argv[2]))
    print()
    print(json.dumps(asyncio.run(_measured(task, wait))))


async def _measured(
    task: Waiting, wait: Callable[[Waiting, int], Coroutine[Any, Any, Any]]
) -> dict[str, float]:
    waits = [asyncio.create_task(wait(task, invoice)) for invoice in task.ids]
    await asyncio.sleep(1.5 * task.interval)  # imports, connections, the first look
    await asyncio.to_thread(_post, f"{task.url}/_emulator/reset_seen")
    cpu = cpu_seconds()
    await asyncio.sleep(task.rounds * task.interval)
    used = cpu_seconds() - cpu
    ended = [one for one in waits if one.done()]
    for one in waits:
        one.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    if ended:
        raise RuntimeError(f"{len(ended)} did not wait: {ended[0].exception()}")
    return {"cpu_seconds": used, "peak_bytes": peak_bytes()}


def _post(url: str) -> None:
    _direct.open(Request(url, b"{}", method="POST")).close()
