"""What Coupa documents of creates and updates, one statement after the other, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from coupa_provider.emulator import Emulator
from coupa_provider.emulator.profiles import PROFILES

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests.emulator.conftest import Caller


def errors(answer: httpx.Response, status: int = 400) -> list[str]:
    assert answer.status_code == status, answer.text
    (messages,) = answer.json()["errors"].values()
    return list(messages)


def made(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 201, answer.text
    record: dict[str, Any] = answer.json()
    return record


def changed(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    record: dict[str, Any] = answer.json()
    return record


def switch(coupa: Caller, **positions: str) -> None:
    coupa.emulator.configure(switches=positions)


@pytest.fixture
def stocked(coupa: Caller) -> Caller:
    coupa.emulator.load(
        {
            "users": [
                {"id": 1, "login": "ap", "email": "ap@example.com", "employee-number": "E1"},
                {"id": 2, "login": "gone", "email": "gone@example.com", "active": False},
            ],
            "suppliers": [
                {"id": 17, "name": "Fishy", "number": "S17", "status": "active"},
                {"id": 18, "name": "Other", "number": "S18", "status": "inactive"},
            ],
            "currencies": [{"id": 1, "code": "USD"}, {"id": 2, "code": "EUR"}, {"id": 3, "code": "DEM"}],
            "departments": [{"id": 3, "name": "Sales"}],
            "account_types": [{"id": 1, "name": "Ace"}, {"id": 2, "name": "Ace Two"}],
            "accounts": [
                {
                    "id": 14,
                    "code": "SF-Marketing",
                    "segment-1": "SF",
                    "segment-2": "Marketing",
                    "account-type": {"id": 1, "name": "Ace"},
                },
                {
                    "id": 15,
                    "code": "SF-Marketing",
                    "segment-1": "SF-Marketing",
                    "account-type": {"id": 2, "name": "Ace Two"},
                },
            ],
            "uoms": [{"id": 4, "code": "EA", "name": "Each"}],
            "payment_terms": [{"id": 5, "code": "Net 30"}],
            "shipping_terms": [{"id": 6, "code": "FOB"}],
            "addresses": [
                {"id": 7, "name": "HQ", "location-code": "L1", "active": True},
                {"id": 8, "name": "Old", "location-code": "L2", "active": False},
            ],
            "commodities": [{"id": 8, "name": "Bulbs"}],
            "items": [{"id": 9, "name": "Bulb", "item-number": "B-1"}],
            "business_groups": [{"id": 10, "name": "Europe"}],
            "integrations": [{"id": 11, "code": "ERP", "name": "The ERP"}],
            "lookups": [{"id": 12, "name": "Plants"}, {"id": 13, "name": "Sites"}],
            "lookup_values": [
                {
                    "id": 20,
                    "name": "North",
                    "external-ref-num": "N1",
                    "external-ref-code": "N1",
                    "lookup": {"id": 12, "name": "Plants"},
                },
                {"id": 21, "name": "North", "external-ref-num": "N2", "lookup": {"id": 13, "name": "Sites"}},
            ],
        }
    )
    return coupa


@pytest.fixture(scope="module")
def company() -> Iterator[Caller]:
    from tests.emulator.conftest import Caller

    with Emulator(seed=7, scale=0.05, rate_limit=None) as emulator:
        yield Caller(emulator)


def rate(day: str, to: str = "EUR") -> dict[str, Any]:
    return {
        "from-currency": {"code": "USD"},
        "to-currency": {"code": to},
        "rate": "0.92",
        "rate-date": day,
    }


USER = {"login": "z", "email": "z@example.com", "firstname": "Z", "lastname": "Z"}
ACCOUNT = {"account-type": {"name": "Ace"}, "segment-1": "NY"}
VALUE = {"name": "South", "lookup": {"name": "Plants"}}
INVOICE = {"invoice-number": "I1", "supplier": {"name": "Fishy"}}


class TestUnique:
    @pytest.mark.parametrize(
        ("path", "first", "second", "attribute"),
        [
            ("users", USER, {**USER, "email": "y@example.com"}, "Login"),
            ("users", USER, {**USER, "login": "y"}, "Email"),
            (
                "users",
                {**USER, "employee-number": "E7"},
                {**USER, "login": "y", "email": "y@example.com", "employee-number": "E7"},
                "Employee number",
            ),
            ("suppliers", {"name": "A"}, {"name": "A"}, "Name"),
            ("suppliers", {"name": "A", "number": "1"}, {"name": "B", "number": "1"}, "Number"),
            ("account_types", {"name": "A"}, {"name": "A"}, "Name"),
            ("accounts", ACCOUNT, ACCOUNT, "Code"),
            ("addresses", {"location-code": "A"}, {"location-code": "A"}, "Location code"),
            ("contracts", {"name": "A"}, {"name": "A"}, "Name"),
            ("contracts", {"name": "A", "number": "1"}, {"name": "B", "number": "1"}, "Number"),
            ("departments", {"name": "A"}, {"name": "A"}, "Name"),
            ("commodities", {"name": "A"}, {"name": "A"}, "Name"),
            (
                "items",
                {"name": "A", "item-number": "1"},
                {"name": "B", "item-number": "1"},
                "Item number",
            ),
            ("integrations", {"code": "A", "name": "A"}, {"code": "A", "name": "B"}, "Code"),
            ("integrations", {"code": "A", "name": "A"}, {"code": "B", "name": "A"}, "Name"),
            ("invoices", INVOICE, INVOICE, "Invoice number"),
            ("lookup_values", VALUE, VALUE, "Name"),
            (
                "lookup_values",
                {**VALUE, "external-ref-num": "1"},
                {**VALUE, "name": "West", "external-ref-num": "1"},
                "External ref num",
            ),
            ("exchange_rates", rate("2024-05-01"), rate("2024-05-01T15:00:00-07:00"), "Rate date"),
            (
                "purchase_orders",
                {"supplier": {"id": 17}, "po-number": "P"},
                {"supplier": {"id": 17}, "po-number": "P"},
                "PO number",
            ),
            (
                "requisitions",
                {"external-po-reference": "X"},
                {"external-po-reference": "X"},
                "External PO reference",
            ),
            ("supplier_sites", {"code": "A", "name": "A"}, {"code": "A", "name": "B"}, "Code"),
        ],
    )
    def test_natural_keys(
        self, stocked: Caller, path: str, first: dict[str, Any], second: dict[str, Any], attribute: str
    ) -> None:
        made(stocked.send("POST", path, first))
        before = stocked.emulator.ids(path)
        assert f"{attribute} has already been taken" in errors(stocked.send("POST", path, second))
        assert stocked.emulator.ids(path) == before

    @pytest.mark.parametrize(
        ("path", "first", "second"),
        [
            ("accounts", ACCOUNT, {**ACCOUNT, "account-type": {"name": "Ace Two"}}),
            ("lookup_values", VALUE, {**VALUE, "lookup": {"name": "Sites"}}),
            ("invoices", INVOICE, {**INVOICE, "supplier": {"name": "Other"}}),
            ("exchange_rates", rate("2024-05-01"), rate("2024-05-02")),
            ("exchange_rates", rate("2024-05-01"), rate("2024-05-01", "DEM")),
        ],
    )
    def test_keys_of_several_attributes(
        self, stocked: Caller, path: str, first: dict[str, Any], second: dict[str, Any]
    ) -> None:
        made(stocked.send("POST", path, first))
        made(stocked.send("POST", path, second))

    def test_a_remit_to_code_is_unique_for_its_supplier(self, stocked: Caller) -> None:
        codes = {"remit-to-code": "R1"}
        made(stocked.send("POST", "suppliers/17/addresses", codes))
        assert errors(stocked.send("POST", "suppliers/17/addresses", codes)) == [
            "Remit to code has already been taken"
        ]
        made(stocked.send("POST", "suppliers/18/addresses", codes))

    def test_letter_case_of_keys(self, stocked: Caller) -> None:
        assert errors(stocked.send("POST", "suppliers", {"name": "FISHY"}))
        switch(stocked, U16="sensitive")
        made(stocked.send("POST", "suppliers", {"name": "FISHY"}))
        assert errors(stocked.send("POST", "suppliers", {"name": "FISHY"}))

    def test_also_in_an_update(self, stocked: Caller) -> None:
        assert errors(stocked.send("PUT", "suppliers/17", {"name": "Other"})) == [
            "Name has already been taken"
        ]
        assert changed(stocked.send("PUT", "suppliers/17", {"name": "Fishy"}))["name"] == "Fishy"
        assert changed(stocked.send("PUT", "suppliers/17", {"name": "FISHY"}))["name"] == "FISHY"

    def test_several_complaints_come_together(self, stocked: Caller) -> None:
        answer = stocked.send("POST", "users", {**USER, "login": "ap", "email": "ap@example.com"})
        assert answer.json() == {
            "errors": {"user": ["Email has already been taken", "Login has already been taken"]}
        }


class TestLookUps:
    """Searches by natural keys, before a write: what clients do for want of an upsert."""

    @pytest.mark.parametrize("mode", ["insensitive", "sensitive"])
    @pytest.mark.parametrize(
        ("path", "query", "found"),
        [
            ("suppliers", {"number[in]": "S17,S18,S19"}, [17, 18]),
            ("suppliers", {"number[in]": "S17,S18", "name": "Other"}, [18]),
            ("suppliers", {"number[in]": "S17,S18", "id[gt]": 17, "order_by": "id"}, [18]),
            ("suppliers", {"number[in]": "S17,S18", "order_by": "name", "dir": "desc"}, [18, 17]),
            ("suppliers", {"number[in]": "S17,S18", "updated-at[gt]": "2001-01-01", "limit": 1}, [17]),
            ("suppliers", {"name": "Fishy", "number[not_eq]": "S17"}, []),
            ("users", {"login[in]": "ap,gone", "email": "ap@example.com"}, [1]),
            ("users", {"employee_number": "E1"}, [1]),
            ("accounts", {"code[in]": "SF-Marketing", "account-type[name]": "Ace Two"}, [15]),
            ("lookup_values", {"name[in]": "North,South", "lookup[name]": "Sites"}, [21]),
            ("lookup_values", {"external-ref-code[in]": "N1,N2"}, [20]),
        ],
    )
    def test_find(
        self, stocked: Caller, mode: str, path: str, query: dict[str, Any], found: list[int]
    ) -> None:
        switch(stocked, U16=mode)
        answer = stocked.get(path, {**query, "fields": '["id"]'})
        assert [record["id"] for record in answer.json()] == found

    def test_rates_of_some_days(self, stocked: Caller) -> None:
        for day in range(1, 9):
            for to in ("EUR", "DEM"):
                made(stocked.send("POST", "exchange_rates", rate(f"2024-05-0{day}", to)))
        query = {
            "from_currency[code][in]": "USD,EUR",
            "rate_date[gt_or_eq]": "2024-05-03T00:00:00-07:00",
            "rate_date[lt]": "2024-05-05T00:00:00-07:00",
        }
        shown = stocked.get("exchange_rates", query).json()
        assert [record["rate-date"][:10] for record in shown] == ["2024-05-03"] * 2 + ["2024-05-04"] * 2

    def test_a_requisition_by_its_reference(self, stocked: Caller) -> None:
        record = made(stocked.send("POST", "requisitions", {"external-po-reference": "X"}))
        assert stocked.ids("requisitions", {"external_po_reference": "X"}) == [record["id"]]

    def test_what_was_just_written(self, stocked: Caller) -> None:
        for number in range(60):
            made(stocked.send("POST", "suppliers", {"name": f"N{number}", "number": f"X{number}"}))
            wanted = {"number[in]": ",".join(f"x{one}" for one in range(number - 3, number + 1))}
            assert len(stocked.ids("suppliers", wanted)) == min(number + 1, 4)
        changed(stocked.send("PUT", "suppliers/17", {"number": "X99"}))
        assert stocked.ids("suppliers", {"number[in]": "S17,x99"}) == [17]


class TestMessages:
    @pytest.mark.parametrize(
        ("path", "payload", "message"),
        [
            (
                "suppliers",
                {"name": "A", "status": "asleep"},
                "Supplier status must be one of active, inactive, onboarding.",
            ),
            (
                "suppliers",
                {"name": "A", "po-method": "pigeon"},
                "PO method must be one of cxml, xml, email, integration, prompt or buy_online.",
            ),
            (
                "suppliers",
                {"name": "A", "primary-contact": {"email": "nobody"}},
                "Supplier email is not a valid email address.",
            ),
            ("users", {**USER, "email": "nobody"}, "Email is not a valid email address."),
            ("accounts", {"account-type": {"id": 1}}, "Segment 1 can't be blank"),
            (
                "accounts",
                {**ACCOUNT, "account-type": {"name": "X"}},
                'Unable to find valid AccountType record for account_type with keys {"name"=>"X"}. '
                'Possible keys are ["id", "name"]. Please verify your xml.',
            ),
            ("suppliers", {"number": "1"}, "Name can't be blank"),
            ("contracts", {"name": "x" * 101}, "Name is too long (maximum is 100 characters)"),
        ],
    )
    def test_words(self, stocked: Caller, path: str, payload: dict[str, Any], message: str) -> None:
        assert errors(stocked.send("POST", path, payload)) == [message]

    def test_the_status_can_be_422(self, stocked: Caller) -> None:
        switch(stocked, U6="422")
        assert errors(stocked.send("POST", "suppliers", {"name": "Fishy"}), 422)

    def test_errors_can_hold_warnings_alone(self, stocked: Caller) -> None:
        stocked.emulator.configure(warnings={"suppliers": ["Check the tax number"]})
        for answer in (
            stocked.send("POST", "suppliers", {"name": "A"}),
            stocked.send("PUT", "suppliers/17", {"website": "w"}, return_object="limited"),
        ):
            assert answer.status_code < 300
            assert answer.json()["errors"] == {"warnings": ["Check the tax number"]}
            assert answer.json()["id"]
        assert "errors" not in stocked.get("suppliers/17").json()
        assert "errors" not in made(stocked.send("POST", "departments", {"name": "A"}))

    def test_a_required_attribute_cannot_be_cleared(self, stocked: Caller) -> None:
        assert errors(stocked.send("PUT", "suppliers/17", {"name": None})) == ["Name can't be blank"]


class TestAssociations:
    @pytest.mark.parametrize(
        ("path", "payload", "name", "keys", "found"),
        [
            *[
                ("requisitions", {}, "requested-by", keys, 1)
                for keys in (
                    {"id": 1},
                    {"login": "ap"},
                    {"email": "ap@example.com"},
                    {"id": "1", "login": "ap"},
                )
            ],
            *[
                ("purchase_orders", {}, "supplier", keys, 17)
                for keys in ({"id": 17}, {"name": "Fishy"}, {"number": "S17"}, {"id": 17, "number": "s17"})
            ],
            ("requisitions", {}, "department", {"name": "Sales"}, 3),
            ("accounts", {"segment-1": "X"}, "account-type", {"name": "Ace Two"}, 2),
            ("invoices", INVOICE, "currency", {"code": "EUR"}, 2),
            ("items", {"name": "A"}, "uom", {"code": "EA"}, 4),
            ("suppliers", {"name": "A"}, "payment-term", {"code": "net 30"}, 5),
            ("suppliers", {"name": "A"}, "shipping-term", {"code": "FOB"}, 6),
            ("requisitions", {}, "ship-to-address", {"name": "HQ"}, 7),
            ("requisitions", {}, "ship-to-address", {"location-code": "L1"}, 7),
            ("items", {"name": "A"}, "commodity", {"name": "Bulbs"}, 8),
            ("integration_runs", {}, "integration", {"code": "ERP"}, 11),
            ("lookup_values", VALUE, "parent", {"name": "North", "lookup": {"name": "Sites"}}, 21),
            ("lookup_values", VALUE, "parent", {"external-ref-num": "N2"}, 21),
            ("lookup_values", VALUE, "parent", {"external-ref-code": "N1"}, 20),
        ],
    )
    def test_keys(
        self, stocked: Caller, path: str, payload: dict[str, Any], name: str, keys: Any, found: int
    ) -> None:
        answer = made(stocked.send("POST", path, {**payload, name: keys}))
        assert answer[name]["id"] == found
        assert stocked.get(f"{path}/{answer['id']}").json()[name]["id"] == found

    @pytest.mark.parametrize(
        ("keys", "found"),
        [
            ({"id": 14}, 14),
            ({"code": "SF-Marketing", "account-type": {"name": "Ace Two"}}, 15),
            ({"segment-1": "SF", "segment-2": "Marketing"}, 14),
            # Documented for values that hold the separator.
            ({"code": "SF-Marketing", "segment-1": "SF-Marketing"}, 15),
        ],
    )
    def test_keys_of_accounts(self, stocked: Caller, keys: dict[str, Any], found: int) -> None:
        line = {"description": "d", "account": keys}
        answer = made(stocked.send("POST", "invoices", {**INVOICE, "invoice-lines": [line]}))
        assert answer["invoice-lines"][0]["account"]["id"] == found

    @pytest.mark.parametrize("keys", [{"name": "Bulb"}, {"item-number": "b-1"}])
    def test_keys_of_items(self, stocked: Caller, keys: dict[str, Any]) -> None:
        answer = made(stocked.send("POST", "requisitions", {"requisition-lines": [{"item": keys}]}))
        assert answer["requisition-lines"][0]["item"]["id"] == 9

    @pytest.mark.parametrize("keys", [{"code": "DE"}, {"name": "Germany"}, {"code": "de", "name": "Germany"}])
    def test_keys_of_countries(self, stocked: Caller, keys: dict[str, Any]) -> None:
        country = made(stocked.send("POST", "addresses", {"city": "X", "country": keys}))["country"]
        assert country["code"] == "DE"
        made(stocked.send("POST", "addresses", {"city": "Y", "country": {"id": country["id"]}}))
        assert errors(stocked.send("POST", "addresses", {"country": {"code": "DE", "name": "France"}}))

    def test_content_groups(self, stocked: Caller) -> None:
        payload = {"name": "A", "content-groups": [{"name": "Europe"}]}
        assert made(stocked.send("POST", "contracts", payload))["content-groups"][0]["id"] == 10
        payload = {"name": "B", "content-groups": [{"name": "Asia"}]}
        assert "Possible keys" in errors(stocked.send("POST", "contracts", payload))[0]

    @pytest.mark.parametrize(
        "keys",
        [
            {"id": 17, "name": "Stale"},
            {"name": "Fishy", "number": "S18"},
            {"id": 404},
            {"id": "seventeen"},
            {"id": None},
            {},
            {"website": "http://example.com"},
        ],
    )
    def test_all_keys_must_match(self, stocked: Caller, keys: dict[str, Any]) -> None:
        (message,) = errors(stocked.send("POST", "invoices", {"invoice-number": "1", "supplier": keys}))
        assert message.startswith("Unable to find valid Supplier record for supplier with keys {")
        assert '["id", "name", "number"]' in message

    def test_what_a_get_shows_of_a_reference_can_be_sent_back(self, stocked: Caller) -> None:
        answer = made(stocked.send("POST", "requisitions", {"requested-by": {"id": 1}}))
        shown = {**answer["requested-by"], "fullname": "A P", "employee-number": "E1"}
        again = changed(stocked.send("PUT", f"requisitions/{answer['id']}", {"requested-by": shown}))
        assert again["requested-by"] == answer["requested-by"]

    def test_the_requester_is_shown_as_requested_by(self, stocked: Caller) -> None:
        assert made(stocked.send("POST", "requisitions", {"requester": {"id": 1}}))["requested-by"]["id"] == 1

    def test_letter_case(self, stocked: Caller) -> None:
        switch(stocked, U16="sensitive")
        assert errors(stocked.send("POST", "purchase_orders", {"supplier": {"name": "fishy"}}))
        made(stocked.send("POST", "purchase_orders", {"supplier": {"name": "Fishy"}}))

    def test_by_foreign_key_also_where_that_is_an_attribute(self, stocked: Caller) -> None:
        answer = made(stocked.send("POST", "lookup_values", {"name": "X", "lookup-id": 13}))
        assert (answer["lookup"]["name"], answer["lookup-id"]) == ("Sites", 13)
        assert errors(stocked.send("POST", "lookup_values", {"name": "Y", "lookup_id": 99}))

    @pytest.mark.parametrize(
        "payload",
        [
            {"requested-by": {"login": "gone"}},
            {"requisition-lines": [{"supplier": {"name": "Other"}}]},
            {"requisition-lines": [{"currency": {"code": "OLD"}}]},
        ],
    )
    def test_the_inactive_cannot_be_named_on_requisitions(self, stocked: Caller, payload: Any) -> None:
        stocked.emulator.load({"currencies": [{"id": 30, "code": "OLD", "enabled": False}]})
        assert errors(stocked.send("POST", "requisitions", payload))[0].startswith("Unable to find valid")

    def test_elsewhere_they_can(self, stocked: Caller) -> None:
        made(stocked.send("POST", "purchase_orders", {"supplier": {"name": "Other"}}))

    def test_the_missing_are_ignored_where_coupa_does_so(self, stocked: Caller) -> None:
        switch(stocked, U20="ignored")
        payload = {**INVOICE, "currency": {"code": "XXX"}, "invoice-lines": [{"account": {"id": 99}}]}
        answer = made(stocked.send("POST", "invoices", payload))
        assert answer["currency"] is None
        assert answer["invoice-lines"][0]["account"] is None
        path = f"invoices/{answer['id']}"
        changed(stocked.send("PUT", path, {"currency": {"code": "EUR"}}))
        assert changed(stocked.send("PUT", path, {"currency": {"code": "XXX"}}))["currency"]["code"] == "EUR"


class TestDerived:
    def test_the_code_of_an_account(self, stocked: Caller) -> None:
        payload = {**ACCOUNT, "segment-2": "IT", "code": "mine"}
        assert made(stocked.send("POST", "accounts", payload))["code"] == "NY-IT"
        answer = stocked.send("PUT", "accounts/14", {"code": "mine"})
        assert answer.status_code in (200, 404)
        assert stocked.get("accounts/14").json()["code"] == "SF-Marketing"

    def test_a_user(self, stocked: Caller) -> None:
        user = made(stocked.send("POST", "users", {**USER, "firstname": "Ann", "fullname": "no"}))
        assert user["fullname"] == "Ann Z"
        assert user["mention-name"]
        assert (user["active"], user["authentication-method"]) == (True, "coupa_credentials")
        assert user["roles"] == [{"name": "User"}]
        other = {**USER, "login": "y", "email": "y@example.com", "roles": [{"id": 3, "name": "Buyer"}]}
        assert made(stocked.send("POST", "users", other))["roles"] == [{"id": 3, "name": "Buyer"}]

    def test_the_number_of_an_order_is_its_id_unless_it_has_one(self, stocked: Caller) -> None:
        order = made(stocked.send("POST", "purchase_orders", {"supplier": {"id": 17}}))
        assert order["po-number"] == str(order["id"])

    def test_the_reference_code_of_a_value_grows_from_its_parents(self, stocked: Caller) -> None:
        payload = {**VALUE, "external-ref-num": "7", "parent": {"id": 20}}
        assert made(stocked.send("POST", "lookup_values", payload))["external-ref-code"] == "N1-7"

    def test_a_supplier_is_a_draft_until_its_required_parts_are_there(self, stocked: Caller) -> None:
        parts = {"primary-contact": {"email": "a@example.com"}, "primary-address": {"city": "Reno"}}
        assert made(stocked.send("POST", "suppliers", {"name": "A"}))["status"] == "draft"
        assert made(stocked.send("POST", "suppliers", {"name": "B", **parts}))["status"] == "active"
        assert (
            made(stocked.send("POST", "suppliers", {"name": "C", "status": "inactive"}))["status"]
            == "inactive"
        )

    @pytest.mark.parametrize(
        ("path", "payload"), [("contracts", {"name": "A"}), ("invoices", INVOICE), ("requisitions", {})]
    )
    def test_documents_begin_as_drafts(self, stocked: Caller, path: str, payload: dict[str, Any]) -> None:
        assert made(stocked.send("POST", path, payload))["status"] == "draft"

    def test_a_rate_counts_from_the_beginning_of_its_day(self, stocked: Caller) -> None:
        answer = made(stocked.send("POST", "exchange_rates", rate("2024-05-01T15:00:00-07:00")))
        assert answer["rate-date"] == "2024-05-01T00:00:00-07:00"

    def test_an_invoice_date_is_midnight_of_the_company(self, stocked: Caller) -> None:
        answer = made(stocked.send("POST", "invoices", {**INVOICE, "invoice-date": "2024-05-01"}))
        assert answer["invoice-date"] == "2024-05-01T00:00:00-07:00"

    @pytest.mark.parametrize(
        ("sent", "kept"),
        [
            ("123test", "123"),
            ("test123", "0"),
            (1e-7, "0.00000010"),
            ("1e3", "1000"),
            (".5", "0.5"),
            ("1,5", "1"),
        ],
    )
    def test_numbers_are_read_as_ruby_does(self, stocked: Caller, sent: Any, kept: str) -> None:
        answer = made(stocked.send("POST", "exchange_rates", {**rate("2024-05-01"), "rate": sent}))
        assert float(answer["rate"]) == float(kept)
        assert "e" not in answer["rate"].lower()


class TestLines:
    @pytest.fixture
    def invoice(self, stocked: Caller) -> dict[str, Any]:
        lines = [{"description": text, "price": "2", "quantity": "3"} for text in ("a", "b")]
        return made(stocked.send("POST", "invoices", {**INVOICE, "invoice-lines": lines}))

    def test_add_edit_delete(self, stocked: Caller, invoice: dict[str, Any]) -> None:
        first, second = invoice["invoice-lines"]
        edits = [
            {"id": first["id"], "_delete": "true"},
            {"id": str(second["id"]), "price": "5"},
            {"description": "c"},
        ]
        after = changed(stocked.send("PUT", f"invoices/{invoice['id']}", {"invoice-lines": edits}))
        kept, added = after["invoice-lines"]
        assert (kept["id"], kept["price"], kept["total"]) == (second["id"], "5", "15")
        assert (added["line-num"], added["description"], added["type"]) == (3, "c", "InvoiceQuantityLine")

    def test_a_deleted_line_without_id_is_nothing(self, stocked: Caller, invoice: dict[str, Any]) -> None:
        edits = [{"description": "c", "_delete": True}]
        after = changed(stocked.send("PUT", f"invoices/{invoice['id']}", {"invoice-lines": edits}))
        assert after["invoice-lines"] == invoice["invoice-lines"]

    def test_lines_that_are_not_named_stay(self, stocked: Caller, invoice: dict[str, Any]) -> None:
        after = changed(stocked.send("PUT", f"invoices/{invoice['id']}", {"invoice-lines": []}))
        assert after["invoice-lines"] == invoice["invoice-lines"]

    def test_types(self, stocked: Caller) -> None:
        line = {"type": "InvoiceAmountLine", "price": "7.50"}
        answer = made(stocked.send("POST", "invoices", {**INVOICE, "invoice-lines": [line]}))
        assert answer["invoice-lines"][0]["total"] == "7.50"
        for path, name in (("invoices", "invoice-lines"), ("purchase_orders", "order-lines")):
            bad = {**INVOICE, "invoice-number": "2", name: [{"type": "Line"}]}
            assert errors(stocked.send("POST", path, bad))[0].startswith("Type must be one of")

    def test_numbers_of_requisition_lines_count_up_by_one(self, stocked: Caller) -> None:
        def post(*numbers: int) -> httpx.Response:
            lines = [{"description": "d", "line-num": number} for number in numbers]
            return stocked.send("POST", "requisitions", {"requisition-lines": lines})

        assert [line["line-num"] for line in made(post(1, 2, 2, 3))["requisition-lines"]] == [1, 2, 3]
        assert errors(post(1, 3)) == ["Line num must count up by one"]

    @pytest.mark.parametrize(("order", "status"), [("_cancel", "cancelled"), ("_close", "closed")])
    def test_orders_within_a_body(self, stocked: Caller, order: str, status: str) -> None:
        made_ = made(stocked.send("POST", "purchase_orders", {"supplier": {"id": 17}}))
        assert (
            changed(stocked.send("PUT", f"purchase_orders/{made_['id']}", {order: False}))["status"]
            == "draft"
        )
        assert (
            changed(stocked.send("PUT", f"purchase_orders/{made_['id']}", {order: True}))["status"] == status
        )

    def test_payments_pile_up_and_cannot_be_taken_back(
        self, stocked: Caller, invoice: dict[str, Any]
    ) -> None:
        path = f"invoices/{invoice['id']}"
        forms: list[Any] = [
            {"payment": {"amount_paid": "1", "payment_date": "9/12/2019"}},
            {"payment": [{"amount_paid": "2", "payment_date": "2019-09-12"}]},
            [{"amount_paid": "3", "notes": "n"}],
            [{"amount-paid": "4", "payment-date": "2019-09-12T00:00:00Z"}],
        ]
        for count, form in enumerate(forms, 1):
            after = changed(stocked.send("PUT", path, {"payments": form, "paid": "false"}))
            assert [one["amount-paid"] for one in after["payments"]] == ["1", "2", "3", "4"][:count]
        drop = [{"id": after["payments"][0]["id"], "_delete": True}]
        assert len(changed(stocked.send("PUT", path, {"payments": drop}))["payments"]) == 4


class TestAddresses:
    def test_the_primary_ones_of_a_supplier_are_edited_in_place(self, stocked: Caller) -> None:
        payload = {
            "name": "A",
            "primary-contact": {"name-given": "Ann", "email": "a@example.com"},
            "primary-address": {"street1": "1 Way", "city": "Reno", "country": {"code": "US"}},
        }
        supplier = made(stocked.send("POST", "suppliers", payload))
        address = supplier["primary-address"]
        assert (address["street1"], address["country"]["name"]) == ("1 Way", "United States")
        path = f"suppliers/{supplier['id']}"
        for edit in ({"city": "Bonn"}, {"id": address["id"], "city": "Bonn"}):
            after = changed(stocked.send("PUT", path, {"primary-address": edit}))["primary-address"]
            assert (after["id"], after["street1"], after["city"]) == (address["id"], "1 Way", "Bonn")
        edit = {"id": address["id"] + 1, "city": "Rome"}
        for name in ("primary-address", "primary-contact"):
            assert errors(stocked.send("PUT", path, {name: edit}))[0].endswith(
                "cannot be set to another record"
            )

    def test_the_inactive_cannot_be_updated(self, stocked: Caller) -> None:
        assert errors(stocked.send("PUT", "addresses/8", {"city": "X"}))[0].startswith("Address is inactive")
        assert changed(stocked.send("PUT", "addresses/7", {"city": "X"}))["city"] == "X"
        stocked.emulator.load(
            {"suppliers": [{"id": 19, "name": "C", "primary-address": {"id": 5, "active": False}}]}
        )
        answer = stocked.send("PUT", "suppliers/19", {"primary-address": {"city": "X"}})
        assert errors(answer)[0].startswith("Primary address is inactive")


class TestPartsOfPayloads:
    def test_custom_fields_are_merged(self, stocked: Caller) -> None:
        payload = {"name": "A", "custom-fields": {"vms_id": "1", "region": {"name": "North"}}}
        supplier = made(stocked.send("POST", "suppliers", payload))
        after = changed(
            stocked.send(
                "PUT", f"suppliers/{supplier['id']}", {"custom_fields": {"vms-id": "2", "new": True}}
            )
        )
        assert after["custom-fields"] == {"vms-id": "2", "region": {"name": "North"}, "new": True}
        same = changed(stocked.send("PUT", f"suppliers/{supplier['id']}", {"custom-fields": None}))
        assert same["custom-fields"] == after["custom-fields"]

    def test_those_of_the_global_namespace_stand_at_the_top(self, stocked: Caller) -> None:
        stocked.emulator.load({"suppliers": [{"id": 19, "name": "C", "erp-code": "1"}]})
        assert changed(stocked.send("PUT", "suppliers/17", {"erp_code": "2"}))["erp-code"] == "2"
        assert "other" not in changed(stocked.send("PUT", "suppliers/17", {"other": "2"}))

    @pytest.mark.parametrize(("mode", "kept"), [("clears", None), ("ignored", "w")])
    def test_null(self, stocked: Caller, mode: str, kept: str | None) -> None:
        stocked.emulator.load(
            {"suppliers": [{"id": 19, "name": "C", "website": "w", "custom-fields": {"a": "w"}, "erp": "w"}]}
        )
        switch(stocked, U19=mode)
        after = changed(
            stocked.send("PUT", "suppliers/19", {"website": None, "custom-fields": {"a": None}, "erp": None})
        )
        assert (after["website"], after["custom-fields"]["a"], after["erp"]) == (kept, kept, kept)

    @pytest.mark.parametrize("wrap", ["invoice-header", "invoice_header", "invoice"])
    def test_a_wrapped_payload(self, stocked: Caller, wrap: str) -> None:
        assert errors(stocked.send("POST", "invoices", {wrap: INVOICE}))
        assert stocked.emulator.ids("invoices") == []
        switch(stocked, U34="accepted")
        answer = made(stocked.send("POST", "invoices", {wrap: INVOICE}))
        assert answer["invoice-number"] == "I1"
        payload = {wrap: {"comments": "c"}}
        assert changed(stocked.send("PUT", f"invoices/{answer['id']}", payload))["comments"] == "c"

    def test_what_is_only_read_is_ignored_without_a_word(self, stocked: Caller) -> None:
        payload = {"id": 99, "created-at": "2001-01-01T00:00:00Z", "exported": True, "total": "1", "zork": 1}
        invoice = made(stocked.send("POST", "invoices", {**INVOICE, **payload, "lock-version-key": 40}))
        assert invoice["id"] != 99
        assert not invoice["created-at"].startswith("2001")
        assert invoice["exported"] is False
        assert "zork" not in invoice

    def test_the_exported_flag_lets_other_changes_be_ignored(self, stocked: Caller) -> None:
        invoice = made(stocked.send("POST", "invoices", INVOICE))
        answer = stocked.send(
            "PUT", f"invoices/{invoice['id']}", {"comments": "c"}, exported="true", fields='["id","exported"]'
        )
        assert changed(answer) == {"id": invoice["id"], "exported": True}
        shown = stocked.get(f"invoices/{invoice['id']}").json()
        assert shown["comments"] is None
        assert shown["last-exported-at"]


class TestShapes:
    @pytest.mark.parametrize("method", ["POST", "PUT"])
    def test_of_answers(self, stocked: Caller, method: str) -> None:
        path = "suppliers" if method == "POST" else "suppliers/17"
        numbers = iter(range(10))

        def shaped(**query: str) -> httpx.Response:
            payload = {"name": f"N{next(numbers)}", "payment-term": {"id": 5}}
            answer = stocked.send(method, path, payload, **query)
            assert answer.status_code == (201 if method == "POST" else 200)
            return answer

        assert len(shaped().json()) > 50
        assert list(shaped(return_object="limited").json()) == ["id"]
        assert shaped(return_object="none").content == b""
        shallow = shaped(return_object="shallow").json()
        assert shallow["name"] == "N3"
        assert shallow["payment-term"] == {"id": 5, "code": "Net 30"}
        chosen = shaped(fields='["name",{"payment_term":["code"]}]').json()
        assert chosen == {"name": "N4", "payment-term": {"code": "Net 30"}}

    def test_a_wrong_shape_is_refused_before_anything_is_written(self, stocked: Caller) -> None:
        switch(stocked, U10="400")
        for query in ({"fields": '["zork"]'}, {"fields": "name"}, {"return_object": "zork"}):
            assert errors(stocked.send("POST", "suppliers", {"name": "A"}, **query))
        assert stocked.emulator.ids("suppliers") == [17, 18]


class TestSentBack:
    """A client reads a record, changes a bit, and sends all of it."""

    @pytest.mark.parametrize(
        "path",
        [
            "addresses",
            "contracts",
            "exchange_rates",
            "invoices",
            "items",
            "lookup_values",
            "suppliers",
            "users",
        ],
    )
    def test_changes_nothing_else(self, company: Caller, path: str) -> None:
        ignored = {"updated-at", "lock-version-key"}
        for record_id in company.emulator.ids(path)[:20]:
            record = company.get(f"{path}/{record_id}").json()
            if path == "addresses" and record["active"] is False:
                continue
            after = changed(company.send("PUT", f"{path}/{record_id}", record))
            # The seed knows no numbers that belong together: these follow their references now.
            moved = {
                n for n in record if n not in ignored and not n.endswith("-id") and record[n] != after[n]
            }
            assert moved == set()

    def test_a_reference_counts_more_than_its_id(self, stocked: Caller) -> None:
        value = stocked.get("lookup_values/20").json()
        payload = {**value, "lookup": {"id": 13}, "lookup-id": 12}
        after = changed(stocked.send("PUT", "lookup_values/20", payload | {"name": "N"}))
        assert (after["lookup"]["id"], after["lookup-id"]) == (13, 13)

    def test_what_could_not_be_set_may_stay(self, stocked: Caller) -> None:
        supplier = made(stocked.send("POST", "suppliers", {"name": "A"}))
        after = changed(
            stocked.send("PUT", f"suppliers/{supplier['id']}", {"status": "draft", "website": "w"})
        )
        assert (after["status"], after["website"]) == ("draft", "w")


class TestProfiles:
    """The bundles that bring the open questions about writes: U16 to U22 and U34."""

    def test_lenient(self, stocked: Caller) -> None:
        stocked.emulator.configure(**PROFILES["lenient"].settings)
        wrapped = {"supplier": {"name": "A", "website": "w", "payment-term": {"code": "none"}}}
        supplier = made(stocked.send("POST", "suppliers", wrapped))
        assert supplier["payment-term"] is None
        path = f"suppliers/{supplier['id']}"
        assert changed(stocked.send("PUT", path, {"website": None}))["website"] == "w"
        assert stocked.ids("suppliers", {"name": "a", "zork": 1}) == [supplier["id"]]
        made(stocked.send("POST", "invoices", {"invoice-number": "1", "supplier": {"name": "FISHY"}}))
        run = made(stocked.send("POST", "integration_runs", {"integration": {"code": "erp"}}))
        assert changed(stocked.send("PUT", f"integration_runs/{run['id']}/success"))["status"] == "successful"

    def test_strict(self, stocked: Caller) -> None:
        stocked.emulator.configure(**PROFILES["strict"].settings)
        switch(stocked, U2="off")
        assert errors(stocked.send("POST", "suppliers", {"supplier": {"name": "A"}}))
        wrong = {"name": "A", "payment-term": {"code": "none"}}
        assert errors(stocked.send("POST", "suppliers", wrong), 422)
        assert errors(
            stocked.send("POST", "suppliers", {"name": "A", "payment-term": {"code": "NET 30"}}), 422
        )
        supplier = made(stocked.send("POST", "suppliers", {"name": "A", "website": "w"}))
        path = f"suppliers/{supplier['id']}"
        assert changed(stocked.send("PUT", path, {"website": None}))["website"] is None
        assert stocked.ids("suppliers", {"name": "a"}) == []
        made(stocked.send("POST", "suppliers", {"name": "a"}))
        run = made(stocked.send("POST", "integration_runs", {"integration": {"code": "ERP"}}))
        assert errors(stocked.send("PUT", f"integration_runs/{run['id']}/success"))
