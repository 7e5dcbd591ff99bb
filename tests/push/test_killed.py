"""A marking task that is killed at any moment, again and again, marks each record exactly once."""

from __future__ import annotations

import json
import random

import pytest

from tests.forked_try import ForkedTry

RECORDS = 1_500
KILLS = 25
TRY = """
import json, sys
from fsspec.implementations.local import LocalFileSystem
from coupa_provider.client.blocking import BlockingClient
from coupa_provider.client.config import CoupaConfig
from coupa_provider.client.retry import RetryPolicy
from coupa_provider.extract.destination import Destination
from coupa_provider.extract.manifest_reader import ManifestReader
from coupa_provider.push.exported import mark_exported

url, folder = sys.argv[1:]
config = CoupaConfig.from_fields(
    "coupa_test", host=url, login="emulator", password="emulator-secret", extra={"requests_per_second": 400}
)
extract = ManifestReader(Destination(LocalFileSystem(), folder, f"file://{folder}"))
with BlockingClient(config, retry=RetryPolicy(first_delay=0.02, longest_delay=0.1)) as client:
    client.token()
    print("begins", flush=True)
    done = mark_exported(client, extract)
print(json.dumps(done.counts))
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("bumps", ["yes", "no"])
def test_a_killed_task_marks_each_record_once(coupa, land, marks, filled, bumps):
    """25 tries are killed within their first moments while one answer in ten is lost; the last one may end."""
    filled(coupa, RECORDS)
    extract = land(coupa)
    coupa.configure(
        switches={"U18": bumps},
        faults={"rate": 0.1, "kinds": ["lost_write"], "methods": ["PUT"], "seed": 11},
    )
    moments = random.Random(bumps)
    marked = []
    for _ in range(KILLS):
        ForkedTry(TRY, coupa.url, extract.folder.root).kill(after=moments.uniform(0, 0.2))
        marked.append(sum(marks().values()))
    stopped_midway = len({count for count in marked if 0 < count < RECORDS})
    assert stopped_midway >= 10
    [output] = ForkedTry(TRY, coupa.url, extract.folder.root).end()
    assert json.loads(output) == {"marked": RECORDS, "already": 0, "changed": 0, "gone": 0}
    assert marks() == dict.fromkeys(range(1, RECORDS + 1), 1)
    assert coupa.seen()["faults_served"]["lost_write"] > 50
    print(f"{KILLS} kills, marked at each: {marked}")
