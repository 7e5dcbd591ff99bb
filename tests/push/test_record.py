"""A row becomes the record that it means, or is refused; nothing in between."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from coupa_provider.client.client import encode_body
from coupa_provider.push.errors import PushError
from coupa_provider.push.record import InvalidRowError, RecordReader

UTC = dt.UTC


def read(values, resource="suppliers", key=("number",), **options):
    return RecordReader(resource, key, **options).read(values)


def refused(values, resource="suppliers", **options) -> str:
    with pytest.raises(InvalidRowError) as raised:
        read(values, resource, **options)
    assert str(raised.value) == "; ".join(raised.value.errors)
    return str(raised.value)


# ---- names


@pytest.mark.parametrize("spelled", ["account-number", "account_number", " account-number "])
def test_names_are_dashed_or_underscored(spelled):
    assert read({spelled: "7"}) == {"account-number": "7"}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"nmae": "x"}, "unknown attribute 'nmae' (did you mean 'name'?)"),
        ({"zzzz": "x"}, "unknown attribute 'zzzz' (if this instance has it, name it in undocumented)"),
        ({"Name": "x"}, "unknown attribute 'Name' (did you mean 'name'?)"),
        ({"": "x"}, "'' is no name of an attribute"),
        ({"Supplier Name": "x"}, "'Supplier Name' is no name of an attribute"),
        (
            {"payment-term[code]": "x"},
            "'payment-term[code]' is no name of an attribute (did you mean 'payment-term.code'?)",
        ),
        ({"custom-fields[tier]": "x"}, "(did you mean 'custom-fields.tier'?)"),
        ({"payment-term.": "x"}, "'payment-term.' is no name"),
        ({"custom-fields.": "x"}, "'custom-fields.' is no name"),
        ({"payment-term.co de": "x"}, "'payment-term.co de' is no name"),
        ({"__index_level_0__": 1}, "unknown attribute '__index_level_0__'"),
        (
            {"account-number": "1", "account_number": "2"},
            "'account-number' and 'account_number' are the same",
        ),
        ({"payment-term-id": "1", "payment-term.id": "2"}, None),
        (
            {"commodity-id": "1", "commodity.id": "2"},
            "'commodity-id' and 'commodity.id' are the same attribute",
        ),
    ],
)
def test_names_that_mean_nothing_or_too_much(values, told):
    if told is None:
        # payment-term-id is documented as an attribute of its own.
        assert read(values) == {"payment-term-id": 1, "payment-term": {"id": 2}}
        return
    assert told in refused(values)
    with pytest.raises(PushError, match=r"Rename or leave out the column, or name it in undocumented"):
        RecordReader("suppliers").check_columns(list(values))


def test_what_an_instance_has_of_its_own_is_named():
    assert read({"x_tier": "A"}, undocumented=["x-tier"]) == {"x-tier": "A"}
    assert read({"anything": 7}, "no_such_resource") == {"anything": 7}
    RecordReader("suppliers", undocumented=["x_tier"]).check_columns(["x-tier", "name", "_row", "_errors"])


def test_notes_and_stamps_are_passed_over():
    values = {
        "name": "x",
        "_row": "7",
        "_errors": "bad",
        "created-at": "?",
        "updated_by": {"id": 1},
        "_line": "",
    }
    assert read(values) == {"name": "x"}
    assert "take its place" in refused({"_line": '{"a": '})


def test_columns_of_an_extract_are_understood():
    values = {
        "rate_date": dt.datetime(2026, 11, 24, tzinfo=UTC),
        "rate_date_day": dt.date(2026, 11, 23),
        "_extra": None,
    }
    assert read(values, "exchange_rates") == {"rate-date": values["rate_date"]}
    RecordReader("exchange_rates").check_columns(list(values))
    assert "unknown attribute 'rate-date-day'" in refused({"rate_date_day": "2026-11-23"}, "exchange_rates")
    extra = {"name": "x", "savings_pct": None, "_extra": '{"my-tier": 1, "savings-pct": "9.99"}'}
    assert read(extra, undocumented=["my_tier"]) == {
        "name": "x",
        "my-tier": 1,
        "savings-pct": Decimal("9.99"),
    }
    assert "unknown attribute 'my-tier'" in refused(extra)
    for text in ("7", "[1]", "{", 7):
        assert refused({"name": "x", "_extra": text}) == "_extra is no JSON object as in an extract"


@pytest.mark.parametrize(
    "values", [{}, {"name": ""}, {"name": None, "number": "  "}, {"created-at": "2026-11-24"}]
)
@pytest.mark.parametrize("empty", ["keep", "clear"])
def test_a_row_without_any_value(values, empty):
    assert refused(values, empty=empty) == "the row holds no value"


# ---- values


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("12.50", "12.50"), (" 12.50 ", "12.50"), (12, "12"), (0.1, "0.1"), (Decimal("1.10"), "1.10"),
        ("-.5", "-0.5"), ("1e3", "1E+3"), ("5.", "5"), ("+7", "7"), ("0", "0"),
    ],
)  # fmt: skip
def test_decimals(value, sent):
    assert str(read({"rate": value}, "exchange_rates")["rate"]) == sent


@pytest.mark.parametrize(
    "value",
    [
        "12a", "a", "1,234.56", "1.234,56", "1 234", "12,5", "$5", "5%", "1_000", "١٢", "0x10", "--1", "NULL", "\\N",
        "NaN", "inf", "1e", ".", float("nan"), float("inf"), Decimal("NaN"), True, {"a": 1}, [1], b"1", "1e999999999",
        2.0**60,
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["rate", "id"])
def test_what_is_no_number(value, name):
    assert refused({name: value}, "exchange_rates", key=("id",)).startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("value", "whole"), [("7", 7), (7.0, 7), ("7.00", 7), (Decimal("7"), 7), ("007", 7), ("7e2", 700)]
)
def test_whole_numbers(value, whole):
    found = read({"order-confirmation-level": value})["order-confirmation-level"]
    assert (found, type(found)) == (whole, int)


@pytest.mark.parametrize("value", ["7.5", 7.5, "1e30", 2**63, "99999999999999999999"])
def test_what_is_no_whole_number(value):
    assert "order-confirmation-level: " in refused({"order-confirmation-level": value})


@pytest.mark.parametrize(
    ("word", "value"),
    [
        *[(word, True) for word in ("true", "TRUE", " yes ", "Y", "t", "1", 1, 1.0, True)],
        *[(word, False) for word in ("false", "False", "no", "N", "f", "0", 0, 0.0, False)],
    ],
)
def test_yes_and_no(word, value):
    assert read({"on-hold": word}) == {"on-hold": value}


@pytest.mark.parametrize("word", ["perhaps", "2", 2, 0.5, "x", "-1", "NULL", {"a": 1}])
def test_neither_yes_nor_no(word):
    assert refused({"on-hold": word}).startswith("on-hold: ")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("4711", "4711"), (4711, "4711"), (4711.0, "4711"), (Decimal("4711.0"), "4711"), (Decimal("1.50"), "1.50"),
        ("007", "007"), ("4711.0", "4711.0"), (1.25, "1.25"), (2**60, str(2**60)), (" padded  ", "padded"),
        ("1E5", "1E5"), ("Null", "Null"), ("12a", "12a"), ("5E+1", "5E+1"),
    ],
)  # fmt: skip
def test_texts(value, text):
    assert read({"number": value}) == {"number": text}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("NULL", "'NULL' stands for no value. Leave it empty"),
        ("\\N", "stands for no value"),
        ("#N/A", "stands for no value"),
        ("#REF!", "stands for no value"),
        ("1.23457E+11", "a number that a spreadsheet has shortened. Export it as text"),
        ("1E+11", "has shortened"),
        (1e17, "so large that it has lost digits"),
        (float("nan"), "no number that can be sent"),
        (b"abc", "a bytes cannot be sent"),
        ({"a": 1}, "an object or list cannot be a string"),
        (["a"], "an object or list cannot be a string"),
        (dt.timedelta(1), "a timedelta cannot be sent"),
        ("a\0b", "a character NUL"),
        (dt.datetime(2026, 11, 24), "has no time zone"),
    ],
)
def test_what_is_no_text(value, told):
    assert told in refused({"name": value})


def test_white_space_around_texts_that_are_no_key_is_kept():
    assert read({"name": " a ", "number": " 7 "}) == {"name": " a ", "number": "7"}


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-24", dt.date(2026, 11, 24), "2026-11-24T08:00:00Z", "2026-11-24 08:00:00+01:00",
        "2026-11-24T08:00:00.123-08:00", dt.datetime(2026, 11, 24, 8, tzinfo=UTC),
    ],
)  # fmt: skip
def test_days_and_instants(value):
    assert read({"rate-date": value}, "exchange_rates") == {"rate-date": value}


@pytest.mark.parametrize(
    "value",
    [
        "11/24/2026", "24.11.2026", "24/11/2026", "20261124", "2026-W48-2", "2026-13-01", "2026-02-30", "2026-11",
        "'2026-11-24'", "today", 45985, "45985", True, "2026-11-24 08:00:00", "2026-11-24T08:00:00",
        dt.datetime(2026, 11, 24), "0000-00-00", {"day": 1},
    ],
)  # fmt: skip
def test_what_is_no_day(value):
    told = refused({"rate-date": value}, "exchange_rates")
    assert told.startswith("rate-date: ")
    assert "2026-11-24" in told or "cannot be" in told or "has no time zone" in told


# ---- objects, lists, parts


@pytest.mark.parametrize(
    "values",
    [
        {"payment-term": {"code": "Net 30"}},
        {"payment_term.code": "Net 30"},
        {"payment-term": '{"code": "Net 30"}'},
    ],
)
def test_references(values):
    assert read(values) == {"payment-term": {"code": "Net 30"}}


def test_parts_of_a_reference_come_together():
    values = {
        "primary-contact.name-given": "A",
        "primary_contact.email": "a@b.example",
        "primary-contact": '{"notes": "n"}',
    }
    together = {"primary-contact": {"name-given": "A", "email": "a@b.example", "notes": "n"}}
    assert read(values) == together
    assert read(dict(reversed(values.items()))) == together
    assert read({"commodity-id": "7"}) == {"commodity": {"id": 7}}
    assert read({"primary_address.country.code": "US"}) == {"primary-address": {"country": {"code": "US"}}}


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"payment-term": "Net 30"}, "the text is no JSON"),
        ({"payment-term": "17"}, 'an object is needed, such as {"id": 7}'),
        ({"payment-term": [{"id": 7}]}, "an object is needed"),
        ({"payment-term": 17}, "an object is needed"),
        ({"payment-term": '{"id": 1, "id": 2}'}, "has 'id' twice"),
        ({"payment-term.id": "12a"}, "payment-term.id: the value is no number"),
        ({"commodity-id": "12a"}, "commodity.id: the value is no number"),
        ({"payment-term": {"id": "12a"}}, "payment-term: id: the value is no number"),
        ({"payment-term.code": "NULL"}, "payment-term.code: 'NULL' stands for no value"),
        ({"payment-term": {"co de": "x"}}, "'co de' is no name of an attribute"),
        ({"payment-term": {"net-due-day": 1, "net_due_day": 2}}, "'net-due-day' is there twice"),
        ({"business-groups": "a;b"}, "the text is no JSON"),
        ({"business-groups": "7"}, "a list of objects is needed"),
        ({"custom-fields": "[1]"}, "an object is needed"),
        ({"custom-fields": 7}, "an object is needed"),
    ],
)
def test_what_is_no_reference(values, told):
    assert told in refused(values)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"name": "y", "name.first": "x"}, "'name.first': name is a string, so it has no parts"),
        ({"business-groups.id": 2}, "business-groups is a list, so it has no parts"),
        ({"payment-term.code": "2", "payment-term.code.x": "1"}, "payment-term.code"),
        ({"payment-term": {"code": "2"}, "payment-term.code": "1"}, "it is given twice"),
        ({"x.a": 1, "x": 7}, "x"),
    ],
)
def test_a_value_has_no_parts_and_no_second_value(values, told):
    assert told in refused(values, undocumented=["x"])
    assert refused(dict(reversed(values.items())), undocumented=["x"])


def test_lines_are_typed_at_any_depth():
    line = {
        "description": "a",
        "price": "2.50",
        "quantity": 2.0,
        "account": {"id": "7"},
        "custom_fields": {"My Field": 1},
    }
    found = read({"invoice_lines": [line]}, "invoices")["invoice-lines"]
    assert found == [
        {"description": "a", "price": Decimal("2.50"), "quantity": Decimal("2.0"), "account": {"id": 7},
         "custom-fields": {"My Field": 1}}
    ]  # fmt: skip
    assert str(found[0]["price"]) == "2.50"
    told = refused({"invoice-lines": [line, {"price": "2,50"}]}, "invoices")
    assert told == "invoice-lines: price: the value is no number such as 1234.56"


@pytest.mark.parametrize("payment", [{"amount_paid": "10.00"}, [{"amount_paid": "10.00"}]])
def test_the_forms_that_coupa_takes_for_payments_are_one_list(payment):
    expected = {"payments": [{"amount-paid": Decimal("10.00")}]}
    assert read({"payments": {"payment": payment}}, "invoices") == expected
    assert "a list of objects is needed" in refused({"payments": {"amount_paid": "10.00"}}, "invoices")


def test_custom_fields_keep_the_names_of_the_customer():
    values = {
        "custom_fields.Cost Center": "7",
        "custom-fields.under_scored": "x",
        "custom-fields": '{"a b": 1.50}',
    }
    assert read(values) == {
        "custom-fields": {"Cost Center": "7", "under_scored": "x", "a b": Decimal("1.50")}
    }


@pytest.mark.parametrize("value", [b"x", float("inf"), dt.datetime(2026, 11, 24), {1: [float("nan")]}, {1j}])
def test_custom_fields_hold_what_can_be_sent(value):
    assert refused({"custom-fields": {"x": value}}).startswith("custom-fields: ")
    assert refused({"custom-fields.x": value}).startswith("custom-fields.x: ")


# ---- empty values


def test_empty_values_are_left_out_or_cleared():
    values = {
        "number": "7", "name": "", "account-number": None, "website": "  ", "payment-term.code": "",
        "custom-fields.tier": "", "commodity.id": "", "commodity.name": "C",
    }  # fmt: skip
    assert read(values) == {"number": "7", "commodity": {"name": "C"}}
    assert read(values, empty="clear") == {
        "number": "7", "name": None, "account-number": None, "website": None, "payment-term": None,
        "custom-fields": {"tier": None}, "commodity": {"name": "C"},
    }  # fmt: skip
    assert read(dict(reversed(values.items())), empty="clear") == read(values, empty="clear")


def test_what_is_sent_is_not_what_coupa_gives():
    reader = RecordReader("accounts", ("code", "account-type"))
    record = reader.read({"id": 7, "code": "A-1", "account-type": {"name": "T"}, "segment-1": "A"})
    assert reader.sent(record) == {"account-type": {"name": "T"}, "segment-1": "A"}


# ---- all at once

NAMES = st.sampled_from(
    ["name", "number", "on-hold", "savings_pct", "payment-term", "payment-term.id", "business-groups", "custom-fields",
     "custom-fields.x", "order-confirmation-level", "id", "_cancel", "nonsense", "commodity-id"]
)  # fmt: skip
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.dates() | st.datetimes() | st.binary()
    | st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(["7", "12a", '{"id": 7}', "[1]", "yes", "1e5"])
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["id", "code", "a b", "custom-fields"]), inner)
    ),
    max_leaves=5,
)


@settings(deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=4), st.sampled_from(["keep", "clear"]))
def test_every_row_becomes_a_payload_or_is_refused_in_words(values, empty):
    reader = RecordReader("suppliers", ("number",), empty=empty)
    try:
        sent = reader.sent(reader.read(values))
    except InvalidRowError as error:
        sent, told = {}, error.errors
        event(told[0])
    else:
        told = ("fine",)
    assert all(told)
    payload = json.loads(encode_body(sent))
    assert all(
        isinstance(payload.get(name, ""), str | bool | None) for name in ("name", "number", "savings-pct")
    )
    assert payload.get("on-hold") in (None, True, False)
    assert isinstance(payload.get("order-confirmation-level", 0), int | None)
