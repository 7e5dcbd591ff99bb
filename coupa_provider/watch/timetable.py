"""When to look for whom. Pure decisions about times; looks that can be made together are made together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K")

#: The first look waits until nobody else has come for so long, since a triggerer that starts is given its triggers by
#: and by: seconds, no more than a share of the shortest interval, and in all no longer than another share of it.
GATHER_SECONDS = 5.0
_QUIET, _GATHERING = 0.25, 0.5
#: Airflow allows an interval of 0, which would leave no pause: seconds.
_SHORTEST = 0.1
#: Who is due within this share of the own interval comes along.
_EARLY = 0.25


@dataclass(slots=True)
class _Entry:
    interval: float
    due: float


class Timetable(Generic[K]):
    """Who is due when.

    Who comes later is looked for with the others at their next time, so that a crowd that comes one by one does not
    mean a look for each; nobody waits for longer than the own interval. It is counted from the end of a look, so that
    no stretch of that length holds the requests of two.
    """

    def __init__(self) -> None:
        self._entries: dict[K, _Entry] = {}
        self._looking = False
        #: Since when people come for the first look; None after it.
        self._gathering_since: float | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[K]:
        return iter(list(self._entries))

    def join(self, key: K, interval: float, now: float) -> None:
        """Take somebody in.

        :param key: who.
        :param interval: seconds from the end of one look to the next.
        :param now: seconds of a clock that does not jump.
        """
        others = self.next_at
        if others is None:
            self._gathering_since = now
        entry = self._entries[key] = _Entry(max(interval, _SHORTEST), math.inf)
        if self._gathering_since is not None:
            shortest = min(one.interval for one in self._entries.values())
            latest = max(self._gathering_since + _GATHERING * shortest, now)
            for one in self._entries.values():
                one.due = min(now + min(GATHER_SECONDS, _QUIET * shortest), latest)
        elif others is not None and not self._looking:
            entry.due = min(max(others, now), now + interval)

    def leave(self, key: K) -> None:
        """Strike somebody out."""
        self._entries.pop(key, None)
        if not self._entries:
            self._looking, self._gathering_since = False, None

    @property
    def next_at(self) -> float | None:
        """When somebody is due; None where nobody is there."""
        return min((entry.due for entry in self._entries.values()), default=None)

    def take(self, now: float) -> list[K]:
        """Return who is to be looked for now; :meth:`looked` is called afterwards.

        :param now: as for :meth:`join`.
        """
        if not any(entry.due <= now for entry in self._entries.values()):
            return []
        taken = [key for key, entry in self._entries.items() if entry.due <= now + _EARLY * entry.interval]
        for key in taken:
            self._entries[key].due = math.inf
        self._looking, self._gathering_since = True, None
        return taken

    def looked(self, now: float) -> None:
        """Note that the look is over: for those it was for, and those who came meanwhile, the next is due by then.

        :param now: as for :meth:`join`.
        """
        self._looking = False
        for entry in self._entries.values():
            if entry.due == math.inf:
                entry.due = now + entry.interval
