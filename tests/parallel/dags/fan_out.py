"""One extract, made by four mapped tasks at a time."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from coupa_provider.operators.coupa import CoupaGatherManifestsOperator, CoupaPlanPartitionsOperator
from coupa_provider.transfers.coupa_to_object_storage import CoupaToObjectStorageOperator

AT_A_TIME = 4
DESTINATION = "{{ dag_run.conf['destination'] }}"

with DAG("fan_out", schedule=None):
    query = {"coupa_conn_id": "coupa_fan_out", "resource": "{{ dag_run.conf['resource'] }}"}
    plan = CoupaPlanPartitionsOperator(task_id="plan", partitions=AT_A_TIME, **query)
    extract = CoupaToObjectStorageOperator.partial(
        task_id="extract",
        destination=DESTINATION,
        fields=["id", "updated-at"],
        part_bytes=100_000,
        retries=2,
        retry_delay=timedelta(0),
        max_active_tis_per_dagrun=AT_A_TIME,
        **query,
    ).expand(partition=plan.output)
    CoupaGatherManifestsOperator(task_id="gather", manifests=extract.output, destination=DESTINATION)
