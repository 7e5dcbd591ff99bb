"""Mail the contacts of an integration in Coupa when a task fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseNotifier

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

_MESSAGE = "Task {{ ti.task_id }} of the Airflow DAG {{ ti.dag_id }} has failed in its run {{ ti.run_id }}."


class CoupaIntegrationErrorNotifier(BaseNotifier):
    """Create an integration error with an alert, which Coupa mails to the contacts of the integration.

    For ``on_failure_callback`` of a task that comes after the start of an integration run. Where it cannot be told to
    Coupa, the log says why, and the task's own failure stays what it is.

    :param run: the result of the task that started the integration run: ``start.output``. (templated)
    :param message: what the contacts read; it goes by mail, so name nothing secret in it. (templated)
    :param contact_alert_type: whom it is for: ``"Technical"``, ``"Functional"`` or ``"Both"``.
    :param coupa_conn_id: connection of the type ``coupa``. (templated: no)
    """

    # Airflow puts these into the context under their names, where they must not hide anything.
    template_fields: Sequence[str] = ("run", "message")

    def __init__(
        self,
        *,
        run: Mapping[str, Any],
        message: str = _MESSAGE,
        contact_alert_type: str = "Technical",
        coupa_conn_id: str = "coupa_default",
    ) -> None:
        super().__init__()
        self.run = run
        self.message = message
        self.contact_alert_type = contact_alert_type
        self.coupa_conn_id = coupa_conn_id

    def notify(self, context: Context) -> None:
        """Create the error, once for each task instance that failed.

        :param context: the task's context.
        """
        from airflow.providers.common.compat.sdk import redact

        from coupa_provider.hooks.coupa import CoupaHook
        from coupa_provider.operators.integration_run import read_run
        from coupa_provider.operators.task_run import run_name
        from coupa_provider.push.integration_alert import send_alert

        try:
            run_id, integration = read_run(self.run)
            with closing(CoupaHook(self.coupa_conn_id)) as hook:
                send_alert(
                    hook.get_conn(),
                    integration,
                    run_id,
                    str(redact(self.message)),
                    about=run_name(context) or "",
                    contact_alert_type=self.contact_alert_type,
                )
        except Exception as error:  # noqa: BLE001 - what the task failed of must stay what is seen
            self.log.error("Coupa was not told of the failure: %s: %s", type(error).__name__, error)
        else:
            self.log.info("The contacts of %s were told of the failure, in run %s", integration, run_id)
