"""The polls of a triggerer: those who wait on the same thing of the same connection share one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from coupa_provider.client.client import CoupaClient
    from coupa_provider.watch.poll import Poll
    from coupa_provider.watch.wait import Topic

_polls: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, Any], Poll]] = WeakKeyDictionary()


def shared_poll(coupa_conn_id: str, topic: Topic[Any]) -> Poll:
    """Return the poll of the running event loop for a topic.

    :param coupa_conn_id: the connection.
    :param topic: what is looked at.
    """
    from coupa_provider.watch.poll import Poll

    polls = _polls.setdefault(asyncio.get_running_loop(), {})
    key = (coupa_conn_id, topic)
    if key not in polls:
        polls[key] = Poll(topic, partial(connect, coupa_conn_id), on_empty=partial(polls.__delitem__, key))
    return polls[key]


@asynccontextmanager
async def connect(coupa_conn_id: str) -> AsyncIterator[CoupaClient]:
    """Open a client that leaves patience to the one who looks again anyway.

    :raises CoupaUnavailableError: Airflow did not give the connection.
    """
    from coupa_provider.client.errors import CoupaError, CoupaUnavailableError
    from coupa_provider.client.retry import RetryPolicy
    from coupa_provider.hooks.coupa import CoupaHook

    opened = CoupaHook(coupa_conn_id, retry=RetryPolicy(attempts=3)).aclient()
    try:
        client = await opened.__aenter__()
    except CoupaError:
        raise
    except Exception as error:
        raise CoupaUnavailableError(
            f"Airflow did not give the connection {coupa_conn_id!r}: {type(error).__name__}: {error}"
        ) from error
    try:
        yield client
    finally:
        await opened.__aexit__(None, None, None)
