"""Tell Coupa, and the people it mails, what became of each record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException, BaseOperator

from coupa_provider.operators.integration_run import read_run
from coupa_provider.operators.urls import folder_url

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from coupa_provider.hooks.coupa import CoupaHook


class CoupaReportOutcomesOperator(BaseOperator):
    """Report each record of an outcome file to Coupa, once.

    A record that was rejected, or of which nothing is known, becomes an integration error of the run, which Coupa mails
    to the contacts of the integration. For all others errors and history records that are open from earlier runs of the
    integration are resolved, and with ``history`` they get a history record. A try that follows a failed or killed one
    goes on where that stopped and mails nobody twice. It runs also after a push that failed because records were
    rejected; if that left no outcomes, it is skipped.

    The task's result: ``resource``, ``run_id``, ``outcomes``, ``records``, the numbers ``created``, ``updated``,
    ``unchanged``, ``rejected`` and ``unknown``, ``alerts`` (errors created), ``recorded`` (history records created),
    ``resolved``, ``journal``, ``requests``, ``throttled`` and ``seconds``.

    :param outcomes: the result of the task that holds ``outcomes``, the URL of an NDJSON file, and ``resource``:
        ``push.output``. (templated)
    :param run: the result of the task that started the integration run: ``start.output``.
    :param document_type: Coupa's name of such documents in reports: ``"Supplier"``; None takes it from the resource.
    :param contact_alert_type: whom the mails are for: ``"Functional"``, ``"Technical"`` or ``"Both"``.
    :param history: create a history record for each document that is fine, too: one request each.
    :param coupa_conn_id: connection of the type ``coupa``. (templated: no)
    """

    # Not the run: Airflow would put the task straight after the setup, where it allows all_success alone.
    template_fields: Sequence[str] = ("outcomes",)
    ui_color = "#e0f0ff"

    def __init__(
        self,
        *,
        outcomes: Mapping[str, Any],
        run: Mapping[str, Any],
        document_type: str | None = None,
        contact_alert_type: str = "Functional",
        history: bool = False,
        coupa_conn_id: str = "coupa_default",
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("trigger_rule", "all_done")
        super().__init__(**kwargs)
        self.outcomes = outcomes
        self.run = run
        self.document_type = document_type
        self.contact_alert_type = contact_alert_type
        self.history = history
        self.coupa_conn_id = coupa_conn_id

    @cached_property
    def hook(self) -> CoupaHook:
        """The hook of the connection."""
        from coupa_provider.hooks.coupa import CoupaHook

        return CoupaHook(self.coupa_conn_id)

    def execute(self, context: Context) -> dict[str, Any]:
        """Report the records and return the summary.

        :raises AirflowSkipException: the task before left no outcomes.
        :raises AirflowFailException: an argument is wrong, or Coupa refused reports; a retry is useless.
        """
        from coupa_provider.hooks.errors import fail_without_retry
        from coupa_provider.object_storage import open_folder
        from coupa_provider.push.integration_report import report_outcomes
        from coupa_provider.push.integration_reporting import Reporting

        if self.outcomes is None:
            raise AirflowSkipException("The task before left no outcomes, so there is nothing to report.")
        resource, url = self._read_outcomes()
        run: Any = self.run
        run_id, integration = read_run(run.resolve(context) if hasattr(run, "resolve") else run)
        place, _, name = url.rpartition("/")
        with fail_without_retry(), closing(self.hook):
            reporting = Reporting(
                resource, integration, run_id, self.document_type, self.contact_alert_type, self.history
            )
            done = report_outcomes(self.hook.get_conn(), open_folder(place), name, reporting)
        self.log.info(
            "%s: %s records reported to run %s of %s: %s alerts, %s history records, %s resolved; %s requests, "
            "%s throttled, %.1f s",
            resource,
            f"{done.records:,}",
            run_id,
            integration,
            f"{done.alerts:,}",
            f"{done.recorded:,}",
            f"{done.resolved:,}",
            f"{done.requests:,}",
            f"{done.throttled:,}",
            done.seconds,
        )
        return {
            "resource": resource,
            "run_id": run_id,
            "outcomes": url,
            "records": done.records,
            **done.counts,
            "alerts": done.alerts,
            "recorded": done.recorded,
            "resolved": done.resolved,
            "journal": done.journal,
            "requests": done.requests,
            "throttled": done.throttled,
            "seconds": done.seconds,
        }

    def _read_outcomes(self) -> tuple[str, str]:
        value: Any = self.outcomes
        if not isinstance(value, Mapping) or not value.get("resource") or not value.get("outcomes"):
            raise AirflowFailException(
                "outcomes must be the result of a task that holds 'resource' and 'outcomes', the URL of an NDJSON file, "
                "for instance push.output."
            )
        return str(value["resource"]), folder_url("outcomes", value["outcomes"])
