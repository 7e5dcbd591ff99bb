"""What a write must bring, what must be unique, and what a new record starts with."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from coupa_provider.resources import find_resource

REQUIRED: Mapping[str, tuple[str, ...]] = {
    "account_types": ("name",),
    "accounts": ("account-type",),
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
    "lookup_values": ("name", "lookup"),
    "lookups": ("name",),
    "payment_terms": ("code",),
    "projects": ("name",),
    "purchase_orders": ("supplier",),
    "shipping_terms": ("code",),
    "suppliers": ("name",),
    "user_groups": ("name",),
    "users": ("login", "email", "firstname", "lastname"),
}

# The first attribute names the error.
_UNIQUE_TOGETHER: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "accounts": (("code", "account-type"),),
    "exchange_rates": (("rate-date", "from-currency", "to-currency"),),
    "invoices": (("invoice-number", "supplier"),),
    "lookup_values": (("name", "lookup"), ("external-ref-num", "lookup")),
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
    "suppliers": {"status": "draft"},
    "users": {"authentication-method": "coupa_credentials"},
}

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
def unique_keys(path: str) -> list[tuple[str, ...]]:
    """Return the attributes that must be unique, alone or together.

    :param path: catalog path of the resource.
    :return: groups of dashed names.
    """
    resource = find_resource(path)
    if resource is None or ":" in path:
        return []
    together = list(_UNIQUE_TOGETHER.get(path, ()))
    if together:
        return together
    alone = [
        name
        for name, attribute in resource.attributes.items()
        if attribute.unique and attribute.readable and not attribute.nested and name != "id"
    ]
    if len(resource.natural_key) == 1:
        alone += [name for name in resource.natural_key if name not in alone]
    return [(name,) for name in alone]
