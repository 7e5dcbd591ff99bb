"""Failures in a row of a sensor that lives on only as a row in Airflow's database between its looks.

From Airflow 3.3 on they stand in the task's own state store, before that in a Variable that is removed when Coupa
answers again. XComs would not do: Airflow clears them when a rescheduled task starts.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from coupa_provider.hooks.variable import variable_class

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class FailureCount:
    """The count of one try of one task.

    :param context: of the running task.
    """

    def __init__(self, context: Context) -> None:
        task = context["ti"]
        self._store: Any = context.get("task_state_store")
        self._key = f"coupa_failures_try_{task.try_number}"
        place = "\n".join([task.dag_id, task.run_id, task.task_id, str(task.map_index)])
        # A Variable's name has at most 250 letters, as many as that of a DAG alone.
        digest = hashlib.sha256(place.encode()).hexdigest()[:16]
        self._variable = f"{self._key}_{task.task_id[:150]}_{digest}"
        self._known = 0

    def read(self) -> int:
        """Return the failures in a row so far."""
        if self._store is not None:
            self._known = int(self._store.get(self._key, 0) or 0)
        else:
            self._known = int(variable_class().get(self._variable, 0))
        return self._known

    def write(self, failures: int) -> None:
        """Keep the count for the next look, where it is another than the one that was read."""
        if failures == self._known:
            return
        self._known = failures
        if self._store is not None:
            self._store.set(self._key, failures)
        elif failures:
            variable_class().set(self._variable, str(failures))
        else:
            variable_class().delete(self._variable)

    def clear(self) -> None:
        """Leave nothing behind: there is no next look."""
        self.read()
        self.write(0)
