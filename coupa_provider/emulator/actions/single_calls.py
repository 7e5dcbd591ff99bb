"""Calls that are like no other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation

from coupa_provider.emulator.actions.call import ActionCall, Done
from coupa_provider.emulator.answers import Answer
from coupa_provider.emulator.references import References
from coupa_provider.emulator.store import Record


def perform(call: ActionCall) -> Done | None:
    """Carry out such a call; None for another call."""
    step = _CALLS.get((call.path, call.name))
    return step(call) if step is not None else None


def _copy_chart(call: ActionCall) -> Record:
    """Which name a copy gets is not documented."""
    given = {**call.record(), "id": None, **call.payload()}
    names = {
        record["name"]
        for one in call.instance.store.ids("account_types")
        if (record := call.instance.store.record("account_types", one)) is not None
    }
    while given["name"] in names:
        given["name"] = f"Copy of {given['name']}"
    now = call.instance.stamp()
    given.update({"id": call.instance.store.new_id("account_types"), "created-at": now})
    return call.keep(given)


def _validate_account(call: ActionCall) -> Record:
    references, given = References(call.instance), call.payload()
    account = references.find("Account", given)
    if account is None:
        call.refuse(str(references.not_found("account", "Account", given)))
    return account


def _adjust(call: ActionCall) -> Record:
    """What the body names is not documented: what adjustments of their own resource name is taken."""
    line, payload = call.record(), call.payload()
    try:
        change = Decimal(str(payload.get("adjustment-amount")))
        line["amount"] = str(Decimal(str(line.get("amount") or 0)) + change)
    except InvalidOperation:
        call.refuse("Adjustment amount is not a number")
    return call.keep(line)


def _assign_attendee(call: ActionCall) -> Record:
    """There is no collection of attendees, so any id is one."""
    line, attendee = call.record(), call.target.parent_id
    others = [one for one in line.get("expense-attendees") or () if one.get("id") != attendee]
    line["expense-attendees"] = [*others, {"id": attendee}]
    return call.keep(line)


def _same(call: ActionCall) -> Record:
    """What is computed, or noted in Coupa alone, is not documented: the record stays as it is."""
    return call.record()


def _award(call: ActionCall) -> Answer:
    response = call.record()
    response["awarded"] = True
    call.keep(response)
    return Answer(200)  # documented: an empty body


def _toggle(call: ActionCall) -> Record:
    title = call.record()
    title["active"] = not title.get("active")
    return call.keep(title)


_CALLS: Mapping[tuple[str, str], Callable[[ActionCall], Record | Answer]] = {
    ("account_types", "copy"): _copy_chart,
    ("accounts", "validate_account"): _validate_account,
    ("budget_lines", "adjust"): _adjust,
    ("contracts", "check_in"): _same,
    ("contracts", "check_out"): _same,
    ("contracts/:contract_id/legal_documents", "complete"): _same,
    ("expense_lines", "assign_attendee"): _assign_attendee,
    ("expense_lines", "calculate_mileage"): _same,
    ("expense_lines", "calculate_per_diem"): _same,
    ("expense_lines", "calculate_taxes"): _same,
    ("expense_lines", "estimate_taxes"): _same,
    ("quote_responses", "award"): _award,
    ("services_procurement/job_titles", "toggle_active"): _toggle,
}
