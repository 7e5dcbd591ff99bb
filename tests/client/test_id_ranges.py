"""Ranges against plain sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coupa_provider.client.id_ranges import IdRanges

RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12)).map(lambda pair: (pair[0], sum(pair))))


@given(RANGES, st.integers(0, 70), st.integers(0, 70))
def test_against_sets(ranges, low, high):
    kept, ids = IdRanges(), set()
    for after, upto in ranges:
        new = set(range(after + 1, upto + 1))
        if new & ids:
            with pytest.raises(ValueError, match="read before"):
                kept.add(after, upto)
        else:
            kept.add(after, upto)
            ids |= new
        assert {n for a, b in kept.ranges for n in range(a + 1, b + 1)} == ids
        assert all(one[1] < other[0] for one, other in zip(kept.ranges, kept.ranges[1:], strict=False))
    gaps = {n for a, b in kept.gaps(low, high) for n in range(a + 1, b + 1)}
    assert gaps == set(range(low + 1, high + 1)) - ids
    assert IdRanges(kept.ranges).ranges == kept.ranges


def test_an_empty_range_is_none():
    with pytest.raises(ValueError, match="holds no id"):
        IdRanges([(3, 3)])
