"""Eight extracts of one resource side by side, in every form there is, with retries to spare."""

from __future__ import annotations

import os
import time
from datetime import timedelta

from airflow.sdk import DAG

from coupa_provider.transfers.coupa_to_object_storage import CoupaToObjectStorageOperator

FIELDS = ["id", "invoice-number", "status", "total-with-taxes", "updated-at", {"supplier": ["id", "name"]}]
LINES = [*FIELDS, {"invoice-lines": ["id", "line-num", "total"]}]
PLAIN = {"fields": FIELDS, "file_format": "parquet", "part_bytes": 20_000}
FORMS = [
    *[PLAIN] * 4,
    PLAIN | {"file_format": "ndjson"},
    PLAIN | {"file_format": "csv"},
    *[{"fields": LINES, "explode": {"invoice-lines": None}, "part_bytes": 40_000}] * 2,
]


def slow_disk(context) -> None:
    """Make each file's publication take a while, so that there is time to be killed meanwhile."""
    link = os.link

    def slow_link(source: str, target: str) -> None:
        time.sleep(0.05)
        link(source, target)

    os.link = slow_link


with DAG("killed_tries", schedule=None):
    CoupaToObjectStorageOperator.partial(
        task_id="extract",
        coupa_conn_id="coupa_killed_tries",
        resource="invoices",
        destination="file://{{ dag_run.conf['lake'] }}/{{ ti.map_index }}",
        retries=30,
        retry_delay=timedelta(0),
        pre_execute=slow_disk,
    ).expand_kwargs(FORMS)

with DAG("outlived_try", schedule=None):
    CoupaToObjectStorageOperator(
        task_id="extract",
        coupa_conn_id="coupa_outlived_try",
        resource="invoices",
        destination="file://{{ dag_run.conf['lake'] }}/0",
        retries=2,
        retry_delay=timedelta(0),
        **PLAIN,
    )
