"""Answers to approvals: approve, reject, hold."""

from __future__ import annotations

from coupa_provider.emulator.actions import approving
from coupa_provider.emulator.actions.call import ActionCall, Done
from coupa_provider.emulator.store import Record


def perform(call: ActionCall) -> Done | None:
    """Answer an approval, with what follows for its document; None for another call."""
    if call.path != "approvals" or call.name not in ("approve", "hold", "reject"):
        return None
    approval = call.record()
    status = approval.get("status")
    if status != approving.PENDING and (call.name == "hold" or status not in approving.OPEN):
        call.refuse(f"Approval is not pending but {status}")
    if call.name == "hold":
        return approving.answer(call.instance, approval, "on_hold")
    approved = call.name == "approve"
    reason = call.arguments.get("reason")
    approving.answer(call.instance, approval, "approved" if approved else "rejected", reason)
    _tell_document(call, approval, approved, reason)
    return approval


def _tell_document(call: ActionCall, approval: Record, approved: bool, reason: str | None) -> None:
    instance, kind = call.instance, str(approval.get("approvable-type"))
    path, document_id = approving.home_of(kind), approval.get("approvable-id")
    document = instance.store.record(path, document_id) if path and isinstance(document_id, int) else None
    if path is None or document is None:
        return
    if approved:
        approving.settle(instance, kind, document)
    else:
        approving.turn_down(instance, kind, document, reason)
    document["updated-at"] = instance.stamp()
    instance.store.put(path, document)
