"""Calls that move a record from one status to another and do little else.

Coupa documents for few calls from which status they are legal and to which they lead. What it does not is
assumed here, from the statuses it lists and from the names of the calls.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from coupa_provider.emulator.actions.call import ActionCall, Done
from coupa_provider.emulator.store import Record
from coupa_provider.resources.actions import find_action


@dataclass(frozen=True, slots=True)
class Move:
    """What a call does to the status of a record.

    :param to: status afterwards.
    :param since: statuses in which it is legal; None for any but ``to``.
    :param sets: other attributes and their values afterwards.
    :param stamps: attributes that get the time of the call.
    """

    to: str
    since: Collection[str | None] | None = None
    sets: Mapping[str, Any] = field(default_factory=dict)
    stamps: Collection[str] = ()


_HELD_ORDER = ("buyer_hold", "currency_hold", "supplier_hold", "supplier_window_hold")
_UNRECEIVED = (None, "pending_receipt", "partially_received")

_MOVES: Mapping[tuple[str, str], Move] = {
    ("asn/headers", "receive"): Move("received", _UNRECEIVED),
    ("asn/headers", "void"): Move("cancelled", (*_UNRECEIVED, "draft", "error")),
    ("asn/lines", "receive"): Move("received", _UNRECEIVED),
    ("asn/lines", "void"): Move("cancelled", (*_UNRECEIVED, "draft", "error")),
    ("contracts", "ccc_signature_created"): Move("pending_signature", ("draft", "approved")),
    ("contracts", "complete"): Move("completed"),
    ("contracts", "create_published"): Move("published"),
    ("contracts", "withdraw_signatures"): Move("draft", ("pending_signature",)),
    ("cycle_counts", "submit"): Move("submitted"),
    ("inventory_transactions", "void"): Move("voided", sets={"exported": False}),
    ("order_header_confirmations", "accept_header"): Move("confirmed"),
    ("order_header_confirmations", "integration_approval_rejected"): Move("integration_failed"),
    ("order_header_confirmations", "reject_header"): Move("pending_supplier_action"),
    ("order_header_confirmations", "submit"): Move("pending_buyer_action"),
    ("payables/allocations", "reverse"): Move("reversed"),
    ("payables/external/payables", "void"): Move("voided"),
    ("payables/invoices", "pay_externally"): Move("paid_externally", stamps=("paid-date",)),
    ("payables/invoices", "track_externally"): Move("tracked_externally"),
    ("payables/invoices", "track_in_coupa"): Move("tracked_in_coupa"),
    ("payables/orders", "pay_externally"): Move("paid_externally", stamps=("paid-date",)),
    ("payables/orders", "ready_to_pay"): Move("ready_to_pay"),
    ("projects", "cancelled"): Move("cancelled"),
    ("projects", "complete"): Move("completed"),
    ("projects", "draft"): Move("draft"),
    ("projects", "in_progress"): Move("in_progress"),
    ("projects", "planned"): Move("planned"),
    ("purchase_orders", "cancel"): Move("cancelled", ("draft", "error", "issued", *_HELD_ORDER)),
    ("purchase_orders", "close"): Move("closed", ("issued", "exported", "expensed")),
    ("purchase_orders", "ignore_window_and_issue"): Move("issued", ("draft", "supplier_window_hold")),
    ("purchase_orders", "issue"): Move("issued", ("draft", "error", "currency_hold", "supplier_hold")),
    ("purchase_orders", "issue_without_send"): Move(
        "issued", ("draft", "error", "currency_hold", "supplier_hold")
    ),
    ("purchase_orders", "release_from_buyer_hold"): Move("issued", ("buyer_hold",)),
    ("purchase_orders", "reopen"): Move("issued", ("closed",)),
    ("quote_requests", "end_event"): Move("ended"),
    ("quote_requests", "go_to_production"): Move("production"),
    ("quote_requests", "go_to_test"): Move("test"),
    ("receiving_transactions", "void"): Move("voided", sets={"exported": False}),
    ("requisitions", "save_for_later"): Move("draft", ("cart",)),
    ("return_requests", "submit"): Move("submitted"),
    ("worker_assignments", "cancel"): Move("cancelled"),
    ("worker_assignments", "close"): Move("closed"),
    ("worker_assignments", "confirm"): Move("confirmed"),
    ("workers", "invite_worker"): Move("invited"),
}


def perform(call: ActionCall) -> Done | None:
    """Move the record; None for another call."""
    move = _MOVES.get((call.path, call.name))
    if move is None or call.target.record_id is None:
        return None
    record = call.record()
    check_status(call, record, move.since, move.to)
    record["state" if "state" in record and "status" not in record else "status"] = move.to
    record.update(move.sets)
    now = call.instance.stamp()
    record.update(dict.fromkeys(move.stamps, now))
    return call.keep(record)


def check_status(
    call: ActionCall, record: Record, assumed: Collection[str | None] | None, to: str | None = None
) -> None:
    """Refuse a call that the status of its record forbids.

    :param call: the call.
    :param record: its record.
    :param assumed: statuses in which it is legal, where none are documented; None for any but ``to``.
    :param to: status afterwards.
    :raises Refusal: when it is illegal.
    """
    status = record.get("status", record.get("state"))
    action = find_action(call.path, call.name)
    legal = action.allowed_from if action is not None and action.allowed_from else assumed
    forbidden = action.forbidden_from if action is not None else frozenset()
    if status in forbidden or (status not in legal if legal is not None else status == to):
        call.refuse(f"Status cannot change from {status} by {call.name}")
