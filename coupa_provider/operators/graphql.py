"""Read by one GraphQL query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from coupa_provider.hooks.coupa import CoupaHook

#: Largest result handed on, as JSON: Airflow keeps it as a row of its database.
MOST_BYTES = 256 * 1024
#: As many records as the REST API returns at once. No document says how many GraphQL does.
_PAGE = 50


class CoupaGraphQLOperator(BaseOperator):
    """Run a GraphQL query and hand its data on. Coupa's GraphQL only reads, and so does this.

    An answer with errors fails the task, though Coupa sends it with HTTP 200, and though it may hold data too.

    It is for small answers: a handful of records with what belongs to them. How to get the next page is not
    documented, so take :class:`~coupa_provider.transfers.coupa_to_object_storage.CoupaToObjectStorageOperator` for
    every record of a resource.

    The task's result is the ``data`` of the answer: a dict by the names, or aliases, of the query's outermost fields.

    :param query: GraphQL document, or the path of a file that ends in ``.graphql``. (templated)
    :param variables: values of its variables; better than templates in the query, for they need no quoting.
        (templated)
    :param operation_name: the operation to run, of several. (templated)
    :param coupa_conn_id: connection of the type ``coupa``. (templated: no)
    """

    template_fields: Sequence[str] = ("query", "variables", "operation_name")
    template_ext: Sequence[str] = (".graphql",)
    template_fields_renderers = {"variables": "json"}  # noqa: RUF012 - Airflow's own way
    ui_color = "#e0f0ff"

    def __init__(
        self,
        *,
        query: str,
        variables: Mapping[str, Any] | None = None,
        operation_name: str | None = None,
        coupa_conn_id: str = "coupa_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.query = query
        self.variables = variables
        self.operation_name = operation_name
        self.coupa_conn_id = coupa_conn_id

    @cached_property
    def hook(self) -> CoupaHook:
        """The hook of the connection."""
        from coupa_provider.hooks.coupa import CoupaHook

        return CoupaHook(self.coupa_conn_id)

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the query and return its data.

        :raises AirflowFailException: the query or the connection is not right, the answer names errors, or it is too
            large to be handed on; a retry is useless.
        """
        import msgspec

        from coupa_provider.hooks.errors import fail_without_retry

        with fail_without_retry(), closing(self.hook):
            data = self.hook.graphql(self.query, self.variables, operation_name=self.operation_name)
        size = len(msgspec.json.encode(data))
        if size > MOST_BYTES:
            raise AirflowFailException(
                f"The answer has {size:,} bytes, too many for the result of a task (at most {MOST_BYTES:,}). Ask for "
                "less by the query's conditions and fields, write the records to files by "
                "CoupaToObjectStorageOperator, or call CoupaHook.graphql in a task that keeps them elsewhere."
            )
        self._log_outcome(data, size)
        return data

    def _log_outcome(self, data: dict[str, Any], size: int) -> None:
        self.log.info("GraphQL: %s with %s bytes", ", ".join(data), f"{size:,}")
        for name, value in data.items():
            if isinstance(value, list) and len(value) == _PAGE:
                self.log.warning(
                    "%s has %d records, as many as Coupa's REST API returns at once: there may be more. "
                    "CoupaToObjectStorageOperator reads all of them.",
                    name,
                    _PAGE,
                )
