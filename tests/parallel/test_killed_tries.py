"""Fifty kills at random moments, and every extract ends as if nobody had disturbed it."""

from __future__ import annotations

import json
import random
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request

import fsspec
import pyarrow as pa
import pytest

from coupa_provider.extract.destination import Destination
from coupa_provider.extract.manifest import Manifest
from coupa_provider.extract.manifest_reader import ManifestReader
from tests.benchmarks.emulating import CLIENT_ID, CLIENT_SECRET, running_emulator
from tests.parallel.running_airflow import OPENER

pytestmark = [pytest.mark.postgresql, pytest.mark.slow]

DAG_FILE = Path(__file__).parent / "dags" / "killed_tries.py"
INSTANCES, INVOICES, KILLS = 8, 3_000, 50
SECONDS = 240


@dataclass(frozen=True)
class Moment:
    """When to kill a try: after something has happened in its folder, and a little later.

    :param sign: ``start`` of the process, finished ``parts`` in ``_unfinished``, or ``published`` ones.
    :param count: how many parts.
    :param delay: seconds from then on.
    :param with_supervisor: kill the process above the task as well, so that nobody reports the task's end.
    """

    sign: str
    count: int = 0
    delay: float = 0.0
    with_supervisor: bool = False


def plan_kills(seed: int) -> dict[int, list[Moment]]:
    """Draw for each instance the moments at which its tries are killed, one each; 50 in all."""
    rng = random.Random(seed)
    plan = {}
    for index in range(INSTANCES):
        publishing = 1 + index % 2
        moments = [Moment("start", delay=rng.uniform(0, 2)) for _ in range(2)]
        moments += [Moment("parts", rng.randint(1, 3), rng.uniform(0, 0.1)) for _ in range(4 - publishing)]
        rng.shuffle(moments)
        moments += [Moment("published", rng.randint(1, 12)) for _ in range(publishing)]
        if index < 2:
            moments.insert(1, Moment("parts", 1, with_supervisor=True))
        plan[index] = moments
    return plan


class Killer:
    """Follows the tries of a run and kills them as planned."""

    def __init__(self, airflow, run_id: str, lake: Path, plan: dict[int, list[Moment]]) -> None:
        self.airflow, self.run_id, self.lake = airflow, run_id, lake
        self.left = plan
        self.kills = defaultdict(list)
        #: Tries that were through but for their report to Airflow when they were killed: on a busy machine a kill is late.
        self.through = set()
        self._seen = {}
        self._due = {}

    def work(self, deadline: float) -> None:
        """Kill until the plan is done."""
        while any(self.left.values()):
            assert time.monotonic() < deadline, f"not done in time: {self.left}, {dict(self.kills)}"
            processes = self.airflow.processes("killed_tries", self.run_id)
            polled = time.monotonic()
            while time.monotonic() < polled + 0.25:
                for process in processes:
                    self._look_at(process)
                time.sleep(0.005)

    def _look_at(self, process) -> None:
        index, this_try = process.map_index, (process.map_index, process.try_number)
        if not self.left[index] or this_try in self.kills[index]:
            return
        if this_try not in self._seen:
            self._seen[this_try] = (time.time(), len(self._parts(index)))
        seen, parts = self._seen[this_try]
        # Those of a try that was killed while it published may still be there: a link is as old as its try.
        published = sum(_changed(part) > seen for part in self._folder(index).glob("part-*"))
        moment = self.left[index][0]
        if moment.sign == "published":
            has_come = published >= moment.count
        else:
            has_come = moment.sign == "start" or len(self._parts(index)) >= parts + moment.count
        if has_come:
            self._due.setdefault(this_try, time.monotonic() + moment.delay)
        # A try that is nearly through is not left to end before its kill.
        late = published and moment.sign != "published"
        if late or time.monotonic() >= self._due.get(this_try, float("inf")):
            try:
                self.airflow.kill(*([process.supervisor] if moment.with_supervisor else []), process.pid)
            except ProcessLookupError:
                return  # ended by itself since it was listed
            self.kills[index].append(this_try)
            del self.left[index][0]
            note = self._folder(index) / "_unfinished" / "progress.json"
            if (self._folder(index) / "_manifest.json").exists() and not note.exists():
                self.through.add(this_try)

    def _folder(self, index: int) -> Path:
        return self.lake / str(index)

    def _parts(self, index: int) -> list[Path]:
        return [
            part
            for part in self._folder(index).glob("_unfinished/*/part-*")
            if not part.name.endswith(".tmp")
        ]


def _changed(path: Path) -> float:
    try:
        return path.stat().st_ctime
    except FileNotFoundError:
        return 0.0


@pytest.fixture(scope="module")
def coupa():
    with running_emulator(INVOICES) as emulator:
        emulator.configure(rate_limit=None, latency_ms=150)
        yield emulator


