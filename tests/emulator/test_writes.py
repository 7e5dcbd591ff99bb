"""Create, update, delete: what is kept, what is refused, and in which words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from coupa_provider.emulator.coercion import Invalid, coerced, label
from coupa_provider.emulator.stamps import DEFAULT_ZONE
from coupa_provider.resources import Attribute

if TYPE_CHECKING:
    from tests.emulator.conftest import Caller

from zoneinfo import ZoneInfo


def errors(answer: Any) -> list[str]:
    assert answer.status_code == 400, answer.text
    (messages,) = answer.json()["errors"].values()
    return list(messages)


@pytest.fixture
def stocked(coupa: Caller) -> Caller:
    coupa.emulator.load(
        {
            "users": [{"id": 1, "login": "ap", "email": "ap@example.com"}],
            "suppliers": [{"id": 17, "name": "Fishy", "number": "S17"}, {"id": 18, "name": "Other"}],
            "currencies": [{"id": 1, "code": "USD"}, {"id": 2, "code": "EUR"}],
            "account_types": [{"id": 1, "name": "Ace"}, {"id": 2, "name": "Ace Two"}],
            "accounts": [
                {"id": 14, "code": "SF-Marketing", "account-type": {"id": 1, "name": "Ace"}},
                {"id": 15, "code": "SF-Marketing", "account-type": {"id": 2, "name": "Ace Two"}},
            ],
        }
    )
    return coupa


class TestCreate:
    def test_answers_the_whole_record(self, stocked: Caller) -> None:
        answer = stocked.send(
            "POST",
            "invoices",
            {
                "invoice-number": "INV-1",
                "invoice_date": "2024-05-01",
                "supplier": {"name": "Fishy"},
                "currency": {"code": "usd"},
                "gross-total": "1.00",
                "custom-fields": {"erp": "x"},
                "invoice-lines": [
                    {"description": "Bulbs", "price": 30.33, "quantity": "2.0", "account": {"id": 14}},
                    {"description": "Freight", "price": "5.00", "quantity": "1"},
                ],
            },
        )
        assert answer.status_code == 201
        made = answer.json()
        assert made["supplier"] == {"id": 17, "name": "Fishy", "number": "S17"}
        assert made["currency"]["code"] == "USD"
        assert made["status"] == "draft"
        assert made["exported"] is False
        assert made["invoice-date"] == "2024-05-01T00:00:00-07:00"
        assert made["gross-total"] is None, "read-only attributes are ignored"
        assert made["custom-fields"] == {"erp": "x"}
        assert made["created-by"]["login"] == "ap"
        first, second = made["invoice-lines"]
        assert (first["line-num"], second["line-num"]) == (1, 2)
        assert first["price"] == "30.33"
        assert first["total"] == "60.660"
        assert first["account"]["code"] == "SF-Marketing"
        assert first["id"] != second["id"]
        assert stocked.get(f"invoices/{made['id']}").json() == made
        assert stocked.emulator.ids("invoices") == [made["id"]]

    def test_ids_are_never_used_twice(self, coupa: Caller) -> None:
        first = coupa.send("POST", "tasks", {}).json()["id"]
        coupa.send("DELETE", f"tasks/{first}")
        assert coupa.send("POST", "tasks", {}).json()["id"] > first

    def test_required(self, coupa: Caller) -> None:
        assert errors(coupa.send("POST", "suppliers", {})) == ["Name can't be blank"]
        answer = coupa.send("POST", "users", {"login": "x"})
        assert errors(answer) == [
            "Email can't be blank",
            "Firstname can't be blank",
            "Lastname can't be blank",
        ]
        assert list(answer.json()["errors"]) == ["user"]

    @pytest.mark.parametrize(
        ("path", "payload", "message"),
        [
            ("users", {"login": "AP"}, "Login has already been taken"),
            ("users", {"email": "ap@example.com"}, "Email has already been taken"),
            ("suppliers", {"name": "fishy"}, "Name has already been taken"),
            ("suppliers", {"number": "S17"}, "Number has already been taken"),
            ("currencies", {"code": "EUR"}, "Code has already been taken"),
        ],
    )
    def test_unique(self, stocked: Caller, path: str, payload: dict[str, str], message: str) -> None:
        complete = {"users": {"login": "z", "email": "z@example.com", "firstname": "Z", "lastname": "Z"}}.get(
            path, {}
        )
        complete = {"name": "Z", **complete, **payload} if path == "suppliers" else {**complete, **payload}
        assert message in errors(stocked.send("POST", path, complete))
        assert len(stocked.emulator.ids(path)) <= 2

    def test_a_rate_is_unique_by_its_day_and_both_currencies(self, stocked: Caller) -> None:
        rate = {"from-currency": {"code": "USD"}, "to-currency": {"code": "EUR"}, "rate": "0.9200"}
        made = stocked.send("POST", "exchange_rates", {**rate, "rate-date": "2024-05-01T15:00:00-07:00"})
        assert made.json()["rate-date"] == "2024-05-01T00:00:00-07:00"
        assert made.json()["rate"] == "0.9200"
        again = stocked.send("POST", "exchange_rates", {**rate, "rate-date": "2024-05-01"})
        assert errors(again) == ["Rate date has already been taken"]
        next_day = stocked.send("POST", "exchange_rates", {**rate, "rate-date": "2024-05-02"})
        assert next_day.status_code == 201

    def test_an_invoice_number_is_unique_for_its_supplier(self, stocked: Caller) -> None:
        def post(supplier: int) -> Any:
            return stocked.send("POST", "invoices", {"invoice-number": "I1", "supplier": {"id": supplier}})

        assert post(17).status_code == 201
        assert errors(post(17)) == ["Invoice number has already been taken"]
        assert post(18).status_code == 201

    def test_values_that_do_not_fit(self, coupa: Caller) -> None:
        payload = {"name": "x" * 101, "po-method": "pigeon", "po-email": "nobody"}
        messages = errors(coupa.send("POST", "suppliers", payload))
        assert "Name is too long (maximum is 100 characters)" in messages
        assert any(m.startswith("PO method must be one of cxml, xml") for m in messages)
        assert "PO email is not a valid email address." in messages

    @pytest.mark.parametrize(
        ("content_type", "body", "status"),
        [
            ("application/json", b"{", 400),
            ("application/json", b"[]", 400),
            ("application/xml", b"<supplier/>", 415),
            ("text/plain", b"{}", 415),
        ],
    )
    def test_bodies_that_are_no_object(
        self, coupa: Caller, content_type: str, body: bytes, status: int
    ) -> None:
        headers = {**coupa.headers(), "Content-Type": content_type}
        answer = coupa.http.post("/api/suppliers", content=body, headers=headers)
        assert answer.status_code == status
        assert "errors" in answer.json()

    def test_in_a_nested_collection(self, stocked: Caller) -> None:
        made = stocked.send("POST", "suppliers/17/addresses", {"city": "Reno"}).json()
        assert [r["id"] for r in stocked.get("suppliers/17/addresses").json()] == [made["id"]]
        assert stocked.get("suppliers/18/addresses").json() == []
        stocked.send("PUT", f"suppliers/17/addresses/{made['id']}", {"city": "Austin"})
        assert stocked.get("suppliers/17/addresses").json()[0]["city"] == "Austin"


class TestReferences:
    def test_all_keys_must_match(self, stocked: Caller) -> None:
        good = {"invoice-number": "1", "supplier": {"id": 17, "name": "Fishy"}}
        assert stocked.send("POST", "invoices", good).status_code == 201
        stale = {"invoice-number": "2", "supplier": {"id": 17, "name": "Old name"}}
        (message,) = errors(stocked.send("POST", "invoices", stale))
        assert 'record for supplier with keys {"id"=>"17", "name"=>"Old name"}' in message

    def test_a_key_may_be_a_reference_itself(self, stocked: Caller) -> None:
        line = {"account": {"code": "SF-Marketing", "account-type": {"name": "Ace Two"}}}
        payload = {"invoice-number": "1", "supplier": {"id": 17}, "invoice-lines": [line]}
        made = stocked.send("POST", "invoices", payload).json()
        assert made["invoice-lines"][0]["account"]["id"] == 15

    def test_by_foreign_key(self, stocked: Caller) -> None:
        made = stocked.send("POST", "invoices", {"invoice-number": "1", "supplier_id": 18}).json()
        assert made["supplier"]["name"] == "Other"


class TestUpdate:
    def test_only_what_is_named_changes(self, stocked: Caller) -> None:
        before = stocked.get("suppliers/17").json()
        for method in ("PUT", "PATCH"):
            after = stocked.send(method, "suppliers/17", {"website": method}).json()
            changed = {name for name in after if after[name] != before[name]}
            assert {"website"} <= changed <= {"website", "updated-at"}

    def test_a_read_only_attribute_is_ignored_without_a_word(self, stocked: Caller) -> None:
        answer = stocked.send("PUT", "accounts/14", {"code": "X", "id": 99, "zork": 1})
        assert answer.status_code == 200
        assert (answer.json()["code"], answer.json()["id"]) == ("SF-Marketing", 14)
        assert "zork" not in answer.json()

    def test_the_code_of_an_account_follows_from_its_segments(self, stocked: Caller) -> None:
        payload = {"account-type": {"id": 1}, "segment-1": "NY", "segment-2": "IT"}
        made = stocked.send("POST", "accounts", payload).json()
        assert made["code"] == "NY-IT"
        assert errors(stocked.send("POST", "accounts", payload)) == ["Code has already been taken"]

    def test_lines_are_added_changed_and_removed(self, coupa: Caller) -> None:
        lines = [{"id": n, "line-num": n, "description": f"d{n}"} for n in (1, 2, 3)]
        coupa.emulator.load(
            {"invoices": [{"id": 5, "invoice-number": "1", "supplier": {"id": 1}, "invoice-lines": lines}]}
        )
        edits = [{"id": 2, "_delete": True}, {"id": 3, "description": "new"}, {"description": "added"}]
        answer = coupa.send("PUT", "invoices/5", {"invoice_lines": edits})
        assert [line["description"] for line in answer.json()["invoice-lines"]] == ["d1", "new", "added"]
        assert coupa.send("PUT", "invoices/5", {"invoice-lines": [{"id": 77}]}).status_code == 400

    @pytest.mark.parametrize(
        "payments",
        [
            [{"amount-paid": "5.00", "payment-date": "9/12/2019"}],
            {"payment": [{"amount-paid": "5.00", "payment-date": "9/12/2019"}]},
            {"payment": {"amount_paid": "5.00", "payment_date": "2019-09-12"}},
        ],
    )
    def test_the_documented_forms_of_payments(self, coupa: Caller, payments: Any) -> None:
        coupa.emulator.load({"invoices": [{"id": 5, "invoice-number": "1", "supplier": {"id": 1}}]})
        for count in (1, 2):
            after = coupa.send("PUT", "invoices/5", {"paid": "false", "payments": payments}).json()
            assert len(after["payments"]) == count
        assert after["paid"] is False
        assert after["payments"][0]["amount-paid"] == "5.00"
        assert after["payments"][0]["payment-date"] == "2019-09-12T00:00:00-07:00"

    def test_an_order_gets_a_new_version_and_is_exported_again(self, stocked: Caller) -> None:
        line = {"id": 9, "line-num": "1", "description": "d", "account": {"id": 14}}
        stocked.emulator.load(
            {
                "purchase_orders": [
                    {
                        "id": 3,
                        "status": "issued",
                        "version": 1,
                        "exported": True,
                        "supplier": {"id": 17},
                        "order-lines": [line],
                    }
                ],
                "purchase_order_lines": [line],
            }
        )
        accounts = stocked.send(
            "PUT", "purchase_orders/3", {"order-lines": [{"id": 9, "account": {"id": 15}}]}
        ).json()
        assert (accounts["version"], accounts["exported"]) == (1, True)
        changed = stocked.send(
            "PUT", "purchase_orders/3", {"order-lines": [{"id": 9, "description": "e"}]}
        ).json()
        assert (changed["version"], changed["exported"]) == (2, False)
        assert stocked.get("purchase_order_lines/9").json()["description"] == "e"
        stocked.send("PUT", "purchase_orders/3", {"order-lines": [{"id": 9, "_delete": True}]})
        assert stocked.emulator.ids("purchase_order_lines") == []

    def test_duplicate_requisition_line_numbers_are_ignored(self, coupa: Caller) -> None:
        lines = [{"line-num": 1, "description": "a"}, {"line-num": 1, "description": "b"}]
        made = coupa.send("POST", "requisitions", {"requisition-lines": lines}).json()
        assert [line["description"] for line in made["requisition-lines"]] == ["a"]

    def test_unknown_id(self, coupa: Caller) -> None:
        assert coupa.send("PUT", "suppliers/404", {"name": "x"}).status_code == 404


class TestExported:
    def test_flag_by_query_with_an_empty_body(self, coupa: Caller) -> None:
        coupa.emulator.load({"invoices": [{"id": n, "exported": False} for n in (1, 2)]})
        answer = coupa.http.put("/api/invoices/1?exported=true", headers=coupa.headers())
        assert answer.json()["exported"] is True
        assert answer.json()["last-exported-at"]
        assert coupa.ids("invoices", {"exported": "false"}) == [2]

    def test_other_changes_in_the_same_request_are_ignored(self, coupa: Caller) -> None:
        coupa.emulator.load({"invoices": [{"id": 1, "comments": "a"}]})
        answer = coupa.send("PUT", "invoices/1", {"comments": "b"}, exported="true")
        assert answer.json()["comments"] == "a"

    def test_an_edit_by_the_api_does_not_reset_it(self, coupa: Caller) -> None:
        coupa.emulator.load(
            {"invoices": [{"id": 1, "invoice-number": "1", "supplier": {"id": 1}, "exported": True}]}
        )
        assert coupa.send("PUT", "invoices/1", {"comments": "b"}).json()["exported"] is True

    def test_a_resource_without_the_flag(self, coupa: Caller) -> None:
        coupa.emulator.load({"departments": [{"id": 1}]})
        assert coupa.send("PUT", "departments/1", exported="true").status_code == 400


class TestCoercion:
    zone = ZoneInfo(DEFAULT_ZONE)

    @pytest.mark.parametrize(
        ("base", "given", "kept"),
        [
            ("decimal", "123test", "123"),
            ("decimal", "test123", "0"),
            ("decimal", "00012.500", "00012.500"),
            ("integer", "12.9", 12),
            ("float", "8.25", 8.25),
            ("boolean", "yes", True),
            ("boolean", 0, False),
            ("string", 5, "5"),
            ("date", "2024-05-01T23:00:00-07:00", "2024-05-01"),
            ("datetime", "2024-12-01T12:00:00Z", "2024-12-01T04:00:00-08:00"),
            ("datetime", "9/12/2019", "2019-09-12T00:00:00-07:00"),
        ],
    )
    def test_kept(self, base: str, given: Any, kept: Any) -> None:
        assert coerced(Attribute(name="x", base=base), given, self.zone) == kept

    @pytest.mark.parametrize(("base", "given"), [("datetime", "soon"), ("boolean", "maybe"), ("string", {})])
    def test_refused(self, base: str, given: Any) -> None:
        with pytest.raises(Invalid):
            coerced(Attribute(name="x", base=base), given, self.zone)

    def test_labels(self) -> None:
        assert label("po-number") == "PO number"
        assert label("login") == "Login"
