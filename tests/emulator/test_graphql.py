"""GraphQL of the emulator: what is documented, the switches, and that the catalog's types hold what is seeded."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from graphql import GraphQLList, GraphQLObjectType, build_client_schema, get_introspection_query

from coupa_provider.emulator.graphql_schema import schema
from coupa_provider.resources import find_resource, resource_paths


def ask(caller, query: str, **more: Any) -> dict[str, Any]:
    """Run a query; the answer's status is 200 whatever it says."""
    answer = caller.send("POST", "graphql", {"query": query, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def data_of(caller, query: str, **more: Any) -> dict[str, Any]:
    answered = ask(caller, query, **more)
    assert "errors" not in answered
    return answered["data"]


def only_error(caller, query: str, **more: Any) -> dict[str, Any]:
    (error,) = ask(caller, query, **more)["errors"]
    return error


def test_one_object_by_its_id(seeded):
    user = seeded.get("users/3").json()
    shown = data_of(seeded, "{ user(id: 3) { id login createdAt defaultAddress { id } } }")["user"]
    assert (shown["id"], shown["login"], shown["createdAt"]) == (3, user["login"], user["created-at"])
    assert data_of(seeded, "query ($id: ID!) { user(id: $id) { id } }", variables={"id": "3"}) == {
        "user": {"id": 3}
    }


def test_a_collection_in_lower_camel_case(seeded):
    found = data_of(seeded, "{ expenseReports { id title expenseLines { id } } users { id } }")
    assert [report["id"] for report in found["expenseReports"]] == seeded.emulator.ids("expense_reports")[:50]
    assert any(report["expenseLines"] for report in found["expenseReports"])
    assert len(found["users"]) == 50


def test_conditions_as_rest_has_them(seeded):
    query = '{ invoices(query: "id[lt_or_eq]=5") { id invoiceNumber supplier { name } } }'
    asked = {"id[lt_or_eq]": 5, "fields": '["id","invoice-number",{"supplier":["name"]}]'}
    assert data_of(seeded, query)["invoices"] == [
        {"id": one["id"], "invoiceNumber": one["invoice-number"], "supplier": one["supplier"]}
        for one in seeded.get("invoices", asked).json()
    ]
    text = "supplier[name][starts_with]=B&status[in]=approved,voided&order_by=id&dir=desc"
    asked = {
        "supplier[name][starts_with]": "B",
        "status[in]": "approved,voided",
        "order_by": "id",
        "dir": "desc",
    }
    found = data_of(seeded, "query ($q: String) { invoices(query: $q) { id } }", variables={"q": text})
    assert [one["id"] for one in found["invoices"]] == [
        one["id"] for one in seeded.get("invoices", asked).json()
    ]
    assert found["invoices"]


def test_decimals_keep_their_digits(coupa):
    coupa.emulator.load({"invoices": [{"id": 1, "gross-total": "12345678901234567890.10"}]})
    assert data_of(coupa, "{ invoice(id: 1) { grossTotal } }") == {
        "invoice": {"grossTotal": "12345678901234567890.10"}
    }


def test_what_a_reference_does_not_show_is_looked_up(coupa):
    coupa.emulator.load(
        {
            "suppliers": [{"id": 4, "name": "Fishy", "status": "active", "website": "fish.example"}],
            "invoices": [
                {"id": 1, "supplier": {"id": 4, "name": "As shown"}, "requested-by": None},
                {"id": 2, "supplier": {"id": 99, "name": "Gone"}},
            ],
        }
    )
    shown = data_of(coupa, "{ invoices { supplier { name website } requestedBy { login } } }")
    assert [one["supplier"] for one in shown["invoices"]] == [
        {"name": "As shown", "website": "fish.example"},
        {"name": "Gone", "website": None},
    ]


def test_custom_fields_by_fragments(coupa):
    held = {
        "note": "text",
        "urgent": True,
        "rank": 3,
        "tags": ["a", "b"],
        "nothing": None,
        "owner": {"id": 1, "login": "ann"},
        "tier": {"id": 5, "name": "Tier 5", "external-ref-num": "005"},
    }
    coupa.emulator.load({"suppliers": [{"id": 1, "custom-fields": held}]})
    query = """{ supplier(id: 1) { customFields { name type value {
      ... on StringValue { value }
      ... on BooleanValue { truth: value }
      ... on User { login }
      ...Lookup
    } } } }
    fragment Lookup on LookupValue { name externalRefNum }"""
    fields = data_of(coupa, query)["supplier"]["customFields"]
    assert {one["name"]: (one["type"], one["value"]) for one in fields} == {
        "note": ("StringValue", {"value": "text"}),
        "urgent": ("BooleanValue", {"truth": True}),
        "rank": ("IntegerValue", {}),
        "tags": ("JSONValue", {}),
        "nothing": (None, None),
        "owner": ("User", {"login": "ann"}),
        "tier": ("LookupValue", {"name": "Tier 5", "externalRefNum": "005"}),
    }


def test_paging_in_the_text(seeded):
    page = '{ users(query: "limit=3&offset=4&order_by=id&dir=asc") { id } }'
    assert [user["id"] for user in data_of(seeded, page)["users"]] == seeded.emulator.ids("users")[4:7]
    assert "Unknown argument 'limit'" in only_error(seeded, "{ users(limit: 3) { id } }")["message"]


def test_paging_by_arguments(coupa):
    coupa.emulator.configure(switches={"U24": "arguments"})
    coupa.emulator.load({"users": [{"id": number} for number in range(1, 71)]})
    page = '{ users(query: "id[gt]=10&limit=2&offset=1", limit: 3, offset: 4) { id } }'
    assert [user["id"] for user in data_of(coupa, page)["users"]] == [15, 16, 17]
    ignored = data_of(coupa, '{ users(query: "limit=2&offset=9") { id } }')["users"]
    assert [user["id"] for user in ignored] == list(range(1, 51))


def test_a_missing_object(coupa):
    query = "{ user(id: 9) { id } users { id } }"
    assert ask(coupa, query) == {"data": {"user": None, "users": []}}
    assert ask(coupa, '{ user(id: "x") { id } }') == {"data": {"user": None}}
    coupa.emulator.configure(switches={"U25": "errors"})
    answered = ask(coupa, query)
    assert answered["data"] == {"user": None, "users": []}
    (error,) = answered["errors"]
    assert (error["message"], error["path"]) == ("There is no record with id 9 in users", ["user"])


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("{ users { lgin } }", "Cannot query field 'lgin' on type 'User'. Did you mean 'login'?"),
        ("{ users { id }", "Syntax Error"),
        ("{ user { id } }", "of type 'ID!' is required"),
        ('{ users(query: "nonsense=1") { id } }', "nonsense is not an attribute that can be queried"),
        ('{ users(query: "limit=x") { id } }', "limit must be a whole number"),
        ("mutation { createUser { id } }", "mutation"),
        ("subscription { users { id } }", "subscription"),
        (None, "query must be a text"),
        ("query A { users { id } } query B { users { id } }", "Must provide operation name"),
    ],
)
def test_errors_come_with_200(seeded, query, message):
    assert message in only_error(seeded, query)["message"]


