"""An integration run, as tasks hand it on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException


def read_run(value: Any) -> tuple[int, str]:
    """Return id and integration code of a run.

    :param value: the result of the task that started it.
    :raises AirflowFailException: it is something else.
    """
    if isinstance(value, Mapping) and isinstance(value.get("run_id"), int) and value.get("integration"):
        return value["run_id"], str(value["integration"])
    raise AirflowFailException(
        "run must be the result of the task that started the integration run, for instance start.output; it is "
        + ("missing: did that task end well?" if value is None else f"{type(value).__name__} instead.")
    )
