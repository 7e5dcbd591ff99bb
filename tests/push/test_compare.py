"""What Coupa shows is what was sent, in every spelling; and a change is never taken for none."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coupa_provider.emulator import Emulator
from coupa_provider.push.compare import added_lines, adds_to, differences
from coupa_provider.push.record import RecordReader
from coupa_provider.resources import Attribute, find_resource

RESOURCES = (
    "suppliers",
    "invoices",
    "purchase_orders",
    "accounts",
    "users",
    "exchange_rates",
    "lookup_values",
    "contracts",
)


def compared(sent, shown, resource="suppliers") -> list[str]:
    return differences(sent, shown, find_resource(resource).attributes)


# ---- records of the emulator, in every spelling


@cache
def shown(resource: str) -> list[dict]:
    """Some records, as Coupa shows them."""
    with Emulator(seed=7, scale=0.02, rate_limit=None) as emulator:
        return [emulator.record(resource, record_id) for record_id in emulator.ids(resource)[:12]]


def read(row, resource: str, **options) -> dict:
    own = {name for record in shown(resource) for name in record} - find_resource(resource).attributes.keys()
    return RecordReader(resource, undocumented=own, **options).read(row)


def is_kept(name: str) -> bool:
    return name not in ("id", "created-at", "updated-at", "created-by", "updated-by", "custom-fields")


def spelled(draw, value, attribute: Attribute | None, depth: int = 0):
    """The same value as a file may hold it."""
    base = attribute.base if attribute else ""
    if isinstance(value, dict):
        if "id" in value and depth == 0 and draw(st.booleans()):
            names = [name for name, part in value.items() if isinstance(part, str | int) and name != "id"]
            name = draw(st.sampled_from(["id", *names]))
            return {name: value[name]}  # a reference by any of what it shows
        return dict(value)
    if isinstance(value, list):
        return draw(st.permutations(value))
    if value is None:
        return draw(st.sampled_from([None, ""]))
    if base == "boolean":
        return draw(
            st.sampled_from(
                [value, str(value), str(value).lower(), "YN"[not value], "yn"[not value], int(value)]
            )
        )
    if base in ("decimal", "float") and not attribute.allowed:
        zeros = draw(st.integers(0, 3))
        text = str(value)
        longer = text + ("" if "." in text else ".") + "0" * zeros if "e" not in text.lower() else text
        return draw(
            st.sampled_from(
                [text, longer.rstrip("."), f" {text} ", Decimal(text), f"+{text}" if text[0] != "-" else text]
            )
        )
    if base == "integer" and isinstance(value, int):
        return draw(
            st.sampled_from(
                [value, str(value), float(value) if abs(int(value)) < 2**50 else value, f"{value}.0"]
            )
        )
    if base in ("datetime", "date") and len(str(value)) > 10:
        instant = dt.datetime.fromisoformat(value)
        zone = draw(st.sampled_from(["UTC", "Asia/Kolkata", "America/Los_Angeles", "Pacific/Auckland"]))
        moved = instant.astimezone(ZoneInfo(zone))
        forms = [moved, moved.isoformat(), moved.isoformat(" "), moved.isoformat(timespec="milliseconds")]
        if instant.time() == dt.time():
            forms += [value[:10], instant.date()]
        return draw(st.sampled_from(forms))
    if isinstance(value, str) and base in ("string", "text"):
        return draw(st.sampled_from([value, value.replace("\n", "\r\n")]))
    return value


@settings(deadline=None)
@given(st.data())
def test_a_record_is_the_same_as_itself_in_every_spelling(data):
    resource = data.draw(st.sampled_from(RESOURCES))
    record = data.draw(st.sampled_from(shown(resource)))
    attributes = find_resource(resource).attributes
    row = {}
    for name, value in record.items():
        if is_kept(name):
            underscored = data.draw(st.booleans())
            row[name.replace("-", "_") if underscored else name] = spelled(
                data.draw, value, attributes.get(name)
            )
    sent = read(row, resource, empty=data.draw(st.sampled_from(["keep", "clear"])))
    assert compared(sent, record, resource) == []


@settings(deadline=None)
@given(st.data())
def test_a_changed_value_is_told_and_no_other(data):
    resource = data.draw(st.sampled_from(RESOURCES))
    record = data.draw(st.sampled_from(shown(resource)))
    attributes = find_resource(resource).attributes
    sent = read({name: value for name, value in record.items() if is_kept(name)}, resource)
    name = data.draw(st.sampled_from(sorted(sent)))
    value, base = sent[name], attributes[name].base if name in attributes else ""
    if isinstance(value, dict):
        inner = [
            part for part in value if isinstance(value[part], str | int) and not isinstance(value[part], bool)
        ]
        if not inner:
            return
        part = data.draw(st.sampled_from(inner))
        value = {**value, part: f"{value[part]}1" if isinstance(value[part], str) else value[part] + 1}
    elif isinstance(value, list):
        value = [*value, {"name": "one more"}] if data.draw(st.booleans()) or not value else []
        if value == sent[name]:
            return
        if value == [] and name.endswith(("-lines", "payments")):
            return  # an empty list of lines leaves them as they are
    elif base == "boolean":
        value = not value
    elif base in ("integer", "decimal", "float") and not isinstance(value, str):
        value = Decimal(value) + data.draw(st.sampled_from([Decimal("0.0001"), 1, -1]))
    elif base in ("datetime", "date"):
        instant = dt.datetime.fromisoformat(record[name])
        value = instant + data.draw(st.sampled_from([dt.timedelta(days=1), dt.timedelta(seconds=-1)]))
    else:
        value = f"{value} {data.draw(st.sampled_from('xé0'))}"
    assert compared({**sent, name: value}, record, resource) == [name]


# ---- case by case


@pytest.mark.parametrize(
    ("name", "sent", "shown", "same"),
    [
        ("name", "a", "A", False),
        ("name", "a ", "a", True),
        ("name", "a\r\nb", "a\nb", True),
        ("number", "007", "7", False),
        ("number", "1.50", "1.5", False),
        ("savings-pct", Decimal("1.50"), "1.5", True),
        ("savings-pct", Decimal(0), None, False),
        ("savings-pct", Decimal("0.1"), 0.1, True),
        ("savings-pct", "x", "y", False),
        ("on-hold", False, None, False),
        ("on-hold", True, "true", True),
        ("on-hold", True, "yes", True),
        ("on-hold", True, "no", False),
        ("name", None, "", True),
        ("name", None, None, True),
        ("name", None, "a", False),
        ("business-groups", None, [], True),
        ("payment-term", None, {}, True),
        ("payment-term", {"code": "N"}, None, False),
        ("payment-term", {"code": "N"}, {"id": 1, "code": "N"}, True),
        ("payment-term", {"code": "N"}, {"id": 1}, False),
        ("payment-term", {"code": "N"}, "N", False),
        ("name", "a", {"id": 1}, False),
        ("name", "a", ["a"], False),
        # A list of references is what it is; those that are missing are to go.
        ("business-groups", [{"id": 1}], [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}], False),
        ("business-groups", [{"id": 2}, {"name": "a"}], [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}], True),
        ("business-groups", [{"name": "a"}, {"name": "a"}], [{"name": "a"}, {"name": "b"}], False),
        ("business-groups", [], [{"id": 1}], False),
        ("business-groups", [{"name": "a"}, {"id": 1, "name": "a"}], [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}], True),
        ("business-groups", [{"id": 1}], None, False),
        ("business-groups", [{"id": 1}], {"id": 1}, False),
        # Of lines, those without mention stay.
        ("invoice-emails", [{"id": "1"}], [{"id": 1}, {"id": 2}], True),
        ("invoice-emails", [{"id": 1, "email": "x"}], [{"id": 1, "email": "y"}], False),
        ("invoice-emails", [{"id": 3}], [{"id": 1}], False),
        ("invoice-emails", [{"email": "x"}], [{"id": 1, "email": "x"}, {"id": 2, "email": "y"}], False),
        ("invoice-emails", [{"id": 1, "_delete": True}], [{"id": 1}], False),
        ("scf-configs", ["a", "b"], ["b", "a"], True),
        ("scf-configs", ["a", "a"], ["b", "a"], False),
        ("undocumented", "1.0", "1.00", False),
        ("undocumented", 1, "1.00", True),
    ],
)  # fmt: skip
def test_what_is_the_same(name, sent, shown, same):
    assert (compared({name: sent}, {name: shown}) == []) is same


def test_what_is_not_shown_counts_as_different():
    assert compared({"name": "a", "website": None, "_cancel": True}, {"name": "a"}) == ["website", "_cancel"]


@pytest.mark.parametrize(
    ("sent", "shown", "same"),
    [
        ("2026-11-24", "2026-11-24T00:00:00-08:00", True),
        (dt.date(2026, 11, 24), "2026-11-24T09:30:00-08:00", True),
        ("2026-11-24T08:00:00Z", "2026-11-24T00:00:00-08:00", True),
        ("2026-11-24T08:00:00.999Z", "2026-11-24T00:00:00-08:00", True),
        ("2026-11-24T08:00:01Z", "2026-11-24T00:00:00-08:00", False),
        ("2026-11-24", "2026-11-23T00:00:00-08:00", False),
        ("2026-11-24", "soon", False),
    ],
)
def test_times(sent, shown, same):
    assert (compared({"rate-date": sent}, {"rate-date": shown}, "exchange_rates") == []) is same


@pytest.mark.parametrize(
    ("changes", "repeatable", "added"),
    [
        ({"name": "a", "payment-term": {"code": "N"}}, True, []),
        ({"business-groups": [{"id": 1}]}, True, []),
        ({"business-groups": [{"name": "a"}]}, False, []),
        ({"invoice-lines": [{"id": 1, "price": "2"}]}, True, []),
        ({"invoice-lines": [{"id": 1}, {"price": "2"}]}, False, ["invoice-lines"]),
        ({"payments": {"payment": {"amount-paid": "1"}}}, False, ["payments"]),
        ({"invoice-lines": [{"id": 1, "account-allocations": [{"pct": "50"}]}]}, False, ["invoice-lines"]),
        ({"payments": {"payment": [{"amount-paid": "1"}]}}, False, ["payments"]),
        ({"_cancel": True}, False, []),
        ({"primary-address": {"_delete": True}}, False, []),
        ({"tags": ["a"]}, True, []),
    ],
)
def test_what_may_be_sent_twice(changes, repeatable, added):
    attributes = find_resource("invoices").attributes
    assert (adds_to(changes, attributes) == []) is repeatable
    assert added_lines(changes, attributes) == added


def test_an_instant_in_the_hour_that_comes_twice_is_compared_as_an_instant():
    """Python takes such a time in one zone for unequal to all times in others (PEP 495)."""
    shown = {"payment-date": "2024-11-03T01:30:00-07:00"}
    sent = dt.datetime.fromisoformat(shown["payment-date"]).astimezone(ZoneInfo("America/Los_Angeles"))
    assert differences({"payment-date": sent}, shown, find_resource("invoices").attributes) == []
    later = {"payment-date": sent.replace(fold=1)}
    assert differences(later, shown, find_resource("invoices").attributes) == ["payment-date"]
