"""Statuses that a record does not leave again.

Coupa documents no whole life cycle. Here stand the statuses for which no action that leads out of them is
documented (articles 0132, 0133, 0205, 0233 and the actions of its API description); an instance may know one.
"""

from __future__ import annotations

from coupa_provider.resources.catalog import find_resource

_ENDS = {
    "approvals": ("approved", "rejected", "escalated"),
    "coupa_pay/payments": ("completed_successfully", "completed_with_errors"),
    "integration_runs": ("successful", "failed"),
    "invoices": ("voided", "abandoned"),
    # Coupa's own articles spell it both ways.
    "purchase_orders": ("cancelled", "canceled"),
    "requisitions": ("abandoned",),
}


def end_statuses(resource: str) -> tuple[str, ...]:
    """Return the values of ``status`` that are final.

    :param resource: path under ``/api``.
    :return: them, empty where none are known.
    """
    known = find_resource(resource)
    return _ENDS.get(known.path, ()) if known else ()
