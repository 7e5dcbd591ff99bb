"""Plan an extract by several workers: look at the ids here and there, and cut them into even partitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from coupa_provider.client.id_ranges import IdRange
from coupa_provider.extract.partitions import (
    Partition,
    Probe,
    expected_records,
    plan_partitions,
    probe_positions,
)

#: Ten pages: read in half a second, which is less than a task takes to begin.
_FEWEST_RECORDS = 500


class Sampled(Protocol):
    """What is asked of a walk; see :class:`~coupa_provider.client.blocking.BlockingWalk`."""

    @property
    def id_range(self) -> IdRange:
        """The ids the whole walk is about."""

    def sample(self, positions: Sequence[int]) -> list[list[int]]:
        """Return the ids of the first page after each position."""

    def highest_id(self, known: int) -> int:
        """Return the highest id that matches, or the one given."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Partitions that cover the whole walk once.

    :param partitions: rising; the last is open, for records that are made meanwhile.
    :param records: how many there seem to be.
    """

    partitions: list[Partition]
    records: int


def make_plan(walk: Sampled, count: int) -> Plan:
    """Look at some pages of ids, at most 32 and the highest id, and cut them into partitions.

    :param walk: what is to be read; it is asked for pages here and there, not iterated over.
    :param count: partitions wanted. There are fewer where one would be less work than a task is worth.
    :raises CoupaError: Coupa cannot be asked, or ignores what it is asked for.
    """
    after, _ = walk.id_range
    (first,) = walk.sample([after])
    if not first:
        return Plan(plan_partitions([], after, after, 1), 0)
    top = walk.highest_id(first[-1])
    probes = [Probe(after, first, first[-1] < top)]
    if len(first) + top - first[-1] > _FEWEST_RECORDS:
        positions = [position for position in probe_positions(after, top, count) if position > after]
        while positions:
            pages = walk.sample(positions)
            probes += [
                # Whether more follows is known from the highest id, whatever number of records a page has.
                Probe(position, ids, bool(ids) and ids[-1] < top)
                for position, ids in zip(positions, pages, strict=True)
            ]
            positions = probe_positions(after, top, count, probes)
    records = expected_records(probes, after, top)
    worthwhile = min(count, max(1, records // _FEWEST_RECORDS))
    return Plan(plan_partitions(probes, after, top, worthwhile), records)
