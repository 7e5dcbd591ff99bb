"""Patience while it is not known whether a write was executed."""

from __future__ import annotations

import asyncio

from coupa_provider.client.client import CoupaClient
from coupa_provider.client.errors import CoupaError, CoupaUnavailableError
from coupa_provider.client.retry import Failure

#: A gateway gives up before the application does: longest wait before a look-up can be believed, in seconds.
_AFTER_TIMEOUT = 30.0


def reason_of(doubt: CoupaError) -> str:
    """Return what happened to a lost answer, without the answer."""
    cause = doubt.__cause__
    return cause.message if isinstance(cause, CoupaError) else doubt.message


def is_timed_out(doubt: Exception | None) -> bool:
    """Tell whether no answer came in time, so that Coupa may still be at work."""
    cause = doubt if isinstance(doubt, CoupaUnavailableError) else doubt and doubt.__cause__
    return isinstance(cause, CoupaUnavailableError) and cause.timed_out


def delay_in_doubt(client: CoupaClient, attempt: int, doubt: Exception | None) -> float | None:
    """Return how long to wait before looking up what became of a write; None when patience is at its end.

    :param client: its patience counts.
    :param attempt: how often it was sent.
    :param doubt: what happened to the answer.
    """
    delay = client.retry.next_delay(Failure.BROKEN, attempt=attempt, repeatable=True)
    if delay is None or not is_timed_out(doubt):
        return delay
    return max(delay, min(_AFTER_TIMEOUT, client.config.timeout_seconds / 2))


async def wait_in_doubt(client: CoupaClient, attempt: int, doubt: Exception | None) -> bool:
    """Wait, also the last time, before looking up what became of a write: a slow Coupa may still be at work on it.

    :param client: its patience counts.
    :param attempt: how often it was sent.
    :param doubt: what happened to the answer.
    :return: whether it may be sent once more, should it not be there.
    """
    last = client.retry.attempts - 1
    await asyncio.sleep(delay_in_doubt(client, min(attempt, last), doubt) or 0.0)
    return attempt <= last


async def pause_in_doubt(client: CoupaClient, attempt: int, doubt: CoupaError) -> None:
    """Wait likewise, where a later try looks first.

    :param client: its patience counts.
    :param attempt: how often it was sent.
    :param doubt: what happened to the answer.
    :raises CoupaUnavailableError: patience is at its end. A later try, which looks first, may go on.
    """
    delay = delay_in_doubt(client, attempt, doubt)
    if delay is None:
        raise CoupaUnavailableError(f"Given up after {attempt} tries: {doubt.message}") from doubt
    await asyncio.sleep(delay)
