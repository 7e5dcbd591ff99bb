"""What only invoices know: voiding, disputes, and changes to what is submitted already."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from coupa_provider.emulator.actions import approving
from coupa_provider.emulator.actions.call import ActionCall, Done
from coupa_provider.emulator.actions.moves import check_status
from coupa_provider.emulator.linked import keep_comment
from coupa_provider.emulator.store import Record
from coupa_provider.resources import find_resource

_KIND = "InvoiceHeader"
# Not documented; public tests of others dispute in these.
_DISPUTABLE = ("pending_action", "pending_approval", "pending_receipt")
_OVER = ("abandoned", "voided")
_ABANDONABLE = (
    "new",
    "ap_hold",
    "draft",
    "on_hold",
    "pending_receipt",
    "rejected",
    "disputed",
    "pending_approval",
    "booking_hold",
    "pending_action",
    "invalid",
)


def perform(call: ActionCall) -> Done | None:
    """Carry out a call about an invoice; None for another call."""
    step = _STEPS.get(call.name) if call.path == "invoices" else None
    if step is None:
        return None
    invoice = call.record()
    step(call, invoice)
    if isinstance(invoice.get("lock-version-key"), int):
        invoice["lock-version-key"] += 1
    return call.keep(invoice)


def _void(call: ActionCall, invoice: Record) -> None:
    check_status(call, invoice, None)
    approving.drop_open(call.instance, _KIND, invoice)
    # Documented: a voided invoice is exported once more.
    invoice.update({"status": "voided", "canceled": True, "exported": False})


def _abandon(call: ActionCall, invoice: Record) -> None:
    check_status(call, invoice, _ABANDONABLE)
    approving.drop_open(call.instance, _KIND, invoice)
    invoice["status"] = "abandoned"


def _dispute(call: ActionCall, invoice: Record) -> None:
    check_status(call, invoice, _DISPUTABLE)
    payload = call.payload()
    reason, now = payload.get("dispute-reason"), call.instance.stamp()
    if isinstance(reason, dict) and reason.get("code"):
        kept = {"id": call.instance.new_line_id(), "code": str(reason["code"]), "description": None}
        invoice["dispute-reasons"] = [
            *(invoice.get("dispute-reasons") or ()),
            {**kept, "created-at": now, "updated-at": now},
        ]
    if payload.get("comment"):
        keep_comment(call.instance, _KIND, invoice["id"], str(payload["comment"]))
    invoice["status"] = "disputed"


def _withdraw_dispute(call: ActionCall, invoice: Record) -> None:
    check_status(call, invoice, ("disputed",))
    waiting = approving.open_approvals(call.instance, _KIND, invoice["id"])
    invoice.update({"status": approving.PENDING if waiting else "pending_action", "dispute-reasons": []})


def _revalidate(call: ActionCall, invoice: Record) -> None:
    """The emulator has no tolerances, so nothing fails them."""
    if invoice.get("status") in _OVER:
        call.refuse(f"Status cannot be {invoice['status']}")


def _flip(call: ActionCall, invoice: Record) -> None:
    """What becomes of the invoice is not documented: the notice is all that is new."""
    _revalidate(call, invoice)
    resource = find_resource("asn/headers")
    if resource is None:
        raise LookupError("the catalog has no asn/headers")
    notice = call.instance.completed(
        resource, {"status": "pending_receipt", "supplier": invoice.get("supplier")}
    )
    call.instance.store.put(resource.path, notice)


_STEPS: Mapping[str, Callable[[ActionCall, Record], None]] = {
    "abandon": _abandon,
    "dispute": _dispute,
    "flip_to_advance_ship_notice": _flip,
    "revalidate_tolerances": _revalidate,
    "void": _void,
    "withdraw_dispute": _withdraw_dispute,
}
