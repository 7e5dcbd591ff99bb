"""A task for each scenario and mode, all of them side by side; on every Airflow."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG

from coupa_provider.sensors.coupa import CoupaRecordSensor
from tests.sensors.twelve import TASKS, arguments

with DAG("sensors", schedule=None, max_active_tasks=100):
    for task_id in TASKS:
        CoupaRecordSensor(task_id=task_id, retries=1, retry_delay=timedelta(seconds=1), **arguments(task_id))
