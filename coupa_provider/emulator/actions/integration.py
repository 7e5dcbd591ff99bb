"""Integration runs, and the alerts, marks and resolving of integration errors and history records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coupa_provider.emulator.actions.call import ActionCall, Done
from coupa_provider.emulator.answers import XML, Answer
from coupa_provider.emulator.attributes import home_of_type
from coupa_provider.emulator.exported import set_exported
from coupa_provider.emulator.instance import Instance
from coupa_provider.emulator.integration_runs import show_in_run
from coupa_provider.emulator.stamps import parse_instant
from coupa_provider.emulator.store import Record, encode
from coupa_provider.emulator.writes import Writer
from coupa_provider.emulator.xml import record_to_xml

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
_REPORTS = ("integration_errors", "integration_history_records")
_CREATES = frozenset(("create_alert", "mark_exported", "create_alert_and_mark_exported", "acknowledge"))


def perform(call: ActionCall) -> Done | None:
    """Move a run; create a report with an alert or a mark, or resolve one; None for another call."""
    if call.path == "integration_runs":
        if call.action in _RUN_STATUS:
            return _move_run(call)
        return _note_watermark(call) if call.action == "max_updated_at" else None
    if call.path in _REPORTS:
        if call.action in ("resolve", "unresolve"):
            return _resolve(call)
        return _create(call) if call.action in _CREATES else None
    return None


def _move_run(call: ActionCall) -> Record:
    record = call.record()
    before = str(record.get("status"))
    strict = call.instance.settings.switches["U21"] == "strict"
    allowed = before in _STRICT[call.action] if strict else before not in _FINAL
    if not allowed:
        call.refuse(f"Status cannot change from {before} by {call.action}")
    counts = _counts(call)
    now = call.instance.stamp()
    record["status"] = _RUN_STATUS[call.action]
    if call.action == "finish" and record.get("integration-errors"):
        record["status"] = "errored"
    if call.action == "run" and record.get("start-time") is None:
        record["start-time"] = now
    if record["status"] in _FINAL:
        record["end-time"] = now
    return call.keep({**record, **counts})


def _counts(call: ActionCall) -> dict[str, int]:
    """Read the numbers of records in the body.

    :raises Refusal: they are no numbers.
    """
    payload = call.payload()
    counts = {}
    for name in ("total-records", "records-processed"):
        value = payload.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not str(value).strip().isdecimal():
            call.refuse(f"{name.replace('-', ' ').capitalize()} is not a number")
        counts[name] = int(value)
    return counts


def _note_watermark(call: ActionCall) -> Record:
    """What Coupa does with the instant is not published: it is checked, and the run stays as it is."""
    record = call.record()
    given = call.payload().get("max-updated-at")
    if given is not None:
        try:
            parse_instant(str(given))
        except ValueError:
            call.refuse("Max updated at is not a valid date")
    return call.keep(record)


def _resolve(call: ActionCall) -> Done:
    record = call.record()
    record["resolved"] = call.action == "resolve"
    call.keep(record)
    if call.path == "integration_errors":
        show_in_run(call.instance, record)
    return [record] if call.instance.settings.switches["U22"] == "array" else record


def _create(call: ActionCall) -> Answer:
    """Create an error or history record, then do what the call adds to that."""
    document = _document(call) if "mark_exported" in call.action else None
    writer = Writer(call.instance, call.target, call.as_xml)
    record_id = writer.create(call.content_type, call.body)
    record = call.instance.store.record(call.path, record_id) or {}
    if document is not None:
        set_exported(call.instance, *document, True)
    if call.action.startswith("create_alert"):
        alert = {"path": call.path, "id": record_id, "contacts": _contacts(call.instance, record)}
        call.instance.observed.alerted(alert)
    status = int(call.instance.settings.switches["U7"])
    if call.as_xml:
        resource = call.target.resource
        return Answer(status, record_to_xml(record, resource.xml_root, resource.type), XML)
    return Answer(status, encode(record))


def _document(call: ActionCall) -> tuple[str, Record]:
    """Return the document that a body names, which is to be marked.

    :raises Refusal: there is none, or it has no exported flag.
    """
    payload = call.payload()
    kind, document_id = payload.get("document-type"), payload.get("document-id")
    path = home_of_type(str(kind)) if kind else None
    known = path is not None and str(document_id).isdecimal()
    record = call.instance.store.record(path, int(str(document_id))) if path and known else None
    if path is None or record is None:
        call.refuse(f'Unable to find valid {kind} record for document with keys {{"id"=>"{document_id}"}}.')
    if "exported" not in record:
        call.refuse(f"{kind} cannot be marked as exported")
    return path, record


def _contacts(instance: Instance, record: Record) -> list[int]:
    """Return the contacts of the record's integration that its alert is mailed to."""
    kind, integration = record.get("contact-alert-type"), (record.get("integration") or {}).get("id")
    found = []
    for contact_id in instance.store.ids("integration_contacts"):
        contact: Record = instance.store.record("integration_contacts", contact_id) or {}
        theirs: dict[str, Any] = contact.get("integration") or {}
        wants = kind == "Both" or contact.get("contact-alert-type") in (kind, "Both")
        if wants and integration is not None and theirs.get("id") == integration:
            found.append(contact_id)
    return found
