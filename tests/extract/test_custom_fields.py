"""Custom fields are found where Coupa puts them: in their object, and beside the documented attributes."""

from __future__ import annotations

from typing import Any

import pytest

from coupa_provider.extract.drift import Drift, FoundField
from coupa_provider.extract.schema import schema_of
from coupa_provider.extract.table import TableDecoder
from tests.extract.synthetic import page_of


def found_in(*records: Any, resource: str = "invoices", fields: list | None = None) -> dict[str, FoundField]:
    decoder = TableDecoder(schema_of(resource, fields))
    page = page_of(*({"id": n, **record} for n, record in enumerate(records)))
    decoder.decode(page.records, page.ids)
    return decoder.drift.custom_fields


def test_both_places() -> None:
    found = found_in(
        {"my-own": 1, "custom-fields": {"region": "EMEA", "empty": None}},
        {"my-own": 2.5, "custom-fields": {"region": None}},
        {"custom-fields": {"region": "APAC"}, "is-credit-note": True, "po_number": "x", "status": "new"},
    )
    assert found == {
        "my-own": FoundField(2, "number"),
        "po_number": FoundField(1, "string"),
        "custom-fields[region]": FoundField(2, "string"),
        "custom-fields[empty]": FoundField(0, "null"),
    }


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["text", ""], "string"),
        (["12.50"], "string"),
        ([1, -2.5, 1e9], "number"),
        ([True, False], "boolean"),
        (["2024-05-01"], "date"),
        (["2024-05-01T08:00:00-07:00", "2024-05-01 08:00:00 UTC"], "datetime"),
        ([{"id": 1}, {}], "reference"),
        ([[], [1]], "list"),
        (["text", 1], "mixed"),
        (["2024-05-01", "2024-05-01T08:00:00Z"], "mixed"),
        ([None, None, 5], "number"),
        ([None], "null"),
    ],
)
def test_what_they_seem_to_hold(values: list[object], kind: str) -> None:
    count = sum(value is not None for value in values)
    records = [{"mine": value, "custom-fields": {"mine": value}} for value in values]
    expected = FoundField(count, kind)
    assert found_in(*records) == {"mine": expected, "custom-fields[mine]": expected}


def test_kinds_of_several_batches_are_put_together() -> None:
    drift = Drift()
    for kind, together in [("null", "null"), ("date", "date"), ("null", "date"), ("date", "date"), ("list", "mixed")]:  # fmt: skip
        drift.add_custom_field("mine", 1, kind)
        assert drift.custom_fields["mine"].kind == together
    assert drift.custom_fields["mine"].count == 5


def test_one_value_among_many_nulls_is_found() -> None:
    records = [{"custom-fields": {"rare": True if n == 777 else None}} for n in range(2000)]
    assert found_in(*records) == {"custom-fields[rare]": FoundField(1, "boolean")}


@pytest.mark.parametrize("odd", [None, [], "x", 5, [{"a": 1}]])
def test_an_object_that_is_none_has_no_fields(odd: object) -> None:
    assert found_in({"custom-fields": odd}, {"custom-fields": {"a": 1}}) == {
        "custom-fields[a]": FoundField(1, "number")
    }


def test_a_column_of_ones_own_is_a_custom_field_too() -> None:
    fields = ["status", "plant-code", "not-there"]
    assert found_in({"status": "new", "plant-code": "P1"}, fields=fields) == {
        "plant-code": FoundField(1, "string")
    }


def test_custom_fields_that_fields_did_not_ask_for_are_found() -> None:
    assert found_in({"custom-fields": {"a": 1}}, fields=["status"]) == {
        "custom-fields[a]": FoundField(1, "number")
    }


def test_names_that_are_data_do_not_fill_the_manifest() -> None:
    records = [{"custom-fields": {f"key-{n}": n}} for n in range(3000)]
    assert len(found_in(*records)) == 1000
