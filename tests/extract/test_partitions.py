"""Partitions cover everything once, whatever the pages said, and are even where the pages can tell."""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coupa_provider.extract.partitions import Probe, plan_partitions, probe_positions

PAGE_SIZE = 50
SPAN = 1_000_000


def page_after(ids, position):
    """Answer as Coupa does: the first ids greater than the position."""
    start = bisect_right(ids, position)
    page = ids[start : start + PAGE_SIZE]
    return Probe(position, page, len(page) == PAGE_SIZE)


def survey(ids, count, after=0):
    """Read pages as long as there is something to learn; return them and in how many rounds."""
    probes, rounds = [], 0
    while positions := probe_positions(after, ids[-1], count, probes):
        assert positions == sorted(set(positions))
        assert all(after <= position < ids[-1] for position in positions)
        assert not {probe.after for probe in probes} & set(positions)
        probes += [page_after(ids, position) for position in positions]
        rounds += 1
    return probes, rounds


def sizes(partitions, ids):
    upper = [len(ids) if part.upto is None else bisect_right(ids, part.upto) for part in partitions]
    return [high - low for low, high in pairwise([bisect_right(ids, partitions[0].after), *upper])]


def assert_covers(partitions, after, top, count):
    assert 1 <= len(partitions) <= count
    assert [part.number for part in partitions] == list(range(len(partitions)))
    assert partitions[0].after == after
    assert partitions[-1].upto is None
    for part, following in pairwise(partitions):
        assert part.upto == following.after
        assert part.after < part.upto < top


def sample(rnd, low, high, number):
    return set(rnd.sample(range(low, high), number))


def dense(rnd):
    return range(1, 20_001)


def random_gaps(rnd):
    return sample(rnd, 1, SPAN, 20_000)


def rising(rnd):
    return {int(SPAN * math.sqrt(rnd.random())) for _ in range(20_000)}


def exponential(rnd):
    return {int(SPAN * (1 + math.log(1 - rnd.random()) / 8)) for _ in range(20_000)}


def waves(rnd):
    return {id_ for id_ in range(200_000) if rnd.random() < 0.2 * (1 + math.sin(id_ / 9_000))}


