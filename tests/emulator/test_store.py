from __future__ import annotations

import pytest

from coupa_provider.emulator.query import parse_query
from coupa_provider.emulator.seed import Seeder
from coupa_provider.emulator.selective import narrowed
from coupa_provider.emulator.sql import Compiler
from coupa_provider.emulator.store import Store
from coupa_provider.emulator.switches import Switches


@pytest.fixture(scope="module")
def store() -> Store:
    seeder = Seeder(sizes={"invoices": 500})
    return Store(lambda path: (seeder.rows(path), seeder.maker(path).own_names))


def plan(store: Store, text: str) -> str:
    store.collection("invoices")
    switches = Switches()
    statement = Compiler("invoices", switches, lambda path: path).page(
        parse_query(text, "InvoiceHeader", switches)
    )
    rows = store._connection.execute(f"EXPLAIN QUERY PLAN {statement.text}", statement.values)
    return "\n".join(row[3].decode() for row in rows)


@pytest.mark.parametrize(
    ("query", "used"),
    [
        ("id[gt]=500&order_by=id&dir=asc", "USING INTEGER PRIMARY KEY (rowid>?)"),
        ("id[gt]=5&id[lt_or_eq]=90&order_by=id", "USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
        (
            "id[gt]=5&updated-at[gt_or_eq]=2025-01-01&updated-at[lt]=2025-01-02&order_by=id",
            "COVERING INDEX invoices lean",
        ),
        ("offset=300&exported=false", "COVERING INDEX invoices lean"),
        ("id=7", "USING INTEGER PRIMARY KEY (rowid=?)"),
        (
            "updated-at[gt_or_eq]=2025-01-01&updated-at[lt]=2025-02-01&order_by=updated_at",
            "updated_at>? AND updated_at<?",
        ),
    ],
)
def test_what_big_extracts_ask_uses_an_index(store: Store, query: str, used: str) -> None:
    found = plan(store, query)
    assert used in found
    assert "TEMP B-TREE" not in found


def test_a_natural_key_is_looked_up_through_an_index(store: Store) -> None:
    number = (store.record("invoices", 1) or {})["invoice-number"]
    query = parse_query(f"invoice-number={number.lower()}", "InvoiceHeader", Switches())
    (condition,) = query.conditions
    assert narrowed(store, "invoices", query.conditions, sensitive=False) == ([1], [])
    assert narrowed(store, "invoices", query.conditions, sensitive=True) == ([], [])
    assert store.matching("invoices", [(condition.steps, condition.kind, condition.values[0])]) == [1]
    found = "SELECT 1 FROM invoices WHERE fold(json_extract(body, '$.\"invoice-number\"')) IN ('a', 'b')"
    rows = store._connection.execute(f"EXPLAIN QUERY PLAN {found}")
    assert "USING INDEX invoices by" in "\n".join(row[3].decode() for row in rows)


@pytest.mark.parametrize(
    ("path", "type_name", "query", "is_narrow"),
    [
        ("suppliers", "Supplier", "number[in]=a,b", True),
        ("lookup_values", "LookupValue", "lookup[name]=x&external-ref-num[in]=a,b", True),
        ("exchange_rates", "ExchangeRate", "rate_date[gt_or_eq]=2024-01-01&rate_date[lt]=2024-01-02", True),
        # More records than are worth a list: the walk in the order of ids goes on as before.
        ("exchange_rates", "ExchangeRate", "rate_date[gt_or_eq]=2001-01-01", False),
        ("suppliers", "Supplier", "website=a", False),
        ("suppliers", "Supplier", "status=active", False),
    ],
)
def test_keys_narrow_a_query_down_where_that_pays(
    store: Store, path: str, type_name: str, query: str, is_narrow: bool
) -> None:
    conditions = parse_query(query, type_name, Switches()).conditions
    assert (narrowed(store, path, conditions, sensitive=False) is not None) is is_narrow


def test_a_closed_store_seeds_anew_after_reset(store: Store) -> None:
    before = store.ids("currencies")
    store.delete("currencies", before[0])
    store.reset()
    assert store.ids("currencies") == before
