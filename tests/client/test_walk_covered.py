"""A walk that goes on after an interrupted one brings what is left, and nothing else."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coupa_provider.client.id_ranges import LAST_ID, IdRanges
from coupa_provider.client.walk import Walk
from tests.client.test_walk import ID_SETS, MadeUpInstance

MANY = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
INSTANCES = st.one_of(
    st.fixed_dictionaries({"descends": st.booleans(), "ceiling": st.sampled_from([5, 10, 25, 40, 50])}),
    # Ceilings so high that a page in no order is never taken for one in order by chance.
    st.fixed_dictionaries({"sorts": st.just(False), "ceiling": st.sampled_from([25, 50])}),
)


def pages_of(walk, most=None):
    async def collect():
        pages = []
        async for page in walk.pages():
            pages.append(page)
            if len(pages) == most:
                break
        return pages

    return asyncio.run(collect())


def assert_adds_up(walk, covered, pages):
    """No range comes twice, and none is missing."""
    ranges = IdRanges(covered)
    for page in pages:
        assert all(page.after < record_id <= page.upto for record_id in page.ids)
        ranges.add(page.after, page.upto)
    assert ranges.gaps(*walk.id_range) == []


def cover(bounds, whole):
    """Make ranges of every other pair of neighbouring bounds."""
    edges = sorted({bound for bound in bounds if whole[0] <= bound <= whole[1]})
    return list(zip(edges[::2], edges[1::2], strict=False))


def is_left(record_id, covered):
    return not any(after < record_id <= upto for after, upto in covered)


@st.composite
def covered_parts(draw):
    """Ids, and ranges whose ends are drawn to lie among them, as those of pages do, or anywhere."""
    ids = draw(ID_SETS)
    bound = st.one_of(
        st.sampled_from(sorted(ids)) if ids else st.just(0),
        st.integers(0, max(ids, default=0) + 100),
        st.sampled_from([0, LAST_ID]),
    )
    return ids, cover(draw(st.sets(bound, max_size=12)), (0, LAST_ID))


@MANY
@given(covered_parts(), INSTANCES)
def test_exactly_what_is_left_comes(parts, instance):
    ids, covered = parts
    walk = Walk(MadeUpInstance(ids, **instance), "invoices", covered=covered)
    pages = pages_of(walk)
    found = [record_id for page in pages for record_id in page.ids]
    assert sorted(found) == sorted(record_id for record_id in ids if is_left(record_id, covered))
    assert_adds_up(walk, covered, pages)


@MANY
@given(covered_parts(), INSTANCES, st.integers(0, 500), st.integers(1, 500))
def test_bounds_of_the_user_hold_beside_what_is_covered(parts, instance, after, width):
    ids, covered = parts
    covered = cover({bound for part in covered for bound in part}, (after, after + width))
    filters = {"id[gt]": after, "id[lt_or_eq]": after + width}
    walk = Walk(MadeUpInstance(ids, **instance), "invoices", filters=filters, covered=covered)
    pages = pages_of(walk)
    found = [record_id for page in pages for record_id in page.ids]
    assert sorted(found) == sorted(
        record_id for record_id in ids if after < record_id <= after + width and is_left(record_id, covered)
    )
    assert_adds_up(walk, covered, pages)


@MANY
@given(ID_SETS, INSTANCES, st.lists(st.integers(1, 12), max_size=8))
def test_walks_that_are_broken_off_again_and_again_add_up(ids, instance, stops):
    """Each walk goes on after the pages that the ones before handed on."""
    coupa = MadeUpInstance(ids, **instance)
    covered = IdRanges()
    found = []
    for most in [*stops, None]:
        walk = Walk(coupa, "invoices", covered=covered.ranges)
        for page in pages_of(walk, most):
            covered.add(page.after, page.upto)
            found += page.ids
    assert sorted(found) == sorted(ids)
    assert covered.ranges == [walk.id_range]


@MANY
@given(ID_SETS, st.booleans(), st.integers(0, 99), st.lists(st.integers(1, 12), min_size=1, max_size=4))
def test_drift_between_walks_loses_nothing_that_was_there_all_along(ids, sorts, seed, stops):
    coupa = MadeUpInstance(ids, sorts=sorts, seed=seed, drift=True)
    covered = IdRanges()
    found = []
    for most in [*stops, None]:
        for page in pages_of(Walk(coupa, "invoices", covered=covered.ranges), most):
            covered.add(page.after, page.upto)
            found += page.ids
    assert len(found) == len(set(found))
    assert coupa.always <= set(found)


def test_nothing_is_asked_for_if_nothing_is_left():
    coupa = MadeUpInstance(range(1, 400))
    walk = Walk(coupa, "invoices", covered=[(0, 100), (100, LAST_ID)])
    assert pages_of(walk) == []
    assert coupa.requests == 0


def test_ranges_that_overlap_are_refused():
    with pytest.raises(ValueError, match="was read before"):
        Walk(MadeUpInstance([]), "invoices", covered=[(0, 100), (99, 200)])


def test_what_is_left_costs_few_requests_beside_its_own():
    """The whole takes about 200 requests, a tenth of it about 20."""
    coupa = MadeUpInstance(range(1, 10_001))
    assert sum(map(len, pages_of(Walk(coupa, "invoices", covered=[(0, 4_500), (5_500, 10_000)])))) == 1_000
    assert coupa.requests <= 35


def test_a_lower_ceiling_is_seen_though_little_is_left_at_first():
    """Three records in the first gap say nothing of the ceiling that cuts the pages of the next one short."""
    coupa = MadeUpInstance(range(1, 1_001), ceiling=25)
    walk = Walk(coupa, "invoices", covered=[(3, 500)])
    assert sum(map(len, pages_of(walk))) == 503
    assert any("no more than 25" in report for report in walk.reports)


def test_an_ignored_sort_is_seen_though_little_is_left_at_first():
    coupa = MadeUpInstance(range(1, 1_001), sorts=False)
    assert sum(map(len, pages_of(Walk(coupa, "invoices", covered=[(1, 500)])))) == 501
