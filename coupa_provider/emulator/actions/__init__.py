"""Documented calls beyond reading and writing that the emulator serves; all others get a clear 404."""

from __future__ import annotations

from coupa_provider.emulator.actions import (
    approvables,
    approvals,
    data_files,
    exported,
    files,
    integration,
    invoices,
    moves,
    order_lines,
    payload_calls,
    single_calls,
)
from coupa_provider.emulator.actions.call import ActionCall, Done, Handler

__all__ = ["ActionCall", "Done", "perform"]

_HANDLERS: tuple[Handler, ...] = (
    integration.perform,
    exported.perform,
    files.perform,
    data_files.perform,
    approvals.perform,
    approvables.perform,
    invoices.perform,
    moves.perform,
    order_lines.perform,
    payload_calls.perform,
    single_calls.perform,
)


def perform(call: ActionCall) -> Done | None:
    """Carry out a documented call.

    :param call: the call.
    :return: what to answer, or None for a call that is not served.
    :raises Refusal: when the state of the record, or the arguments, forbid it.
    """
    return next((done for handler in _HANDLERS if (done := handler(call)) is not None), None)
