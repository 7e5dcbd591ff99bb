"""What the operators for single calls have in common."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

from coupa_provider.links.coupa import CoupaRecordLink

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from coupa_provider.client.client import CoupaClient
    from coupa_provider.hooks.coupa import CoupaHook

T = TypeVar("T")


class SingleCallOperator(BaseOperator):
    """One call to Coupa by one task.

    :param fields: attributes to return.
    :param coupa_conn_id: connection of the type ``coupa``. (templated: no)
    """

    ui_color = "#e0f0ff"

    def __init__(
        self, *, fields: Sequence[Any] | None = None, coupa_conn_id: str = "coupa_default", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.fields = fields
        self.coupa_conn_id = coupa_conn_id

    @cached_property
    def hook(self) -> CoupaHook:
        """The hook of the connection."""
        from coupa_provider.hooks.coupa import CoupaHook

        return CoupaHook(self.coupa_conn_id)

    def call(self, work: Callable[[CoupaClient], Coroutine[Any, Any, T]]) -> T:
        """Do something with a client.

        :raises AirflowFailException: a retry is useless.
        """
        from coupa_provider.client.blocking import run_in_background
        from coupa_provider.hooks.errors import fail_without_retry

        with fail_without_retry(), closing(self.hook):
            return run_in_background(work(self.hook.get_conn().client))

    def link(self, context: Context, resource: str, record_id: int | str | None) -> None:
        """Note the record for the button that opens it."""
        from coupa_provider.hooks.errors import fail_without_retry

        with fail_without_retry():
            CoupaRecordLink.persist(context, self.hook, resource, record_id)


def is_later_try(context: Context) -> bool:
    """Tell whether the task may have done its work before: it is retried, or was cleared."""
    task = context.get("ti")  # None where it is called from a script or a notebook
    return task is not None and task.try_number > 1


def read_object(name: str, value: Mapping[str, Any] | str | None) -> dict[str, Any]:
    """Return an argument that is an object, also where a template made JSON text of it.

    :param name: name of the argument.
    :param value: a dict, JSON text, or None for an empty object.
    :raises AirflowFailException: it is something else.
    """
    import msgspec

    found: Any = value
    if isinstance(value, str):
        try:
            found = msgspec.json.decode(value)
        except msgspec.DecodeError:
            found = value
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise AirflowFailException(
            f"{name} must be a dict, not {type(found).__name__}. Give the result of a task as it is "
            f'({name}=prepare.output), or end a template with "| tojson"'
        )
    return dict(found)
