"""Airflow's Variables, wherever the code runs."""

from __future__ import annotations

import sys
from typing import Any


def variable_class() -> Any:
    """Return the Variable class that works here: tasks ask their supervisor, servers the database."""
    if hasattr(sys.modules.get("airflow.sdk.execution_time.task_runner"), "SUPERVISOR_COMMS"):
        from airflow.providers.common.compat.sdk import Variable

        return Variable
    from airflow.models.variable import Variable as VariableModel

    return VariableModel
