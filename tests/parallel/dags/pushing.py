"""A push that is killed on its way, and one with rejected rows that another task tells of."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, task

from coupa_provider.transfers.object_storage_to_coupa import ObjectStorageToCoupaOperator

PUSH = {
    "task_id": "push",
    "coupa_conn_id": "coupa_pushing",
    "resource": "suppliers",
    "source": "{{ dag_run.conf['source'] }}",
    "retries": 2,
    "retry_delay": timedelta(0),
}

with DAG("killed_push", schedule=None):
    ObjectStorageToCoupaOperator(**PUSH)

with DAG("rejected_rows", schedule=None):
    push = ObjectStorageToCoupaOperator(**PUSH)

    @task(trigger_rule="all_done")
    def tell(account: dict[str, Any]) -> str:
        return "; ".join(f"row {one['row']}: {' '.join(one['errors'])}" for one in account["samples"])

    @task
    def go_on() -> None:
        """What needs every row to be in Coupa; without it the run would be a success, as its last task is."""

    tell(push.output)
    push >> go_on()
