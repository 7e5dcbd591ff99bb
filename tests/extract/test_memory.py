"""Memory does not grow with the number of records."""

from __future__ import annotations

import subprocess
import sys

import pytest

MEASURE = """
import resource, sys, tempfile
import fsspec
from coupa_provider.client.page import Counters
from coupa_provider.extract.destination import Destination
from coupa_provider.extract.run import extract_pages
from tests.extract.synthetic import invoice_pages

count, file_format = int(sys.argv[1]), sys.argv[2]
with tempfile.TemporaryDirectory() as folder:
    manifest = extract_pages(
        invoice_pages(count, distinct=200), Counters(), Destination(fsspec.filesystem("file"), folder, folder),
        resource="invoices", instance="acme", file_format=file_format, part_bytes=32 * 1024 * 1024,
    )
assert manifest.records == count
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak_kb(count: int, file_format: str) -> int:
    """Return the peak memory of a process of its own that extracts invoices of 9 kB."""
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(count), file_format], capture_output=True, text=True, check=True
    )
    return int(run.stdout)


@pytest.mark.parametrize("file_format", ["ndjson", "parquet"])
def test_memory_is_flat(file_format: str) -> None:
    assert peak_kb(50_000, file_format) < 1.2 * peak_kb(10_000, file_format)


@pytest.mark.slow
@pytest.mark.parametrize("file_format", ["ndjson", "parquet", "csv"])
def test_memory_is_flat_to_a_million_records(file_format: str) -> None:
    assert peak_kb(1_000_000, file_format) < 1.2 * peak_kb(10_000, file_format)
