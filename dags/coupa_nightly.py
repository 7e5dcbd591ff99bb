"""Keeps a copy of Coupa up to date, as Parquet files and in a database: a DAG to copy and change.

The first run fetches everything there is, each later one what has changed since the one before. On Sundays it
also finds out what was deleted, of which Coupa tells nothing by itself.

Needed before the first run:

* a connection ``coupa_default`` of the type Coupa (Admin > Connections, or the environment variable
  ``AIRFLOW_CONN_COUPA_DEFAULT``);
* a place for the files: the Variable ``coupa_lake`` (Admin > Variables, or the environment variable
  ``AIRFLOW_VAR_COUPA_LAKE``), e.g. ``s3://aws_default@my-bucket/coupa``. Any URL that Airflow's
  ObjectStoragePath knows will do;
* for the database: a connection of the type ADBC, and its name below or in the environment variable
  ``COUPA_DATABASE`` of the whole Airflow. Without it the DAG lands files only.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import (
    DAG,
    AirflowSkipException,
    ObjectStoragePath,
    Param,
    TaskGroup,
    task,
)

from coupa_provider.operators.coupa import CoupaSweepDeletionsOperator
from coupa_provider.transfers.coupa_manifest_to_database import CoupaManifestToDatabaseOperator
from coupa_provider.transfers.coupa_to_object_storage import CoupaToObjectStorageOperator

# Coupa's names of what to fetch, as in its URLs (/api/purchase_orders), and how: "fields" for the attributes
# wanted, "explode" for lists that get tables of their own, "filters", "schema" and so on. Without "fields" all
# attributes come, which is the slowest a query can be: name what you need once you know. "id" and "updated-at"
# belong in it, since the database keeps one row for each id, the newest.
RESOURCES = {
    "invoices": {
        "fields": [
            *("id", "invoice-number", "invoice-date", "status", "gross-total", "created-at", "updated-at"),
            {"supplier": ["id", "name"]},
            {"currency": ["code"]},
            {"invoice-lines": ["id", "line-num", "description", "quantity", "price", "total"]},
        ],
        "explode": {"invoice-lines": None},
    },
    "purchase_orders": {},
    "suppliers": {},
}

# Where the very first run begins; None for everything. If coupa_backfill fetches the past, the day on which it ran:
# "2026-11-01T00:00:00Z".
BEGIN = None

# The database: the ID of a connection, or empty for files only. It decides which tasks there are, so it has to be
# known when this file is read. An Airflow Variable would be asked for at each reading, every few seconds.
DATABASE = os.environ.get("COUPA_DATABASE", "")
SCHEMA = "coupa"

# The weekday on which to look for deletions, 0 for Monday. It reads the ids of everything: a request for 50.
SWEEP_ON = 6

# No default for the Variable: without it the task fails and names it, instead of writing where nobody looks.
LAKE = "{{ var.value.coupa_lake }}"
# A folder for each run, named by when the run was asked for: that stays when it is cleared and run again, and every
# run has it. Runs by hand have no logical date on Airflow 3; Airflow 2 knows nothing else.
RUN = "{{ dag_run.run_after | default(dag_run.logical_date) | ts_nodash }}"


@task
def list_extracts(folder: str, params: dict | None = None, dag_run: object | None = None) -> list[str]:
    """Return the folders of all extracts, oldest first, on the day of the sweep; skip it on others."""
    if not params["sweep"] and dag_run.start_date.weekday() != SWEEP_ON:
        raise AirflowSkipException("No sweep today. Trigger a run with the parameter sweep to have one.")
    runs = sorted(ObjectStoragePath(folder).iterdir(), key=lambda run: run.name)
    return [str(run) for run in runs if (run / "_manifest.json").exists()]


with DAG(
    dag_id="coupa_nightly",
    description="What changed in Coupa, as Parquet and in a database",
    # Each run goes on where the last one ended, whenever that was. So any schedule will do, a night without Airflow
    # does no harm, and runs by hand may come in between.
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    # A long run must not overlap the next, which begins where this one will have ended.
    max_active_runs=1,
    # One task after the other. Coupa's limit is for all tasks together, and one alone makes full use of it; side by
    # side they would share it and be done no sooner. DuckDB takes one writer at a time, too.
    max_active_tasks=1,
    default_args={
        # Bad moments of the network are ridden out within a task; a retry is for the bad hours. It goes on where the
        # try before was stopped.
        "retries": 3,
        "retry_delay": timedelta(minutes=10),
    },
    params={
        "sweep": Param(
            False, type="boolean", title="Sweep", description="Look for deletions, whatever the weekday."
        ),
    },
    tags=["coupa"],
) as dag:
    for resource, options in RESOURCES.items():
        with TaskGroup(resource):
            extract = CoupaToObjectStorageOperator(
                task_id="extract",
                coupa_conn_id="coupa_default",
                resource=resource,
                # From the last run's end, which Airflow keeps, until a few minutes before now.
                window="watermark",
                updated_since=BEGIN,
                destination=f"{LAKE}/{resource}/{RUN}",
                **options,
            )
            extracts = list_extracts(f"{LAKE}/{resource}")
            sweep = CoupaSweepDeletionsOperator(
                task_id="sweep",
                coupa_conn_id="coupa_default",
                manifest=extracts,
                # Beside the extracts and, by its name, after that of the same run.
                destination=f"{LAKE}/{resource}/{RUN}-deletions",
            )
            extract >> extracts >> sweep

            if DATABASE:
                # Should a load fail for good, mend the cause and clear it: loads may come late.
                load = CoupaManifestToDatabaseOperator(
                    task_id="load",
                    manifest=extract.output,
                    table=f"{SCHEMA}.{resource}",
                    adbc_conn_id=DATABASE,
                )
                delete = CoupaManifestToDatabaseOperator(
                    task_id="delete",
                    manifest=sweep.output,
                    table=f"{SCHEMA}.{resource}",
                    adbc_conn_id=DATABASE,
                )
                load >> delete
