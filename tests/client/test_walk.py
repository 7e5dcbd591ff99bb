"""A walk brings every record once, over thousands of made-up instances and over the emulator."""

from __future__ import annotations

import asyncio
import json
import random
from types import SimpleNamespace
from urllib.parse import parse_qs

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coupa_provider.client.answer import Answer
from coupa_provider.client.client import CoupaClient
from coupa_provider.client.config import CoupaConfig
from coupa_provider.client.errors import (
    CoupaError,
    CoupaIncompleteError,
    CoupaQueryError,
    CoupaUnavailableError,
)
from coupa_provider.client.walk import Walk
from coupa_provider.emulator import Emulator


class MadeUpInstance:
    """Answers a walk's queries from a set of ids, and may change under it; no sockets, so thousands fit."""

    def __init__(self, ids, *, ceiling=50, sorts=True, descends=True, seed=0, drift=False):
        self.alive = set(ids)
        self.always = set(ids)
        self.ceiling, self.sorts, self.descends, self.drift = ceiling, sorts, descends, drift
        self.random = random.Random(seed)
        self.requests = 0
        self.config = SimpleNamespace(instance="made.up")
        self.pacer = SimpleNamespace(rate=24.0)
        self.latency = 0.3

    async def request(self, method, path, *, query, check=None, counters=None):
        self.requests += 1
        counters.requests += 1
        asked = {key: values[0] for key, values in parse_qs(query).items()}
        low, high = int(asked.get("id[gt]", -1)), int(asked.get("id[lt_or_eq]", 10**12))
        await asyncio.sleep(0)
        if self.drift and self.requests > 1:
            self._drift()
        found = sorted(record_id for record_id in self.alive if low < record_id <= high)
        if not self.sorts:
            # A fixed order that has nothing to do with ids, as an unasked-for index gives.
            found.sort(key=lambda record_id: (record_id * 2654435761) % 1000003)
        elif asked["dir"] == "desc" and self.descends:
            found.reverse()
        page = found[: min(int(asked["limit"]), self.ceiling)]
        answer = Answer(200, {}, json.dumps([{"id": record_id} for record_id in page]).encode(), "GET", path)
        if check:
            check(answer)
        return answer

    def _drift(self):
        if self.random.random() < 0.5:
            self.alive.add(max(self.alive, default=0) + self.random.randint(1, 9))
        if self.alive and self.random.random() < 0.3:
            gone = self.random.choice(sorted(self.alive))
            self.alive.discard(gone)
            self.always.discard(gone)


def walk_ids(instance, resource="invoices", *, pause=0, **query):
    async def collect():
        walk = Walk(instance, resource, **query)
        found = []
        async for page in walk.pages():
            found += page.ids
            for _ in range(pause):
                await asyncio.sleep(0)
        return found, walk

    return asyncio.run(collect())


ID_SETS = st.one_of(
    st.sets(st.integers(1, 400), max_size=300),
    st.sets(st.integers(1, 10**9), max_size=120),
    # clusters far apart, as bulk loads leave them
    st.builds(
        lambda starts, size: {start + n * 2 for start in starts for n in range(size)},
        st.sets(st.integers(1, 10**7), max_size=4),
        st.integers(1, 150),
    ),
    st.integers(0, 700).map(lambda n: set(range(1, n + 1))),
)
MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@MANY
@given(ids=ID_SETS)
def test_every_record_once(ids):
    found, _ = walk_ids(MadeUpInstance(ids))
    assert sorted(found) == sorted(ids)


@MANY
@given(ids=ID_SETS, ceiling=st.sampled_from([5, 10, 25, 40]))
def test_a_lower_ceiling_of_the_instance_loses_nothing(ids, ceiling):
    found, walk = walk_ids(MadeUpInstance(ids, ceiling=ceiling))
    assert sorted(found) == sorted(ids)
    assert any("no more than" in report for report in walk.reports) == (len(ids) > ceiling)


@MANY
@given(ids=ID_SETS)
def test_an_ignored_sort_loses_nothing(ids):
    found, _ = walk_ids(MadeUpInstance(ids, sorts=False))
    assert sorted(found) == sorted(ids)


@MANY
@given(ids=ID_SETS)
def test_an_ignored_direction_loses_nothing(ids):
    found, _ = walk_ids(MadeUpInstance(ids, descends=False))
    assert sorted(found) == sorted(ids)


@MANY
@given(ids=ID_SETS, sorts=st.booleans(), seed=st.integers(0, 99))
def test_drift_loses_nothing_that_was_there_all_along(ids, sorts, seed):
    instance = MadeUpInstance(ids, sorts=sorts, seed=seed, drift=True)
    found, _ = walk_ids(instance)
    assert len(found) == len(set(found))
    assert instance.always <= set(found)


@settings(max_examples=30, deadline=None)
@given(sparse=st.integers(2, 400), pause=st.integers(1, 60))
def test_a_range_that_is_split_while_its_page_waits_for_the_consumer_brings_nothing_twice(sparse, pause):
    clustered = {n if n % 5 else n * sparse for n in range(1, 6000)}
    found, _ = walk_ids(MadeUpInstance(clustered), pause=pause)
    assert sorted(found) == sorted(clustered)


