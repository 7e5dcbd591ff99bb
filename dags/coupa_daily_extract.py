"""Lands what changed in Coupa during a day as Parquet files: a DAG to copy and change.

Needed before the first run:

* a connection ``coupa_default`` of the type Coupa (Admin > Connections, or the environment
  variable ``AIRFLOW_CONN_COUPA_DEFAULT``);
* a place for the files: the Variable ``coupa_lake`` (Admin > Variables, or the environment
  variable ``AIRFLOW_VAR_COUPA_LAKE``), e.g. ``s3://aws_default@my-bucket/coupa``. Any URL that
  Airflow's ObjectStoragePath knows will do.

Run it once with the parameter ``full_load`` to fetch everything there is; the daily runs keep
it up to date from then on.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param
from airflow.timetables.interval import CronDataIntervalTimetable

from coupa_provider.transfers.coupa_to_object_storage import CoupaToObjectStorageOperator

# Coupa's names of what to fetch, as in its URLs (/api/purchase_orders), each with the attributes
# wanted. None takes all of them, which is the slowest a query can be: name what you need once you know.
RESOURCES = {
    "invoices": None,
    "purchase_orders": None,
    "suppliers": None,
}

with DAG(
    dag_id="coupa_daily_extract",
    description="What changed in Coupa, day by day, as Parquet",
    # "@daily" means a day's interval in Airflow 2 and, unless configured otherwise, an empty one in
    # Airflow 3: such a run would fetch nothing. This timetable gives the whole past day in both.
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    # Do not run for all days since the start date. Set it to True to fetch the past day by day.
    catchup=False,
    # A slow day must not overlap the next: both would share Coupa's limit of requests.
    max_active_runs=1,
    # One resource after the other: each task runs in a process of its own and takes the whole of Coupa's limit.
    # Side by side they would be told off (429) and slow each other down, and be done no sooner.
    max_active_tasks=1,
    default_args={
        # Bad moments of the network are ridden out within a task; a retry is for the bad hours.
        "retries": 2,
        "retry_delay": timedelta(minutes=10),
    },
    params={
        "full_load": Param(
            False, type="boolean", title="Full load", description="Fetch everything, whatever its age."
        ),
    },
    tags=["coupa"],
) as dag:
    for resource, fields in RESOURCES.items():
        CoupaToObjectStorageOperator(
            task_id=resource,
            coupa_conn_id="coupa_default",
            resource=resource,
            fields=fields,
            # Records last updated in [start, end) of the run's day. Running a day again fetches that day
            # again and writes over its files; a record that was changed since then is in a later day.
            updated_since="{{ '' if params.full_load else data_interval_start }}",
            updated_until="{{ '' if params.full_load else data_interval_end }}",
            # A folder for each day, so that no run touches the files of another.
            destination=(
                "{{ var.value.get('coupa_lake', 'file:///tmp/coupa-lake') }}/"
                + resource
                + "/{{ 'full' if params.full_load else 'daily' }}/{{ data_interval_start | ds }}"
            ),
            file_format="parquet",
        )