def old_deleted(rnd):
    return sample(rnd, SPAN * 99 // 100, SPAN, 5_000)


def old_rare(rnd):
    return sample(rnd, 1, SPAN * 9 // 10, 300) | sample(rnd, SPAN - 5_000, SPAN, 4_000)


def recent_rising(rnd):
    return {SPAN + int(10_000 * math.sqrt(rnd.random())) for _ in range(9_000)}


def changed_pace(rnd):
    return sample(rnd, 1, SPAN // 2, 1_000) | sample(rnd, SPAN // 2, SPAN, 20_000)


def holes(rnd):
    starts = [rnd.randrange(SPAN) for _ in range(6)]
    return {
        id_
        for id_ in sample(rnd, 1, SPAN, 30_000)
        if not any(start < id_ < start + 60_000 for start in starts)
    }


def clusters(rnd):
    centres = [rnd.randrange(SPAN) for _ in range(12)]
    return {int(rnd.gauss(rnd.choice(centres), 15_000)) for _ in range(20_000)}


def two_blocks(rnd):
    return [*range(1, 4_000), *range(3_000_000, 3_004_000)]


SHAPES = [
    dense,
    random_gaps,
    rising,
    exponential,
    waves,
    old_deleted,
    old_rare,
    recent_rising,
    changed_pace,
    holes,
    clusters,
    two_blocks,
]


@pytest.mark.parametrize("count", [2, 4, 8, 16])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_partitions_are_even(shape, count):
    for seed in range(3):
        ids = sorted(id_ for id_ in shape(random.Random(seed)) if id_ > 0)
        probes, rounds = survey(ids, count)
        assert len(probes) <= 32
        assert rounds <= 8
        partitions = plan_partitions(probes, 0, ids[-1], count)
        assert_covers(partitions, 0, ids[-1], count)
        assert len(partitions) == count
        assert max(sizes(partitions, ids)) <= 1.6 * len(ids) / count


def test_few_partitions_take_few_pages():
    ids = sorted(random_gaps(random.Random(1)))
    assert len(survey(ids, 2)[0]) < len(survey(ids, 8)[0]) == 32


def test_the_plan_is_the_same_each_time_and_in_any_order():
    ids = sorted(clusters(random.Random(1)))
    probes, _ = survey(ids, 8)
    assert plan_partitions(probes[::-1], 0, ids[-1], 8) == plan_partitions(probes, 0, ids[-1], 8)


def test_ids_before_the_first_are_left_alone():
    ids = list(range(1, 20_001))
    probes, _ = survey(ids, 4, after=10_000)
    partitions = plan_partitions(probes, 10_000, ids[-1], 4)
    assert_covers(partitions, 10_000, 20_000, 4)
    assert sizes(partitions, ids) == pytest.approx([2_500] * 4, rel=0.02)


def test_records_made_meanwhile_belong_to_the_last():
    ids = list(range(1, 1_001))
    probes = [page_after([*ids, 1_001, 1_002], position) for position in probe_positions(0, 1_000, 4)]
    partitions = plan_partitions(probes, 0, 1_000, 4)
    assert_covers(partitions, 0, 1_000, 4)
    assert sizes(partitions, ids) == pytest.approx([250] * 4, rel=0.02)


def test_what_one_page_shows_whole_is_cut_exactly():
    ids = [id_ * id_ for id_ in range(1, 41)]
    probe = page_after(ids, 0)
    assert probe_positions(0, ids[-1], 4, [probe]) == []
    assert sizes(plan_partitions([probe], 0, ids[-1], 4), ids) == [10, 10, 10, 10]


def test_no_more_partitions_than_records():
    ids = [7, 900, 5_000]
    partitions = plan_partitions([page_after(ids, 0)], 0, 5_000, 8)
    assert sizes(partitions, ids) == [1, 1, 1]


@pytest.mark.parametrize(("after", "top"), [(0, 0), (10, 10), (10, 3)])
def test_without_ids_there_is_one_partition_for_what_may_come(after, top):
    assert probe_positions(after, top, 4) == []
    assert probe_positions(after, top, 4, [Probe(after + 1, [], False)]) == []
    (only,) = plan_partitions([], after, top, 4)
    assert (only.number, only.after, only.upto) == (0, after, None)


def test_one_partition_is_everything():
    (only,) = plan_partitions([Probe(0, range(1, 51), True)], 0, 1_000, 1)
    assert (only.after, only.upto) == (0, None)


@given(st.sets(st.integers(1, 3_000), min_size=1), st.integers(1, 12), st.integers(0, 100))
def test_any_ids_are_covered(ids, count, after):
    ids = sorted(ids)
    top = max(ids[-1], after + 1)
    probes: list[Probe] = []
    while positions := probe_positions(after, top, count, probes):
        probes += [page_after(ids, position) for position in positions]
    assert len(probes) <= 32
    partitions = plan_partitions(probes, after, top, count)
    assert_covers(partitions, after, top, count)
    assert sum(sizes(partitions, ids)) == sum(id_ > after for id_ in ids)


anything = st.builds(
    Probe,
    after=st.integers(-50, 10_050),
    ids=st.lists(st.integers(-50, 10_100), max_size=60),
    full=st.booleans(),
)


@given(st.lists(anything, max_size=10), st.integers(0, 5_000), st.integers(1, 10_000), st.integers(1, 20))
def test_whatever_the_pages_say_everything_is_covered(probes, after, top, count):
    """The pages are checked where they are read; here even nonsense must not lose an id."""
    assert_covers(plan_partitions(probes, after, top, count), after, top, count)
    assert all(after <= position < top for position in probe_positions(after, top, count, probes))
