"""Read one record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from coupa_provider.links.coupa import CoupaRecordLink
from coupa_provider.operators.single_call import SingleCallOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class CoupaGetOperator(SingleCallOperator):
    """Read attributes of one record.

    The task's result: ``id`` and the ``fields``, with dashed names and decimals as text, as Coupa sends them. It goes
    into Airflow's metadata database, so ask for what the tasks after it need and no more.

    :param resource: path under ``/api``: ``"invoices"``. (templated)
    :param record_id: id of the record. (templated)
    :param fields: attributes to return, nested: ``["status", {"supplier": ["name"]}]``; None for ``status``, where
        the resource has one. (templated: no)
    :param coupa_conn_id: connection of the type ``coupa``. (templated: no)
    """

    operator_extra_links = (CoupaRecordLink(),)
    template_fields: Sequence[str] = ("resource", "record_id")

    def __init__(
        self,
        *,
        resource: str,
        record_id: int | str,
        fields: Sequence[Any] | None = None,
        coupa_conn_id: str = "coupa_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(fields=fields, coupa_conn_id=coupa_conn_id, **kwargs)
        self.resource = resource
        self.record_id = record_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Read the record.

        :raises AirflowFailException: there is no such record, or this connection may not see it; a retry is useless.
        """
        from coupa_provider.push.single import get_kept

        self.link(context, self.resource, self.record_id)
        return self.call(lambda client: get_kept(client, self.resource, self.record_id, fields=self.fields))
