"""Calls that write the attributes in their body, and then do something to the record."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from coupa_provider.emulator.actions import approving
from coupa_provider.emulator.actions.call import ActionCall, Done
from coupa_provider.emulator.actions.moves import check_status
from coupa_provider.emulator.answers import Refusal, not_found
from coupa_provider.emulator.attributes import Step
from coupa_provider.emulator.query import ListQuery
from coupa_provider.emulator.routes import Target
from coupa_provider.emulator.store import Record
from coupa_provider.emulator.writes import Writer

_REQUISITION = "RequisitionHeader"
_BY_STATUS = (Step("status", "string"),)


def perform(call: ActionCall) -> Done | None:
    """Write and go on; None for another call."""
    step = _CALLS.get((call.path, call.name))
    return step(call) if step is not None else None


def _create(call: ActionCall) -> Record:
    writer = Writer(call.instance, Target(call.target.resource), call.as_xml)
    return _kept(call, writer.create(call.content_type, call.body))


def _update(call: ActionCall, record_id: int) -> Record:
    writer = Writer(call.instance, Target(call.target.resource, record_id), call.as_xml)
    writer.update(call.content_type, call.body, ListQuery())
    return _kept(call, record_id)


def _kept(call: ActionCall, record_id: int) -> Record:
    record = call.instance.store.record(call.path, record_id)
    if record is None:
        raise LookupError(f"{call.path} has no record {record_id}, which was just kept")
    return record


def _change(call: ActionCall) -> Record:
    return _update(call, call.record()["id"])


def _change_published(call: ActionCall) -> Record:
    check_status(call, call.record(), ("published",))
    return _change(call)


def _submit_new(call: ActionCall) -> Record:
    requisition = _create(call)
    approving.put_up(call.instance, _REQUISITION, requisition)
    return call.keep(requisition)


def _change_and_submit(call: ActionCall) -> Record:
    check_status(call, call.record(), ("draft", "cart", "withdrawn"))
    requisition = _change(call)
    approving.put_up(call.instance, _REQUISITION, requisition)
    return call.keep(requisition)


def _create_cart(call: ActionCall) -> Record:
    requisition = _create(call)
    requisition["status"] = "cart"
    return call.keep(requisition)


def _cart(call: ActionCall) -> int | None:
    found = call.instance.store.matching("requisitions", [(_BY_STATUS, "text", "cart")], limit=1)
    return found[0] if found else None


def _add_to_cart(call: ActionCall) -> Record:
    """All clients act as one user, who has one cart."""
    cart = _cart(call)
    return _create_cart(call) if cart is None else _update(call, cart)


def _current_cart(call: ActionCall) -> Record:
    cart = _cart(call)
    if cart is None:
        message = "There is no current cart."
        raise Refusal(not_found(call.key, message, call.instance.settings.switches, call.as_xml))
    return _kept(call, cart)


_CALLS: Mapping[tuple[str, str], Callable[[ActionCall], Record]] = {
    ("contracts", "update_published"): _change_published,
    ("invoices", "update_line_accounts"): _change,
    ("quote_requests", "create_from_source"): _create,
    ("requisitions", "add_to_cart"): _add_to_cart,
    ("requisitions", "create_as_cart"): _create_cart,
    ("requisitions", "current_cart"): _current_cart,
    ("requisitions", "submit_for_approval"): _submit_new,
    ("requisitions", "update_and_submit_for_approval"): _change_and_submit,
    ("requisitions", "update_without_validation"): _change,
}
