"""Each page is held against what was asked for; its records stay as they were sent."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coupa_provider.client.answer import Answer
from coupa_provider.client.errors import CoupaIncompleteError, CoupaUnavailableError
from coupa_provider.client.page_reader import PageReader
from coupa_provider.client.query import parse_filters, window_conditions
from coupa_provider.resources import find_resource

WINDOW = window_conditions(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 2, tzinfo=UTC), [])


def answer(body: bytes | str | list) -> Answer:
    if isinstance(body, list):
        body = json.dumps(body)
    if isinstance(body, str):
        body = body.encode()
    return Answer(200, {"content-type": "application/json"}, body, "GET", "/api/invoices")


def read(body, conditions=(), *, after=None, upto=None, limit=50):
    return PageReader("invoices", conditions).read(answer(body), after=after, upto=upto, limit=limit)


def test_records_keep_every_byte():
    first = '{"id": 1, "total":"10.00",  "note": "caf\\u00e9 \\n \\"x\\"", "price": 1.10}'
    content = read(f'[ {first} ,\n {{"id":2}}]')
    assert [bytes(record) for record in content.page.records] == [first.encode(), b'{"id":2}']
    assert content.page.ids == [1, 2]
    assert content.rising
    assert not content.full


def test_an_id_may_come_as_text():
    assert read('[{"id": "776"}]').page.ids == [776]


@given(st.lists(st.integers(1, 200), max_size=50))
def test_order_repeats_and_fullness_are_told(ids):
    content = read([{"id": record_id, "n": index} for index, record_id in enumerate(ids)])
    assert content.received == len(ids)
    assert content.full == (len(ids) == 50)
    assert content.rising == (ids == sorted(ids))
    page = content.in_order()
    assert page.ids == sorted(set(ids))
    assert [json.loads(bytes(record))["id"] for record in page.records] == page.ids


@pytest.mark.parametrize(
    "body",
    ["", "[", '[{"id": 1}', "<html>busy</html>", "<errors><error>x</error></errors>", '{"errors": {"a": ["b"]}}', "null", '"x"', "5", '[{"id":1}] trailing'],
)  # fmt: skip
def test_a_body_that_is_no_list_is_asked_for_again(body):
    with pytest.raises(CoupaUnavailableError):
        read(body)


@pytest.mark.parametrize(
    "body", ['[{"name": "x"}]', '[{"id": null}]', '[{"id": "abc"}]', "[1, 2]", '[{"id": 1.5}]']
)
def test_records_without_a_usable_id_end_the_walk(body):
    with pytest.raises(CoupaIncompleteError, match="numeric id"):
        read(body)


@pytest.mark.parametrize(
    ("kwargs", "named"),
    [({"after": 5}, r"id\[gt\]=5"), ({"upto": 4}, r"id\[lt_or_eq\]=4"), ({"limit": 1}, "limit=1")],
)
def test_a_bound_that_was_ignored_is_named(kwargs, named):
    with pytest.raises(CoupaIncompleteError, match=named):
        read([{"id": 5}, {"id": 6}], **kwargs)


def test_the_window_is_checked_as_instants():
    inside = [
        {"id": 1, "updated-at": "2026-04-30T17:00:00-07:00"},
        {"id": 2, "updated-at": "2026-05-01T16:59:59-07:00"},
    ]
    assert read(inside, WINDOW).page.ids == [1, 2]
    for outside in ("2026-04-30T16:59:59-07:00", "2026-05-01T17:00:00-07:00", None):
        with pytest.raises(CoupaIncompleteError, match="record 3"):
            read([*inside, {"id": 3, "updated-at": outside}], WINDOW)


def test_a_dropped_filter_is_noticed():
    conditions, _ = parse_filters(
        {"status[in]": ["approved"], "supplier[name]": "Acme"}, find_resource("invoices")
    )
    good = {"id": 1, "status": "Approved", "supplier": {"id": 9, "name": "ACME"}}
    assert read([good], conditions).page.ids == [1]
    for bad in (
        {**good, "id": 2, "status": "draft"},
        {**good, "id": 2, "supplier": {"id": 9, "name": "Other"}},
    ):
        with pytest.raises(CoupaIncompleteError, match="record 2"):
            read([good, bad], conditions)


def test_conditions_that_no_record_shows_are_undecided():
    conditions, _ = parse_filters({"status": "approved", "made-up": "1"}, find_resource("invoices"))
    reader = PageReader("invoices", conditions)
    page = reader.read(answer([{"id": 1, "status": "approved"}]), after=None, upto=None, limit=50).page
    assert [condition.key for condition in reader.undecided(page)] == ["made_up"]
