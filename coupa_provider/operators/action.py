"""Carry out an action on a record: submit, approve, void and the like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coupa_provider.links.coupa import CoupaRecordLink
from coupa_provider.operators.single_call import SingleCallOperator, is_later_try, read_object

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class CoupaActionOperator(SingleCallOperator):
    """Carry out a documented action, once.

    Where Coupa documents statuses, the record's status is read first: an action that is not legal in it fails before
    it is sent. Where an answer was lost, the status tells whether the action was carried out. It is sent again only
    where it was not and a second one would do no harm; otherwise the task fails without retry.

    The task's result: ``id`` and the ``fields``, as far as Coupa shows them.

    :param resource: path under ``/api``: ``"invoices"``. (templated)
    :param action: name of the action: ``"submit"``; see ``coupa_provider.resources.actions``. (templated: no)
    :param record_id: id of the record; None for an action that has none in its path. (templated)
    :param arguments: values by name; they go into the query or the body, as Coupa wants them:
        ``{"approver_id": 7}``, ``{"dispute-reason.code": "PRICE"}``. (templated)
    :param fields: attributes to return; None for ``status``, where the resource has one. (templated: no)
    :param coupa_conn_id: connection of the type ``coupa``. (templated: no)
    """

    operator_extra_links = (CoupaRecordLink(),)
    template_fields: Sequence[str] = ("resource", "record_id", "arguments")
    template_fields_renderers = {"arguments": "json"}  # noqa: RUF012 - Airflow's own way

    def __init__(
        self,
        *,
        resource: str,
        action: str,
        record_id: int | str | None = None,
        arguments: Mapping[str, Any] | str | None = None,
        fields: Sequence[Any] | None = None,
        coupa_conn_id: str = "coupa_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(fields=fields, coupa_conn_id=coupa_conn_id, **kwargs)
        self.resource = resource
        self.action = action
        self.record_id = record_id
        self.arguments = arguments

    def execute(self, context: Context) -> dict[str, Any]:
        """Carry out the action.

        :raises AirflowFailException: the action or an argument is not known, it is not legal in the record's status,
            Coupa refused it, or it cannot be told whether it was carried out; a retry is useless.
        """
        from coupa_provider.push.action import perform

        arguments = read_object("arguments", self.arguments)
        again = is_later_try(context)
        self.link(context, self.resource, self.record_id)
        record = self.call(
            lambda client: perform(
                client,
                self.resource,
                self.action,
                self.record_id,
                arguments,
                fields=self.fields,
                again=again,
            )
        )
        self.log.info("%s of %s %s done", self.action, self.resource, record.get("id", ""))
        return record
