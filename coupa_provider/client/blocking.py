"""A synchronous face of the client, for tasks and scripts: one implementation, two ways to call it.

All blocking clients of a process share one event loop in a thread of its own, and so their connections.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar

from coupa_provider.client.client import CoupaClient
from coupa_provider.client.config import CoupaConfig
from coupa_provider.client.id_ranges import IdRange
from coupa_provider.client.page import Counters, Page
from coupa_provider.client.received import Received
from coupa_provider.client.retry import RetryPolicy
from coupa_provider.client.token import RefreshTokenStore, Token
from coupa_provider.client.walk import Walk

T = TypeVar("T")

#: Longest wait for a cancelled coroutine.
_CLEAN_UP_SECONDS = 5.0

_loop: asyncio.AbstractEventLoop | None = None
_loop_pid = 0
_loop_lock = threading.Lock()


def run_in_background(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the process's background event loop and wait for it.

    An exception that interrupts the wait, such as a task's time-out, cancels the coroutine and lets it clean up.
    """
    ended = threading.Event()

    async def tracked() -> T:
        try:
            return await work
        finally:
            ended.set()

    future = asyncio.run_coroutine_threadsafe(tracked(), _background_loop())
    try:
        return future.result()
    except BaseException:
        # What comes next, closing a walk for instance, must not meet the coroutine half-way.
        if future.cancel():
            ended.wait(_CLEAN_UP_SECONDS)
        raise


def _background_loop() -> asyncio.AbstractEventLoop:
    global _loop, _loop_pid
    with _loop_lock:
        # A fork, as Airflow's executors make, takes the module along but not the thread.
        if _loop is None or _loop_pid != os.getpid():
            _loop, _loop_pid = asyncio.new_event_loop(), os.getpid()
            threading.Thread(target=_loop.run_forever, name="coupa-client", daemon=True).start()
        return _loop


def _renew_lock_after_fork() -> None:
    global _loop_lock
    _loop_lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock_after_fork)


class BlockingClient:
    """Calls :class:`CoupaClient` from synchronous code. Connections open with the first call.

    :param config: the checked connection.
    :param retry: patience with failures.
    :param refresh_tokens: keeps a rotated refresh token.
    :param on_secret: told every secret that arises, before it is used.
    """

    def __init__(
        self,
        config: CoupaConfig,
        *,
        retry: RetryPolicy | None = None,
        refresh_tokens: RefreshTokenStore | None = None,
        on_secret: Callable[[str], None] | None = None,
    ) -> None:
        self.config = config
        self._options: dict[str, Any] = {
            "retry": retry,
            "refresh_tokens": refresh_tokens,
            "on_secret": on_secret,
        }
        self._client: CoupaClient | None = None
        self._client_pid = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. The client may be used again and opens new ones."""
        client, self._client = self._client, None
        if client is not None and self._client_pid == os.getpid():
            run_in_background(client.__aexit__(None, None, None))

    @property
    def client(self) -> CoupaClient:
        """The asynchronous client behind this one; use it on the background loop only."""
        if self._client is None or self._client_pid != os.getpid():
            self._client = run_in_background(CoupaClient(self.config, **self._options).__aenter__())
            self._client_pid = os.getpid()
        return self._client

    def token(self) -> Token:
        """See :meth:`CoupaClient.token`."""
        return run_in_background(self.client.token())

    def get(
        self, resource: str, record_id: int | str, *, fields: Sequence[Any] | None = None
    ) -> dict[str, Any]:
        """See :meth:`CoupaClient.get`."""
        return run_in_background(self.client.get(resource, record_id, fields=fields))

    def create(
        self, resource: str, record: Mapping[str, Any], *, fields: Sequence[Any] | None = None
    ) -> dict[str, Any]:
        """See :meth:`CoupaClient.create`."""
        return run_in_background(self.client.create(resource, record, fields=fields))

    def update(
        self,
        resource: str,
        record_id: int | str,
        changes: Mapping[str, Any],
        *,
        fields: Sequence[Any] | None = None,
    ) -> dict[str, Any]:
        """See :meth:`CoupaClient.update`."""
        return run_in_background(self.client.update(resource, record_id, changes, fields=fields))

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
    ) -> Any:
        """See :meth:`CoupaClient.call`."""
        return run_in_background(self.client.call(method, path, body, params=params, repeatable=repeatable))

    def graphql(
        self, query: str, variables: Mapping[str, Any] | None = None, *, operation_name: str | None = None
    ) -> dict[str, Any]:
        """See :meth:`CoupaClient.graphql`."""
        return run_in_background(self.client.graphql(query, variables, operation_name=operation_name))

    def download(
        self, path: str, sink: BinaryIO, *, size: int | None = None, content_type: str | None = None
    ) -> Received:
        """See :meth:`CoupaClient.download`."""
        return run_in_background(self.client.download(path, sink, size=size, content_type=content_type))

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
        """See :meth:`CoupaClient.upload`."""
        return run_in_background(
            self.client.upload(
                path, file, name=name, content_type=content_type, part=part, fields=fields, method=method
            )
        )

    def pages(
        self,
        resource: str,
        *,
        filters: Mapping[str, Any] | None = None,
        fields: Sequence[Any] | None = None,
        updated_since: datetime | None = None,
        updated_until: datetime | None = None,
        covered: Sequence[IdRange] = (),
    ) -> BlockingWalk:
        """Begin a complete walk; see :class:`.walk.Walk` for the parameters and errors."""
        walk = Walk(
            self.client,
            resource,
            filters=filters,
            fields=fields,
            updated_since=updated_since,
            updated_until=updated_until,
            covered=covered,
        )
        return BlockingWalk(walk)


class BlockingWalk:
    """A walk to iterate over: yields :class:`Page`. Leaving its context stops all requests."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._pages: AsyncIterator[Page] | None = None

    @property
    def counters(self) -> Counters:
        """What the walk has done so far."""
        return self._walk.counters

    @property
    def query(self) -> dict[str, str]:
        """See :attr:`Walk.query`."""
        return self._walk.query

    @property
    def id_range(self) -> IdRange:
        """See :attr:`Walk.id_range`."""
        return self._walk.id_range

    @property
    def instance(self) -> str:
        """Host of the instance."""
        return self._walk.instance

    @property
    def reports(self) -> list[str]:
        """What a person should know about how the walk went."""
        return self._walk.reports

    def sample(self, positions: Sequence[int]) -> list[list[int]]:
        """See :meth:`Walk.sample`."""
        return run_in_background(self._walk.sample(positions))

    def highest_id(self, known: int) -> int:
        """See :meth:`Walk.highest_id`."""
        return run_in_background(self._walk.highest_id(known))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Page]:
        if self._pages is not None:
            raise RuntimeError("A walk can be iterated over once: begin another one.")
        pages = self._pages = self._walk.pages()
        try:
            while (page := run_in_background(_next(pages))) is not None:
                yield page
        finally:
            self.close()

    def close(self) -> None:
        """Stop the walk; safe to call more than once."""
        if self._pages is not None:
            run_in_background(self._pages.aclose())  # type: ignore[attr-defined]


async def _next(pages: AsyncIterator[Page]) -> Page | None:
    return await anext(pages, None)
