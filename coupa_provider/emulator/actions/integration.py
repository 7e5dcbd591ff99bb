"""The states of integration runs, and the resolving of their errors and history records."""

from __future__ import annotations

from collections.abc import Mapping

from coupa_provider.emulator.actions.call import ActionCall, Done
from coupa_provider.emulator.store import Record

_FINAL = frozenset(("successful", "failed", "errored"))
_RUN_STATUS = {
    "run": "started",
    "pause": "paused",
    "pending": "pending",
    "success": "successful",
    "fail": "failed",
    "finish": "successful",
}
# What may follow, when switch U21 is strict.
_STRICT: Mapping[str, frozenset[str]] = {
    "run": frozenset(("pending", "paused")),
    "pause": frozenset(("started",)),
    "pending": frozenset(("paused",)),
    "success": frozenset(("started",)),
    "fail": frozenset(("pending", "started", "paused")),
    "finish": frozenset(("started",)),
}


def perform(call: ActionCall) -> Done | None:
    """Move a run, or resolve an error or history record; None for another call."""
    if call.path == "integration_runs" and call.action in _RUN_STATUS:
        return _move_run(call)
    if call.path in ("integration_errors", "integration_history_records") and call.action in (
        "resolve",
        "unresolve",
    ):
        record = call.record()
        record["resolved"] = call.action == "resolve"
        call.keep(record)
        return [record] if call.instance.settings.switches["U22"] == "array" else record
    return None


def _move_run(call: ActionCall) -> Record:
    record = call.record()
    before = str(record.get("status"))
    strict = call.instance.settings.switches["U21"] == "strict"
    allowed = before in _STRICT[call.action] if strict else before not in _FINAL
    if not allowed:
        call.refuse(f"Status cannot change from {before} by {call.action}")
    payload = call.payload()
    now = call.instance.stamp()
    record["status"] = _RUN_STATUS[call.action]
    if call.action == "finish" and record.get("integration-errors"):
        record["status"] = "errored"
    if call.action == "run" and record.get("start-time") is None:
        record["start-time"] = now
    if record["status"] in _FINAL:
        record["end-time"] = now
    for name in ("total-records", "records-processed"):
        if isinstance(payload.get(name), int | str) and str(payload[name]).isdecimal():
            record[name] = int(payload[name])
    return call.keep(record)
