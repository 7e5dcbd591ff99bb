"""What can be waited for: the parts that differ from one kind to the next."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from coupa_provider.client.client import CoupaClient
from coupa_provider.client.errors import CoupaError
from coupa_provider.watch.patience import Patience
from coupa_provider.watch.verdict import State, Verdict

W = TypeVar("W", bound=Hashable)


class Topic(Protocol[W]):
    """What one look can answer for many. Equal topics of a connection share their looks, so they are hashable."""

    async def read(self, client: CoupaClient, wants: Sequence[W]) -> Mapping[W, Any]:
        """Look once.

        :param client: an entered client.
        :param wants: what those who wait want to know, each once.
        :return: an answer for each.
        :raises CoupaError: Coupa could not be asked, or refused.
        """
        ...


class Wait(Protocol):
    """One thing that is waited for."""

    @property
    def topic(self) -> Topic[Any]:
        """What has to be looked at."""
        ...

    @property
    def want(self) -> Hashable:
        """What to ask the topic for."""
        ...

    def arguments(self) -> dict[str, Any]:
        """What it can be read from again, as JSON values."""
        ...

    async def judge(self, answer: Any) -> Verdict:
        """Say how it stands.

        :param answer: what the topic gave for :attr:`want`.
        """
        ...


class Progress:
    """How a wait goes on from look to look.

    :param wait: what is waited for.
    :param patience: how long failures are borne.
    :param bears_everything: a predicate that raises does not end the wait either.
    """

    def __init__(self, wait: Wait, patience: Patience, *, bears_everything: bool = False) -> None:
        self.wait = wait
        self.patience = patience
        self.bears_everything = bears_everything
        #: Why it waits, or how it ended; None before the first look.
        self.last: Verdict | None = None

    async def step(self, answer: Any) -> Verdict:
        """Go on with what a look brought.

        :param answer: what the topic gave, or the exception that came instead.
        :raises Exception: it is not one of Coupa's: a fault of ours.
        """
        if isinstance(answer, CoupaError):
            verdict = self.patience.failed(answer)
        elif isinstance(answer, Exception):
            raise answer
        else:
            self.patience.answered()
            verdict = await self.wait.judge(answer)
        if verdict.state is State.BROKEN and self.bears_everything:
            verdict = Verdict(State.WAITING, verdict.reason)
        self.last = verdict
        return verdict


async def look_once(client: CoupaClient, progress: Progress) -> Verdict:
    """Look for one that waits alone.

    :param client: an entered client.
    :param progress: its wait.
    """
    wait = progress.wait
    try:
        answer = (await wait.topic.read(client, [wait.want]))[wait.want]
    except CoupaError as error:
        answer = error
    return await progress.step(answer)
