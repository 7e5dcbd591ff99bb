"""Create one record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coupa_provider.links.coupa import CoupaRecordLink
from coupa_provider.operators.single_call import SingleCallOperator, is_later_try, read_object

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class CoupaCreateOperator(SingleCallOperator):
    """Create one record, once, though its answer is lost or the task is killed and tried again.

    Coupa is asked for the record's key before it is sent, and again where the answer was lost. A record that is there
    on a later try of the task is taken for its own. Without a key nothing can be looked up: then a lost answer and a
    later try fail without retry and say what to look for.

    The task's result: ``id``, ``created`` (False where an earlier try had created it) and the ``fields``.

    :param resource: path under ``/api``: ``"suppliers"``. (templated)
    :param record: attributes, dashed or underscored; JSON text as well. (templated)
    :param key: attributes by which the record is found again; None for the resource's natural key, if the record
        has it; empty for none. (templated: no)
    :param fields: attributes to return, nested: ``["status", {"supplier": ["name"]}]``; None for none. (templated: no)
    :param coupa_conn_id: connection of the type ``coupa``. (templated: no)
    """

    operator_extra_links = (CoupaRecordLink(),)
    template_fields: Sequence[str] = ("resource", "record")
    template_fields_renderers = {"record": "json"}  # noqa: RUF012 - Airflow's own way

    def __init__(
        self,
        *,
        resource: str,
        record: Mapping[str, Any] | str,
        key: Sequence[str] | None = None,
        fields: Sequence[Any] | None = None,
        coupa_conn_id: str = "coupa_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(fields=fields, coupa_conn_id=coupa_conn_id, **kwargs)
        self.resource = resource
        self.record = record
        self.key = key

    def execute(self, context: Context) -> dict[str, Any]:
        """Create the record.

        :raises AirflowFailException: Coupa refused it, there is another one with its key, or it cannot be told
            whether it was created; a retry is useless.
        """
        from coupa_provider.push.single import create_once

        record = read_object("record", self.record)
        again = is_later_try(context)
        done = self.call(
            lambda client: create_once(
                client, self.resource, record, key=self.key, fields=self.fields, again=again
            )
        )
        record_id = done.record.get("id")
        self.link(context, self.resource, record_id)
        self.log.info(
            "%s %s %s", self.resource, record_id, "created" if done.created else "was created before"
        )
        return {**done.record, "created": done.created}
