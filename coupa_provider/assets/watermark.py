"""The watermark of a task: up to which instant its windows have been extracted.

On Airflow 3.3 and later it stands in the state store of the task's first outlet asset, where people see it in the
UI and may set it; before that, in a Variable. Either way it is ISO 8601 text, such as
``2026-11-23T02:00:00+00:00``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException

from coupa_provider.extract.window import Window
from coupa_provider.hooks.variable import variable_class

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class Watermark:
    """The watermark of one task.

    :param context: of the running task.
    :param outlets: the task's outlets; the first one that is an asset holds the watermark.
    """

    def __init__(self, context: Context, outlets: Sequence[Any]) -> None:
        task = context["ti"]
        self._task = f"{task.dag_id}.{task.task_id}"
        self._stores = context.get("asset_state_store")
        self._asset = next((outlet for outlet in outlets if hasattr(outlet, "uri")), None)

    def __str__(self) -> str:
        if self._keeps_in_asset:
            return f"{self._asset_key!r} of the asset {self._asset.uri}"  # type: ignore[union-attr]
        return f"Variable {self._variable_key!r}"

    def read(self) -> str | None:
        """Return the watermark as it is kept, None where there is none yet.

        :raises AirflowException: what is kept is no instant.
        """
        text: Any = None
        if self._keeps_in_asset:
            text = self._stores[self._asset].get(self._asset_key)  # type: ignore[index]
        if text is None:  # also what an earlier Airflow has kept
            text = _read_variable(self._variable_key)
        if not text:
            return None
        try:
            Window.parse(text, None)
        except ValueError as error:
            raise AirflowException(
                f"The watermark ({self}) is {text!r}, which is no instant: {error} Set it right, or remove it to begin anew."
            ) from None
        return str(text)

    def move(self, base: str | None, until: datetime) -> None:
        """Move the watermark, after the window was published.

        :param base: what :meth:`read` gave when the window was made.
        :param until: end of the window.
        :raises AirflowException: somebody else has moved it meanwhile. Nothing is lost: it stays where they put it,
            and another try begins there.
        """
        now = self.read()
        if now != base:
            raise AirflowException(
                f"The watermark ({self}) was {base or 'not set'} when this try began, and is {now or 'not set'} now: "
                "another run or a person has moved it. It stays as it is, and the next try begins there. Should two "
                "runs do this to each other, set max_active_runs=1 on the DAG."
            )
        if self._keeps_in_asset:
            self._stores[self._asset].set(self._asset_key, until.isoformat())  # type: ignore[index]
        else:
            _write_variable(self._variable_key, until.isoformat(), self._task)

    @property
    def _keeps_in_asset(self) -> bool:
        return self._stores is not None and self._asset is not None

    @property
    def _asset_key(self) -> str:
        return f"watermark:{self._task}"

    @property
    def _variable_key(self) -> str:
        return f"coupa_watermark_{self._task}"


def _read_variable(key: str) -> str | None:
    value: str | None = variable_class().get(key, None)
    return value


def _write_variable(key: str, value: str, task: str) -> None:
    variable_class().set(
        key, value, description=f"Up to where {task} has extracted; set it back to extract again"
    )
