"""Closing the lines of an order softly, and opening them again."""

from __future__ import annotations

from coupa_provider.emulator.actions.call import ActionCall, Done
from coupa_provider.emulator.actions.moves import check_status

# The words are not documented.
_CLOSED = {"invoicing": "soft_closed_for_invoicing", "receiving": "soft_closed_for_receiving"}


def perform(call: ActionCall) -> Done | None:
    """Close or open a line, also where its order shows it; None for another call."""
    if call.path != "purchase_order_lines":
        return None
    verb, _, purpose = call.name.partition("_for_")
    if purpose not in _CLOSED or verb not in ("reopen", "soft_close"):
        return None
    line, closed = call.record(), _CLOSED[purpose]
    if verb == "reopen":
        check_status(call, line, (closed,))
    else:
        check_status(call, line, None, closed)
    line["status"] = "created" if verb == "reopen" else closed
    call.keep(line)
    order_id = line.get("order-header-id")
    order = call.instance.store.record("purchase_orders", order_id) if isinstance(order_id, int) else None
    if order is not None:
        for shown in order.get("order-lines") or ():
            if shown.get("id") == line["id"]:
                shown.update({"status": line["status"], "updated-at": line["updated-at"]})
        call.instance.store.put("purchase_orders", order)
    return line
