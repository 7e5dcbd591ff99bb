"""A file of a gigabyte takes no more memory than a small one, and every row of it is accounted for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

SUPPLIERS = 1000
ROW_BYTES = 16_000
PUSH = """
import json, re, sys
from fsspec.implementations.local import LocalFileSystem
from coupa_provider.client.blocking import BlockingClient
from coupa_provider.client.config import CoupaConfig
from coupa_provider.extract.destination import Destination
from coupa_provider.push.run import Push, push_records
from coupa_provider.push.source import FileSource

url, path, key = sys.argv[1:]
config = CoupaConfig.from_fields(
    "coupa_test", host=url, login="emulator", password="emulator-secret", extra={"requests_per_second": 2000}
)
folder = Destination(LocalFileSystem(), f"{path}.outcomes", f"file://{path}.outcomes")
with BlockingClient(config) as client:
    source = FileSource(LocalFileSystem(), [path], f"file://{path}")
    account = push_records(client, source, Push("suppliers", "upsert", ["number"]), folder)
# Unlike ru_maxrss not taken over from the process that started this one.
peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
print(json.dumps([account.counts, account.outcomes, account.seconds, peak]))
"""


def write(path: Path, megabytes: int) -> int:
    """Write rows of 16 kB: of each hundred one is unchanged, the others are refused for one reason or another."""
    padding = "x" * ROW_BYTES
    bad = [
        {"number": "{n}", "name": "NULL", "dd-settings": padding},
        {"number": "", "name": "no key", "dd-settings": padding},
        {"number": "{n}", "on-hold": "perhaps", "dd-settings": padding},
        {"number": "{n}", "savings-pct": "1,5", "dd-settings": padding},
    ]
    header = ["number", "name", "on-hold", "savings-pct", "dd-settings"]
    if path.suffix == ".parquet":
        # One group of rows, and every byte of it on disk.
        count = megabytes * 1024 * 1024 // ROW_BYTES // 100 * 100
        number = [f"S-{n // 100 + 1}" if n % 100 == 0 else f"B-{n}" for n in range(count)]
        name = [f"Supplier {n // 100 + 1}" if n % 100 == 0 else "NULL" for n in range(count)]
        settings = [None if n % 100 == 0 else padding for n in range(count)]
        table = pa.table({"number": number, "name": name, "dd-settings": settings})
        pq.write_table(table, path, row_group_size=count, compression="none", use_dictionary=False)
        return count
    if path.suffix == ".csv":
        templates = [",".join(f'"{row.get(name, "")}"' for name in header) + "\n" for row in bad]
        good = '"S-{n}","Supplier {n}","","",""\n'
    else:
        templates = [json.dumps(row) + "\n" for row in bad]
        good = '{"number": "S-{n}", "name": "Supplier {n}"}\n'
    rows = 0
    with path.open("w") as file:
        if path.suffix == ".csv":
            file.write(",".join(header) + "\n")
        while file.tell() < megabytes * 1024 * 1024:
            for _ in range(100):
                rows += 1
                if rows % 100 == 1 and rows // 100 < SUPPLIERS:
                    file.write(good.replace("{n}", str(rows // 100 + 1)))
                else:
                    file.write(templates[rows % 4].replace("{n}", f"B-{rows}"))
    return rows


def push(coupa, path: Path) -> tuple[dict[str, int], str, float, int]:
    command = [sys.executable, "-c", PUSH, coupa.url, str(path), "number"]
    root = Path(__file__).parents[2]
    run = subprocess.run(command, capture_output=True, text=True, cwd=root, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    return tuple(json.loads(run.stdout))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("ending", "small", "large"), [("ndjson", 10, 1024), ("csv", 10, 200), ("parquet", 400, 1000)]
)
def test_memory_is_flat_and_every_row_has_an_outcome(coupa, tmp_path, ending, small, large):
    """The small file is as large as all that is read ahead and, of Parquet, what an allocator keeps; one held whole would double it."""
    coupa.load(
        {
            "suppliers": [
                {"id": n, "number": f"S-{n}", "name": f"Supplier {n}"} for n in range(1, SUPPLIERS + 1)
            ]
        }
    )
    coupa.reset_seen()
    peaks = {}
    for megabytes in (small, large):
        path = tmp_path / f"{megabytes}.{ending}"
        rows = write(path, megabytes)
        counts, outcomes, seconds, peaks[megabytes] = push(coupa, path)
        unchanged = min(SUPPLIERS, rows // 100)
        assert counts == {
            "created": 0, "updated": 0, "unchanged": unchanged, "rejected": rows - unchanged, "unknown": 0
        }  # fmt: skip
        with open(outcomes.removeprefix("file://"), "rb") as file:
            assert [json.loads(line)["row"] for line in file] == list(range(1, rows + 1))
        rejected = Path(outcomes.removeprefix("file://")).parent / (
            "rejected.csv" if ending == "csv" else "rejected.ndjson"
        )
        with rejected.open("rb") as file:
            assert sum(1 for _ in file) == rows - unchanged + (ending == "csv")
        print(f"{megabytes} MB {ending}: {rows:,} rows, {seconds} s, peak {peaks[megabytes] / 1024:.0f} MB")
        path.unlink()
        rejected.unlink()
    assert not coupa.writes()
    assert peaks[large] < 1.5 * peaks[small]
