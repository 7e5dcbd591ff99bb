"""Filters become Coupa's syntax, encoded once; what cannot be right is refused before anything is sent."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from urllib.parse import parse_qsl, quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coupa_provider.client.client import CoupaClient
from coupa_provider.client.errors import CoupaQueryError
from coupa_provider.client.query import (
    OPERATORS,
    encode_arguments,
    encode_fields,
    encode_query,
    format_instant,
    parse_filters,
    top_level_fields,
    window_conditions,
)
from coupa_provider.resources import find_resource

INVOICES = find_resource("invoices")
BERLIN = timezone(timedelta(hours=2))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def wire(filters, resource=INVOICES):
    conditions, arguments = parse_filters(filters, resource)
    return {condition.key: condition.text for condition in conditions} | arguments


@pytest.mark.parametrize(
    ("filters", "sent"),
    [
        (None, {}),
        ({}, {}),
        ({"status": "approved"}, {"status": "approved"}),
        ({"status[in]": ["approved", "voided"]}, {"status[in]": "approved,voided"}),
        ({"status[in]": "approved,voided"}, {"status[in]": "approved,voided"}),
        ({"status[not-in]": ("draft",)}, {"status[not_in]": "draft"}),
        ({"id[in]": {3, 20, 1}}, {"id[in]": "1,20,3"}),
        ({"id[in]": frozenset({3, 20, 1})}, {"id[in]": "1,20,3"}),
        ({"invoice-number[starts_with]": "A+B %&=ü"}, {"invoice_number[starts_with]": "A+B %&=ü"}),
        ({"supplier[name]": "Acme"}, {"supplier[name]": "Acme"}),
        ({"supplier[name][contains]": "Ac"}, {"supplier[name][contains]": "Ac"}),
        ({"invoice-lines[account][code]": "1-2"}, {"invoice_lines[account][code]": "1-2"}),
        ({"supplier_id": 5}, {"supplier_id": "5"}),
        ({"exported": False}, {"exported": "false"}),
        ({"exported": True}, {"exported": "true"}),
        ({"exported[blank]": True}, {"exported[blank]": "true"}),
        ({"supplier[name][blank]": "false"}, {"supplier[name][blank]": "false"}),
        ({"total[gt]": Decimal("1E+3")}, {"total[gt]": "1000"}),
        ({"total[gt]": Decimal("0.10")}, {"total[gt]": "0.10"}),
        ({"total[gt]": 1e-7}, {"total[gt]": "0.0000001"}),
        ({"total[gt]": 10}, {"total[gt]": "10"}),
        ({"invoice-date": date(2024, 2, 29)}, {"invoice_date": "2024-02-29"}),
        ({"created_at[lt]": datetime(2024, 5, 1, 12, tzinfo=UTC)}, {"created_at[lt]": "2024-05-01T12:00:00Z"}),
        ({"created_at[lt]": datetime(2024, 5, 1, 12, tzinfo=BERLIN)}, {"created_at[lt]": "2024-05-01T10:00:00Z"}),
        ({"filter": "default_invoices_filter"}, {"filter": "default_invoices_filter"}),
        ({"custom_fields[Send-To_VMS]": True}, {"custom_fields[Send-To_VMS]": "true"}),
    ],
)  # fmt: skip
def test_filters_as_they_are_sent(filters, sent):
    assert wire(filters) == sent


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ("status=approved", "must be a dict"),
        ([("status", "approved")], "must be a dict"),
        ({5: "x"}, "no query key"),
        ({"": "x"}, "no query key"),
        ({"status[]": "x"}, "no query key"),
        ({"status[in": "x"}, "no query key"),
        ({"status&id": "x"}, "no query key"),
        ({"supplier[primary_address[city]]": "x"}, "no query key"),
        ({"status[eq]": "x"}, "there is no operator 'eq'"),
        ({"status[regex]": "x"}, "there is no operator 'regex'"),
        ({"status[IN]": ["x"]}, "there is no operator 'IN'"),
        ({"updated_at[gte]": "2024-01-01"}, "there is no operator 'gte'"),
        ({"unheard_of[gte]": 5}, "Coupa writes gt_or_eq for 'gte'"),
        ({"unheard_of[like]": "x"}, "Coupa writes contains for 'like'"),
        ({"limit": 10}, "set by the walk"),
        ({"offset": 10}, "set by the walk"),
        ({"order-by": "id"}, "set by the walk"),
        ({"fields": "[]"}, "set by the walk"),
        ({"return_object": "limited"}, "set by the walk"),
        ({"updated_at[contains]": "2024"}, "does not work on times"),
        ({"updated_at[blank]": True}, "does not work on times"),
        ({"status": None}, "Use [blank]"),
        ({"status": ["a", "b"]}, "needs the operator [in]"),
        ({"status": {"a": 1}}, "cannot be sent"),
        ({"status": object()}, "cannot be sent"),
        ({"status": b"approved"}, "cannot be sent"),
        ({"status": "half \ud83d"}, "half a character"),
        ({"total[gt]": float("nan")}, "cannot be sent"),
        ({"total[gt]": float("inf")}, "cannot be sent"),
        ({"total[gt]": Decimal("NaN")}, "cannot be sent"),
        ({"total[gt]": Decimal("-Infinity")}, "cannot be sent"),
        ({"updated_at[gt]": datetime(2024, 1, 1)}, "has no time zone"),
        ({"updated_at[gt]": datetime.max.replace(tzinfo=UTC)}, None),
        ({"updated_at[gt_or_eq]": datetime.max.replace(tzinfo=UTC)}, "beyond the times"),
        ({"updated_at": datetime(2024, 1, 1, microsecond=1, tzinfo=UTC)}, "whole seconds"),
        ({"updated_at[in]": [datetime(2024, 1, 1, microsecond=1, tzinfo=UTC)]}, "whole seconds"),
        ({"status[in]": []}, "at least one value"),
        ({"status[in]": None}, "at least one value"),
        ({"status[in]": 5}, "at least one value"),
        ({"status[in]": ""}, "empty value"),
        ({"status[in]": ["a", ""]}, "empty value"),
        ({"status[in]": "a,,b"}, "empty value"),
        ({"status[in]": ["a,b"]}, "holds a comma"),
        ({"status[in]": [None]}, "cannot be sent"),
        ({"status[blank]": "maybe"}, "needs True or False"),
        ({"status[blank]": None}, "needs True or False"),
        ({"status": "a", "Status": "b"}, None),
        ({"invoice-date": "2024-01-01", "invoice_date": "2024-01-02"}, "twice"),
    ],
)
def test_what_cannot_be_right_is_refused_with_the_reason(filters, said):
    if said is None:
        assert wire(filters)
        return
    with pytest.raises(CoupaQueryError) as caught:
        parse_filters(filters, INVOICES)
    assert said in caught.value.message
    assert isinstance(caught.value, ValueError)


def test_both_currencies_of_a_rate_are_refused_as_they_find_nothing():
    with pytest.raises(CoupaQueryError, match="article 0055"):
        parse_filters(
            {"from_currency[code]": "EUR", "to_currency[code]": "USD"}, find_resource("exchange_rates")
        )


@pytest.mark.parametrize(
    ("operator", "sent"),
    [
        ("gt_or_eq", "2024-05-01T10:00:01Z"),
        ("lt", "2024-05-01T10:00:01Z"),
        ("gt", "2024-05-01T10:00:00Z"),
        ("lt_or_eq", "2024-05-01T10:00:00Z"),
    ],
)
def test_a_part_of_a_second_is_rounded_so_that_the_same_records_match(operator, sent):
    instant = datetime(2024, 5, 1, 10, 0, 0, 500_000, tzinfo=UTC)
    assert wire({f"updated_at[{operator}]": instant}) == {f"updated_at[{operator}]": sent}
    # Records keep whole seconds: compare both sides of the claim second by second.
    compare = {
        "gt_or_eq": datetime.__ge__, "lt": datetime.__lt__, "gt": datetime.__gt__, "lt_or_eq": datetime.__le__,
    }[operator]  # fmt: skip
    bound = datetime.fromisoformat(sent)
    for second in range(-2, 3):
        record = datetime(2024, 5, 1, 10, 0, 0, tzinfo=UTC) + timedelta(seconds=second)
        assert compare(record, bound) == compare(record, instant)


@given(st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)), st.integers(-840, 840))
def test_an_instant_is_sent_in_utc_at_the_next_whole_second(naive, minutes):
    instant = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    text = format_instant(instant)
    assert len(text) == 20
    read = datetime.fromisoformat(text)
    assert timedelta(0) <= read - instant < timedelta(seconds=1)


def test_a_window_is_half_open_on_updated_at():
    since, until = datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 5, 2, tzinfo=UTC)
    sent = [(c.key, c.text) for c in window_conditions(since, until, [])]
    assert sent == [
        ("updated_at[gt_or_eq]", "2024-05-01T00:00:00Z"),
        ("updated_at[lt]", "2024-05-02T00:00:00Z"),
    ]
    assert [c.key for c in window_conditions(since, None, [])] == ["updated_at[gt_or_eq]"]
    assert window_conditions(None, None, []) == []


@given(
    st.lists(st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1)), min_size=3, max_size=3, unique=True)
)
def test_windows_that_meet_neither_overlap_nor_leave_a_gap(moments):
    first, second, third = (moment.replace(tzinfo=UTC) for moment in sorted(moments))
    one, two = window_conditions(first, second, []), window_conditions(second, third, [])
    assert one[1].text == two[0].text


class Zoneless(tzinfo):
    def utcoffset(self, moment):
        return None


@pytest.mark.parametrize(
    ("since", "until", "given_filters", "said"),
    [
        (datetime(2024, 1, 1), None, None, "updated_since=2024-01-01T00:00:00 has no time zone"),
        (None, datetime(2024, 1, 1), None, "updated_until=2024-01-01T00:00:00 has no time zone"),
        (datetime(2024, 1, 1, tzinfo=Zoneless()), None, None, "has no time zone"),
        ("2024-01-01T00:00:00Z", None, None, "must be a datetime"),
        (date(2024, 1, 1), None, None, "must be a datetime"),
        (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC), None, "is empty"),
        (datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC), None, "is empty"),
        (None, datetime.max.replace(tzinfo=UTC), None, "beyond the times"),
        (datetime(2024, 1, 1, tzinfo=UTC), None, {"updated-at[lt]": "2024-02-01"}, "Use one of the two"),
    ],
)
def test_windows_that_cannot_be_right(since, until, given_filters, said):
    conditions, _ = parse_filters(given_filters, INVOICES)
    with pytest.raises(CoupaQueryError) as caught:
        window_conditions(since, until, conditions)
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        (["id"], ["id"]),
        (["invoice-number", "id"], ["invoice_number", "id"]),
        (["id", {"supplier": ["id", "name"]}], ["id", {"supplier": ["id", "name"]}]),
        (["id", {"supplier": {}}], ["id", {"supplier": {}}]),
        (
            ["id", {"invoice-lines": ["id", {"account": ["code"]}]}],
            ["id", {"invoice_lines": ["id", {"account": ["code"]}]}],
        ),
        (("id", {"a": ["b"], "c": ["d"]}), ["id", {"a": ["b"]}, {"c": ["d"]}]),
    ],
)
def test_fields_as_they_are_sent(fields, sent):
    encoded = encode_fields(fields)
    assert json.loads(encoded) == sent
    assert " " not in encoded
    assert encode_fields(None) is None


def test_fields_a_walk_needs_are_added_once():
    assert json.loads(encode_fields(["total"], always=["id", "updated_at"])) == ["id", "updated_at", "total"]
    assert json.loads(encode_fields(["updated-at", "id"], always=["id", "updated_at"])) == [
        "updated_at",
        "id",
    ]
    assert top_level_fields(["id", "invoice_number", {"supplier": ["name"]}]) == [
        "id", "invoice-number", "supplier",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    ["id", [], {}, [5], [None], [""], ["a b"], ['a"b'], [["id"]], [{}], [{5: ["a"]}], [{"a": "b"}], [{"a": [5]}], 7],
)  # fmt: skip
def test_fields_that_cannot_be_right(fields):
    with pytest.raises(CoupaQueryError, match="fields"):
        encode_fields(fields)


@given(st.lists(st.tuples(texts.filter(bool), texts), max_size=10))
@settings(max_examples=300)
def test_a_query_is_encoded_once_and_read_back_as_it_was(pairs):
    encoded = encode_query(pairs)
    assert parse_qsl(encoded, keep_blank_values=True) == pairs
    # Nothing is left that a server could read as syntax, and nothing is encoded twice.
    assert encoded.isascii()
    assert not set(encoded) & set(' +:[]"{}#/?,')
    assert encoded == "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in pairs)


HARD = "a+b:c%d[e]&f=g é 中 😀 '\"%2B #?/;,\\"


def test_a_query_reaches_a_real_server_byte_for_byte(raw_server, http, config_for, run, quick):
    server = raw_server(lambda request: http(200, b'{"access_token": "t0k3n", "expires_in": 86399}'))
    pairs = [(f"supplier[name][{operator}]", HARD) for operator in OPERATORS] + [("ключ", "+02:00")]

    async def scene():
        async with CoupaClient(config_for(server.url), retry=quick) as client:
            await client.request("GET", "invoices", query=encode_query(pairs))

    run(scene())
    target = server.lines[-1].split(" ")[1]
    assert target == f"/api/invoices?{encode_query(pairs)}"
    assert parse_qsl(target.partition("?")[2]) == pairs


def test_a_hard_value_finds_its_record_in_the_emulator(emulator, config_for, run):
    emulator.load({"suppliers": [{"id": 990001, "name": HARD}, {"id": 990002, "name": HARD + "x"}]})

    async def scene():
        async with CoupaClient(config_for(emulator.url)) as client:
            return await client.call("GET", "suppliers", params={"name": HARD, "limit": 50})

    assert [record["id"] for record in run(scene())] == [990001]


def test_arguments_take_python_values():
    sent = encode_arguments(
        {"limit": 5, "exported": True, "since": datetime(2024, 1, 1, tzinfo=UTC), "x": "a b"}
    )
    assert sent == "limit=5&exported=true&since=2024-01-01T00%3A00%3A00Z&x=a%20b"
    assert encode_arguments(None) == ""


@pytest.mark.parametrize(
    "arguments", [{"a": None}, {"a": [1]}, {5: "a"}, {"a": datetime(2024, 1, 1)}, {"a": "\udfff"}]
)
def test_arguments_that_cannot_be_sent(arguments):
    with pytest.raises(CoupaQueryError):
        encode_arguments(arguments)


def test_a_query_longer_than_can_be_sent_is_refused_clearly(emulator, config_for, run):
    async def scene():
        async with CoupaClient(config_for(emulator.url)) as client:
            await client.call("GET", "invoices", params={"id[in]": ",".join(map(str, range(20_000)))})

    with pytest.raises(CoupaQueryError, match="fewer values in a list"):
        run(scene())
