"""The arithmetic of a walk by id: which ranges to read, when to split one, how many at a time.

Everything here is pure, so that it can be tested by the thousand.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

#: A range is split only while it is expected to hold this many pages: each range ends with a short page.
_SPLIT_PAGES = 4.0
_FEWEST_WORKERS = 2
_MOST_WORKERS = 64


@dataclass(slots=True)
class Span:
    """A range of ids that is still to be read.

    :param after: ids up to and including this one are done.
    :param upto: last id of the range.
    :param density: records per id, as last seen nearby.
    """

    after: int
    upto: int
    density: float

    @property
    def expected(self) -> float:
        """Records expected in it."""
        return max(0, self.upto - self.after) * self.density


def density_of(ids: Sequence[int], after: int | None = None) -> float:
    """Return records per id of a page.

    :param ids: the page's ids, rising, at least one.
    :param after: the id after which the page began; None takes the page's first id.
    """
    start = ids[0] - 1 if after is None else after
    return len(ids) / max(1, ids[-1] - start)


def plan_spans(after: int, upto: int, density: float, *, workers: int, page_size: int) -> list[Span]:
    """Cut ``(after, upto]`` into ranges of equal width.

    :param after: id before the first.
    :param upto: last id.
    :param density: records per id to expect.
    :param workers: most ranges that can be read at a time.
    :param page_size: records a page holds.
    :return: ranges that cover everything once; fewer than ``workers`` where little is to be read.
    """
    if upto <= after:
        return []
    pages = (upto - after) * density / page_size
    count = max(1, min(workers, int(pages / 2), upto - after))
    edges = [after + (upto - after) * index // count for index in range(count + 1)]
    return [Span(low, high, density) for low, high in itertools.pairwise(edges)]


def split_widest(spans: Sequence[Span], page_size: int) -> Span | None:
    """Take the upper half off the range with most left to read.

    The range keeps its lower half; a page that is on its way for it may reach into the upper half, and the
    reader cuts that off when it comes.

    :param spans: ranges being read.
    :param page_size: records a page holds.
    :return: the new range, or None where splitting would cost more than it gains.
    """
    widest = max(spans, key=lambda span: span.expected, default=None)
    if widest is None or widest.expected < _SPLIT_PAGES * page_size:
        return None
    # The page on its way takes the beginning: halve what comes after it.
    in_flight = math.ceil(page_size / widest.density)
    middle = widest.after + in_flight + (widest.upto - widest.after - in_flight) // 2
    if not widest.after < middle < widest.upto:
        return None
    upper = Span(middle, widest.upto, widest.density)
    widest.upto = middle
    return upper


def workers_for(requests_per_second: float, latency_seconds: float) -> int:
    """Return how many requests must be under way to keep a pace (Little's law), with some to spare.

    :param requests_per_second: the pace.
    :param latency_seconds: time one request takes.
    """
    wanted = math.ceil(requests_per_second * latency_seconds * 1.4) + 1
    return max(_FEWEST_WORKERS, min(_MOST_WORKERS, wanted))


def needs_confirmation(records: int, page_size: int) -> bool:
    """Tell whether a short first page may be the server's own, lower ceiling instead of the end.

    A ceiling is a round number: only then one more request is worth it.

    :param records: records on the page.
    :param page_size: records asked for.
    """
    return 0 < records < page_size and records % 5 == 0
