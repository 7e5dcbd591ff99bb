"""A push that is killed at any moment, again and again, creates each record once, and its account adds up."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.forked_try import ForkedTry

RECORDS = 2_000
KILLS = 30
TRY = """
import json, sys
from fsspec.implementations.local import LocalFileSystem
from coupa_provider.client.blocking import BlockingClient
from coupa_provider.client.config import CoupaConfig
from coupa_provider.client.retry import RetryPolicy
from coupa_provider.extract.destination import Destination
from coupa_provider.push.run import Push, push_records
from coupa_provider.push.source import FileSource

url, path, key = sys.argv[1:]
config = CoupaConfig.from_fields(
    "coupa_test", host=url, login="emulator", password="emulator-secret", extra={"requests_per_second": 300}
)
folder = Destination(LocalFileSystem(), f"{path}.outcomes", f"file://{path}.outcomes")
with BlockingClient(config, retry=RetryPolicy(first_delay=0.02, longest_delay=0.1)) as client:
    client.token()
    print("begins", flush=True)
    source = FileSource(LocalFileSystem(), [path], f"file://{path}")
    push = Push("suppliers", "create", [key] if key else None)
    account = push_records(client, source, push, folder, run="killed")
print(json.dumps([account.counts, account.outcomes]))
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("key", ["number", ""])
def test_a_killed_push_creates_each_record_once(coupa, tmp_path, key):
    """30 tries are killed within their first moments while one answer in ten is lost; the last one may end."""
    coupa.load({"payment_terms": [{"id": 1, "code": "Net 30"}]})
    path = tmp_path / "suppliers.ndjson"
    with path.open("w") as file:
        for n in range(RECORDS):
            row = {"name": f"Supplier {n}", "payment-term": {"code": "Net 30"}} | (
                {"number": f"S-{n}"} if key else {}
            )
            file.write(json.dumps(row) + "\n")
    coupa.configure(
        faults={"rate": 0.1, "kinds": ["lost_write"], "methods": ["POST"], "paths": ["suppliers"], "seed": 11}
    )
    moments = random.Random(key)
    created = []
    for _ in range(KILLS):
        ForkedTry(TRY, coupa.url, str(path), key).kill(after=moments.uniform(0, 0.35))
        created.append(len(coupa.ids("suppliers")))
    stopped_midway = len({count for count in created if 0 < count < RECORDS})
    assert stopped_midway >= 10
    [output] = ForkedTry(TRY, coupa.url, str(path), key).end(timeout=200)
    counts, outcomes = json.loads(output)
    lines = [json.loads(line) for line in Path(outcomes.removeprefix("file://")).read_text().splitlines()]
    assert [line["row"] for line in lines] == list(range(1, RECORDS + 1))
    assert Counter(line["outcome"] for line in lines) == Counter(counts)
    names = Counter(coupa.record("suppliers", record_id)["name"] for record_id in coupa.ids("suppliers"))
    assert set(names.values()) == {1}, "a record was created twice"
    ids = {line["id"]: line["row"] for line in lines if line["outcome"] == "created"}
    assert all(coupa.record("suppliers", one)["name"] == f"Supplier {row - 1}" for one, row in ids.items())
    assert coupa.seen()["faults_served"]["lost_write"] > 50
    if key:
        assert counts["created"] == RECORDS == len(names)
    else:
        # What cannot be looked up is not sent again: lost answers, and the few under way at a kill.
        assert counts["created"] + counts["unknown"] == RECORDS
        unknown = {f"Supplier {line['row'] - 1}" for line in lines if line["outcome"] == "unknown"}
        assert set(names) - unknown == {f"Supplier {row - 1}" for row in ids.values()}
    print(f"{KILLS} kills, created at each: {created}; {counts}")
