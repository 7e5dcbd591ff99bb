"""Fetches the past, years of it, by several tasks at a time: a DAG to copy and change, and to run by hand.

For each resource one task looks how the records lie and cuts them into shares, one mapped task for each share reads
it, and a last one makes one extract of all, with one manifest. A share that fails is tried again alone, and goes on
where it was stopped.

Needed before the first run:

* a connection ``coupa_default`` of the type Coupa (Admin > Connections, or the environment variable
  ``AIRFLOW_CONN_COUPA_DEFAULT``);
* a place for the files: the Variable ``coupa_lake`` (Admin > Variables, or the environment variable
  ``AIRFLOW_VAR_COUPA_LAKE``), e.g. ``s3://aws_default@my-bucket/coupa``. Any URL that Airflow's
  ObjectStoragePath knows will do, if all workers reach it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param, TaskGroup

from coupa_provider.operators.coupa import CoupaGatherManifestsOperator, CoupaPlanPartitionsOperator
from coupa_provider.transfers.coupa_to_object_storage import CoupaToObjectStorageOperator

# Coupa's names of what to fetch, as in its URLs (/api/purchase_orders), and how: "fields" for the attributes wanted,
# "explode" for lists that get tables of their own, "schema", "file_format". Without "fields" all attributes come,
# which is the slowest a query can be: name what you need once you know.
RESOURCES = {
    "invoices": {},
    "purchase_orders": {},
    "suppliers": {},
}

# Shares a resource is cut into. More than work at a time, so that a retry costs little and the end is even.
PARTITIONS = 8

# How many tasks read at a time. Coupa's limit, 25 requests a second, is for all of them together: more than a few
# do no more. A pool does the same for several DAGs: make one named "coupa" with so many slots (Admin > Pools), and add
# "pool": "coupa" to default_args here and there.
AT_A_TIME = 4

# When the run was asked for: unlike its start, this stays when some of its tasks are cleared and run again, and all of
# them have to mean the same. Airflow 2 knows the logical date only.
ASKED_FOR = "(dag_run.run_after | default(dag_run.logical_date))"
SINCE = f"{{{{ params.since or {ASKED_FOR} - macros.timedelta(days=5 * 365) }}}}"
UNTIL = "{{ params.until }}"
# No default for the Variable: without it the task fails and names it, instead of writing where nobody looks.
LAKE = "{{ var.value.coupa_lake }}"
RUN = f"{{{{ {ASKED_FOR} | ts_nodash }}}}"

with DAG(
    dag_id="coupa_backfill",
    description="Years of Coupa as Parquet, by several tasks at a time",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    max_active_runs=1,
    max_active_tasks=AT_A_TIME,
    default_args={
        # Bad moments of the network are ridden out within a task; a retry is for the bad hours. It goes on where the
        # try before was stopped.
        "retries": 3,
        "retry_delay": timedelta(minutes=10),
    },
    params={
        "since": Param(
            "",
            type="string",
            title="Since",
            description="First instant of updated-at, such as 2022-01-01T00:00:00Z. Empty: five years ago.",
        ),
        "until": Param(
            "",
            type="string",
            title="Until",
            description="First instant of updated-at not to fetch. Empty: all there is, also what comes meanwhile.",
        ),
    },
    tags=["coupa"],
) as dag:
    for resource, options in RESOURCES.items():
        with TaskGroup(resource):
            # What the plan and the transfers have to agree on. Conditions ("filters") belong here as well.
            query = {
                "coupa_conn_id": "coupa_default",
                "resource": resource,
                "updated_since": SINCE,
                "updated_until": UNTIL,
            }
            destination = f"{LAKE}/{resource}/{RUN}"
            plan = CoupaPlanPartitionsOperator(task_id="plan", partitions=PARTITIONS, **query)
            extract = CoupaToObjectStorageOperator.partial(
                task_id="extract", destination=destination, **query, **options
            ).expand(partition=plan.output)
            CoupaGatherManifestsOperator(task_id="gather", manifests=extract.output, destination=destination)
