"""When a sensor began to wait, also one that lives on only as a row in Airflow's database between its looks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseSensorOperator, Context


def first_look_at(sensor: BaseSensorOperator, context: Context) -> datetime:
    """Return the instant from which Airflow itself counts the sensor's ``timeout``.

    :param sensor: the sensor, about to look.
    :param context: of the running task.
    """
    now = datetime.now(UTC)
    if not sensor.reschedule:
        return now
    task: Any = context["ti"]
    if hasattr(task, "get_first_reschedule_date"):
        return task.get_first_reschedule_date(context) or now
    from airflow.sensors.base import _orig_start_date  # Airflow 2

    began = _orig_start_date(
        dag_id=task.dag_id,
        task_id=task.task_id,
        run_id=task.run_id,
        map_index=task.map_index,
        try_number=(task.max_tries or 0) - (sensor.retries or 0) + 1,
    )
    return began or now
