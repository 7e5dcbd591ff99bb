"""The name of a task's run, by which one try of it recognises what an earlier one left."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


def run_name(context: Context) -> str | None:
    """Name the task instance; its tries share the name. None where nobody will try again.

    :param context: the task's context.
    """
    task = context.get("ti")
    if task is None:  # called from a script or a notebook
        return None
    parts = (task.dag_id, task.run_id, task.task_id, getattr(task, "map_index", -1))
    return "/".join(str(part) for part in parts)
