"""One look for all who wait on the same thing, at the pace of the most impatient."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import time
from collections.abc import Callable, Hashable, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Self

from coupa_provider.client.client import CoupaClient
from coupa_provider.client.errors import CoupaError, CoupaQueryError, CoupaValidationError
from coupa_provider.watch.timetable import Timetable
from coupa_provider.watch.wait import Topic

log = logging.getLogger(__name__)

#: So many are told what a look brought before the event loop turns to others.
_TOLD_AT_ONCE = 25


class Poll:
    """Looks at a topic as long as somebody waits; bound to one event loop.

    :param topic: what to look at.
    :param connect: opens a client. Each look opens its own, so a changed secret is used from the next look on.
    :param on_empty: told when nobody waits any more.
    """

    def __init__(
        self,
        topic: Topic[Any],
        connect: Callable[[], AbstractAsyncContextManager[CoupaClient]],
        on_empty: Callable[[], None] = lambda: None,
    ) -> None:
        self.topic = topic
        self._connect = connect
        self._on_empty = on_empty
        self._timetable: Timetable[Seat] = Timetable()
        self._woken = asyncio.Event()
        self._work: asyncio.Task[None] | None = None

    def seat(self, want: Hashable, interval: float) -> Seat:
        """Return a place for one who waits; enter it to begin.

        :param want: what to ask the topic for.
        :param interval: seconds from the end of one look to the next.
        """
        return Seat(self, want, interval)

    def _join(self, seat: Seat) -> None:
        self._timetable.join(seat, seat.interval, time.monotonic())
        self._woken.set()
        if self._work is None or self._work.done():
            # In a context of its own: what it logs is not of the one who happened to come first.
            self._work = asyncio.get_running_loop().create_task(
                self._run(), name=f"coupa poll {self.topic}", context=contextvars.Context()
            )

    async def _leave(self, seat: Seat) -> None:
        self._timetable.leave(seat)
        if not len(self._timetable) and self._work is not None:
            work, self._work = self._work, None
            self._on_empty()
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _run(self) -> None:
        try:
            while (due := self._timetable.next_at) is not None:
                self._woken.clear()
                delay = due - time.monotonic()
                if delay > 0:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(delay):
                            await self._woken.wait()  # somebody who comes may be due earlier
                    continue
                await self._look(self._timetable.take(time.monotonic()))
                self._timetable.looked(time.monotonic())
        finally:
            if self._work is asyncio.current_task():  # the last who waited did not end it
                for seat in self._timetable:
                    seat.put(RuntimeError("It was broken off"))

    async def _look(self, seats: list[Seat]) -> None:
        wants = list(dict.fromkeys(seat.want for seat in seats))
        answers: Mapping[Hashable, Any]
        try:
            async with self._connect() as client:
                answers = await self._read(client, wants)
                log.debug(
                    "Looked at %s for %d with %d requests", self.topic, len(seats), client.counters.requests
                )
        except Exception as error:  # noqa: BLE001 - those who wait decide what it means
            answers = dict.fromkeys(wants, error)
        for number, seat in enumerate(seats, start=1):
            seat.put(answers.get(seat.want, LookupError(f"There is no answer for {seat.want}")))
            if number % _TOLD_AT_ONCE == 0:
                await asyncio.sleep(0)  # hundreds who all judge and log would hold up the event loop

    async def _read(self, client: CoupaClient, wants: list[Hashable]) -> Mapping[Hashable, Any]:
        """Ask for all; where Coupa refuses that, find out for whom, so that one does not end the wait of all."""
        try:
            return await self.topic.read(client, wants)
        except (CoupaValidationError, CoupaQueryError) as refusal:
            if len(wants) == 1:
                return {wants[0]: refusal}
            middle = len(wants) // 2
            return {**await self._read(client, wants[:middle]), **await self._read(client, wants[middle:])}


class Seat:
    """The place of one who waits; an asynchronous context manager."""

    def __init__(self, poll: Poll, want: Hashable, interval: float) -> None:
        self.want = want
        self.interval = interval
        self._poll = poll
        # Who is slow gets the newest answer only.
        self._news: asyncio.Queue[Any] = asyncio.Queue(1)

    async def __aenter__(self) -> Self:
        self._poll._join(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._poll._leave(self)

    def put(self, answer: Any) -> None:
        """Hand over what a look brought, or the exception that came instead."""
        if self._news.full():
            self._news.get_nowait()
        self._news.put_nowait(answer)

    async def next(self) -> Any:
        """Wait for the next look and return what it brought, or the error of Coupa's that came instead.

        :raises RuntimeError: what came is not one of Coupa's: a fault of ours.
        """
        answer = await self._news.get()
        if isinstance(answer, Exception) and not isinstance(answer, CoupaError):
            # One of the own: an exception that hundreds raise would gather the traces of them all.
            raise RuntimeError(f"Looking at {self._poll.topic} failed") from answer
        return answer
