"""Which ids have passed, exactly and in little memory."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from itertools import groupby

_LOW_BITS = 16
_LOW_MASK = (1 << _LOW_BITS) - 1
_BITMAP_BYTES = (1 << _LOW_BITS) // 8
_LONGEST_ARRAY = _BITMAP_BYTES // 2
"""Ids in a chunk from which a bitmap is smaller than two bytes an id."""


class SeenIds:
    """A set of ids that takes two bytes an id where ids are sparse and a bit where they are dense.

    A walk may hand on its id ranges in any order, so only the ids themselves can tell a record that came
    twice. Ids are kept in chunks of 65,536, each a sorted array or a bitmap, as Roaring bitmaps do: a
    million invoices take about 130 kB, ten million scattered ones 20 MB.
    """

    def __init__(self) -> None:
        self._chunks: dict[int, array[int] | bytearray] = {}

    def add(self, ids: Sequence[int]) -> int | None:
        """Take the ids of a page.

        :param ids: strictly rising ids.
        :return: the first id that was there already, or None; after an id was returned the set is not to be
            used any more.
        """
        for high, group in groupby(ids, key=lambda number: number >> _LOW_BITS):
            lows = [number & _LOW_MASK for number in group]
            chunk = self._chunks.get(high)
            if chunk is None:
                chunk = self._chunks[high] = array("H")
            low = _add_bits(chunk, lows) if isinstance(chunk, bytearray) else _add_sorted(chunk, lows)
            if low is not None:
                return (high << _LOW_BITS) | low
            if isinstance(chunk, array) and len(chunk) > _LONGEST_ARRAY:
                bitmap = self._chunks[high] = bytearray(_BITMAP_BYTES)
                _add_bits(bitmap, chunk)
        return None


def _add_bits(bitmap: bytearray, lows: Sequence[int] | array[int]) -> int | None:
    for low in lows:
        bit = 1 << (low & 7)
        if bitmap[low >> 3] & bit:
            return low
        bitmap[low >> 3] |= bit
    return None


def _add_sorted(chunk: array[int], lows: list[int]) -> int | None:
    if not chunk or chunk[-1] < lows[0]:  # the usual case: ids go on rising
        chunk.extend(lows)
        return None
    for low in lows:
        place = bisect_left(chunk, low)
        if place < len(chunk) and chunk[place] == low:
            return low
        chunk.insert(place, low)
    return None
