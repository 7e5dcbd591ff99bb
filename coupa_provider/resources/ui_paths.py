"""Where Coupa's own pages show a record.

Coupa documents no addresses of its pages. These are the ones that people link to in public documents and code,
for instances of several customers each; nothing here is promised by Coupa, and it is used for links alone.
"""

from __future__ import annotations

from coupa_provider.resources.catalog import find_resource

_PATHS = {
    "invoices": "invoices/:id",
    "purchase_orders": "order_headers/:id",
    "requisitions": "requisition_headers/:id",
    "suppliers": "suppliers/show/:id",
}


def record_url(base_url: str, resource: str, record_id: int | str) -> str | None:
    """Return the address of a record's page for people.

    :param base_url: scheme and host of the instance: ``"https://acme.coupahost.com"``.
    :param resource: path of the resource under ``/api``.
    :param record_id: id of the record.
    :return: the address, or None for a resource whose page is not known.
    """
    known = find_resource(resource)
    path = _PATHS.get(known.path) if known is not None else None
    return f"{base_url}/{path.replace(':id', str(record_id).strip())}" if path else None
