"""What the triggers of deferred sensors have in common."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from coupa_provider.triggers.polls import shared_poll
from coupa_provider.triggers.quiet_payload import QuietPayload

if TYPE_CHECKING:
    from coupa_provider.watch.verdict import Verdict
    from coupa_provider.watch.wait import Wait


class CoupaWaitTrigger(BaseTrigger):
    """Waits for a deferred sensor, and looks together with all others that wait on the same thing.

    Its only event is the verdict that ends the wait, as :meth:`.verdict.Verdict.to_event` gives it.

    :param arguments: what is waited for, as JSON values.
    :param poke_interval: seconds from the end of one look to the next.
    :param timeout_at: after this instant, in seconds since 1970, a look that brings no end ends the wait.
    :param max_failures: failures to ask Coupa in a row that end the wait; None for any number.
    :param bears_everything: a predicate that raises does not end the wait.
    :param coupa_conn_id: connection of the type ``coupa``.
    """

    def __init__(
        self,
        arguments: dict[str, Any],
        poke_interval: float,
        timeout_at: float,
        max_failures: int | None = None,
        bears_everything: bool = False,
        coupa_conn_id: str = "coupa_default",
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.arguments = arguments
        self.poke_interval = poke_interval
        self.timeout_at = timeout_at
        self.max_failures = max_failures
        self.bears_everything = bears_everything
        self.coupa_conn_id = coupa_conn_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what this trigger is made again from, in this or another triggerer."""
        kind = type(self)
        return f"{kind.__module__}.{kind.__qualname__}", {
            "arguments": self.arguments,
            "poke_interval": self.poke_interval,
            "timeout_at": self.timeout_at,
            "max_failures": self.max_failures,
            "bears_everything": self.bears_everything,
            "coupa_conn_id": self.coupa_conn_id,
        }

    @abstractmethod
    def read_wait(self) -> Wait:
        """Return what is waited for; called in a thread, so it may import."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield the verdict."""
        wait = await asyncio.to_thread(self.read_wait)
        verdict = await self._verdict(wait)
        yield TriggerEvent(QuietPayload(verdict.to_event()))  # type: ignore[no-untyped-call]

    async def _verdict(self, wait: Wait) -> Verdict:
        from coupa_provider.watch.patience import Patience
        from coupa_provider.watch.wait import Progress

        progress = Progress(wait, Patience(self.max_failures), bears_everything=self.bears_everything)
        told = None
        async with shared_poll(self.coupa_conn_id, wait.topic).seat(wait.want, self.poke_interval) as seat:
            while True:
                verdict = await progress.step(await seat.next())
                if not verdict.final and time.time() > self.timeout_at:
                    verdict = verdict.timed_out()
                if verdict.reason != told:
                    told = verdict.reason
                    # Airflow's supervisor reads the lines when it has time; a full pipe would hold up the event loop.
                    await asyncio.to_thread(self.log.info, "%s.", told)
                if verdict.final:
                    return verdict
