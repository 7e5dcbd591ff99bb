"""Begin an integration run in Coupa."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

from coupa_provider.operators.integration_run import read_run
from coupa_provider.operators.single_call import is_later_try

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.providers.common.compat.sdk import Context

    from coupa_provider.hooks.coupa import CoupaHook

#: The clocks of Airflow and Coupa differ by less.
_CLOCKS = timedelta(minutes=1)


class CoupaStartIntegrationRunOperator(BaseOperator):
    """Create an integration run, with which Coupa shows its users how a DAG's work went.

    Use it as a setup: ``start = CoupaStartIntegrationRunOperator(...).as_setup()``, with
    :class:`.CoupaEndIntegrationRunOperator` as its teardown. Where the number of records is known only later, the run is
    pending until a second task of this kind gets ``run=start.output`` and ``total_records``. A try that follows a killed
    one takes over the run that one has created.

    The task's result: ``run_id``, ``integration`` and ``status``.

    :param integration: code of an integration that exists in Coupa: ``"ERP_PO"``. (templated)
    :param run: in place of it, a run that was created before: ``start.output``. (templated)
    :param total_records: records that the run is about: a number, or the result of a task that counted them, such as
        ``extract.output``; None if that is not known yet. (templated)
    :param coupa_conn_id: connection of the type ``coupa``. (templated: no)
    """

    template_fields: Sequence[str] = ("integration", "run", "total_records")
    ui_color = "#e0f0ff"

    def __init__(
        self,
        *,
        integration: str | None = None,
        run: Mapping[str, Any] | None = None,
        total_records: int | str | Mapping[str, Any] | None = None,
        coupa_conn_id: str = "coupa_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.integration = integration
        self.run = run
        self.total_records = total_records
        self.coupa_conn_id = coupa_conn_id

    @cached_property
    def hook(self) -> CoupaHook:
        """The hook of the connection."""
        from coupa_provider.hooks.coupa import CoupaHook

        return CoupaHook(self.coupa_conn_id)

    def execute(self, context: Context) -> dict[str, Any]:
        """Create the run, or start the one that was created, and return it.

        :raises AirflowFailException: an argument is wrong, or Coupa knows no such integration; a retry is useless.
        """
        from coupa_provider.hooks.errors import fail_without_retry
        from coupa_provider.push.integration_run import begin_run, start_run

        total = self._read_total()
        with fail_without_retry(), closing(self.hook):
            if self.run is not None:
                run = begin_run(self.hook.get_conn(), read_run(self.run)[0], total)
            elif self.integration:
                run = start_run(self.hook.get_conn(), self.integration, total, since=_since(context))
            else:
                raise AirflowFailException(
                    "Give either integration, the code of an integration in Coupa, or run, the result of the task that "
                    "created one."
                )
        self.log.info("Integration run %s of %s is %s", run.id, run.integration, run.status)
        return {"run_id": run.id, "integration": run.integration, "status": run.status}

    def _read_total(self) -> int | None:
        value = self.total_records
        if isinstance(value, Mapping):
            value = value.get("records")
        if value is None or value in ("", "None"):
            return None
        if isinstance(value, bool) or not str(value).strip().isdecimal():
            raise AirflowFailException(
                f"total_records must be a number of records, or the result of a task that holds one as 'records', not "
                f"{value!r}."
            )
        return int(value)


def _since(context: Context) -> datetime | None:
    """Return from when on a run may be the one that an earlier try of this task has created."""
    started = context["dag_run"].start_date
    return started - _CLOCKS if started is not None and is_later_try(context) else None
