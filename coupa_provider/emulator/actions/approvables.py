"""What can be done about the approvals of a document: submit it, add and remove approvers, pass them by."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from coupa_provider.emulator.actions import approving
from coupa_provider.emulator.actions.call import ActionCall, Done
from coupa_provider.emulator.actions.moves import check_status
from coupa_provider.emulator.store import Record

# From where a document can be submitted is not documented; None for any status but pending.
_SUBMITS: Mapping[tuple[str, str], Collection[str] | None] = {
    ("contracts", "submit_for_approval"): ("draft", "rejected"),
    ("contracts/:contract_id/legal_documents", "submit_for_approval"): None,
    ("expense_reports", "submit"): ("draft", "rejected"),
    ("invoices", "submit"): ("new", "draft", "rejected", "invalid"),
    ("purchase_order_changes", "submit_for_approval"): None,
    ("receipt_requests", "submit"): None,
}
# Whoever is asked later would be asked in vain.
_ASKABLE = (None, "new", "draft", "cart", approving.PENDING, "pending_action", "pending_buyer_action")


def perform(call: ActionCall) -> Done | None:
    """Change who is asked for approval; None for another call."""
    kind = call.target.resource.type
    if call.target.record_id is None or approving.home_of(kind) != call.path:
        return None
    if (call.path, call.name) in _SUBMITS:
        record = call.record()
        check_status(call, record, _SUBMITS[call.path, call.name], approving.PENDING)
        approving.put_up(call.instance, kind, record)
        if "submitted-at" in record:
            record["submitted-at"] = call.instance.stamp()
        return call.keep(record)
    step = _STEPS.get(call.name)
    if step is None:
        return None
    record = call.record()
    step(call, kind, record)
    return call.keep(record)


def _add(call: ActionCall, kind: str, document: Record) -> None:
    check_status(call, document, _ASKABLE)
    given = call.arguments.get("approver_id", "")
    approver = call.instance.store.record("users", int(given)) if given.isdecimal() else None
    if approver is None:
        call.refuse(f"There is no user with approver_id {given or 'nil'}")
    approving.ask(call.instance, kind, document, approver)
    approving.show(call.instance, kind, document)


def _remove(call: ActionCall, kind: str, document: Record) -> None:
    """Which approval goes is not documented: one that an argument names, or the last one."""
    waiting = approving.open_approvals(call.instance, kind, document["id"])
    wanted = call.arguments
    if "approval_id" in wanted:
        waiting = [one for one in waiting if str(one["id"]) == wanted["approval_id"]]
    if "approver_id" in wanted:
        waiting = [one for one in waiting if _approver(one) == wanted["approver_id"]]
    if not waiting:
        call.refuse("There is no such pending approval")
    call.instance.store.delete("approvals", waiting[-1]["id"])
    approving.settle(call.instance, kind, document)


def _approver(approval: Record) -> str:
    return str((approval.get("approver") or {}).get("id"))


def _bypass(call: ActionCall, kind: str, document: Record) -> None:
    check_status(call, document, (approving.PENDING,))
    waiting = approving.open_approvals(call.instance, kind, document["id"])
    for approval in waiting[: 1 if call.name == "bypass_current_approval" else None]:
        approving.answer(call.instance, approval, "approved")
    approving.settle(call.instance, kind, document)


def _restart(call: ActionCall, kind: str, document: Record) -> None:
    check_status(call, document, (approving.PENDING,))
    for approval in approving.approvals_of(call.instance, kind, document["id"]):
        call.instance.store.delete("approvals", approval["id"])
    approving.put_up(call.instance, kind, document)


def _withdraw(call: ActionCall, kind: str, document: Record) -> None:
    check_status(call, document, (approving.PENDING,))
    approving.drop_open(call.instance, kind, document)
    document["status"] = "withdrawn"


_STEPS: Mapping[str, Callable[[ActionCall, str, Record], None]] = {
    "add_approver": _add,
    "bypass_approvals": _bypass,
    "bypass_current_approval": _bypass,
    "remove_approval": _remove,
    "restart_approvals": _restart,
    "withdraw": _withdraw,
}
