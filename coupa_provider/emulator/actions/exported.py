"""The calls that set the exported flag of payments and allocations."""

from __future__ import annotations

from coupa_provider.emulator.actions.call import ActionCall, Done
from coupa_provider.emulator.exported import set_exported


def perform(call: ActionCall) -> Done | None:
    """Set the flag; None for another call."""
    if call.action != "export" or "exported" not in call.target.resource.attributes:
        return None
    record = call.record()
    set_exported(call.instance, call.path, record, True)
    return record
