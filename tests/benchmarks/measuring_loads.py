"""What every candidate that loads does around its own work: warm up, measure, look at the table, report."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pyarrow.parquet as pq


def measure(load: Callable[[Path, str], None]) -> None:
    """Load the extracts in the folder on the command line, and print a report.

    :param load: loads the extract in a folder into a table: ``invoices``, or one to warm up with.
    """
    folder = Path(sys.argv[1])
    load(folder / "few", "warm_up")
    seconds = {}
    for what, extract in (("first", "first"), ("update", "later")):
        started = time.monotonic()
        load(folder / extract, "invoices")
        seconds[what] = time.monotonic() - started
    place = json.loads(os.environ["AIRFLOW_CONN_POSTGRES_DEFAULT"])
    with psycopg.connect(
        host=place["host"],
        port=place["port"],
        dbname=place["schema"],
        user=place["login"],
        password=place["password"],
    ) as connection:
        content = connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE status = 'paid') FROM invoices"
        ).fetchone()
    rows = pq.ParquetFile(folder / "first" / "part-00000.parquet").metadata.num_rows
    print()
    print(json.dumps({**seconds, "rows": rows, "content": content}))
