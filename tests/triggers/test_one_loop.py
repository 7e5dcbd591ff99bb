"""A hundred triggers share an event loop with those of others, and do not block it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coupa_provider.emulator import Emulator

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parent / "on_one_loop.py"
#: Seconds; from here on Airflow's triggerer complains.
LIMIT = 0.2
#: What blocks does so each time; a machine that is busy with other things does not.
TIMES = 3


@pytest.fixture(scope="module")
def coupa() -> Iterator[Emulator]:
    with Emulator(empty=True, rate_limit=None) as coupa:
        coupa.load({"invoices": [{"id": n} for n in range(1, 101)]})
        yield coupa


def on_one_loop(kind: str, url: str, coupa: Emulator) -> dict[str, Any]:
    connection = {
        "conn_type": "coupa",
        "host": url,
        "login": coupa.client_id,
        "password": coupa.client_secret,
        "extra": {"requests_per_second": 2000},
    }
    done = subprocess.run(
        [sys.executable, str(SCRIPT), kind, str(LIMIT)],
        env={**os.environ, "AIRFLOW_CONN_COUPA_DEFAULT": json.dumps(connection)},
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    for complaint in ("Task was destroyed", "never retrieved", "Traceback"):
        assert complaint not in done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    ("kind", "state"), [("records", "met"), ("queries", "met"), ("unreachable", "gave_up")]
)
def test_nothing_blocks_the_event_loop(coupa: Emulator, kind: str, state: str) -> None:
    url = "https://127.0.0.1:9" if kind == "unreachable" else coupa.url
    for _ in range(TIMES):
        coupa.reset_seen()
        found = on_one_loop(kind, url, coupa)
        assert found["states"] == [state]
        assert coupa.seen()["tokens_minted"] == (kind != "unreachable")
        if not found["slow"] and not found["stuck"] and found["imported"] < LIMIT:
            return
    pytest.fail(f"blocked in each of {TIMES} runs, the last time: {found}")


def test_what_blocks_is_found(coupa: Emulator) -> None:
    found = on_one_loop("blocking", coupa.url, coupa)
    assert len(found["slow"]) >= 10
    assert any("on_one_loop.py" in place for place in found["stuck"])
