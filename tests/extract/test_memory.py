"""Memory does not grow with the number of records."""

from __future__ import annotations

import subprocess
import sys

import pytest

MEASURE = """
import re, sys, tempfile
import fsspec
from coupa_provider.client.page import Counters
from coupa_provider.extract.destination import Destination
from coupa_provider.extract.run import extract_pages
from tests.extract.synthetic import NARROW, invoice_pages, narrow_pages

count, file_format, narrow = int(sys.argv[1]), sys.argv[2], sys.argv[3] == "narrow"
with tempfile.TemporaryDirectory() as folder:
    manifest = extract_pages(
        narrow_pages(count) if narrow else invoice_pages(count, distinct=200), Counters(),
        Destination(fsspec.filesystem("file"), folder, folder), resource="invoices", instance="acme",
        file_format=file_format, fields=NARROW if narrow else None, part_bytes=32 * 1024 * 1024,
    )
assert manifest.records == count
# Unlike ru_maxrss not taken over from the process that started this one.
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""


def peak_kb(count: int, file_format: str, width: str = "wide") -> int:
    """Return the peak memory of a process of its own that extracts invoices, of 9 kB where they are wide."""
    command = [sys.executable, "-c", MEASURE, str(count), file_format, width]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(run.stdout)


@pytest.mark.parametrize("file_format", ["ndjson", "parquet"])
def test_memory_is_flat(file_format: str) -> None:
    assert peak_kb(50_000, file_format) < 1.2 * peak_kb(10_000, file_format)


@pytest.mark.slow
@pytest.mark.parametrize("file_format", ["ndjson", "parquet", "csv"])
def test_memory_is_flat_to_a_million_records(file_format: str) -> None:
    """From 100,000 on, where every buffer is full; narrow records, of which a batch holds the most."""
    assert peak_kb(1_000_000, file_format, "narrow") < 1.2 * peak_kb(100_000, file_format, "narrow")


@pytest.mark.slow
def test_memory_is_flat_to_a_million_wide_records() -> None:
    assert peak_kb(1_000_000, "ndjson") < 1.2 * peak_kb(10_000, "ndjson")
