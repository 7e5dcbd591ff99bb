"""Watch a resource for good: look, hand on, remember how far, and bear what goes wrong."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from coupa_provider.client.client import CoupaClient
from coupa_provider.client.errors import CoupaError
from coupa_provider.watch.backoff import pause_after
from coupa_provider.watch.changes import News, read_since
from coupa_provider.watch.stream import Stream

log = logging.getLogger(__name__)

#: Records handed on in one piece.
MOST_TOGETHER = 500
#: Whoever takes the news has sent them to the place where they are kept after so many seconds.
_SENT_SECONDS = 5.0
#: Failures for so long are an error; before, a warning.
_LONG_SECONDS = 900.0


class KeptWatermark(Protocol):
    """A place that outlives the process, reached the same way as the place where news are kept, one after the other."""

    async def read(self) -> datetime | None:
        """Return the watermark, None where there is none yet. It is answered after all that was sent before."""
        ...

    async def write(self, watermark: datetime) -> None:
        """Keep a watermark."""
        ...


class Watcher:
    """Watches one stream; bound to one event loop.

    The watermark is kept when the news up to it are safe, which the place that keeps news does not tell. So it is kept
    one look later: after the news were taken, a question to that place was answered, and some seconds went by.

    :param stream: what is watched.
    :param connect: opens a client. Each look opens its own, so a changed secret is used from the next look on.
    :param kept: where the watermark is kept.
    :param interval: seconds from the end of a look to the next.
    :param overlap: how late a change may become visible.
    """

    def __init__(
        self,
        stream: Stream,
        connect: Callable[[], AbstractAsyncContextManager[CoupaClient]],
        kept: KeptWatermark,
        *,
        interval: float,
        overlap: timedelta,
    ) -> None:
        self.stream = stream
        self._connect = connect
        self._kept = kept
        self._interval = interval
        self._overlap = overlap
        self._news: News | None = None
        self._written: datetime | None = None
        self._unwritten: tuple[float, datetime] | None = None
        self._failures = 0
        self._failing_since = 0.0
        self._pause = 0.0
        self._reported: set[str] = set()

    async def next(self) -> list[dict[str, Any]]:
        """Wait for news; what the last call gave has been taken by then.

        :return: JSON values: ``resource``, ``instance``, ``records``, ``count``, ``since`` and ``until`` of each piece.
        """
        while True:
            await self._keep()
            await asyncio.sleep(self._pause)
            try:
                pieces = await self._look()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next look may go well
                self._failed(error)
                continue
            if self._failures:
                log.info("%s: watched again after %d failures", self.stream.resource, self._failures)
            self._failures = 0
            self._pause = pause_after(0, self._interval)
            if pieces:
                return pieces

    async def _look(self) -> list[dict[str, Any]]:
        asked_at = datetime.now(UTC)
        if self._news is None:
            self._news = News(await self._begin(asked_at), self._overlap)
        since = self._news.since
        async with self._connect() as client:
            shown, reports = await read_since(client, self.stream, since)
            instance = client.config.instance
        for report in reports:
            if report not in self._reported:
                self._reported.add(report)
                log.warning("%s: %s", self.stream.resource, report)
        news = self._news.sort_out(shown, asked_at)
        return [
            {
                "resource": self.stream.resource,
                "instance": instance,
                "records": (records := news[start : start + MOST_TOGETHER]),
                "count": len(records),
                "since": since.isoformat(),
                "until": self._news.watermark.isoformat(),
            }
            for start in range(0, len(news), MOST_TOGETHER)
        ]

    async def _begin(self, now: datetime) -> datetime:
        watermark = await self._kept.read()
        if watermark is None:
            log.info("%s: changes are told from %s on", self.stream.resource, now.isoformat())
            await self._kept.write(now)
            watermark = now
        self._written = watermark
        return watermark

    async def _keep(self) -> None:
        if self._news is None:
            return
        try:
            if self._unwritten is not None and time.monotonic() >= self._unwritten[0]:
                await self._kept.write(self._unwritten[1])
                self._written, self._unwritten = self._unwritten[1], None
            if self._unwritten is None and self._news.watermark != self._written:
                await self._kept.read()
                self._unwritten = (time.monotonic() + _SENT_SECONDS, self._news.watermark)
        except Exception as error:  # noqa: BLE001 - the older watermark only brings more again
            log.warning(
                "%s: how far it was watched could not be kept (%s: %s). It stays at %s until that works again",
                self.stream.resource,
                type(error).__name__,
                error,
                self._written,
            )

    def _failed(self, error: Exception) -> None:
        now = time.monotonic()
        if not self._failures:
            self._failing_since = now
        self._failures += 1
        self._pause = pause_after(self._failures, self._interval, getattr(error, "retry_after", None))
        log.log(
            logging.ERROR if now - self._failing_since >= _LONG_SECONDS else logging.WARNING,
            "%s could not be watched (failure %d in a row, for %.0f s): %s: %s. The next look is in %.0f s and asks for all "
            "that changed since the last good one",
            self.stream.resource,
            self._failures,
            now - self._failing_since,
            type(error).__name__,
            error,
            self._pause,
            exc_info=None if isinstance(error, CoupaError) else error,
        )