def test_a_body_that_is_no_object_is_a_bad_request(seeded):
    assert seeded.send("POST", "graphql", [1]).status_code == 400
    assert seeded.send("POST", "graphql").status_code == 400
    assert seeded.get("graphql").status_code == 404


def test_a_token_is_needed_and_the_scope_of_each_resource(coupa, caller):
    coupa.emulator.load(
        {
            "users": [{"id": 1, "login": "ann", "email": "ann@example.com"}],
            "invoices": [{"id": 1, "invoice-number": "A-1", "created-by": {"id": 1, "login": "ann"}}],
        }
    )
    coupa.emulator.add_client("invoices-only", "its-secret", ["core.invoice.read"])
    coupa.authorize(client_id="invoices-only", client_secret="its-secret")
    # What an invoice shows of its author needs no more than the invoice; what only the user holds does.
    shown = data_of(coupa, "{ invoices { invoiceNumber createdBy { login } } }")
    assert shown["invoices"] == [{"invoiceNumber": "A-1", "createdBy": {"login": "ann"}}]
    for query, path in (
        ("{ invoices { createdBy { email } } }", ["invoices", 0, "createdBy", "email"]),
        ("{ users { id } }", ["users"]),
        ("{ user(id: 1) { id } }", ["user"]),
    ):
        error = only_error(coupa, query)
        assert error["message"] == "Not authorized to read users: the token lacks the scope core.user.read"
        assert error["path"] == path
    coupa.bearer = "nonsense"
    assert coupa.send("POST", "graphql", {"query": "{ users { id } }"}).status_code == 401


def test_introspection_gives_the_schema(seeded):
    there = build_client_schema(data_of(seeded, get_introspection_query()))
    assert there.query_type is not None
    assert {"user", "users", "expenseReport", "expenseReports", "coupaPayPayments"} <= set(
        there.query_type.fields
    )
    assert "invoiceNumber" in there.type_map["InvoiceHeader"].fields
    assert (there.mutation_type, there.subscription_type) == (None, None)


def test_every_collection_is_there_and_its_records_fit_their_types(seeded):
    collections = {
        name: field.type.of_type
        for name, field in schema(paging_arguments=False).query_type.fields.items()
        if isinstance(field.type, GraphQLList)
    }
    assert len(collections) == sum(":" not in path for path in resource_paths())
    for name, kind in collections.items():
        leaves = [
            attribute
            for attribute, field in kind.fields.items()
            if not isinstance(getattr(field.type, "of_type", field.type), GraphQLObjectType)
        ]
        assert "id" in leaves
        found = data_of(seeded, f'{{ {name}(query: "limit=3") {{ {" ".join(leaves)} }} }}')
        assert all(record["id"] for record in found[name]), name


def test_reading_is_no_write(coupa):
    data_of(coupa, "{ users { id } }")
    assert coupa.emulator.writes() == {}
    assert find_resource("graphql") is None


def test_the_library_is_loaded_by_the_first_query_only():
    script = (
        "import sys\n"
        "from coupa_provider.emulator import Emulator\n"
        "with Emulator(empty=True):\n"
        "    assert 'graphql' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
