"""Two extracts are compared in words that people read and tasks act on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from coupa_provider.extract import SCHEMA_CHANGES
from coupa_provider.extract.destination import Destination
from coupa_provider.extract.drift import Drift, FoundField, Misfits
from coupa_provider.extract.manifest import ChildTable, Manifest
from coupa_provider.extract.schema_diff import Change, SchemaDiff, compare_schemas
from tests.extract.synthetic import page_of

Extract = Callable[..., Manifest]
DECIMAL = "decimal128(38, 10)"


@pytest.fixture
def changed(extract: Extract, local: Destination) -> Callable[..., Manifest]:
    """A real manifest, with some of it replaced."""
    manifest = extract([page_of({"id": 1})], local, resource="invoices", file_format="parquet", fields=["id"])
    return lambda **changes: msgspec.structs.replace(manifest, **changes)


def lines(columns: dict[str, str], **drift: Any) -> ChildTable:
    return ChildTable(
        attribute="invoice-lines",
        parent_column="_parent_id",
        position_column="_position",
        records=3,
        files=[],
        columns=columns,
        drift=Drift(rows=3, **drift),
    )


def test_the_same_is_the_same(changed: Callable[..., Manifest]) -> None:
    diff = compare_schemas(changed(), changed())
    assert (diff.changes, diff.breaking, str(diff)) == ([], False, "invoices: nothing changed")


def test_all_that_can_change(changed: Callable[..., Manifest]) -> None:
    old = changed(
        columns={
            "id": "int64",
            "gross_total": DECIMAL,
            "comments": "string",
            "paid": "bool",
            "shipping": "string",
        },
        drift=Drift(
            rows=10,
            unforeseen={"old-own": 2, "now-a-column": 4, "(others)": 1},
            custom_fields={"old-own": FoundField(2, "string"), "custom-fields[kept]": FoundField(1, "date")},
            misfits={"gross-total": Misfits(1, [1])},
            never_seen=["paid"],
        ),
        children={"invoice_lines": lines({"id": "int64", "price": DECIMAL}, never_seen=["price"])},
    )
    new = changed(
        columns={
            "id": "int64",
            "gross_total": "string",
            "now_a_column": "string",
            "paid": "bool",
            "shipping": "string",
        },
        drift=Drift(
            rows=12,
            unforeseen={"comments": 3},
            custom_fields={
                "custom-fields[kept]": FoundField(9, "mixed"),
                "custom-fields[region]": FoundField(5, "string"),
            },
            misfits={"gross-total": Misfits(1, [1]), "paid": Misfits(4, [1, 2, 3])},
            never_seen=["shipping"],
        ),
        children={
            "invoice_lines": lines({"id": "int64", "price": "string"}),
            "payments": lines({"id": "int64"}),
        },
        provider_version="9.0.0",
    )
    diff = compare_schemas(old, new)
    assert diff.changes == [
        Change("removed", "invoices", "comments", "string"),
        Change("retyped", "invoices", "gross_total", DECIMAL, "string"),
        Change("retyped", "invoice_lines", "price", DECIMAL, "string"),
        Change("added", "invoices", "now_a_column", None, "string"),
        Change("added", "payments", None),
        Change("vanished", "invoices", "old-own", "string"),
        Change("vanished", "invoices", "shipping", "string"),
        Change("appeared", "invoices", "custom-fields[region]", None, "string"),
        Change("appeared", "invoices", "paid", None, "bool"),
        Change("appeared", "invoice_lines", "price", None, "string"),
        Change("misfit", "invoices", "paid", None, "4 value(s)"),
    ]
    assert diff.breaking
    assert str(diff).splitlines() == [
        "invoices: 11 change(s)",
        "  removed   invoices: comments, string",
        "  retyped   invoices: gross_total, decimal128(38, 10) -> string",
        "  retyped   invoice_lines: price, decimal128(38, 10) -> string",
        "  added     invoices: now_a_column, string",
        "  added     payments",
        "  vanished  invoices: old-own, string",
        "  vanished  invoices: shipping, string",
        "  appeared  invoices: custom-fields[region], string",
        "  appeared  invoices: paid, bool",
        "  appeared  invoice_lines: price, string",
        "  misfit    invoices: paid, 4 value(s)",
        f"  The releases {old.provider_version} and 9.0.0 of airflow-provider-coupa wrote them; columns may differ for "
        "that reason.",
    ]
    assert {change.what for change in diff.changes} == set(SCHEMA_CHANGES)
    assert msgspec.json.decode(msgspec.json.encode(diff), type=SchemaDiff) == diff


def test_a_list_with_a_table_of_its_own_can_vanish(changed: Callable[..., Manifest]) -> None:
    children = {"invoice_lines": lines({"id": "int64"})}
    seen = changed(drift=Drift(rows=1), children=children)
    unseen = changed(drift=Drift(rows=1, never_seen=["invoice-lines"]), children=children)
    assert compare_schemas(seen, unseen).changes == [Change("vanished", "invoices", "invoice-lines")]
    assert compare_schemas(unseen, seen).changes == [Change("appeared", "invoices", "invoice-lines")]


@pytest.mark.parametrize("empty", [{"drift": Drift()}, {"drift": None}])
def test_an_extract_without_records_says_nothing_of_attributes(
    empty: dict, changed: Callable[..., Manifest]
) -> None:
    full = changed(drift=Drift(rows=5, unforeseen={"mine": 5}, misfits={"id": Misfits(1, [1])}))
    assert compare_schemas(changed(**empty), full).changes == []
    assert compare_schemas(full, changed(**empty)).changes == []


def test_a_change_that_readers_survive_is_not_breaking(changed: Callable[..., Manifest]) -> None:
    old, new = changed(columns={"id": "int64"}), changed(columns={"id": "int64", "mine": "string"})
    assert not compare_schemas(old, new).breaking
    assert compare_schemas(new, old).breaking


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"resource": "suppliers"}, "resource 'invoices' and 'suppliers'"),
        ({"file_format": "csv"}, "file_format 'parquet' and 'csv'"),
        ({"kind": "deletions"}, "kind 'records' and 'deletions'"),
    ],
)
def test_different_things_are_not_compared(
    other: dict, message: str, changed: Callable[..., Manifest]
) -> None:
    with pytest.raises(ValueError, match=message):
        compare_schemas(changed(), changed(**other))


def test_two_real_extracts(extract: Extract, local: Destination, tmp_path: Path) -> None:
    options = {"resource": "invoices", "file_format": "parquet"}
    old = extract([page_of({"id": 1, "custom-fields": {"a": 1}})], local, **options)
    new = extract([page_of({"id": 1, "custom-fields": {"b": 1}, "status": ["?"]})], local, **options)
    assert [str(change) for change in compare_schemas(old, new).changes] == [
        "vanished  invoices: custom-fields[a], number",
        "appeared  invoices: custom-fields[b], number",
        "appeared  invoices: status, string",
        "misfit    invoices: status, 1 value(s)",
    ]
