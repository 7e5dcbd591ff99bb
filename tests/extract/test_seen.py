"""An id that comes twice is found, wherever it comes."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

from coupa_provider.extract.seen import SeenIds

pages_of_ids = st.lists(
    st.sets(st.integers(0, 200_000) | st.integers(0, 2**62), min_size=1, max_size=30).map(sorted), max_size=20
)


@given(pages_of_ids)
def test_it_is_a_set(pages: list[list[int]]) -> None:
    seen = SeenIds()
    known: set[int] = set()
    for ids in pages:
        twice = sorted(known.intersection(ids))
        found = seen.add(ids)
        assert found == (twice[0] if twice else None)
        if twice:
            return
        known.update(ids)


def test_dense_ids_in_any_order_of_pages() -> None:
    seen = SeenIds()
    pages = [list(range(first, first + 50)) for first in range(0, 200_000, 50)]
    for ids in pages[1::2] + pages[::2]:
        assert seen.add(ids) is None
    for ids in (pages[0], pages[-1], [131_071]):
        assert seen.add(ids) == ids[0]


def test_it_stays_small() -> None:
    seen = SeenIds()
    for first in range(0, 1_000_000, 50):
        seen.add(range(first, first + 50))
    size = sum(sys.getsizeof(chunk) for chunk in seen._chunks.values())
    assert size < 200_000
