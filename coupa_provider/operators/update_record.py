"""Change one record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coupa_provider.links.coupa import CoupaRecordLink
from coupa_provider.operators.single_call import SingleCallOperator, is_later_try, read_object

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class CoupaUpdateOperator(SingleCallOperator):
    """Change attributes of one record; those not named keep their values.

    What is just set may be set twice, so a lost answer is asked for again and the task may be retried. What adds to a
    list (lines and payments without an ``id``) or holds a flag such as ``_delete`` is sent once: a lost answer and a
    later try fail without retry.

    The task's result: ``id`` and the ``fields``.

    :param resource: path under ``/api``: ``"suppliers"``. (templated)
    :param record_id: id of the record. (templated)
    :param changes: attributes to change, dashed or underscored; JSON text as well. (templated)
    :param fields: attributes to return; None for none. (templated: no)
    :param coupa_conn_id: connection of the type ``coupa``. (templated: no)
    """

    operator_extra_links = (CoupaRecordLink(),)
    template_fields: Sequence[str] = ("resource", "record_id", "changes")
    template_fields_renderers = {"changes": "json"}  # noqa: RUF012 - Airflow's own way

    def __init__(
        self,
        *,
        resource: str,
        record_id: int | str,
        changes: Mapping[str, Any] | str,
        fields: Sequence[Any] | None = None,
        coupa_conn_id: str = "coupa_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(fields=fields, coupa_conn_id=coupa_conn_id, **kwargs)
        self.resource = resource
        self.record_id = record_id
        self.changes = changes

    def execute(self, context: Context) -> dict[str, Any]:
        """Change the record.

        :raises AirflowFailException: Coupa refused the change or has no such record, or it cannot be told whether it
            was made; a retry is useless.
        """
        from coupa_provider.push.single import update_once

        changes = read_object("changes", self.changes)
        again = is_later_try(context)
        self.link(context, self.resource, self.record_id)
        record = self.call(
            lambda client: update_once(
                client, self.resource, self.record_id, changes, fields=self.fields, again=again
            )
        )
        self.log.info("%s %s changed: %s", self.resource, self.record_id, ", ".join(changes))
        return record
