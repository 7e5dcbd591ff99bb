"""The calls that set the exported flag of payments, payables, allocations and inspections."""

from __future__ import annotations

from coupa_provider.emulator.actions.call import ActionCall, Done
from coupa_provider.emulator.exported import set_exported

_FLAG = {"export": True, "exported": True, "reset-exported": False}


def perform(call: ActionCall) -> Done | None:
    """Set the flag; None for another call."""
    if call.name not in _FLAG or call.target.record_id is None:
        return None
    attributes = call.target.resource.attributes
    if "exported" in attributes:
        record = call.record()
        set_exported(call.instance, call.path, record, _FLAG[call.name])
        return record
    if "last-exported-at" in attributes:
        # Payables of invoices show when they were exported, not whether.
        record = call.record()
        record["last-exported-at"] = call.instance.stamp()
        return call.keep(record)
    return None
