"""One extract over four task processes: complete, near the limit together, and whole after a kill."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.request import Request

import fsspec
import pytest

from coupa_provider.extract.destination import Destination
from coupa_provider.extract.manifest_reader import ManifestReader
from tests.parallel.running_airflow import OPENER

pytestmark = [pytest.mark.postgresql, pytest.mark.slow]

DAG_FILE = Path(__file__).parent / "dags" / "fan_out.py"
RATE_LIMIT = 25.0
#: So many take 50 seconds at the limit: enough that the tasks' start and end do not blur the figures.
MANY, FEW = 60_000, 15_000


class Coupa:
    """An emulator in a process of its own, with Coupa's own limit."""

    def __init__(self, url):
        self.url = url

    def call(self, path, method="GET"):
        with OPENER.open(Request(f"{self.url}/_emulator/{path}", method=method), timeout=120) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def coupa():
    command = [
        sys.executable, "-m", "coupa_provider.emulator", "--port", "0", "--latency-ms", "100",
        "--size", f"exchange_rates={MANY}", "--size", f"suppliers={FEW}",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Coupa(next(line.split()[1] for line in process.stdout if line.split()[:1] == ["url"]))
        finally:
            process.terminate()


@pytest.fixture
def airflow(parallel_airflow, coupa):
    coupa.call("reset_seen", "POST")
    parallel_airflow.add_connection(
        "coupa_fan_out", "coupa", host=coupa.url, login="emulator", password="emulator-secret"
    )
    parallel_airflow.add_dags(DAG_FILE, "fan_out")
    return parallel_airflow


def read(folder):
    return ManifestReader(Destination(fsspec.filesystem("file"), str(folder), f"file://{folder}"))


def assert_complete(folder, coupa):
    extract = read(folder)
    ids = [number for batch in extract.batches(["id"]) for number in batch.column(0).to_pylist()]
    assert len(ids) == len(set(ids)) == extract.manifest.records
    assert sorted(ids) == coupa.call(f"ids/{extract.manifest.resource}")


@pytest.mark.timeout(400)
def test_four_tasks_work_at_the_limit_together(airflow, coupa, tmp_path):
    lake = tmp_path / "lake"
    coupa.call("ids/exchange_rates")  # they are made when first asked for
    conf = {"resource": "exchange_rates", "destination": f"file://{lake}"}
    run = airflow.run("fan_out", conf, timeout=300)
    assert run.state == "success"
    partitions = [read(lake / f"partition-{number:05d}").manifest for number in range(4)]
    assert max(part.started for part in partitions) < min(part.finished for part in partitions)
    assert_complete(lake, coupa)
    manifest, seen = read(lake).manifest, coupa.call("seen")
    used = (manifest.requests - manifest.throttled) / manifest.seconds / RATE_LIMIT
    told = {
        "used": used, "seconds": manifest.seconds, "requests": manifest.requests, "throttled": seen["throttled"],
        "records": [part.records for part in partitions],
        "ended": [(part.finished - manifest.started).total_seconds() for part in partitions],
    }  # fmt: skip
    print(json.dumps(told))
    assert manifest.requests < seen["requests"] <= manifest.requests + 35, told
    assert used >= 0.9, told
    assert seen["throttled"] < 0.02 * seen["requests"], told


@pytest.mark.timeout(200)
def test_a_killed_task_goes_on_in_its_own_partition(airflow, coupa, tmp_path):
    lake = tmp_path / "lake"
    coupa.call("ids/suppliers")
    run_id = airflow.trigger("fan_out", {"resource": "suppliers", "destination": f"file://{lake}"})
    noted = lake / "partition-00002" / "_unfinished" / "progress.json"
    airflow.wait_for(noted.exists, "a finished part", 60)
    process = airflow.wait_for_process("fan_out", run_id, "extract", 2)
    airflow.kill(process.supervisor, process.pid)
    assert noted.exists()  # it was killed in the midst of its partition
    run = airflow.wait("fan_out", run_id)
    assert run.state == "success"
    assert [task.try_number for task in run.of("extract")] == [1, 1, 2, 1]
    assert "Going on where try 1 stopped" in airflow.log(run, "extract", 2, try_number=2)
    assert [read(lake / f"partition-{number:05d}").manifest.tries for number in range(4)] == [1, 1, 2, 1]
    assert read(lake).manifest.tries == 2
    assert_complete(lake, coupa)
