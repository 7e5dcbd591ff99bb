"""Work in threads ends before those who wait for it do, however they are cancelled."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from coupa_provider.client.in_thread import in_thread
from coupa_provider.client.together import together


def test_results_and_errors_come_through(run):
    assert run(in_thread(divmod, 7, 2)) == (3, 1)
    assert run(in_thread(dict, a=1)) == {"a": 1}
    with pytest.raises(ZeroDivisionError):
        run(in_thread(divmod, 7, 0))


@pytest.mark.parametrize("orders", [1, 3])
@pytest.mark.parametrize("fails", [False, True])
def test_who_is_cancelled_waits_for_the_thread(run, orders, fails):
    ended = threading.Event()

    def work() -> None:
        time.sleep(0.3)
        ended.set()
        if fails:
            raise ValueError

    async def scene() -> None:
        waiting = asyncio.create_task(in_thread(work))
        for _ in range(orders):
            await asyncio.sleep(0.05)
            waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert ended.is_set()

    run(scene())


def test_what_works_beside_a_failure_has_ended_before_it_is_told(run):
    """So that what the threads use can be closed then: SQLite crashes the process if a thread still uses it."""
    using = 0

    def use() -> None:
        nonlocal using
        using += 1
        time.sleep(0.2)
        using -= 1

    async def fail() -> None:
        await asyncio.sleep(0.05)
        raise LookupError

    async def scene() -> int:
        with pytest.raises(LookupError):
            await together([in_thread(use), in_thread(use), fail()])
        return using

    assert run(scene()) == 0
