"""What a write must bring, what must be unique, what references are found by, what a new record starts with."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache

from coupa_provider.resources import Attribute, attributes_of_type, find_resource

REQUIRED: Mapping[str, tuple[str, ...]] = {
    "account_groups": ("name",),
    "account_types": ("name",),
    "account_validation_rules": ("name",),
    "accounts": ("account-type", "segment-1"),
    "business_entities": ("name",),
    "business_groups": ("name",),
    "commodities": ("name",),
    "contracts": ("name",),
    "currencies": ("code",),
    "departments": ("name",),
    "exchange_rates": ("from-currency", "to-currency", "rate", "rate-date"),
    "integration_errors": ("contact-alert-type", "integration-run-id"),
    "integration_history_records": ("contact-alert-type", "document-type", "document-id"),
    "integration_runs": ("integration",),
    "integrations": ("code", "name"),
    "invoices": ("invoice-number", "supplier"),
    "items": ("name",),
    "legal_entities": ("name",),
    "lookup_values": ("name", "lookup"),
    "lookups": ("name",),
    "payment_terms": ("code",),
    "projects": ("name",),
    "purchase_orders": ("supplier",),
    "shipping_terms": ("code",),
    "supplier_sites": ("code", "name"),
    "suppliers": ("name",),
    "tax_registrations": ("number", "country"),
    "user_groups": ("name",),
    "users": ("login", "email", "firstname", "lastname"),
}

# The first attribute names the error.
_UNIQUE_TOGETHER: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "accounts": (("code", "account-type"),),
    "exchange_rates": (("rate-date", "from-currency", "to-currency"),),
    "invoices": (("invoice-number", "supplier"),),
    "lookup_values": (
        ("name", "lookup"),
        ("external-ref-num", "lookup"),
        ("external-ref-code", "lookup"),
    ),
    # For each supplier.
    "suppliers/:supplier_id/addresses": (("remit-to-code",),),
    "suppliers/:supplier_id/supplier_sites": (("code",),),
}

INITIAL: Mapping[str, Mapping[str, object]] = {
    "contracts": {"status": "draft"},
    "expense_reports": {"status": "draft"},
    "integration_runs": {"status": "pending"},
    "integration_errors": {"resolved": False},
    "integration_history_records": {"resolved": False},
    "invoices": {"status": "draft", "document-type": "Invoice", "paid": False, "lock-version-key": 0},
    "purchase_orders": {"status": "draft", "version": 1, "internal-revision": 1},
    "requisitions": {"status": "draft"},
    "users": {"authentication-method": "coupa_credentials", "roles": ({"name": "User"},)},
}

# Without these a new supplier stays a draft.
SUPPLIER_PARTS = ("name", "primary-address", "primary-contact")

_SEGMENTS = tuple(f"segment-{place}" for place in range(1, 21))

# By these an association finds its record; all that are sent must match, other attributes do not count.
REFERENCE_KEYS: Mapping[str, tuple[str, ...]] = {
    "Account": ("id", "code", "account-type", *_SEGMENTS),
    "AccountType": ("id", "name"),
    "Address": ("id", "name", "location-code"),
    "BusinessGroup": ("id", "name"),
    "Commodity": ("id", "name"),
    "Country": ("id", "code", "name"),
    "Currency": ("id", "code"),
    "Department": ("id", "name"),
    "Integration": ("id", "code"),
    "Item": ("id", "name", "item-number"),
    "Lookup": ("id", "name"),
    "LookupValue": ("id", "name", "lookup", "external-ref-num", "external-ref-code"),
    "PaymentTerm": ("id", "code"),
    "ShippingTerm": ("id", "code"),
    "Supplier": ("id", "name", "number"),
    "Uom": ("id", "code"),
    "User": ("id", "login", "email"),
    "UserSimple": ("id", "login", "email"),
}

# What the tables leave out or have otherwise than other documents and sample calls.
_AMENDED: Mapping[str, Mapping[str, Mapping[str, object]]] = {
    "OrderLine": {"type": {"allowed": ("OrderQuantityLine", "OrderAmountLine")}},
    "RequisitionHeader": {
        "external-po-reference": {"readable": True},
        "requested-by": {"writable": True},
    },
    "Supplier": {
        "po-method": {
            "allowed": ("cxml", "xml", "email", "integration", "prompt", "mark_as_sent", "buy_online")
        },
        "status": {"writable": True, "allowed": ("active", "inactive", "onboarding")},
    },
}

# Coupa's own words, where they differ from the usual ones: by resource, type and attribute.
MESSAGES: Mapping[tuple[str, str, str], str] = {
    ("suppliers", "Contact", "email"): "Supplier email is not a valid email address.",
    ("suppliers", "Supplier", "po-method"): (
        "PO method must be one of cxml, xml, email, integration, prompt or buy_online."
    ),
    ("suppliers", "Supplier", "status"): "Supplier status must be one of active, inactive, onboarding.",
}

# Objects of these types live inside one record and are edited there.
INSIDE_TYPES = frozenset(
    (
        "BusinessEntityAddress",
        "Contact",
        "CounterpartyAddress",
        "LegalEntityAddress",
        "SupplierInformationAddress",
    )
)

# Records of these types exist on their own, though no collection shows them: they are kept as sent.
UNLISTED_TYPES = frozenset(
    ("ApprovalGroup", "InventoryOrganization", "PaymentType", "Purpose", "Role", "Tag", "WarehouseLocation")
)

# Lists of these hold records of their parent alone; lists of other types refer to records that exist.
OWNED_TYPES = frozenset(
    (
        "Approval",
        "Attachment",
        "Comment",
        "ExpenseLine",
        "IntegrationHistoryRecord",
        "OrderHeaderConfirmation",
        "OrderLine",
        "RemitToAddress",
        "SupplierSite",
        "Task",
        "TaxRegistration",
    )
)


@cache
def written_attributes(type_name: str) -> Mapping[str, Attribute]:
    """Return the attributes of a type as writes know them.

    :param type_name: type of the catalog.
    :return: attributes by dashed name.
    """
    known = dict(attributes_of_type(type_name.replace("::", "-")))
    for name, changes in _AMENDED.get(type_name, {}).items():
        known[name] = dataclasses.replace(known[name], **changes)  # type: ignore[arg-type]
    if type_name == "SupplierInformationAddress":
        # Sample calls write the addresses of suppliers like all others.
        known = {**attributes_of_type("Address"), **known}
    return known


@cache
def key_names(path: str) -> frozenset[str]:
    """Return the attributes by which clients look records up.

    :param path: catalog path of the resource.
    :return: dashed names.
    """
    resource = find_resource(path)
    if resource is None:
        return frozenset()
    named = {name for name, attribute in resource.attributes.items() if attribute.unique}
    named.update(name for names in unique_keys(path) for name in names)
    return frozenset({*named, *resource.natural_key, "name", "code", "number"} - {"id"})


@cache
def unique_keys(path: str) -> list[tuple[str, ...]]:
    """Return the attributes that must be unique, alone or together.

    :param path: catalog path of the resource.
    :return: groups of dashed names.
    """
    resource = find_resource(path)
    together = list(_UNIQUE_TOGETHER.get(path, ()))
    if resource is None or together or ":" in path:
        return together
    alone = [
        name
        for name, attribute in written_attributes(resource.type).items()
        if attribute.unique and attribute.readable and not attribute.nested and name != "id"
    ]
    if len(resource.natural_key) == 1:
        alone += [name for name in resource.natural_key if name not in alone]
    return [(name,) for name in alone]
