"""Real processes on one connection, against an emulator in a process of its own: at the limit, few 429s."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise

import pytest

RATE_LIMIT = 25.0

#: One task: says when it is ready, starts when told, walks its part of the ids and reports.
TASK = """
import json, sys, time
from coupa_provider.client.blocking import BlockingClient
from coupa_provider.client.config import CoupaConfig

url, after, upto, rate = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
config = CoupaConfig.from_fields(
    "coupa_test", host=url, login="emulator", password="emulator-secret", extra={"requests_per_second": rate}
)
with BlockingClient(config) as client:
    client.token()
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.monotonic()
    walk = client.pages("exchange_rates", filters={"id[gt]": after, "id[lt_or_eq]": upto}, fields=["id"])
    for _ in walk:
        pass
    print(json.dumps({
        "began": began, "ended": time.monotonic(), "records": walk.counters.records,
        "requests": walk.counters.requests, "throttled": walk.counters.throttled,
    }))
"""


@pytest.fixture
def emulator_process() -> Iterator[str]:
    """Start an emulator with Coupa's own limit in a process of its own; returns its address."""
    command = [
        sys.executable, "-m", "coupa_provider.emulator", "--port", "0", "--latency-ms", "100",
        "--size", "exchange_rates=200000",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as emulator:
        try:
            address = next(line.split()[1] for line in emulator.stdout if line.split()[:1] == ["url"])
            yield address
        finally:
            emulator.terminate()


def _walk_together(url: str, widths: list[int], rate: float = RATE_LIMIT) -> list[dict[str, float]]:
    """Let one process for each width walk so many ids, all from the same moment on."""
    edges = [sum(widths[:index]) for index in range(len(widths) + 1)]
    tasks = [
        subprocess.Popen(
            [sys.executable, "-c", TASK, url, str(after), str(upto), str(rate)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for after, upto in pairwise(edges)
    ]  # fmt: skip
    try:
        for task in tasks:
            assert task.stdout.readline() == "ready\n"
        for task in tasks:
            task.stdin.write("\n")
            task.stdin.flush()
        return [json.loads(task.communicate(timeout=300)[0]) for task in tasks]
    finally:
        for task in tasks:
            task.kill()
            task.wait()


def _shares(reports: list[dict[str, float]]) -> tuple[float, float]:
    """Return the share of the limit that was used, and the share of 429s."""
    seconds = max(report["ended"] for report in reports) - min(report["began"] for report in reports)
    requests = sum(report["requests"] for report in reports)
    throttled = sum(report["throttled"] for report in reports)
    return (requests - throttled) / seconds / RATE_LIMIT, throttled / requests


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_four_processes_share_the_limit_without_talking(emulator_process):
    widths = [28_000, 28_000, 28_000, 20_000]
    reports = _walk_together(emulator_process, widths)
    assert sum(report["requests"] for report in reports) > 25 * RATE_LIMIT
    used, throttled = _shares(reports)
    assert used >= 0.9, reports
    assert throttled < 0.02, reports
