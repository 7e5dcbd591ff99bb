"""Airflow's synchronous calls, made for a client on a triggerer's event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from asgiref.sync import sync_to_async

if TYPE_CHECKING:
    from coupa_provider.client.token import RefreshTokenStore

P = ParamSpec("P")
R = TypeVar("R")


def from_thread(function: Callable[P, R], loop: asyncio.AbstractEventLoop) -> Callable[P, R]:
    """Return a function to call in any thread, which is carried out where Airflow expects it.

    Before Airflow 3.3 a call that asks the supervisor finds its way back to the triggerer's event loop only from a
    thread that asgiref started; from any other it reads somebody else's answer, and the triggerer dies.

    :param function: asks Airflow.
    :param loop: the triggerer's event loop.
    """

    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return asyncio.run_coroutine_threadsafe(sync_to_async(function)(*args, **kwargs), loop).result()

    return call


class StoreFromThread:
    """A store of refresh tokens that may be called in any thread.

    :param store: the store, which asks Airflow.
    :param loop: the triggerer's event loop.
    """

    def __init__(self, store: RefreshTokenStore, loop: asyncio.AbstractEventLoop) -> None:
        self.load = from_thread(store.load, loop)
        self.save = from_thread(store.save, loop)
