"""The catalog is data: all of it can be read, and it says what the documents say."""

from __future__ import annotations

import re

import pytest

from coupa_provider.resources import Attribute, attributes_of_type, find_resource, resource_paths
from coupa_provider.resources.catalog import _catalog, _parse_attribute

BASES = {
    "string", "text", "integer", "decimal", "float", "boolean", "datetime", "date", "reference", "list", "unknown",
}  # fmt: skip
SCOPE = re.compile(r"[a-z][a-z_.]*")


def test_there_is_a_catalog_to_speak_of():
    assert len(resource_paths()) >= 150
    assert resource_paths() == sorted(set(resource_paths()))


@pytest.mark.parametrize("path", resource_paths())
def test_every_resource_is_whole(path):
    resource = find_resource(path)
    assert resource.path == path
    assert resource.type in _catalog()["types"]
    assert resource.article is None or re.fullmatch(r"\d{4}", resource.article)
    assert re.fullmatch(r"[a-z0-9-]+", resource.xml_root)
    for scope in (resource.read_scope, resource.write_scope):
        assert scope is None or SCOPE.fullmatch(scope)
    for call in resource.actions.values():
        assert re.fullmatch(r"(GET|POST|PUT|PATCH|DELETE) /?[a-z][\w/:.{}-]*", call), call
    assert set(resource.natural_key) <= set(resource.attributes)


@pytest.mark.parametrize("type_name", sorted(_catalog()["types"]))
def test_every_attribute_can_be_read(type_name):
    for name, attribute in attributes_of_type(type_name).items():
        assert attribute.name == name
        assert attribute.base in BASES
        assert attribute.nested == (attribute.base in ("reference", "list", "unknown"))
        if attribute.base == "decimal" and attribute.size is not None and attribute.scale is not None:
            assert attribute.scale <= attribute.size
        if attribute.target is not None:
            assert attribute.nested


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("invoices", "invoices"),
        ("/invoices/", "invoices"),
        ("suppliers/7/addresses", "suppliers/:supplier_id/addresses"),
        ("suppliers/:supplier_id/addresses", "suppliers/:supplier_id/addresses"),
        (
            "qualitycollaboration/api/v1/quality-inspections",
            "/qualitycollaboration/api/v1/quality-inspections",
        ),
        (
            "/qualitycollaboration/api/v1/quality-inspections",
            "/qualitycollaboration/api/v1/quality-inspections",
        ),
        ("coupa_pay/payments", "coupa_pay/payments"),
    ],
)
def test_a_resource_is_found_by_its_path(path, found):
    assert find_resource(path).path == found


@pytest.mark.parametrize(
    "path",
    ["", "no_such_thing", "invoices/7", "suppliers//addresses", "suppliers/1/2/addresses", "invoices\n"],
)
def test_what_the_documents_do_not_know_is_not_found(path):
    assert find_resource(path) is None


def test_facts_that_others_rely_on():
    invoices = find_resource("invoices")
    assert (invoices.xml_root, invoices.read_scope) == ("invoice-headers", "core.invoice.read")
    assert find_resource("purchase_orders").xml_root == "order-headers"
    assert find_resource("receiving_transactions").xml_root == "inventory-transactions"
    assert invoices.attributes["updated-at"].base == "datetime"
    assert invoices.attributes["invoice-lines"].base == "list"
    assert invoices.attributes["supplier"].target == "Supplier"
    assert "PUT" in invoices.actions["submit"]


@pytest.mark.parametrize(
    ("text", "attribute"),
    [
        ("string", Attribute("x", "string")),
        ("string(255) write", Attribute("x", "string", 255, writable=True)),
        ("decimal(32,4) write required", Attribute("x", "decimal", 32, 4, writable=True, required=True)),
        ("reference:Supplier", Attribute("x", "reference", target="Supplier")),
        ("text unread write unique", Attribute("x", "text", readable=False, writable=True, unique=True)),
    ],
)
def test_the_short_form_of_an_attribute(text, attribute):
    assert _parse_attribute("x", text, ()) == attribute


@pytest.mark.parametrize("text", ["", "String", "decimal(", "decimal(a)", "decimal(1,2,3)"])
def test_an_unreadable_form_is_named(text):
    with pytest.raises(ValueError, match="attribute 'x'"):
        _parse_attribute("x", text, ())


def test_a_type_only_mentioned_has_no_attributes():
    assert dict(attributes_of_type("NoSuchType")) == {}
