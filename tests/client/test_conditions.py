"""A record is doubted only where no reading of the condition fits it."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coupa_provider.client.client import CoupaClient
from coupa_provider.client.conditions import parse_instant, satisfies
from coupa_provider.client.errors import CoupaValidationError
from coupa_provider.client.query import OPERATORS, Condition, encode_query, parse_filters
from coupa_provider.emulator.api import Api, Call
from coupa_provider.emulator.instance import Instance
from coupa_provider.emulator.oauth import Token
from coupa_provider.resources import find_resource


def verdict(value, operator, *wanted, base=None):
    return satisfies({"x": value}, Condition(("x",), operator, wanted, base))


@pytest.mark.parametrize(
    ("value", "operator", "wanted", "base", "expected"),
    [
        ("approved", "", ["approved"], None, True),
        ("Approved", "", ["approved"], None, True),
        ("approved ", "", ["approved"], None, True),
        ("Müller", "", ["muller"], None, True),
        ("straße", "", ["STRASSE"], None, True),
        ("voided", "", ["approved"], None, False),
        (None, "", ["approved"], None, False),
        (None, "", [""], None, True),
        ("10.50", "", ["10.5"], "decimal", True),
        ("10.51", "", ["10.5"], "decimal", False),
        (7, "", ["7"], "integer", True),
        (True, "", ["true"], "boolean", True),
        (True, "", ["false"], "boolean", False),
        (True, "", ["on"], "boolean", None),
        ("2024-05-01T09:00:00-07:00", "", ["2024-05-01T16:00:00Z"], "datetime", True),
        ("2024-05-01T09:00:00-07:00", "", ["2024-05-01T16:00:01Z"], "datetime", False),
        ("2024-05-01T09:00:00-07:00", "", ["2024-05-01"], "datetime", None),
        ({"id": 1}, "", ["x"], "reference", None),
        ("b", "in", ["a", "b"], None, True),
        ("c", "in", ["a", "b"], None, False),
        ("100", "not_eq", ["0100"], "string", None),
        ("ACME", "not_eq", ["acme"], "string", None),
        ("acme", "not_eq", ["acme"], "string", False),
        ("other", "not_eq", ["acme"], "string", True),
        (None, "not_eq", ["acme"], "string", None),
        ("1.0", "not_eq", ["1"], "decimal", False),
        (5, "not_in", ["5", "6"], "integer", False),
        (5, "not_in", ["6"], "integer", True),
        ("Acme Corp", "contains", ["CORP"], None, True),
        ("Acme Corp", "contains", ["inc"], None, False),
        ("Acme Corp", "contains", ["A_me"], None, None),
        ("Acme Corp", "starts_with", ["acme"], None, True),
        ("Acme Corp", "starts_with", ["corp"], None, False),
        ("Acme Corp", "ends_with", ["corp"], None, True),
        (1234, "contains", ["99"], "integer", None),
        (None, "contains", ["x"], None, False),
        ("10", "gt", ["9"], "decimal", True),
        ("9", "gt", ["10"], "decimal", False),
        (10, "lt_or_eq", ["10"], "integer", True),
        (None, "gt", ["1"], "integer", False),
        ("b", "gt", ["a"], "string", None),
        ("2024-05-01", "gt", ["2024-05-02"], "date", None),
        ("2024-05-01T23:30:00-07:00", "gt_or_eq", ["2024-05-02T06:30:00Z"], "datetime", True),
        ("2024-05-01T23:30:00-07:00", "gt", ["2024-05-02T06:30:00Z"], "datetime", False),
        ("2024-11-03T01:30:00-07:00", "lt", ["2024-11-03T01:30:00-08:00"], "datetime", True),
        ("", "blank", ["true"], None, True),
        (None, "blank", ["true"], None, True),
        ("  ", "blank", ["true"], None, None),
        ("x", "blank", ["true"], None, False),
        ("x", "blank", ["false"], None, True),
        (None, "blank", ["false"], None, False),
        (0, "blank", ["true"], None, False),
        (False, "blank", ["true"], None, False),
    ],
)
def test_one_value(value, operator, wanted, base, expected):
    assert verdict(value, operator, *wanted, base=base) is expected


def test_what_the_record_does_not_show_is_not_judged():
    assert satisfies({"id": 1}, Condition(("status",), "", ("x",))) is None
    assert satisfies({"supplier": None}, Condition(("supplier", "name"), "", ("x",))) is None
    assert satisfies({"supplier": {"id": 1}}, Condition(("supplier", "name"), "", ("x",))) is None
    assert satisfies({"lines": []}, Condition(("lines", "price"), "gt", ("1",), "decimal")) is None


def test_through_a_list_one_line_is_enough():
    lines = {"lines": [{"code": "a"}, {"code": "b"}]}
    assert satisfies(lines, Condition(("lines", "code"), "", ("b",))) is True
    assert satisfies(lines, Condition(("lines", "code"), "", ("c",))) is False
    assert satisfies({"lines": [{"code": "a"}, {}]}, Condition(("lines", "code"), "", ("a",))) is True


def test_both_spellings_of_a_name_are_found():
    assert satisfies({"invoice-number": "A"}, Condition(("invoice_number",), "", ("A",))) is True
    assert satisfies({"postal_code": "A"}, Condition(("postal_code",), "", ("A",))) is True


@pytest.mark.parametrize(
    "text", [None, 5, "", "2024", "not a time", "20240501", "2024-13-01", "2024-05-01T99:00:00Z"]
)
def test_what_is_no_instant(text):
    assert parse_instant(text) is None


plain = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12),
    st.sampled_from(["2024-05-01", "2024-05-01T10:00:00Z", "10.50", "NaN", "true", "1e5", "", " "]),
)  # fmt: skip
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
)


@given(
    values,
    st.sampled_from(["", *OPERATORS]),
    plain,
    st.sampled_from([None, "decimal", "integer", "date", "datetime", "boolean"]),
)
@settings(max_examples=500)
def test_no_value_whatever_breaks_the_comparison(value, operator, wanted, base):
    text = "true" if operator == "blank" else str(wanted)
    assert verdict(value, operator, text, base=base) in (True, False, None)


# ---- held against the emulator: what it returns for a filter is never called wrong

RESOURCES = {
    "invoices": [
        ("status",), ("invoice_number",), ("id",), ("total",), ("exported",), ("updated_at",), ("created_at",),
        ("invoice_date",), ("supplier", "name"), ("supplier", "id"), ("currency", "code"),
        ("invoice_lines", "price"), ("invoice_lines", "description"),
    ],
    "suppliers": [("name",), ("number",), ("status",), ("id",), ("updated_at",)],
    "purchase_orders": [("po_number",), ("status",), ("order_lines", "price"), ("supplier", "name"), ("version",)],
    "exchange_rates": [("rate",), ("rate_date",), ("from_currency", "code")],
    "users": [("login",), ("email",), ("active",), ("firstname",)],
}  # fmt: skip


class Asked:
    """An instance without a socket, so that a property can be tried hundreds of times."""

    def __init__(self, switches):
        self.instance = Instance(scale=0.05, changes={"switches": switches})
        self.api = Api(self.instance)
        self.token = Token("emulator", self.instance.authority.clients["emulator"].scopes, 0, 1e12)

    def list(self, resource, query):
        call = Call("GET", f"/api/{resource}", query, {"accept": "application/json"}, b"", self.token)
        answer = self.api.answer(call)
        return answer.status, json.loads(answer.body)


@pytest.fixture(scope="module")
def instances():
    return [Asked({}), Asked({"U16": "sensitive", "U17": "any_line", "U29": "omitted"})]


def samples(record, path):
    if isinstance(record, list):
        return [value for member in record for value in samples(member, path)]
    if not path:
        return [record]
    return samples(record.get(path[0].replace("_", "-")), path[1:]) if isinstance(record, dict) else []


@given(data=st.data())
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_the_emulator_returns_for_a_filter_is_never_called_wrong(instances, data):
    asked = data.draw(st.sampled_from(instances))
    resource = data.draw(st.sampled_from(list(RESOURCES)))
    path = data.draw(st.sampled_from(RESOURCES[resource]))
    operator = data.draw(st.sampled_from(["", *OPERATORS]))
    status, some = asked.list(resource, "limit=50")
    assert status == 200
    assert some
    seen = [
        str(value) for value in samples(some, path) if value not in (None, "") and not isinstance(value, dict)
    ]
    word = data.draw(st.sampled_from(seen or ["1"]))
    if operator in ("contains", "starts_with", "ends_with"):
        start = data.draw(st.integers(0, max(0, len(word) - 1)))
        word = (
            word[start:]
            if operator == "ends_with"
            else word[: start + 1]
            if operator == "starts_with"
            else word[start : start + 3]
        )
    spelling = data.draw(st.sampled_from([str, str.upper, str.lower, str.title]))
    value = data.draw(st.booleans()) if operator == "blank" else spelling(word)
    if operator in ("in", "not_in"):
        value = [
            text
            for text in [value, data.draw(st.sampled_from(seen or ["2"]))]
            if "," not in text and text.strip()
        ]
        if not value:
            return
    key = path[0] + "".join(f"[{part}]" for part in path[1:]) + (f"[{operator}]" if operator else "")
    try:
        (condition,), _ = parse_filters({key: value}, find_resource(resource))
    except ValueError:
        return  # refused before it is sent
    status, found = asked.list(resource, encode_query([(condition.key, condition.text), ("limit", "50")]))
    if status != 200:
        assert status == 400
        return
    for record in found:
        assert satisfies(record, condition) is not False, (condition, samples(record, path))


@pytest.mark.parametrize("operator", ["", *OPERATORS])
def test_every_operator_decides_over_http(emulator, config_for, run, operator):
    """The same through a client and a socket, and the check does tell right from wrong."""
    key = f"invoice-number[{operator}]" if operator else "invoice-number"
    everything = [emulator.record("invoices", record_id) for record_id in emulator.ids("invoices")[:200]]
    number = everything[7]["invoice-number"]
    value = {"blank": False, "in": [number], "not_in": [number], "contains": number[1:-1]}.get(
        operator, number
    )
    (condition,), _ = parse_filters({key: value}, find_resource("invoices"))

    async def scene():
        async with CoupaClient(config_for(emulator.url)) as client:
            return await client.call("GET", "invoices", params={condition.key: condition.text})

    found = run(scene())
    assert all(satisfies(record, condition) is not False for record in found)
    if operator in ("", "in", "contains", "starts_with", "ends_with"):
        assert any(satisfies(record, condition) is False for record in everything)
        assert number in [record["invoice-number"] for record in found]


def test_an_unknown_attribute_is_refused_by_the_emulator(emulator, config_for):
    async def scene():
        async with CoupaClient(config_for(emulator.url)) as client:
            await client.call("GET", "invoices", params={"no_such_thing": "1"})

    with pytest.raises(CoupaValidationError, match="no-such-thing"):
        asyncio.run(scene())
