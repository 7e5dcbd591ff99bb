"""When to look for whom. Pure decisions about times; looks that can be made together are made together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K")

#: The first look waits so long for others who come at the same time, as after a triggerer's start: seconds.
GATHER_SECONDS = 2.0
#: Who is due within this share of the own interval comes along.
_EARLY = 0.25


@dataclass(slots=True)
class _Entry:
    interval: float
    due: float


class Timetable(Generic[K]):
    """Who is due when.

    Who comes later is looked for with the others at their next time, so that a crowd that comes one by one does not
    mean a look for each; nobody waits for longer than the own interval.
    """

    def __init__(self) -> None:
        self._entries: dict[K, _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[K]:
        return iter(list(self._entries))

    def join(self, key: K, interval: float, now: float) -> None:
        """Take somebody in.

        :param key: who.
        :param interval: seconds from one look to the next.
        :param now: seconds of a clock that does not jump.
        """
        others = self.next_at
        first = now + min(GATHER_SECONDS, interval) if others is None else max(others, now)
        self._entries[key] = _Entry(interval, min(first, now + interval))

    def leave(self, key: K) -> None:
        """Strike somebody out."""
        self._entries.pop(key, None)

    @property
    def next_at(self) -> float | None:
        """When somebody is due; None where nobody is there."""
        return min((entry.due for entry in self._entries.values()), default=None)

    def take(self, now: float) -> list[K]:
        """Return who is to be looked for now, and note their next times.

        :param now: as for :meth:`join`.
        """
        if not any(entry.due <= now for entry in self._entries.values()):
            return []
        taken = [key for key, entry in self._entries.items() if entry.due <= now + _EARLY * entry.interval]
        for key in taken:
            self._entries[key].due = now + self._entries[key].interval
        return taken
