"""Which ids each of several workers reads, so that all have about as many records.

Coupa tells neither how many records match nor how they lie. A page after a given id shows how close together
they are there, so some pages read here and there give a picture of the whole. Everything here is pure: the
caller reads the pages.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from coupa_provider.client.spans import density_of

_PROBES_AT_A_TIME = 8
_MOST_PROBES = 32
#: The picture is good enough when no stretch between pages weighs more than this part of a partition, ...
_SHARE_UNSEEN = 0.2
#: ... or more than this, half a page.
_FEW_RECORDS = 25


@dataclass(frozen=True, slots=True)
class Probe:
    """The first page after an id.

    :param after: the id.
    :param ids: ids on the page, rising.
    :param full: whether the page holds as many as a page can, so that more may follow.
    """

    after: int
    ids: Sequence[int]
    full: bool


@dataclass(frozen=True, slots=True)
class Partition:
    """What one worker reads.

    :param number: 0 for the lowest ids, rising by one.
    :param after: id before the first.
    :param upto: last id; None for the last partition, to which records belong that are made meanwhile.
    """

    number: int
    after: int
    upto: int | None


def probe_positions(after: int, top: int, count: int, probes: Sequence[Probe] = ()) -> list[int]:
    """Choose the ids after which to read a page next; to be asked again with all that was found so far.

    The first pages are spread evenly over the ids. The next ones halve the stretches between the pages that
    seem to hold most records, for where the ids of old records are gone, hardly one of the first pages lies
    where it matters; and the widest, for they may hold what no page beside them shows.

    :param after: id before the first.
    :param top: last id there is.
    :param count: partitions wanted.
    :param probes: the pages read so far.
    :return: rising, at most 8 and 32 in all; none when the picture is good enough.
    """
    if not probes:
        # The first stands at the very beginning, the last half a step before the end.
        steps = (
            (top - after) * 2 * index // (2 * _PROBES_AT_A_TIME - 1) for index in range(_PROBES_AT_A_TIME)
        )
        return sorted({after + step for step in steps if step < top - after})
    outline = _outline(probes, after, top)
    everything = outline.records[-1]
    # A third what the pages say, two thirds what the width says: found best on sets of many shapes.
    stretches = [
        (-(expected + 2 * everything * (high - low) / (top - after)) / 3, low, high)
        for expected, low, high in outline.unseen
    ]
    heapq.heapify(stretches)
    enough = max(_FEW_RECORDS, everything / count * _SHARE_UNSEEN)
    positions: list[int] = []
    while stretches and len(positions) < min(_PROBES_AT_A_TIME, _MOST_PROBES - len(probes)):
        weight, low, high = heapq.heappop(stretches)
        if -weight <= enough or high - low < 2:
            break
        middle = (low + high) // 2
        positions.append(middle)
        heapq.heappush(stretches, (weight / 2, low, middle))
        heapq.heappush(stretches, (weight / 2, middle, high))
    return sorted(positions)


def plan_partitions(probes: Sequence[Probe], after: int, top: int, count: int) -> list[Partition]:
    """Cut ``(after, top]`` and all that comes behind it into ranges with about equally many records.

    :param probes: pages read after some of the ids, in any order.
    :param after: id before the first.
    :param top: last id there is.
    :param count: partitions wanted.
    :return: ranges that cover everything once, at least one; fewer than ``count`` where the records are few.
    """
    outline = _outline(probes, after, top)
    everything = outline.records[-1]
    parts = min(count, int(everything))
    cuts = {outline.place_of(everything * part / parts) for part in range(1, parts)}
    edges = [after, *sorted(cut for cut in cuts if after < cut < top)]
    return [
        Partition(number, low, high)
        for number, (low, high) in enumerate(zip(edges, [*edges[1:], None], strict=True))
    ]


def expected_records(probes: Sequence[Probe], after: int, top: int) -> int:
    """Return how many records there seem to be.

    :param probes: pages read after some of the ids, in any order.
    :param after: id before the first.
    :param top: last id there is.
    """
    return round(_outline(probes, after, top).records[-1])


@dataclass(frozen=True, slots=True)
class _Outline:
    """How many records are expected up to which id: exact on the pages, estimated between them.

    :param places: ids, rising.
    :param records: records up to each of them.
    :param unseen: the stretches between the pages: records expected, id before the first, last id.
    """

    places: list[int]
    records: list[float]
    unseen: list[tuple[float, int, int]]

    def add(self, place: int, more: float) -> None:
        """Go on to an id with so many records more; nothing where it lies behind."""
        if place > self.places[-1]:
            self.places.append(place)
            self.records.append(self.records[-1] + more)

    def add_unseen(self, upto: int, left: float, right: float) -> None:
        """Go on over ids whose density goes in a straight line from the one to the other."""
        start, width = self.places[-1], upto - self.places[-1]
        self.unseen.append((width * (left + right) / 2, start, upto))
        self.add(start + width // 2, width * (3 * left + right) / 8)
        self.add(upto, width * (left + 3 * right) / 8)

    def place_of(self, wanted: float) -> int:
        """Return the id up to which so many records are expected."""
        index = bisect_left(self.records, wanted)
        share = (wanted - self.records[index - 1]) / (self.records[index] - self.records[index - 1])
        return self.places[index - 1] + math.ceil(share * (self.places[index] - self.places[index - 1]))


def _outline(probes: Sequence[Probe], after: int, top: int) -> _Outline:
    outline = _Outline([after], [0.0], [])
    density: float | None = None
    for probe in sorted(probes, key=lambda probe: probe.after):
        ids = [id_ for id_ in probe.ids if after < id_ <= top]
        if (position := min(probe.after, top)) > outline.places[-1]:
            here = density_of(ids, probe.after) if ids else 0.0
            outline.add_unseen(position, here if density is None else density, here)
        for id_ in ids:
            outline.add(id_, 1)
        if ids:
            density = density_of(ids)
        if not probe.full:
            outline.add(top, 0)
    if outline.places[-1] < top:
        last = 1.0 if density is None else density
        outline.add_unseen(top, last, last)
    return outline
