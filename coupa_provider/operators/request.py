"""Make any call that Coupa offers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coupa_provider.operators.single_call import SingleCallOperator, is_later_try, read_object

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class CoupaRequestOperator(SingleCallOperator):
    """Make any call that Coupa offers and no other operator knows.

    A call that may not be repeated is sent once: a lost answer and a later try of the task fail without retry.

    The task's result is the answer's object, or list of objects, cut to ``id`` and the ``fields``.

    :param method: HTTP verb. (templated: no)
    :param path: path under ``/api``, without a query: ``"quote_responses/7/award"``. (templated)
    :param body: object to send as JSON; JSON text as well; None for no body. (templated)
    :param query: arguments of the query string, not encoded. (templated)
    :param fields: attributes to ask for and return; None for ``id`` alone; empty for a call that does not know the
        query argument ``fields``: then nothing is returned. (templated: no)
    :param repeatable: a second execution does no harm; None means so for ``GET`` only. (templated: no)
    :param coupa_conn_id: connection of the type ``coupa``. (templated: no)
    """

    template_fields: Sequence[str] = ("path", "body", "query")
    template_fields_renderers = {"body": "json", "query": "json"}  # noqa: RUF012 - Airflow's own way

    def __init__(
        self,
        *,
        method: str,
        path: str,
        body: Mapping[str, Any] | str | None = None,
        query: Mapping[str, Any] | None = None,
        fields: Sequence[Any] | None = None,
        repeatable: bool | None = None,
        coupa_conn_id: str = "coupa_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(fields=fields, coupa_conn_id=coupa_conn_id, **kwargs)
        self.method = method
        self.path = path
        self.body = body
        self.query = query  # `params` is Airflow's own
        self.repeatable = repeatable

    def execute(self, context: Context) -> Any:
        """Make the call.

        :raises AirflowFailException: Coupa refused it, or it cannot be told whether it was carried out; a retry is
            useless.
        """
        from coupa_provider.push.single import call_once

        body = None if self.body is None else read_object("body", self.body)
        again = is_later_try(context)
        return self.call(
            lambda client: call_once(
                client,
                self.method,
                self.path,
                body,
                params=self.query,
                fields=self.fields,
                repeatable=self.repeatable,
                again=again,
            )
        )
