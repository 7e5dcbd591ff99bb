"""Patience while it is not known whether a write was executed."""

from __future__ import annotations

import asyncio

from coupa_provider.client.client import CoupaClient
from coupa_provider.client.errors import CoupaError, CoupaUnavailableError
from coupa_provider.client.retry import Failure


async def pause_in_doubt(client: CoupaClient, attempt: int, doubt: CoupaError) -> None:
    """Wait before looking up what became of a write: a slow Coupa may still be at work on it.

    :param client: its patience counts.
    :param attempt: how often it was sent.
    :param doubt: what happened to the answer.
    :raises CoupaUnavailableError: patience is at its end. A later try, which looks first, may go on.
    """
    delay = client.retry.next_delay(Failure.BROKEN, attempt=attempt, repeatable=True)
    if delay is None:
        raise CoupaUnavailableError(f"Given up after {attempt} tries: {doubt.message}") from doubt
    await asyncio.sleep(delay)
