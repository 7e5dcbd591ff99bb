"""The columns of a table depend on the release and on ``fields``, never on the data."""

from __future__ import annotations

import pytest

from coupa_provider.extract.schema import column_name, schema_of
from coupa_provider.resources.catalog import find_resource, resource_paths


def test_types_of_invoices() -> None:
    types = schema_of("invoices").types
    assert next(iter(types)) == "id"
    assert list(types)[-2:] == ["custom_fields", "_extra"]
    assert {
        name: types[name]
        for name in (
            "id",
            "invoice_number",
            "tax_amount",
            "exchange_rate",
            "amount_of_advance_payment",
            "paid",
        )
    } == {
        "id": "int64",
        "invoice_number": "string",
        "tax_amount": "decimal128(38, 10)",
        "exchange_rate": "decimal128(38, 10)",
        "amount_of_advance_payment": "decimal128(38, 20)",
        "paid": "bool",
    }
    assert types["invoice_date"] == "timestamp[us, tz=UTC]"
    assert types["invoice_date_day"] == "date32[day]"
    assert "created_at_day" not in types
    assert types["supplier"] == types["invoice_lines"] == "string"
    assert types["tax_rate"] == "double"


def test_attributes_that_are_never_sent_have_no_column_unless_asked_for() -> None:
    assert not find_resource("invoices").attributes["is-credit-note"].readable
    assert "is_credit_note" not in schema_of("invoices").types
    assert schema_of("invoices", ["is-credit-note"]).types["is_credit_note"] == "bool"


@pytest.mark.parametrize("resource", resource_paths())
def test_every_documented_resource_has_a_schema(resource: str) -> None:
    for as_text in (False, True):
        schema = schema_of(resource, decimals_as_text=as_text)
        names = [column.name for column in schema.columns]
        assert len(set(names)) == len(names)
        assert names[0] == "id"
        assert "_extra" not in names
    readable = {name for name, attribute in find_resource(resource).attributes.items() if attribute.readable}
    assert {column_name(name) for name in readable} <= set(names)


def test_fields_choose_the_columns() -> None:
    schema = schema_of(
        "invoices",
        [
            "invoice_number",
            {"supplier": ["id", "name"]},
            {"custom_fields": {}},
            "net-due-date",
            "plant-code",
            "id",
        ],
    )
    assert [(column.name, column.attribute, column.kind.name) for column in schema.columns] == [
        ("id", "id", "integer"),
        ("invoice_number", "invoice-number", "text"),
        ("supplier", "supplier", "json"),
        ("custom_fields", "custom-fields", "json"),
        ("net_due_date", "net-due-date", "time"),
        ("net_due_date_day", "net-due-date", "day"),
        ("plant_code", "plant-code", "json"),
    ]


def test_an_undocumented_resource_has_a_stable_schema() -> None:
    assert list(schema_of("things").types) == ["id", "created_at", "updated_at", "custom_fields", "_extra"]
    assert list(schema_of("things", ["name"]).types) == ["id", "name", "_extra"]


def test_ids_may_stand_in_the_path() -> None:
    assert schema_of("suppliers/7/addresses") == schema_of("suppliers/:supplier_id/addresses")


def test_csv_keeps_decimals_as_text() -> None:
    assert schema_of("invoices", decimals_as_text=True).types["tax_amount"] == "string"
