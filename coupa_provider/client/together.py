"""Run coroutines side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

from coupa_provider.client.in_thread import in_thread

T = TypeVar("T")


async def together(works: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run coroutines side by side; the first failure stops the others and is raised as it is."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def for_each(items: Collection[T], work: Callable[[T], Awaitable[None]], workers: int) -> None:
    """Do some work for each item, for a few at a time; the first failure stops all.

    :param items: the items.
    :param work: what to do for one.
    :param workers: for how many at a time.
    """
    queue = iter(items)

    async def run() -> None:
        for item in queue:
            await work(item)

    await together([run() for _ in range(min(workers, len(items)))])


async def for_each_read(items: Iterator[T], work: Callable[[T], Awaitable[None]], workers: int) -> None:
    """Do the same for items that a thread reads, one after the other, as there is room for them.

    :param items: the items; taking one may block.
    :param work: what to do for one.
    :param workers: for how many at a time.
    """
    reading = asyncio.Lock()
    end: Any = object()

    async def run() -> None:
        while True:
            async with reading:
                item = await in_thread(next, items, end)
            if item is end:
                return
            await work(item)

    await together([run() for _ in range(workers)])
