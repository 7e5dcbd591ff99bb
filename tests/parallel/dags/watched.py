"""A DAG that invoices start when they change; its task needs no process."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, AssetWatcher

from coupa_provider.triggers.coupa import CoupaRecordsEventTrigger

TRIGGER = CoupaRecordsEventTrigger("invoices", poll_interval=1, overlap=2, coupa_conn_id="coupa_watched")

with DAG(
    "watched",
    schedule=[Asset("coupa_watched", watchers=[AssetWatcher(name="coupa_watched", trigger=TRIGGER)])],
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
):
    EmptyOperator(task_id="nothing")
