"""An extract by watermark, run from outside whenever a test wants it."""

from __future__ import annotations

from airflow.sdk import DAG

from coupa_provider.transfers.coupa_to_object_storage import CoupaToObjectStorageOperator

with DAG("watermark", schedule=None, max_active_runs=4):
    CoupaToObjectStorageOperator(
        task_id="invoices",
        coupa_conn_id="coupa_watermark",
        resource="invoices",
        window="watermark",
        destination="{{ dag_run.conf['lake'] }}/{{ run_id | replace(':', '') | replace('+', '') }}",
    )
