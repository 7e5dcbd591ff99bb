"""Which ids have been read, as ranges: what a walk has left, and the proof that it left nothing out.

Pure arithmetic, so that it can be tested by the thousand. A range is ``(after, upto]``: the first id is outside,
the last one inside.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

IdRange = tuple[int, int]

LAST_ID = 2**63 - 1
"""End of a range that is open above: no id is greater."""


class IdRanges:
    """A set of ids kept as ranges; those that touch become one, so it stays small however many ids there are.

    :param ranges: ranges to begin with.
    :raises ValueError: two of them overlap.
    """

    def __init__(self, ranges: Iterable[IdRange] = ()) -> None:
        self._ranges: list[IdRange] = []
        for after, upto in ranges:
            self.add(after, upto)

    @property
    def ranges(self) -> list[IdRange]:
        """The ranges, rising, none touching another."""
        return list(self._ranges)

    def add(self, after: int, upto: int) -> None:
        """Take in a range.

        :raises ValueError: the range is empty or some of it is there already.
        """
        if upto <= after:
            raise ValueError(f"({after}, {upto}] holds no id")
        place = bisect_left(self._ranges, (after, upto))
        below = self._ranges[place - 1] if place else None
        above = self._ranges[place] if place < len(self._ranges) else None
        if (below and below[1] > after) or (above and above[0] < upto):
            raise ValueError(f"some of ({after}, {upto}] was read before")
        first, last = place, place
        if below and below[1] == after:
            after, first = below[0], place - 1
        if above and above[0] == upto:
            upto, last = above[1], place + 1
        self._ranges[first:last] = [(after, upto)]

    def gaps(self, after: int, upto: int) -> list[IdRange]:
        """Return the ranges within ``(after, upto]`` that are not there yet, rising."""
        missing: list[IdRange] = []
        for low, high in self._ranges:
            if high <= after:
                continue
            if low >= upto:
                break
            if low > after:
                missing.append((after, low))
            after = high
        if after < upto:
            missing.append((after, upto))
        return missing
