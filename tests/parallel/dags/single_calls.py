"""Single calls that are killed while they wait for an answer, and one of each kind with a button."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from coupa_provider.operators.coupa import (
    CoupaActionOperator,
    CoupaCreateOperator,
    CoupaGetOperator,
    CoupaUpdateOperator,
)

RETRIES = {"retries": 2, "retry_delay": timedelta(seconds=1), "coupa_conn_id": "coupa_single_calls"}

with DAG("single_calls", schedule=None, default_args=RETRIES):
    supplier = CoupaCreateOperator(
        task_id="supplier",
        resource="suppliers",
        record={"name": "{{ dag_run.conf['name'] }}", "number": "{{ dag_run.conf['name'] }}"},
    )
    keyless = CoupaCreateOperator(
        task_id="keyless", resource="departments", record={"name": "{{ dag_run.conf['name'] }}"}, key=[]
    )
    change = CoupaUpdateOperator(
        task_id="change",
        resource="suppliers",
        record_id="{{ ti.xcom_pull('supplier')['id'] }}",
        changes={"name": "{{ dag_run.conf['name'] }} Inc"},
        fields=["name"],
    )
    read = CoupaGetOperator(task_id="read", resource="invoices", record_id=7)
    void = CoupaActionOperator(task_id="void", resource="invoices", action="void", record_id=7)
    supplier >> [change, keyless]
    read >> void
