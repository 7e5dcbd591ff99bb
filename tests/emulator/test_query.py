"""Filters, order and pages, judged by a second reading of the same records in plain Python."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coupa_provider.emulator.decimal_order import decimal_key
from coupa_provider.emulator.query import OPERATORS, QueryError, parse_query
from coupa_provider.emulator.stamps import parse_instant
from coupa_provider.emulator.switches import Switches

if TYPE_CHECKING:
    from tests.emulator.conftest import Caller

numbers = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**40), max_value=10**40)


class TestDecimalKey:
    @given(numbers, numbers)
    def test_sorts_as_the_numbers_do(self, one: Decimal, other: Decimal) -> None:
        keys = decimal_key(one), decimal_key(other)
        assert (keys[0] < keys[1]) == (one < other)  # type: ignore[operator]
        assert (keys[0] == keys[1]) == (one == other)

    def test_trailing_zeros_do_not_count(self) -> None:
        assert decimal_key("10.0") == decimal_key("10") == decimal_key("1E1")

    @pytest.mark.parametrize("text", ["", "abc", "NaN", None])
    def test_what_is_no_number_has_no_key(self, text: str | None) -> None:
        assert decimal_key(text) is None


class TestTwelveOperators:
    """Ids that the server finds are those that Python finds among all records."""

    def everything(self, coupa: Caller, path: str) -> list[dict[str, Any]]:
        records = [coupa.emulator.record(path, i) for i in coupa.emulator.ids(path)]
        return [record for record in records if record is not None]

    @pytest.mark.parametrize(
        ("operator", "holds"),
        [
            ("", lambda a, b: a == b),
            ("[gt]", lambda a, b: a > b),
            ("[lt]", lambda a, b: a < b),
            ("[gt_or_eq]", lambda a, b: a >= b),
            ("[lt_or_eq]", lambda a, b: a <= b),
            ("[not_eq]", lambda a, b: a != b),
        ],
    )
    def test_decimals_compare_as_numbers(self, seeded: Caller, operator: str, holds: Any) -> None:
        records = self.everything(seeded, "invoices")
        border = Decimal(records[17]["gross-total"])
        expected = [r["id"] for r in records if holds(Decimal(r["gross-total"]), border)]
        # The same number in another spelling.
        assert seeded.ids("invoices", {f"gross-total{operator}": f"{border}000"}) == expected
        assert expected

    @pytest.mark.parametrize("operator", ["gt", "lt", "gt_or_eq", "lt_or_eq"])
    def test_instants_compare_whatever_the_offset(self, seeded: Caller, operator: str) -> None:
        records = self.everything(seeded, "invoices")
        border = parse_instant(records[40]["updated-at"])
        compare = {
            "gt": border.__lt__,
            "lt": border.__gt__,
            "gt_or_eq": border.__le__,
            "lt_or_eq": border.__ge__,
        }[operator]
        expected = [r["id"] for r in records if compare(parse_instant(r["updated-at"]))]
        for text in (border.astimezone(UTC).isoformat(), records[40]["updated-at"]):
            assert seeded.ids("invoices", {f"updated-at[{operator}]": text}) == expected
            assert seeded.ids("invoices", {f"updated_at[{operator}]": text}) == expected

    def test_equal_instants(self, seeded: Caller) -> None:
        records = self.everything(seeded, "invoices")
        stamp = parse_instant(records[40]["net-due-date"])
        assert records[40]["id"] in seeded.ids(
            "invoices", {"net-due-date": stamp.astimezone(UTC).isoformat()}
        )

    @pytest.mark.parametrize(
        ("operator", "value", "holds"),
        [
            ("contains", "ü", lambda name: "ü" in name),
            ("contains", "%", lambda name: "%" in name),
            ("starts_with", "o'brien", lambda name: name.startswith("o'brien")),
            ("ends_with", "GmbH", lambda name: name.endswith("gmbh")),
            ("not_eq", "Fishy Supplies", lambda name: name != "fishy supplies"),
            (
                "in",
                "Fishy Supplies, MÜLLER Supplies",
                lambda name: name in ("fishy supplies", "müller supplies"),
            ),
            ("not_in", "Fishy Supplies,x", lambda name: name != "fishy supplies"),
        ],
    )
    def test_texts(self, seeded: Caller, operator: str, value: str, holds: Any) -> None:
        expected = [r["id"] for r in self.everything(seeded, "suppliers") if holds(r["name"].casefold())]
        assert seeded.ids("suppliers", {f"name[{operator}]": value}) == expected

    def test_blank_is_null_or_empty(self, seeded: Caller) -> None:
        records = self.everything(seeded, "users")
        expected = [r["id"] for r in records if not r["employee-number"]]
        assert expected
        assert seeded.ids("users", {"employee-number[blank]": "true"}) == expected
        others = [r["id"] for r in records if r["employee-number"]]
        assert seeded.ids("users", {"employee-number[blank]": "false"}) == others

    def test_null_is_neither_equal_nor_unequal(self, seeded: Caller) -> None:
        records = self.everything(seeded, "suppliers")
        expected = [r["id"] for r in records if r["number"] not in (None, "S10002")]
        assert seeded.ids("suppliers", {"number[not_eq]": "S10002"}) == expected

    def test_booleans(self, seeded: Caller) -> None:
        expected = [r["id"] for r in self.everything(seeded, "invoices") if not r["exported"]]
        for word in ("false", "0", "no"):
            assert seeded.ids("invoices", {"exported": word}) == expected

    @pytest.mark.parametrize("operator", ["contains", "starts_with", "ends_with", "blank"])
    def test_some_operators_are_not_for_times(self, seeded: Caller, operator: str) -> None:
        assert seeded.get("invoices", {f"updated-at[{operator}]": "true"}).status_code == 400

    @pytest.mark.parametrize(
        "query",
        [
            {"id[gt]": "x"},
            {"gross-total[gt]": "much"},
            {"updated-at[gt]": "yesterday"},
            {"exported": "perhaps"},
            {"supplier": "5"},
            {"limit": "0"},
            {"offset": "-1"},
            {"dir": "up"},
            {"fields": "id"},
            {"fields": "{}"},
            {"return_object": "some"},
            {"filter": "zork"},
            {"a[b][c][d][e]": "1"},
        ],
    )
    def test_invalid_queries_are_400_with_words(self, seeded: Caller, query: dict[str, str]) -> None:
        answer = seeded.get("invoices", query)
        assert answer.status_code == 400
        assert answer.json()["errors"]["invoice-header"][0]


class TestAssociations:
    def test_through_a_reference(self, seeded: Caller) -> None:
        record = seeded.emulator.record("invoices", seeded.emulator.ids("invoices")[3])
        assert record is not None
        supplier = record["supplier"]
        for query in (
            {"supplier[id]": supplier["id"]},
            {"supplier_id": supplier["id"]},
            {"supplier[name]": supplier["name"]},
            {"supplier[name][contains]": supplier["name"][1:6]},
        ):
            assert record["id"] in seeded.ids("invoices", query)

    def test_through_a_reference_to_what_only_the_other_record_holds(self, seeded: Caller) -> None:
        supplier = seeded.emulator.record("suppliers", seeded.emulator.ids("suppliers")[0])
        assert supplier is not None
        term = supplier["payment-term"]["code"]
        suppliers = [
            i
            for i in seeded.emulator.ids("suppliers")
            if (seeded.emulator.record("suppliers", i) or {})["payment-term"]["code"] == term
        ]
        invoices = [(i, seeded.emulator.record("invoices", i) or {}) for i in seeded.emulator.ids("invoices")]
        expected = [i for i, invoice in invoices if invoice["supplier"]["id"] in suppliers]
        assert expected
        assert seeded.ids("invoices", {"supplier[payment-term][code]": term}) == expected

    def test_through_a_list_and_two_references(self, seeded: Caller) -> None:
        orders = [
            (i, seeded.emulator.record("purchase_orders", i) or {})
            for i in seeded.emulator.ids("purchase_orders")
        ]
        expected = [
            i
            for i, order in orders
            if any(line["account"]["account-type"]["name"] == "Ace" for line in order["order-lines"])
        ]
        assert 0 < len(expected) < len(orders)
        for name in ("order-lines[account][account-type][name]", "order_lines[account][account_type][name]"):
            assert seeded.ids("purchase_orders", {name: "Ace"}) == expected

    def test_through_a_list_in_a_list(self, seeded: Caller) -> None:
        record = seeded.emulator.record("invoices", seeded.emulator.ids("invoices")[2])
        assert record is not None
        allocation = record["invoice-lines"][0]["account-allocations"][0]
        query = {"invoice-lines[account-allocations][amount]": allocation["amount"]}
        assert record["id"] in seeded.ids("invoices", query)

    def test_a_row_comes_once_though_several_lines_match(self, seeded: Caller) -> None:
        found = seeded.ids("invoices", {"invoice-lines[line-num][in]": "1,2"})
        assert found == seeded.emulator.ids("invoices")

    def test_custom_fields_in_both_places(self, seeded: Caller) -> None:
        suppliers = [
            (i, seeded.emulator.record("suppliers", i) or {}) for i in seeded.emulator.ids("suppliers")
        ]
        wanted = [i for i, s in suppliers if s["custom-fields"]["send-to-vms"] is False]
        assert seeded.ids("suppliers", {"custom-fields[send-to-vms]": "false"}) == wanted
        old = next(s["legacy-vendor-code"] for _, s in suppliers if s["legacy-vendor-code"])
        assert len(seeded.ids("suppliers", {"legacy-vendor-code": old})) == 1
        tier = [i for i, s in suppliers if s["custom-fields"]["risk-tier"]["name"] == "Tier 2"]
        assert seeded.ids("suppliers", {"custom-fields[risk-tier][name]": "Tier 2"}) == tier


class TestDates:
    def load(self, coupa: Caller) -> None:
        stamps = ["2024-05-01T00:00:00+00:00", "2024-04-30T23:59:59+00:00", "2024-05-01T09:00:00+02:00"]
        coupa.emulator.load({"departments": [{"id": i + 1, "updated-at": s} for i, s in enumerate(stamps)]})

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("2024-05-01", [1, 3]),
            ("2024-05-01T00:00:00", [1, 3]),
            ("2024-05-01T00:00:00Z", [1, 3]),
            ("'2024-05-01 00:00:00'", [1, 3]),
            ("2024-05-01T02:00:00+02:00", [1, 3]),
            ("2024-04-30T17:00:01-07:00", [3]),
        ],
    )
    def test_forms_of_a_time(self, coupa: Caller, text: str, found: list[int]) -> None:
        self.load(coupa)
        assert coupa.ids("departments", {"updated-at[gt_or_eq]": text}) == found

    def test_a_raw_plus_is_a_space(self, coupa: Caller) -> None:
        self.load(coupa)
        url = "/api/departments?updated-at[gt]=2024-05-01T02:00:00+02:00"
        assert coupa.http.get(url, headers=coupa.headers()).status_code == 400


class TestPages:
    def test_fifty_from_the_lowest_id(self, seeded: Caller) -> None:
        answer = seeded.get("invoices")
        assert [r["id"] for r in answer.json()] == seeded.emulator.ids("invoices")[:50]
        assert not {"link", "x-total", "x-total-count"} & set(answer.headers)

    def test_offset_and_limit(self, seeded: Caller) -> None:
        ids = seeded.emulator.ids("invoices")
        page = seeded.get("invoices", {"offset": 30, "limit": 7, "fields": '["id"]'}).json()
        assert [r["id"] for r in page] == ids[30:37]
        assert seeded.get("invoices", {"offset": len(ids)}).json() == []

    def test_keyset_pages_give_everything_once(self, seeded: Caller) -> None:
        found: list[int] = []
        while True:
            query = {"id[gt]": found[-1] if found else 0, "order_by": "id", "dir": "asc", "fields": '["id"]'}
            page = [r["id"] for r in seeded.get("invoices", query).json()]
            found += page
            if len(page) < 50:
                break
        assert found == seeded.emulator.ids("invoices")

    @pytest.mark.parametrize("direction", ["asc", "desc"])
    @pytest.mark.parametrize(
        "name", ["updated_at", "created-at", "gross-total", "invoice-number", "supplier[name]"]
    )
    def test_order(self, seeded: Caller, name: str, direction: str) -> None:
        ids = seeded.ids("invoices", {"order_by": name, "dir": direction})
        assert sorted(ids) == seeded.emulator.ids("invoices")
        values = []
        for i in ids:
            record = seeded.emulator.record("invoices", i) or {}
            if name == "gross-total":
                values.append(Decimal(record[name]))
            elif name == "supplier[name]":
                values.append(record["supplier"]["name"].casefold())
            elif name == "invoice-number":
                values.append(record[name].casefold())
            else:
                values.append(parse_instant(record[name.replace("_", "-")]))
        assert values == sorted(values, reverse=direction == "desc")

    def test_of_two_equal_keys_the_last_counts(self, seeded: Caller) -> None:
        query = parse_query("id[gt]=1&id[gt]=5&limit=3", "InvoiceHeader", Switches())
        assert [c.values for c in query.conditions] == [(5,)]


class TestParsing:
    def test_every_operator_is_known(self) -> None:
        assert len(OPERATORS) == 11

    def test_an_instant_has_an_exact_value(self) -> None:
        query = parse_query("updated_at[gt_or_eq]=2024-05-01T09:00:00-07:00", "InvoiceHeader", Switches())
        (condition,) = query.conditions
        assert condition.values == (datetime(2024, 5, 1, 16, tzinfo=UTC).timestamp(),)

    def test_fields_are_dashed_at_every_depth(self) -> None:
        text = json.dumps(["invoice_number", {"supplier": ["id", {"primary_contact": ["name_given"]}]}])
        query = parse_query(f"fields={text}", "InvoiceHeader", Switches())
        assert query.fields == ["invoice-number", {"supplier": ["id", {"primary-contact": ["name-given"]}]}]

    @given(st.text(max_size=40))
    def test_no_text_breaks_it(self, text: str) -> None:
        with contextlib.suppress(QueryError):
            parse_query(text, "InvoiceHeader", Switches())
