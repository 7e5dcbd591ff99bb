"""Five hundred deferred sensors on a real triggerer: few requests, all released in time, whatever happens to it.

The interval is 15 seconds; ``COUPA_TEST_WAITING_INTERVAL=60`` makes it the usual minute, which takes three.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote

import psycopg
import pytest

from coupa_provider.emulator import Emulator
from tests.parallel.dags.waiting import ARGUMENTS, CROWD, FEW
from tests.parallel.running_airflow import ROOT, RunningAirflow

pytestmark = [pytest.mark.postgresql, pytest.mark.slow]

DAG_FILE = Path(__file__).parent / "dags" / "waiting.py"
INTERVAL = ARGUMENTS["poke_interval"]
#: Seconds within which the invoices are approved, one by one.
CHANGING = 2 * INTERVAL
MOST_REQUESTS = 15
#: Marked failed by a person while they wait, as map indexes; their invoices are never approved.
FAILED = range(5)


@pytest.fixture
def coupa(parallel_airflow: RunningAirflow) -> Iterator[Emulator]:
    with Emulator(empty=True) as coupa:
        invoices = [{"id": n, "status": "pending_approval"} for n in range(1, CROWD + FEW + 1)]
        coupa.load({"invoices": invoices})
        parallel_airflow.add_connection(
            "coupa_waiting", "coupa", host=coupa.url, login=coupa.client_id, password=coupa.client_secret
        )
        parallel_airflow.add_dags(DAG_FILE, "waiting_crowd", "waiting_few")
        yield coupa


class Crowd:
    """The 500 sensors, as Airflow's database knows them."""

    def __init__(self, airflow: RunningAirflow) -> None:
        self.airflow = airflow
        self.run = airflow.trigger("waiting_crowd")
        url = airflow.env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
        self._database = psycopg.connect(url, autocommit=True)

    def defer(self) -> None:
        """Have them wait."""
        made = subprocess.run(
            [sys.executable, str(Path(__file__).parent / "defer_crowd.py"), self.run],
            env=self.airflow.env, cwd=ROOT, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr[-3000:]

    def released(self) -> dict[int, float]:
        """Return when each that the test deferred was released, in seconds since 1970, by id of the invoice."""
        rows = self._database.execute(
            "select map_index + 1, extract(epoch from scheduled_dttm) from task_instance "
            "where run_id = %s and state = 'scheduled'",
            (self.run,),
        )
        return {invoice: float(at) for invoice, at in rows}

    def states(self) -> dict[int, str | None]:
        """Return the states of those the test deferred, by map index."""
        rows = self._database.execute(
            "select map_index, state from task_instance where run_id = %s", (self.run,)
        )
        return dict(rows.fetchall())

    def mark_failed(self) -> None:
        """Mark some failed, as a person does."""
        for index in FAILED:
            path = f"dags/waiting_crowd/dagRuns/{quote(self.run)}/taskInstances/approved/{index}"
            self.airflow.call("PATCH", path, {"new_state": "failed"})

    def lines(self) -> dict[int, list[str]]:
        """Return what the provider wrote into the logs of the triggers, by map index."""
        folder = (
            self.airflow.home / "logs" / "dag_id=waiting_crowd" / f"run_id={self.run}" / "task_id=approved"
        )
        said: dict[int, list[str]] = {}
        for file in sorted(folder.glob("map_index=*/*.trigger.*.log")):
            index = int(file.parent.name.partition("=")[2])
            said.setdefault(index, []).extend(
                line for line in file.read_text().splitlines() if "coupa_provider" in line
            )
        return said


def asked(coupa: Emulator) -> list[tuple[float, set[int]]]:
    """Return when the emulator was asked for invoices, and for which."""
    return [
        (seen["at"], {int(text) for text in parse_qs(seen["query"])["id[in]"][0].split(",")})
        for seen in coupa.seen()["recent"]
    ]


def figures(airflow: RunningAirflow) -> str:
    """Return CPU seconds and megabytes of the process in which the triggers run: the largest below the supervisor."""
    found = []
    for pid in airflow.triggerer_pids()[1:]:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        cpu = sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
        memory = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
        assert memory
        found.append((cpu, int(memory[1]) // 1024))
    return ", ".join(f"{cpu:.2f} s of CPU and {megabytes} MB" for cpu, megabytes in found)


def test_five_hundred_wait_with_few_requests_and_none_is_forgotten(
    parallel_airflow: RunningAirflow, coupa: Emulator
) -> None:
    airflow, said_before = parallel_airflow, len(parallel_airflow.output())
    crowd, few, everybody = Crowd(airflow), airflow.trigger("waiting_few"), set(range(1, CROWD + FEW + 1))
    airflow.wait_for(lambda: len(crowd.states()) == CROWD, "the rows of the crowd", 60)
    crowd.defer()
    deferred_at = time.monotonic()

    def all_seen() -> bool:
        look: set[int] = set()
        for at, ids in asked(coupa):
            if at > time.monotonic() - INTERVAL / 2:
                look |= ids
        return look == everybody

    airflow.wait_for(all_seen, "a look for all 500", 60 + 2 * INTERVAL)
    print(f"all looked for after {time.monotonic() - deferred_at:.1f} s:", figures(airflow))

    given_up = {index + 1 for index in FAILED}
    changed = sorted(everybody - given_up)
    crowd_changed = {invoice for invoice in changed if invoice <= CROWD}
    order = random.Random(7).sample(changed, len(changed))
    for number, invoice in enumerate(order):
        coupa.change(
            "invoices", invoice, {"status": "approved"}, after_seconds=number / len(order) * CHANGING
        )
    time.sleep(CHANGING / 4)
    crowd.mark_failed()
    marked_at = time.monotonic()
    time.sleep(CHANGING / 4)
    print("before the restart:", figures(airflow))
    stopped_at = time.monotonic()
    airflow.stop_triggerer()
    gone_at = time.monotonic()
    airflow.start_triggerer()
    airflow.wait_for(lambda: asked(coupa)[-1][0] > gone_at, "the new triggerer", 60)
    back_at = time.monotonic()
    print(
        f"asked to end, ended after {gone_at - stopped_at:.1f} s, looked again after {back_at - gone_at:.1f} s"
    )
    airflow.wait_for(
        lambda: len(crowd.released()) == len(crowd_changed), "all releases", CHANGING + 2 * INTERVAL + 30
    )
    print(f"all released after {time.monotonic() - deferred_at:.1f} s:", figures(airflow))

    changes = {change["id"]: change["at"] for change in coupa.changes()["done"]}
    released = crowd.released()
    assert set(released) == crowd_changed
    waited = {invoice: at - changes[invoice] for invoice, at in released.items()}
    print(f"released after {min(waited.values()):.1f} to {max(waited.values()):.1f} s")
    # At a minute the time without a triggerer counts; at a quarter of it that alone would be more than allowed.
    pause = 0.0 if INTERVAL >= 60 else back_at - stopped_at
    assert max(waited.values()) <= 2 * INTERVAL + pause

    requests = [at for at, _ in asked(coupa)]
    most = [
        most_within([at for at in requests if (at < gone_at) is before], INTERVAL) for before in (True, False)
    ]
    print(f"{len(requests)} requests, most in an interval by the first and the second triggerer: {most}")
    assert max(most) <= MOST_REQUESTS
    assert coupa.seen()["tokens_minted"] == 2  # one for each triggerer

    states = crowd.states()
    assert {states[index] for index in FAILED} == {"failed"}
    late = [ids & given_up for at, ids in asked(coupa) if at > marked_at + 5]
    assert late
    assert not any(late)
    assert airflow.wait("waiting_few", few).state == "success"
    said = airflow.output()[said_before:]
    for complaint in ("Task was destroyed", "never retrieved", "Traceback", "Trigger exited"):
        assert complaint not in said, said[said.index(complaint) - 2000 :][:4000]
    lines = crowd.lines()
    assert len(lines) == CROWD
    # Why it waits, the same again from the second triggerer, and that it is approved.
    assert max(map(len, lines.values())) <= 3
    print(f"{sum(map(len, lines.values()))} lines of ours in the logs of {len(lines)} tasks")
    print("blocked:", re.findall(r"async thread was blocked for ([\d.]+)", said))


def most_within(instants: list[float], seconds: float) -> int:
    """Return how many fall at most into so many seconds."""
    return max((sum(first <= at < first + seconds for at in instants) for first in instants), default=0)