@MANY
@given(ids=ID_SETS, low=st.integers(0, 500), width=st.integers(0, 10**6))
def test_own_bounds_on_id_are_kept(ids, low, width):
    found, walk = walk_ids(
        MadeUpInstance(ids), filters={"id[gt_or_eq]": low, "id[lt]": low + width, "id[gt]": low - 7}
    )
    assert sorted(found) == sorted(n for n in ids if low <= n < low + width)
    assert walk.query == {"id[gt]": str(low - 1), "id[lt_or_eq]": str(low + width - 1)}


@pytest.mark.parametrize(("records", "requests"), [(0, 1), (1, 1), (49, 1), (45, 2)])
def test_a_small_resource_costs_one_request(records, requests):
    instance = MadeUpInstance(range(1, records + 1))
    walk_ids(instance)
    assert instance.requests == requests


def test_a_large_resource_costs_few_requests_more_than_its_pages():
    instance = MadeUpInstance(range(3, 60_003, 3))
    found, _ = walk_ids(instance)
    assert len(found) == 20_000
    assert instance.requests <= 400 * 1.08


def test_a_single_record_is_no_list():
    with pytest.raises(CoupaQueryError, match="use get"):
        walk_ids(MadeUpInstance([]), filters=None, resource="invoices/7")


def test_leaving_early_stops_the_requests():
    async def leave():
        instance = MadeUpInstance(range(1, 50_000))
        pages = Walk(instance, "invoices").pages()
        await anext(pages)
        await pages.aclose()
        seen = instance.requests
        await asyncio.sleep(0.01)
        assert instance.requests == seen < 60

    asyncio.run(leave())


def test_a_slow_consumer_is_waited_for():
    async def dawdle():
        instance = MadeUpInstance(range(1, 50_000))
        pages = Walk(instance, "invoices").pages()
        await anext(pages)
        for _ in range(500):
            await asyncio.sleep(0)
        # eight pages may wait, and one with each reader
        assert instance.requests < 40
        await pages.aclose()

    asyncio.run(dawdle())


def test_a_sort_that_is_lost_on_the_way_ends_the_walk():
    instance = MadeUpInstance(range(1, 1000))
    request = instance.request

    async def losing(*args, **kwargs):
        instance.sorts = instance.requests < 4
        return await request(*args, **kwargs)

    instance.request = losing
    with pytest.raises(CoupaIncompleteError, match="not a later one"):
        walk_ids(instance)


def test_pages_shrink_when_coupa_takes_too_long():
    instance = MadeUpInstance(range(1, 500))
    request = instance.request

    async def slow(*args, query, **kwargs):
        if int(parse_qs(query)["limit"][0]) > 20:
            raise CoupaUnavailableError("too long", timed_out=True)
        return await request(*args, query=query, **kwargs)

    instance.request = slow
    found, walk = walk_ids(instance)
    assert sorted(found) == list(range(1, 500))
    assert walk.reports == ["Coupa took too long for 50 records a page: asked for 20 from then on"]


# --- over the emulator, on a real socket ---


@pytest.fixture(scope="module")
def coupa():
    with Emulator(seed=7, sizes={"invoices": 1500, "suppliers": 120}, rate_limit=None) as emulator:
        yield emulator


@pytest.fixture(autouse=True)
def _fresh(request):
    if "coupa" in request.fixturenames:
        request.getfixturevalue("coupa").reset()


def collect(coupa, resource, **query):
    config = CoupaConfig.from_fields(
        "test", host=coupa.url, login=coupa.client_id, password=coupa.client_secret,
        extra={"requests_per_second": 1000, "timeout_seconds": 5},
    )  # fmt: skip

    async def run():
        async with CoupaClient(config) as client:
            walk = Walk(client, resource, **query)
            records = [json.loads(bytes(record)) async for page in walk.pages() for record in page.records]
            return records, walk

    return asyncio.run(run())


def test_filters_reach_coupa_and_are_checked(coupa):
    records, walk = collect(coupa, "invoices", filters={"status[in]": ["approved", "voided"]})
    expected = [
        n for n in coupa.ids("invoices") if coupa.record("invoices", n)["status"] in ("approved", "voided")
    ]
    assert sorted(record["id"] for record in records) == expected
    assert len(expected) > 50
    assert walk.query == {"status[in]": "approved,voided"}


def test_fields_always_bring_the_id_and_a_missing_one_is_reported(coupa):
    records, walk = collect(
        coupa, "invoices", fields=["invoice-number", {"supplier": ["name"]}, "no-such-thing"]
    )
    assert set(records[0]) == {"id", "invoice-number", "supplier"}
    assert len(records) == 1500
    assert [report for report in walk.reports if "no-such-thing" in report]


def test_an_unknown_attribute_that_is_ignored_is_refused_and_one_that_is_refused_says_so(coupa):
    with pytest.raises(CoupaError, match=r"made[-_]up"):
        collect(coupa, "invoices", filters={"made-up": "x"})
    coupa.configure(switches={"U9": "ignored"})
    with pytest.raises(CoupaQueryError, match=r"made_up.*ignores attributes"):
        collect(coupa, "invoices", filters={"made-up": "x"})


def test_a_foreign_key_is_checked_through_its_association(coupa):
    supplier = coupa.record("invoices", coupa.ids("invoices")[0])["supplier"]["id"]
    records, _ = collect(coupa, "invoices", filters={"supplier_id": supplier})
    assert records
    assert {record["supplier"]["id"] for record in records} == {supplier}
