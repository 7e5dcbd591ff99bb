"""The hook: from an Airflow connection to a client of its Coupa instance."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO

from airflow.providers.common.compat.sdk import BaseHook

from coupa_provider.hooks import connection_form

if TYPE_CHECKING:
    from coupa_provider.client.blocking import BlockingClient, BlockingWalk
    from coupa_provider.client.client import CoupaClient
    from coupa_provider.client.config import CoupaConfig
    from coupa_provider.client.received import Received
    from coupa_provider.client.retry import RetryPolicy


class CoupaHook(BaseHook):
    """Talks to the Coupa instance of a connection.

    Its methods are synchronous, for tasks and ``@task`` functions; triggers and other code on an event loop
    use :meth:`aclient`. Nothing is read or sent before the first call.

    :param coupa_conn_id: the connection; see the documentation of its fields.
    :param retry: patience with failures; None for the usual.
    """

    conn_name_attr = "coupa_conn_id"
    default_conn_name = "coupa_default"
    conn_type = "coupa"
    hook_name = "Coupa"

    def __init__(self, coupa_conn_id: str = default_conn_name, *, retry: RetryPolicy | None = None) -> None:
        super().__init__()
        self.coupa_conn_id = coupa_conn_id
        self._retry = retry

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the extra fields of the connection form, for Airflow 2.11 and 3.1."""
        return connection_form.connection_form_widgets()

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return labels and placeholders of the standard fields, for Airflow 2.11 and 3.1."""
        return connection_form.ui_field_behaviour()

    @cached_property
    def config(self) -> CoupaConfig:
        """The checked connection.

        :raises CoupaConfigError: a field is missing or wrong.
        """
        connection = self.get_connection(self.coupa_conn_id)
        _ = connection.extra_dejson  # reading it lets Airflow mask the secrets in it
        return _read_connection(self.coupa_conn_id, connection)

    def get_conn(self) -> BlockingClient:
        """Return the synchronous client behind the hook's methods."""
        return self._client

    @cached_property
    def _client(self) -> BlockingClient:
        from coupa_provider.client.blocking import BlockingClient

        return BlockingClient(self.config, **self._client_options(self.config))

    @asynccontextmanager
    async def aclient(self) -> AsyncIterator[CoupaClient]:
        """Open an asynchronous client, for triggers.

        :raises CoupaConfigError: a field of the connection is missing or wrong.
        """
        from airflow.providers.common.compat.connection import get_async_connection, get_async_extra_dejson
        from asgiref.sync import sync_to_async

        connection = await get_async_connection(self.coupa_conn_id, hook=self)
        await get_async_extra_dejson(connection)
        loop = asyncio.get_running_loop()
        # Masking may wait for Airflow, and certificates are read from disk: not on the event loop.
        async with await sync_to_async(self._client_on)(loop, connection) as client:
            yield client

    def _client_on(self, loop: asyncio.AbstractEventLoop, connection: Any) -> CoupaClient:
        from coupa_provider.client.client import CoupaClient
        from coupa_provider.hooks.on_event_loop import StoreFromThread, from_thread

        config = _read_connection(self.coupa_conn_id, connection)
        options = self._client_options(config)
        options["on_secret"] = from_thread(options["on_secret"], loop)
        if options["refresh_tokens"] is not None:
            options["refresh_tokens"] = StoreFromThread(options["refresh_tokens"], loop)
        return CoupaClient(config, **options)

    def close(self) -> None:
        """Close open connections; the hook may be used again."""
        if "_client" in self.__dict__:
            self._client.close()

    def get(
        self, resource: str, record_id: int | str, *, fields: Sequence[Any] | None = None
    ) -> dict[str, Any]:
        """Read one record.

        :param resource: path under ``/api``: ``"invoices"``.
        :param record_id: id of the record.
        :param fields: attributes to return, nested: ``["id", {"supplier": ["name"]}]``; None for Coupa's default.
        :return: the record as Coupa sent it: dashed keys, decimals as text.
        :raises CoupaNotFoundError: there is none, or this client may not see it.
        """
        return self._client.get(resource, record_id, fields=fields)

    def create(
        self, resource: str, record: Mapping[str, Any], *, fields: Sequence[Any] | None = None
    ) -> dict[str, Any]:
        """Create one record. It is sent once: a lost answer is reported, never answered by a second create.

        :param resource: path under ``/api``.
        :param record: attributes, dashed or underscored.
        :param fields: attributes to return.
        :return: the created record.
        :raises CoupaValidationError: Coupa refused it.
        :raises CoupaOutcomeUnknownError: no answer came; the record may exist.
        """
        return self._client.create(resource, record, fields=fields)

    def update(
        self,
        resource: str,
        record_id: int | str,
        changes: Mapping[str, Any],
        *,
        fields: Sequence[Any] | None = None,
    ) -> dict[str, Any]:
        """Change attributes of one record; those not named keep their values.

        :param resource: path under ``/api``.
        :param record_id: id of the record.
        :param changes: attributes to change.
        :param fields: attributes to return.
        :return: the changed record.
        :raises CoupaValidationError: Coupa refused the change.
        :raises CoupaOutcomeUnknownError: no answer came; the change may have been made.
        """
        return self._client.update(resource, record_id, changes, fields=fields)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
    ) -> Any:
        """Make any other call Coupa offers: ``hook.call("PUT", "invoices/33/submit")``.

        :param method: HTTP verb.
        :param path: path under ``/api``.
        :param body: value to send as JSON.
        :param params: query arguments, not yet encoded.
        :param repeatable: a second execution does no harm, so a lost answer may be asked for again; None means so
            for ``GET`` only.
        :return: the decoded answer, None for an empty one.
        :raises CoupaOutcomeUnknownError: no answer came to what is not repeatable.
        """
        return self._client.call(method, path, body, params=params, repeatable=repeatable)

    def action(
        self,
        resource: str,
        action: str,
        record_id: int | str | None = None,
        arguments: Mapping[str, Any] | None = None,
        *,
        fields: Sequence[Any] | None = None,
    ) -> dict[str, Any]:
        """Carry out a documented action, once: ``hook.action("invoices", "void", 33)``.

        :param resource: path under ``/api``.
        :param action: name of the action.
        :param record_id: id of the record; None for an action that has none in its path.
        :param arguments: values by name; they go into the query or the body, as Coupa wants them.
        :param fields: attributes to return beside ``id``; None for ``status``, where the resource has one.
        :return: ``id`` and the attributes asked for, as far as Coupa shows them.
        :raises CoupaQueryError: the action or an argument is not known, or one is missing.
        :raises PushError: it is not legal in the record's status.
        :raises CoupaValidationError: Coupa refused it.
        :raises CoupaOutcomeUnknownError: no answer came, and a repeat might do it twice.
        """
        from coupa_provider.client.blocking import run_in_background
        from coupa_provider.push.action import perform

        client = self._client.client
        return run_in_background(perform(client, resource, action, record_id, arguments, fields=fields))

    def graphql(
        self, query: str, variables: Mapping[str, Any] | None = None, *, operation_name: str | None = None
    ) -> dict[str, Any]:
        """Run a GraphQL query, which only reads: ``hook.graphql("{ user(id: 1) { login } }")``.

        :param query: GraphQL document.
        :param variables: values of its variables.
        :param operation_name: the operation to run, of several.
        :return: the ``data`` of the answer.
        :raises CoupaQueryError: it does more than read, and was not sent.
        :raises CoupaGraphQLError: the answer names errors, be it with HTTP 200 and beside data.
        """
        return self._client.graphql(query, variables, operation_name=operation_name)

    def download(
        self, path: str, sink: BinaryIO, *, size: int | None = None, content_type: str | None = None
    ) -> Received:
        """Read a file without holding it in memory: ``hook.download("invoices/33/retrieve_image_scan", file)``.

        :param path: path under ``/api``, or a URL on this instance as in ``file-url``.
        :param sink: binary file to write to, seekable; each try empties it.
        :param size: size in bytes that Coupa shows for the file; another one is a broken answer.
        :param content_type: media type that Coupa shows for it, so that JSON, XML or HTML can be a file.
        :return: size, checksum, type and name.
        :raises CoupaNotFoundError: there is no such file.
        :raises CoupaNotAFileError: Coupa answered with data about the file.
        """
        return self._client.download(path, sink, size=size, content_type=content_type)

    def upload(
        self,
        path: str,
        file: BinaryIO,
        *,
        name: str,
        content_type: str | None = None,
        part: str = "attachment[file]",
        fields: Mapping[str, str] | None = None,
        method: str = "POST",
    ) -> Any:
        """Send a file as a multipart form, once, read as it is sent.

        :param path: path under ``/api``: ``"invoices/33/attachments"``.
        :param file: the file, opened for reading and seekable.
        :param name: file name that Coupa shows.
        :param content_type: media type; None to tell it by the name.
        :param part: name of the form's part with the file.
        :param fields: the form's other parts: ``{"attachment[intent]": "Internal"}``.
        :param method: ``POST``, or ``PUT`` for the scan of an invoice.
        :return: the decoded answer, None for an empty one.
        :raises CoupaValidationError: Coupa refused it.
        :raises CoupaOutcomeUnknownError: no whole answer came; Coupa may hold the file.
        """
        return self._client.upload(
            path, file, name=name, content_type=content_type, part=part, fields=fields, method=method
        )

    def walk(
        self,
        resource: str,
        *,
        filters: Mapping[str, Any] | None = None,
        fields: Sequence[Any] | None = None,
        updated_since: datetime | None = None,
        updated_until: datetime | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Yield every matching record once; in rising order of ids within a page only.

        :param resource: path under ``/api``.
        :param filters: Coupa's own query syntax: ``{"status[in]": ["approved", "voided"]}``.
        :param fields: attributes to return, nested; None for Coupa's default. ``id`` is always asked for.
        :param updated_since: first instant of ``updated-at`` inside the window, aware.
        :param updated_until: first instant of ``updated-at`` after the window, aware.
        :raises CoupaQueryError: the query is wrong.
        :raises CoupaIncompleteError: Coupa's answers cannot be trusted to hold every record.
        """
        import msgspec

        with self.pages(
            resource, filters=filters, fields=fields, updated_since=updated_since, updated_until=updated_until
        ) as pages:
            for page in pages:
                for record in page.records:
                    yield msgspec.json.decode(record)

    def pages(
        self,
        resource: str,
        *,
        filters: Mapping[str, Any] | None = None,
        fields: Sequence[Any] | None = None,
        updated_since: datetime | None = None,
        updated_until: datetime | None = None,
        covered: Sequence[tuple[int, int]] = (),
    ) -> BlockingWalk:
        """Begin a walk that yields pages of records as Coupa sent them; parameters as of :meth:`walk`.

        :param covered: ranges of ids, each without its first and with its last, that an earlier walk has read.
        :return: a context manager to iterate over, with ``counters``, ``query``, ``instance`` and ``reports``.
        """
        return self._client.pages(
            resource,
            filters=filters,
            fields=fields,
            updated_since=updated_since,
            updated_until=updated_until,
            covered=covered,
        )

    def test_connection(self) -> tuple[bool, str]:
        """Mint a token and read one record; Airflow's test button calls it.

        :return: whether it works, and what was reached or what to mend, with no secret in it.
        """
        works, message = self._try_out()
        if not works:
            # Airflow 3's list of connections shows a red icon without the message: at least the log has it.
            self.log.warning("Connection %r does not work: %s", self.coupa_conn_id, message)
        return works, message

    def _try_out(self) -> tuple[bool, str]:
        from coupa_provider.client.blocking import BlockingClient, run_in_background
        from coupa_provider.client.connection_check import check_connection
        from coupa_provider.client.errors import CoupaConfigError
        from coupa_provider.client.retry import RetryPolicy

        try:
            # A person waits: two tries. The hook's own client keeps its patience.
            options = self._client_options(self.config)
            options["retry"] = self._retry or RetryPolicy(attempts=2, first_delay=0.5)
            with BlockingClient(self.config, **options) as client:
                return run_in_background(check_connection(client.client))
        except CoupaConfigError as error:
            return False, error.message
        except Exception as error:  # noqa: BLE001 - the button shows every failure as a message
            return False, f"{type(error).__name__}: the connection could not be tried out"

    def _client_options(self, config: CoupaConfig) -> dict[str, Any]:
        from airflow.providers.common.compat.sdk import mask_secret

        from coupa_provider.hooks.refresh_token_variable import RefreshTokenVariable

        for secret in (config.client_secret, config.refresh_token):
            if secret:
                mask_secret(secret)
        store = RefreshTokenVariable(config) if config.grant_type == "refresh_token" else None
        return {"retry": self._retry, "refresh_tokens": store, "on_secret": mask_secret}


def _read_connection(conn_id: str, connection: Any) -> CoupaConfig:
    from coupa_provider.client.config import CoupaConfig

    return CoupaConfig.from_fields(
        conn_id,
        host=connection.host,
        login=connection.login,
        password=connection.password,
        port=connection.port,
        schema=connection.schema,
        extra=connection.extra,
    )
