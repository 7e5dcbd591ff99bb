"""A plan from a few pages of ids: even, cheap, and for small resources none at all."""

from __future__ import annotations

import random
from bisect import bisect_right
from itertools import pairwise

import pytest

from coupa_provider.client.id_ranges import LAST_ID
from coupa_provider.extract.plan import make_plan


class MadeUpWalk:
    """Answers from a list of ids, and counts what it is asked."""

    def __init__(self, ids, *, after=0, page_size=50):
        self.ids, self.page_size = sorted(ids), page_size
        self.id_range = (after, LAST_ID)
        self.requests = 0

    def sample(self, positions):
        self.requests += len(positions)
        starts = [bisect_right(self.ids, position) for position in positions]
        return [self.ids[start : start + self.page_size] for start in starts]

    def highest_id(self, known):
        self.requests += 1
        return max(known, self.ids[-1])


def sizes(plan, walk):
    edges = [part.after for part in plan.partitions]
    places = [bisect_right(walk.ids, edge) for edge in edges]
    return [high - low for low, high in pairwise([*places, len(walk.ids)])]


@pytest.mark.parametrize("page_size", [50, 20])
@pytest.mark.parametrize("count", [2, 4, 8, 16])
def test_partitions_are_even_and_cost_few_requests(count, page_size):
    walk = MadeUpWalk(random.Random(1).sample(range(1, 10_000_000), 100_000), page_size=page_size)
    plan = make_plan(walk, count)
    assert walk.requests <= 35
    assert len(plan.partitions) == count
    assert max(sizes(plan, walk)) < 1.3 * 100_000 / count
    assert plan.records == pytest.approx(100_000, rel=0.3)
    assert plan.partitions[-1].upto is None


@pytest.mark.parametrize("ids", [[], [7], range(1, 51), range(1, 501), range(9_000, 9_400)])
def test_a_small_resource_takes_one_partition_and_two_requests(ids):
    walk = MadeUpWalk(ids)
    plan = make_plan(walk, 8)
    (only,) = plan.partitions
    assert (only.number, only.after, only.upto) == (0, 0, None)
    assert walk.requests <= 2
    assert plan.records == pytest.approx(len(ids), abs=450)


def test_few_records_far_apart_take_fewer_partitions():
    walk = MadeUpWalk(random.Random(1).sample(range(1, 1_000_000), 1_800))
    assert 2 <= len(make_plan(walk, 16).partitions) <= 5
    (_,) = make_plan(MadeUpWalk([5, 900_000]), 8).partitions


def test_where_old_records_are_gone_the_rest_is_shared():
    walk = MadeUpWalk([3, *range(990_000, 1_000_000)])
    plan = make_plan(walk, 4)
    assert max(sizes(plan, walk)) < 1.6 * 10_001 / 4


def test_a_bound_of_the_query_is_where_the_first_begins():
    walk = MadeUpWalk(range(1, 20_001), after=10_000)
    plan = make_plan(walk, 4)
    assert plan.partitions[0].after == 10_000
    assert sizes(plan, walk) == pytest.approx([2_500] * 4, rel=0.05)


def test_one_partition_is_everything():
    (only,) = make_plan(MadeUpWalk(range(1, 20_001)), 1).partitions
    assert (only.after, only.upto) == (0, None)
