"""By what records are recognised: one text for all spellings of a key, and none for what identifies nothing."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coupa_provider.push.errors import PushError
from coupa_provider.push.keys import (
    KeyPart,
    MissingKeyError,
    checked_key,
    default_key,
    described,
    identity,
    values_of,
)

INVOICE = ("invoice-number", "supplier")


def test_natural_keys_are_those_of_the_documents():
    assert default_key("suppliers") == default_key("/suppliers/") == ("number",)
    assert checked_key("exchange_rates", None) == ("from-currency", "to-currency", "rate-date")
    assert default_key("budget_lines") == default_key("no_such_resource") == ()
    assert checked_key("suppliers", ["account_number", "id"]) == ("account-number", "id")
    assert checked_key("no_such_resource", ["mine"]) == ("mine",)
    assert checked_key("suppliers", []) == ()


@pytest.mark.parametrize("key", ["number", [7], [""], [None]])
def test_a_key_is_a_list_of_names(key):
    with pytest.raises(PushError, match=r'key must be a list of attributes, such as \["number"\]'):
        checked_key("suppliers", key)


def test_a_key_of_unknown_attributes_names_the_natural_one():
    with pytest.raises(PushError, match=r"names 'nummer', .* of 'suppliers'.* natural key is \['number'\]"):
        checked_key("suppliers", ["nummer"])
    with pytest.raises(PushError, match="natural key is not documented"):
        checked_key("budget_lines", ["nummer"])


@pytest.mark.parametrize(
    ("supplier", "path"),
    [
        ({"id": 7, "number": "S-1"}, ("supplier", "id")),
        ({"number": "S-1", "id": 7}, ("supplier", "id")),
        ({"id": None, "number": "S-1"}, ("supplier", "number")),
        ({"name": "Acme", "number": "S-1"}, ("supplier", "name")),
        ({"status": "active", "number": "S-1"}, ("supplier", "number")),
        ({"on-hold": False, "name": "", "number": "S-1"}, ("supplier", "number")),
        ({"primary-contact": {"id": 1}, "number": "S-1"}, ("supplier", "number")),
        ({"account-number": "A-1"}, ("supplier", "account-number")),
        ("S-1", ("supplier",)),
    ],
)
def test_a_reference_counts_by_what_identifies_it(supplier, path):
    parts = values_of({"invoice-number": "4711", "supplier": supplier}, INVOICE, "invoices")
    assert [part.path for part in parts] == [("invoice-number",), path]
    assert described(parts).keys() == {"invoice-number", ".".join(path)}


@pytest.mark.parametrize(
    ("record", "told"),
    [
        ({"invoice-number": "4711"}, "supplier, a part of the key, is missing"),
        ({"invoice-number": " ", "supplier": {"id": 7}}, "invoice-number, a part of the key, is missing"),
        ({"invoice-number": None, "supplier": {"id": 7}}, "invoice-number, a part of the key, is missing"),
        ({"invoice-number": "1", "supplier": {}}, "supplier, a part of the key, names nothing by which"),
        ({"invoice-number": "1", "supplier": {"number": ""}}, "names nothing by which it can be found"),
        # Both are shared by others: neither is a key.
        (
            {"invoice-number": "1", "supplier": {"status": "active", "on-hold": True}},
            "names nothing by which",
        ),
        ({"invoice-number": "1", "supplier": [{"id": 7}]}, "supplier is a list, which cannot be"),
        (
            {"invoice-number": "x" * 501, "supplier": {"id": 7}},
            "has 501 characters, too many to be looked up",
        ),
    ],
)
def test_what_a_key_lacks(record, told):
    with pytest.raises(MissingKeyError, match=told):
        values_of(record, INVOICE, "invoices")


@pytest.mark.parametrize("day", ["x", "0001-01-01", "9999-12-31", dt.date(9999, 12, 31)])
def test_a_day_in_a_key_is_a_day(day):
    with pytest.raises(MissingKeyError, match=r"rate-date, a part of the key, is no date such as 2026-11-24"):
        values_of({"rate-date": day}, ["rate-date"], "exchange_rates")


@pytest.mark.parametrize(
    ("base", "spellings"),
    [
        ("string", ["S-1", "s-1", " S-1 "]),
        ("string", ["4711", 4711, " 4711"]),
        ("string", ["1.50", Decimal("1.50")]),
        ("string", ["STRASSE", "straße"]),
        ("integer", [7, "7", " 7 ", 7.0, Decimal("7.00"), "007"]),
        ("decimal", ["1.5", "1.50", 1.5, Decimal("1.500")]),
        ("decimal", ["4700", Decimal("4.7E+3"), 4700]),
        ("boolean", [True, "true", "True"]),
        ("datetime", ["2026-11-24", dt.date(2026, 11, 24)]),
        (
            "datetime",
            [
                "2026-11-24T08:00:00Z",
                "2026-11-24T00:00:00-08:00",
                dt.datetime(2026, 11, 24, 8, tzinfo=dt.UTC),
            ],
        ),
        (None, ["a", "A"]),
    ],
)
def test_spellings_of_one_value(base, spellings):
    assert len({KeyPart(("a",), base, value).text for value in spellings}) == 1
    assert len({identity((KeyPart(("a",), base, value),)) for value in spellings}) == 1


@pytest.mark.parametrize(
    ("base", "one", "other"),
    [
        ("string", "1.50", "1.5"), ("string", "007", "7"), ("string", "007", 7), ("string", "a", "ä"),
        ("integer", "7", "8"), ("decimal", "1.5", "1.51"), ("datetime", "2026-11-24", "2026-11-25"),
    ],
)  # fmt: skip
def test_values_that_differ(base, one, other):
    assert KeyPart(("a",), base, one).text != KeyPart(("a",), base, other).text
    assert not KeyPart(("a",), base, one).is_in({"a": other})


def test_the_same_text_in_another_part_is_another_key():
    assert identity((KeyPart(("a",), None, "x"),)) != identity((KeyPart(("b",), None, "x"),))
    one = (KeyPart(("a",), None, "x"), KeyPart(("b",), None, "y"))
    assert identity(one) != identity(tuple(reversed(one)))


@pytest.mark.parametrize(
    ("sent", "shown", "same"),
    [
        ("2026-11-24", "2026-11-24T00:00:00-08:00", True),
        (dt.date(2026, 11, 24), "2026-11-24T00:00:00-08:00", True),
        ("2026-11-24T08:00:00Z", "2026-11-24T00:00:00-08:00", True),
        # Midnight in UTC is still the day before in Los Angeles, and that day Coupa keeps.
        ("2026-11-24T00:00:00Z", "2026-11-24T00:00:00-08:00", False),
        ("2026-11-24T00:00:00Z", "2026-11-23T00:00:00-08:00", True),
        ("2026-11-23", "2026-11-24T00:00:00-08:00", False),
        ("2026-11-24", None, False),
        ("2026-11-24", "soon", False),
    ],
)
def test_days_as_coupa_keeps_them(sent, shown, same):
    assert KeyPart(("rate-date",), "datetime", sent).is_in({"rate-date": shown}) is same


def test_a_part_of_a_reference_is_looked_for_in_it():
    part = KeyPart(("supplier", "number"), "string", "S-1")
    assert part.name == "supplier.number"
    assert part.is_in({"supplier": {"number": "s-1"}})
    assert not any(
        part.is_in(shown)
        for shown in ({}, {"supplier": None}, {"supplier": "S-1"}, {"supplier": {"number": None}})
    )


@settings(deadline=None)
@given(
    st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9),
    st.integers(0, 6),
)
def test_zeros_at_the_end_do_not_make_another_number(number, zeros):
    longer = Decimal(str(number) + "0" * zeros)
    assert KeyPart(("a",), "decimal", number).text == KeyPart(("a",), "decimal", longer).text
    assert KeyPart(("a",), "decimal", str(longer)).is_in({"a": str(number)})


@settings(deadline=None)
@given(
    st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2100, 1, 1)), st.integers(-12, 14), st.integers(-12, 14)
)
def test_an_instant_is_the_same_in_every_zone(moment, one, other):
    instant = moment.replace(microsecond=0, tzinfo=dt.UTC)
    texts = [instant.astimezone(dt.timezone(dt.timedelta(hours=hours))).isoformat() for hours in (one, other)]
    assert len({KeyPart(("a",), "datetime", value).text for value in (*texts, instant)}) == 1