@pytest.fixture
def airflow(parallel_airflow, coupa):
    #: The second pace is so slow that a try still runs when Airflow finds its supervisor gone.
    for name, pace in (("coupa_killed_tries", 300), ("coupa_outlived_try", 3)):
        parallel_airflow.add_connection(
            name, "coupa", host=coupa.url, login=CLIENT_ID, password=CLIENT_SECRET,
            extra={"requests_per_second": pace},
        )  # fmt: skip
    parallel_airflow.add_dags(DAG_FILE, "killed_tries", "outlived_try")
    return parallel_airflow


def requests_since_reset(coupa) -> int:
    with OPENER.open(Request(f"{coupa.url}/_emulator/seen"), timeout=30) as answer:
        return json.load(answer)["requests"]


def rows_of(folder: Destination, child: str | None = None) -> list[dict]:
    table = pa.Table.from_batches(ManifestReader(folder).batches(child=child))
    return sorted(table.to_pylist(), key=lambda row: (row.get("_parent_id"), row.get("_position"), row["id"]))


def landed(lake: Path, index: int) -> tuple[Destination, Manifest]:
    folder = Destination(fsspec.filesystem("file"), f"{lake}/{index}", f"file://{lake}/{index}")
    return folder, Manifest.from_json((lake / str(index) / "_manifest.json").read_bytes())


def test_fifty_kills_leave_no_trace(airflow, coupa, tmp_path):
    calm, disturbed = tmp_path / "calm", tmp_path / "disturbed"
    assert airflow.run("killed_tries", {"lake": str(calm)}, timeout=SECONDS).state == "success"
    coupa.reset_seen()
    began = time.monotonic()
    run_id = airflow.trigger("killed_tries", {"lake": str(disturbed)})
    killer = Killer(airflow, run_id, disturbed, plan_kills(seed=11))
    killer.work(began + SECONDS)
    run = airflow.wait("killed_tries", run_id, timeout=SECONDS)

    assert sum(map(len, killer.kills.values())) == KILLS
    assert run.state == "success"
    undisturbed_requests = 0
    for task in run.of("extract"):
        index = task.map_index
        folder, manifest = landed(disturbed, index)
        undisturbed, expected = landed(calm, index)
        # On a machine that is busy Airflow may take a try for dead by itself, and end it.
        assert task.try_number >= len(killer.kills[index]) + 1
        goes_on = (index, task.try_number - 1) not in killer.through
        assert ("Going on where try" in airflow.log(run, "extract", index, task.try_number)) == goes_on
        assert (manifest.tries > 1, expected.tries) == (goes_on, 1)
        rows = rows_of(folder)
        assert [row["id"] for row in rows] == coupa.ids
        assert rows == rows_of(undisturbed)
        assert (manifest.columns, manifest.drift) == (expected.columns, expected.drift)
        assert manifest.children.keys() == expected.children.keys()
        for child in manifest.children:
            assert rows_of(folder, child) == rows_of(undisturbed, child)
        assert {file.name for file in (disturbed / str(index)).iterdir() if file.name.startswith("_")} == {
            "_manifest.json"
        }
        undisturbed_requests += expected.requests
    assert len(killer.through) < INSTANCES / 2
    # Each try would take as many as an undisturbed one, if it began anew.
    tries = sum(task.try_number for task in run.of("extract"))
    ratio = requests_since_reset(coupa) / (undisturbed_requests * tries / INSTANCES)
    print(f"{tries} tries took {ratio:.0%} of the requests of as many new starts")
    assert ratio < 0.5


def test_a_try_that_outlives_its_supervisor_gives_way_to_the_next_one(airflow, coupa, tmp_path):
    """Nobody ends it, so two tries write at a time: the next one goes on from its parts, and it notices."""
    run_id = airflow.trigger("outlived_try", {"lake": str(tmp_path)})
    first = airflow.wait_for_process("outlived_try", run_id, "extract")
    note = tmp_path / "0" / "_unfinished" / "progress.json"
    airflow.wait_for(note.exists, "the first finished part", 60)
    airflow.kill(first.supervisor)
    airflow.wait_for(
        lambda: any(process.try_number == 2 for process in airflow.processes("outlived_try", run_id)),
        "the second try",
        60,
    )
    assert first.pid in airflow.pids()
    run = airflow.wait("outlived_try", run_id)

    assert (run.state, run.of("extract")[0].try_number) == ("success", 2)
    log = airflow.log(run, "extract", try_number=2)
    assert "Going on where try 1 stopped" in log
    folder, manifest = landed(tmp_path, 0)
    assert manifest.tries == 2
    assert [row["id"] for row in rows_of(folder)] == coupa.ids
    airflow.wait_for(lambda: first.pid not in airflow.pids(), "the end of the first try", 60)
    assert [path.name for path in (tmp_path / "0").iterdir() if path.name.startswith("_")] == [
        "_manifest.json"
    ]
