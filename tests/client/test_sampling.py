"""Looking at pages here and there: what is asked, and what an instance that ignores the order does to it."""

from __future__ import annotations

import asyncio

import pytest

from coupa_provider.client.errors import CoupaIncompleteError
from coupa_provider.client.walk import Walk
from tests.client.test_walk import MadeUpInstance

IDS = range(10, 10_010, 10)


def sample(instance, positions, **arguments):
    return asyncio.run(Walk(instance, "invoices", fields=["id"], **arguments).sample(positions))


def highest(instance, known, **arguments):
    return asyncio.run(Walk(instance, "invoices", **arguments).highest_id(known))


def test_a_page_after_each_position():
    instance = MadeUpInstance(IDS)
    assert sample(instance, [0, 5_000, 9_980, 10_000]) == [
        list(range(10, 510, 10)), list(range(5_010, 5_510, 10)), [9_990, 10_000], [],
    ]  # fmt: skip
    assert instance.requests == 4


def test_a_bound_of_the_query_ends_the_page():
    assert sample(MadeUpInstance(IDS), [0], filters={"id[lt]": 30}) == [[10, 20]]


def test_ids_rise_although_coupa_does_not_sort():
    (ids,) = sample(MadeUpInstance(IDS, sorts=False), [0])
    assert ids == sorted(ids)
    assert len(ids) == 50


@pytest.mark.parametrize("known", [10, 500, 10_000])
def test_the_highest_id(known):
    instance = MadeUpInstance(IDS)
    assert highest(instance, known) == 10_000
    assert instance.requests <= 2


def test_the_highest_id_is_found_although_coupa_does_not_descend():
    instance = MadeUpInstance(IDS, descends=False)
    assert highest(instance, 500) >= 10_000
    assert instance.requests <= 10


def test_the_highest_id_below_a_bound():
    assert highest(MadeUpInstance(IDS), 500, filters={"id[lt_or_eq]": 7_000}) == 7_000


def test_a_page_that_ignores_the_position_is_refused():
    class Ignoring(MadeUpInstance):
        async def request(self, method, path, *, query, **options):
            return await super().request(method, path, query=query.replace("id%5Bgt%5D=", "x="), **options)

    with pytest.raises(CoupaIncompleteError, match="ignored a part of the query"):
        sample(Ignoring(IDS), [5_000, 0])
