"""A company at work in the emulated Coupa, by the emulator's clock."""

from __future__ import annotations

import heapq
import itertools
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from coupa_provider.emulator import Emulator

RESOURCE, LINES = "invoices", "invoice-lines"
DAY = timedelta(days=1)
#: Changes a day that the emulator makes by itself, evenly spread.
_BY_THE_DAY = {"updates_per_s": 8, "inserts_per_s": 3, "deletes_per_s": 3, "exports_per_s": 1}
#: Changes a second while somebody reads.
_AT_NIGHT = {"updates_per_s": 0.5, "inserts_per_s": 0.2, "deletes_per_s": 0.2, "exports_per_s": 0.1}


class Company:
    """People and jobs that change invoices and their lines.

    A change is stamped when it is made and shows when its transaction ends, up to ``lag`` later. No stamp ever goes
    back on one record, and no id is used twice.

    :param coupa: the emulator; its clock is set.
    :param chance: where chance comes from.
    :param lag: longest time between a stamp and its showing.
    """

    def __init__(self, coupa: Emulator, chance: random.Random, lag: timedelta) -> None:
        self.coupa = coupa
        self.lag = lag
        self.changes = 0
        self._chance = chance
        self._order = itertools.count()
        #: When each change shows, which stamp it has, how many records it concerns.
        self._pending: list[tuple[datetime, int, datetime, int]] = []
        ids = coupa.ids(RESOURCE)
        self._unused_ids = sorted(set(range(1, ids[-1])) - set(ids))
        chance.shuffle(self._unused_ids)
        self._seed = 0
        self._closed = False
        self._drift(_BY_THE_DAY, 1 / DAY.total_seconds())

    def plan_day(self, end: datetime, bound: datetime) -> None:
        """Plan the changes of a day, most of them near to what a window could miss.

        :param end: when the day ends and the extract begins.
        :param bound: where the extract's window will end.
        """
        now = self.coupa.now()
        day = (end - now).total_seconds()
        for _ in range(4):
            at = now + timedelta(seconds=self._chance.uniform(0, day))
            self._plan(at, at, self._chance.choice((1, 1, 3)))
            self._plan(at, at + self._chance.random() * self.lag)
        for seconds in (-1, 0, 1):
            at = bound + timedelta(seconds=seconds)
            self._plan(at, at, 2)
            # Inside the window or at its end, and shown after it was read.
            self._plan(at, end + timedelta(seconds=1))
            # Before the window's end by as much as can be.
            self._plan(end - self.lag + timedelta(seconds=1), end + timedelta(seconds=1))
        if self._chance.random() < 1 / 10:
            at = now + timedelta(seconds=self._chance.uniform(0, day))
            self._plan(at, at, 80)  # a job stamps all it touches with one second

    def work_until(self, instant: datetime) -> None:
        """Let time go by, with what happens meanwhile.

        :param instant: what the clock shows afterwards, unless it is later already.
        """
        while self._pending and self._pending[0][0] <= instant:
            shown, _, stamp, records = heapq.heappop(self._pending)
            self._advance_to(shown)
            for _ in range(records):
                self._change(stamp)
        self._advance_to(instant)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Change on while somebody reads: a simulated second in a few real milliseconds."""
        if self._closed:
            yield
            return
        stop = threading.Event()

        def work() -> None:
            while not stop.wait(0.02):
                self.coupa.advance(1)
                self._change(self.coupa.now().replace(microsecond=0))

        self._drift(_AT_NIGHT, 1)
        worker = threading.Thread(target=work)
        worker.start()
        try:
            yield
        finally:
            stop.set()
            worker.join()
            self._drift(_BY_THE_DAY, 1 / DAY.total_seconds())

    def close(self) -> None:
        """Go home: what is under way shows, and nothing changes any more."""
        self._closed = True
        self.coupa.configure(drift=None)
        self.work_until(self.coupa.now() + DAY)

    def _plan(self, stamp: datetime, shown: datetime, records: int = 1) -> None:
        stamp = stamp.replace(microsecond=0)
        heapq.heappush(self._pending, (max(shown, stamp), next(self._order), stamp, records))

    def _advance_to(self, instant: datetime) -> None:
        seconds = (instant - self.coupa.now()).total_seconds()
        if seconds > 0:
            self.coupa.advance(seconds)

    def _drift(self, rates: dict[str, float], per_second: float) -> None:
        self._seed += 1
        scaled = {name: rate * per_second for name, rate in rates.items()}
        self.coupa.configure(drift={"resource": RESOURCE, "seed": self._seed, **scaled})

    def _change(self, stamp: datetime) -> None:
        record = self._some_record(stamp)
        if record is None:
            return
        if self._unused_ids and self._chance.random() < 0.05:
            # A new one, whose transaction began before those of higher ids ended.
            record["id"] = self._unused_ids.pop()
            record["created-at"] = stamp.isoformat()
        if stamp == self.coupa.now().replace(microsecond=0):
            del record["updated-at"]  # the emulator stamps it
        else:
            record["updated-at"] = stamp.isoformat()
        self._edit(record)
        self.coupa.load({RESOURCE: [record]})
        self.changes += 1

    def _some_record(self, stamp: datetime) -> dict[str, Any] | None:
        """Return one that was not changed after the stamp."""
        ids = self.coupa.ids(RESOURCE)
        for number in self._chance.sample(ids, min(20, len(ids))):
            record = self.coupa.record(RESOURCE, number)
            if record is not None and datetime.fromisoformat(record["updated-at"]) <= stamp:
                return record
        return None

    def _edit(self, record: dict[str, Any]) -> None:
        number = self._chance.randrange(1_000_000)
        record["internal-note"] = f"changed {number}"
        record["gross-total"] = f"{number / 100:.2f}"
        lines: list[dict[str, Any]] = record[LINES]
        kind = self._chance.randrange(6)
        if kind == 0 and lines:
            lines.pop(self._chance.randrange(len(lines)))
        elif kind == 1 and lines:
            lines.append({**self._chance.choice(lines), "id": 10_000_000 + number})
        elif kind == 2:
            self._chance.shuffle(lines)
        elif kind == 3 and lines:
            self._chance.choice(lines)["description"] = f"line changed {number}"
        elif kind == 4 and self._chance.random() < 0.1:
            lines.clear()
