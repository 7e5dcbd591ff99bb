"""Work in a thread that nobody leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """Call a function in a thread and wait until it has returned, also when the waiting is cancelled meanwhile.

    A thread cannot be broken off. With ``asyncio.to_thread`` it would go on after those who gave it the work have
    cleaned up, and use what they have closed.

    :param work: what to call.
    """
    thread = asyncio.create_task(asyncio.to_thread(work, *arguments, **named))
    order: asyncio.CancelledError | None = None
    while not thread.done():
        try:
            await asyncio.wait((thread,))
        except asyncio.CancelledError as cancelled:
            order = cancelled
    if order is not None:
        thread.exception()  # nobody wants to know any more
        raise order
    return thread.result()
