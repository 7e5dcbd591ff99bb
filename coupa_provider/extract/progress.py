"""How far an extract is, told while it runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from coupa_provider.client.page import Counters


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an extract is.

    :param records: records taken in so far.
    :param records_per_second: pace since the last report.
    :param requests: HTTP requests sent so far.
    :param throttled: answers with status 429 so far.
    :param seconds: time since the extract began.
    """

    records: int
    records_per_second: float
    requests: int
    throttled: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.records:,} records, {self.records_per_second:,.0f}/s, "
            f"{self.requests:,} requests, {self.throttled:,} throttled, {self.seconds:,.0f} s"
        )


class Reporter:
    """Reports progress at intervals from a thread of its own, so that a wait is reported as well.

    :param counters: what the walk counts.
    :param on_progress: takes each report, in the reporting thread; None for no reports.
    :param interval: seconds between reports.
    """

    def __init__(
        self, counters: Counters, on_progress: Callable[[Progress], None] | None, interval: float
    ) -> None:
        self.records = 0
        self._counters = counters
        self._on_progress = on_progress
        self._interval = interval
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="coupa-extract-progress", daemon=True)

    def __enter__(self) -> Self:
        if self._on_progress is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        if self._on_progress is not None:
            self._thread.join()

    def _run(self) -> None:
        assert self._on_progress is not None  # noqa: S101
        started = last = time.monotonic()
        last_records = 0
        while not self._done.wait(self._interval):
            now, records = time.monotonic(), self.records
            self._on_progress(
                Progress(
                    records=records,
                    records_per_second=(records - last_records) / (now - last),
                    requests=self._counters.requests,
                    throttled=self._counters.throttled,
                    seconds=now - started,
                )
            )
            last, last_records = now, records
