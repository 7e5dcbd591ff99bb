"""Seeded data: repeatable, consistent, and as awkward as real data."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from coupa_provider.emulator.attributes import home_of_type
from coupa_provider.emulator.seed import Seeder
from coupa_provider.emulator.stamps import parse_instant
from coupa_provider.resources import find_resource

if TYPE_CHECKING:
    from tests.emulator.conftest import Caller

SEEDED = [
    "suppliers",
    "purchase_orders",
    "purchase_order_lines",
    "invoices",
    "requisitions",
    "expense_reports",
    "expense_lines",
    "users",
    "accounts",
    "account_types",
    "addresses",
    "departments",
    "currencies",
    "exchange_rates",
    "payment_terms",
    "lookup_values",
    "lookups",
    "budget_lines",
    "contracts",
    "items",
    "supplier_items",
    "receiving_transactions",
    "approvals",
    "projects",
    "integrations",
    "integration_runs",
    "integration_errors",
    "integration_history_records",
    "data_file_sources",
]


def rows(path: str, **more: Any) -> list[Any]:
    return list(Seeder(scale=0.1, **more).rows(path))


class TestRepeatable:
    @pytest.mark.parametrize("path", ["invoices", "purchase_orders", "suppliers", "exchange_rates", "tasks"])
    def test_a_seed_makes_the_same_records(self, path: str) -> None:
        assert rows(path, seed=7) == rows(path, seed=7)
        assert rows(path, seed=7) != rows(path, seed=8)

    def test_whatever_else_was_made_before(self) -> None:
        one, other = Seeder(scale=0.1), Seeder(scale=0.1)
        list(one.rows("suppliers"))
        assert list(one.rows("invoices")) == list(other.rows("invoices"))

    def test_sizes(self) -> None:
        assert len(rows("suppliers", sizes={"suppliers": 33})) == 33
        assert len(rows("invoices")) == 200


@pytest.fixture(scope="module")
def invoices() -> list[dict[str, Any]]:
    return [json.loads(row[6]) for row in Seeder(sizes={"invoices": 600}).rows("invoices")]


class TestInvoices:
    def test_all_readable_attributes_are_there(self, invoices: list[dict[str, Any]]) -> None:
        resource = find_resource("invoices")
        assert resource is not None
        readable = {name for name, attribute in resource.attributes.items() if attribute.readable}
        assert all(readable <= set(invoice) for invoice in invoices)

    def test_width(self) -> None:
        sizes = sorted(len(row[6].encode()) for row in Seeder(sizes={"invoices": 600}).rows("invoices"))
        assert sizes[0] > 8_000
        assert sizes[len(sizes) // 2] < 13_000
        assert sizes[-1] < 16_500

    def test_ids_have_gaps_and_times_have_ties(self, invoices: list[dict[str, Any]]) -> None:
        ids = [invoice["id"] for invoice in invoices]
        assert ids == sorted(set(ids))
        assert ids[-1] > len(ids)
        ties = Counter(invoice["updated-at"] for invoice in invoices)
        assert max(ties.values()) > 100, "more than two pages share one second"

    def test_offsets_follow_daylight_saving(self, invoices: list[dict[str, Any]]) -> None:
        assert {invoice["created-at"][-6:] for invoice in invoices} == {"-07:00", "-08:00"}
        repeated = [i["updated-at"] for i in invoices if i["updated-at"].startswith("2024-11-03T01:30:00")]
        assert sorted(repeated) == ["2024-11-03T01:30:00-07:00", "2024-11-03T01:30:00-08:00"]

    def test_never_changed_before_it_was_made(self, invoices: list[dict[str, Any]]) -> None:
        assert all(parse_instant(i["created-at"]) <= parse_instant(i["updated-at"]) for i in invoices)

    def test_awkward_values(self, invoices: list[dict[str, Any]]) -> None:
        text = json.dumps(invoices, ensure_ascii=False)
        for part in ("ü", "東京", '\\"', "\\n", "\\\\", ': ""', ": null", '.00"'):
            assert part in text, part
        assert any(len(str(i["amount-of-advance-payment"])) > 40 for i in invoices)
        assert all(isinstance(i["gross-total"], str) for i in invoices)
        assert all(isinstance(i["tax-rate"], float) for i in invoices)

    def test_columns_say_what_the_json_says(self) -> None:
        for row in rows("invoices"):
            record = json.loads(row[6])
            assert row[0] == record["id"]
            assert row[1] == parse_instant(record["created-at"]).timestamp()
            assert row[2] == parse_instant(record["updated-at"]).timestamp()
            assert row[3] == record["status"]
            assert bool(row[4]) == record["exported"]


def references(record: dict[str, Any], type_name: str) -> list[tuple[str, int]]:
    """All references of a record to records of other collections, as path and id."""
    from coupa_provider.resources import attributes_of_type

    found: list[tuple[str, int]] = []
    for name, attribute in attributes_of_type(type_name).items():
        value = record.get(name)
        if attribute.base == "reference" and isinstance(value, dict):
            home = home_of_type(attribute.target)
            if home is not None:
                found.append((home, value["id"]))
        elif attribute.base == "list" and isinstance(value, list):
            for one in value:
                found += references(one, attribute.target or "")
    return found


@pytest.mark.parametrize("path", SEEDED)
def test_references_resolve(seeded: Caller, path: str) -> None:
    resource = find_resource(path)
    assert resource is not None
    ids = seeded.emulator.ids(path)
    assert ids
    alive: dict[str, set[int]] = {}
    for record_id in ids[:150]:
        record = seeded.emulator.record(path, record_id) or {}
        for home, other in references(record, resource.type):
            if home not in alive:
                alive[home] = set(seeded.emulator.ids(home))
            assert other in alive[home], (record_id, home, other)


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("suppliers", ["name"]),
        ("users", ["login"]),
        ("purchase_orders", ["po-number"]),
        ("accounts", ["code", "account-type"]),
        ("currencies", ["code"]),
        ("lookup_values", ["external-ref-num"]),
        ("integrations", ["code"]),
        ("exchange_rates", ["from-currency", "to-currency", "rate-date"]),
        ("invoices", ["invoice-number"]),
    ],
)
def test_natural_keys_are_unique(seeded: Caller, path: str, names: list[str]) -> None:
    keys = []
    for record_id in seeded.emulator.ids(path):
        record = seeded.emulator.record(path, record_id) or {}
        keys.append(json.dumps([record[name] for name in names]))
    assert len(keys) == len(set(keys))


def test_lines_are_the_same_alone_and_in_their_order(seeded: Caller) -> None:
    order_id = seeded.emulator.ids("purchase_orders")[5]
    order = seeded.emulator.record("purchase_orders", order_id) or {}
    alone = seeded.get("purchase_order_lines", {"order-header-id": order_id}).json()
    assert alone
    assert [line["id"] for line in alone] == [line["id"] for line in order["order-lines"]]
    for one, other in zip(alone, order["order-lines"], strict=True):
        for name in ("price", "quantity", "total", "account", "description", "order-header-number"):
            assert one[name] == other[name]


def test_custom_fields_stand_in_both_places(seeded: Caller) -> None:
    supplier = seeded.get("suppliers", {"limit": 2}).json()[1]
    assert "send-to-vms" in supplier["custom-fields"]
    assert "legacy-vendor-code" in supplier


def test_generation_keeps_up() -> None:
    seeder = Seeder(sizes={"invoices": 3000})
    list(Seeder(sizes={"invoices": 10}).rows("invoices"))
    begin = time.perf_counter()
    number = sum(1 for _ in seeder.rows("invoices"))
    rate = number / (time.perf_counter() - begin)
    assert rate > 2000, "far below what benchmarks with 200,000 invoices need"
