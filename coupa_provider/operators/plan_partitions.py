"""Plan an extract by several mapped tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

from coupa_provider.operators.filters import check_filters

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from coupa_provider.extract.window import Window
    from coupa_provider.hooks.coupa import CoupaHook


class CoupaPlanPartitionsOperator(BaseOperator):
    """Cut the records of an extract into partitions of about equal size, one for each mapped task.

    The transfer that follows takes the result by ``.expand(partition=plan.output)`` and has to have the same
    ``resource``, ``filters``, ``window``, ``updated_since`` and ``updated_until``: write them in one dict for both.

    It takes no more than 35 requests, for ids alone. The task's result is a list of dicts, each with ``number``,
    ``after`` (id before the first) and ``upto`` (last id; None for the last partition, to which records belong that
    are made meanwhile).

    :param resource: path under ``/api``. (templated)
    :param filters: conditions in Coupa's own query syntax. (templated)
    :param window: ``"data_interval"`` for records updated in the run's data interval; None for what
        ``updated_since`` and ``updated_until`` say.
    :param updated_since: first instant of ``updated-at`` to extract, as ISO 8601 text with an offset or an aware
        datetime; None or empty text for no bound. (templated)
    :param updated_until: first instant of ``updated-at`` not to extract, likewise. (templated)
    :param partitions: how many are wanted; there are fewer where one would hold less than 500 records.
    :param coupa_conn_id: connection of the type ``coupa``. (templated: no)
    """

    template_fields: Sequence[str] = ("resource", "filters", "updated_since", "updated_until")
    template_fields_renderers = {"filters": "json"}  # noqa: RUF012 - Airflow's own way
    ui_color = "#e0f0ff"

    def __init__(
        self,
        *,
        resource: str,
        filters: Mapping[str, Any] | None = None,
        window: str | None = None,
        updated_since: str | datetime | None = None,
        updated_until: str | datetime | None = None,
        partitions: int = 8,
        coupa_conn_id: str = "coupa_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if window == "watermark":
            raise ValueError(
                "window='watermark' does not work with partitions: mapped tasks cannot keep one watermark together. "
                "Use window='data_interval' or explicit bounds, or a single transfer."
            )
        if window not in (None, "data_interval"):
            raise ValueError(f"window {window!r} is not 'data_interval' or None.")
        if window and (updated_since or updated_until):
            raise ValueError(
                f"window={window!r} sets the bounds by itself: leave out updated_since and updated_until."
            )
        if partitions < 1:
            raise ValueError(f"partitions must be 1 or more, not {partitions!r}.")
        self.resource = resource
        self.filters = filters
        self.window = window
        self.updated_since = updated_since
        self.updated_until = updated_until
        self.partitions = partitions
        self.coupa_conn_id = coupa_conn_id

    @cached_property
    def hook(self) -> CoupaHook:
        """The hook of the connection."""
        from coupa_provider.hooks.coupa import CoupaHook

        return CoupaHook(self.coupa_conn_id)

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Look at the ids, and return the partitions.

        :raises AirflowFailException: the arguments, the connection or the query are wrong; a retry is useless.
        """
        from dataclasses import asdict

        from coupa_provider.extract.plan import make_plan
        from coupa_provider.hooks.errors import fail_without_retry

        check_filters(self.filters)
        window = self._resolve_window(context)
        with (
            fail_without_retry(),
            closing(self.hook),
            self.hook.pages(
                self.resource,
                filters=self.filters,
                fields=["id"],
                updated_since=window.since,
                updated_until=window.until,
            ) as walk,
        ):
            plan = make_plan(walk, self.partitions)
        self.log.info(
            "%s: about %s records, %d partition(s), %d requests",
            self.resource,
            f"{plan.records:,}",
            len(plan.partitions),
            walk.counters.requests,
        )
        for part in plan.partitions:
            end = "and above" if part.upto is None else f"to {part.upto}"
            self.log.info("%s: partition %d, ids %d %s", self.resource, part.number, part.after + 1, end)
        return [asdict(part) for part in plan.partitions]

    def _resolve_window(self, context: Context) -> Window:
        from coupa_provider.extract.window import Window

        try:
            if self.window == "data_interval":
                return Window.of_interval(
                    context.get("data_interval_start"), context.get("data_interval_end")
                )
            return Window.parse(self.updated_since, self.updated_until)
        except ValueError as error:
            raise AirflowFailException(str(error)) from None
