"""Documented calls beyond reading and writing that the emulator serves; all others get a clear 404.

Served are the states of integration runs, the resolving of their errors and history records, and the export
of payments and allocations.
"""

from __future__ import annotations

from collections.abc import Mapping

from coupa_provider.emulator.answers import JSON, Answer, Refusal, errors_answer, not_found
from coupa_provider.emulator.exported import set_exported
from coupa_provider.emulator.instance import Instance
from coupa_provider.emulator.payloads import PayloadError, read_json_payload
from coupa_provider.emulator.routes import Target
from coupa_provider.emulator.store import Record, encode
from coupa_provider.emulator.xml import singular

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


def perform(
    instance: Instance, target: Target, content_type: str | None, body: bytes, as_xml: bool
) -> Record | list[Record] | None:
    """Carry out a documented call.

    :param instance: the instance.
    :param target: record and name of the call.
    :param content_type: header of that name.
    :param body: body of the request.
    :param as_xml: the client asked for XML.
    :return: what to answer, or None for a call that is not served.
    :raises Refusal: when the state of the record forbids it.
    """
    path, action = target.resource.path, target.action or ""
    if path == "integration_runs" and action in _RUN_STATUS:
        return _move_run(instance, target, content_type, body, as_xml)
    if path in ("integration_errors", "integration_history_records") and action in ("resolve", "unresolve"):
        record = _record(instance, target, as_xml)
        record["resolved"] = action == "resolve"
        _keep(instance, target, record)
        return [record] if instance.settings.switches["U22"] == "array" else record
    if action == "export" and "exported" in target.resource.attributes:
        record = _record(instance, target, as_xml)
        set_exported(instance, path, record, True)
        return record
    return None


def _move_run(
    instance: Instance, target: Target, content_type: str | None, body: bytes, as_xml: bool
) -> Record:
    action = target.action or ""
    record = _record(instance, target, as_xml)
    before = str(record.get("status"))
    strict = instance.settings.switches["U21"] == "strict"
    allowed = before in _STRICT[action] if strict else before not in _FINAL
    key = singular(target.resource.xml_root)
    if not allowed:
        message = f"Status cannot change from {before} by {action}"
        raise Refusal(errors_answer(400, key, [message], as_xml))
    try:
        payload = read_json_payload(content_type, body, (), unwrap=False)
    except PayloadError as error:
        raise Refusal(errors_answer(error.status, key, [str(error)], as_xml)) from None
    now = instance.stamp()
    record["status"] = _RUN_STATUS[action]
    if action == "finish" and record.get("integration-errors"):
        record["status"] = "errored"
    if action == "run" and record.get("start-time") is None:
        record["start-time"] = now
    if record["status"] in _FINAL:
        record["end-time"] = now
    for name in ("total-records", "records-processed"):
        if isinstance(payload.get(name), int | str) and str(payload[name]).isdecimal():
            record[name] = int(payload[name])
    _keep(instance, target, record)
    return record


def _record(instance: Instance, target: Target, as_xml: bool) -> Record:
    record = instance.store.record(target.resource.path, target.record_id or 0)
    if record is None:
        key = singular(target.resource.xml_root)
        message = f"There is no {key} with id {target.record_id}."
        raise Refusal(not_found(key, message, instance.settings.switches, as_xml))
    return record


def _keep(instance: Instance, target: Target, record: Record) -> None:
    record["updated-at"] = instance.stamp()
    instance.store.put(target.resource.path, record)


def download(instance: Instance, target: Target, record: Record, key: str, as_xml: bool) -> Answer:
    """Answer an attachment with its content, as switch U26 may have it.

    :param instance: the instance.
    :param target: the attachment.
    :param record: its metadata.
    :param key: singular name for an error.
    :param as_xml: the client asked for XML.
    :return: the content, or an error for an attachment without a file.
    """
    upload = instance.uploads.get((target.resource.path, record["id"]))
    if upload is not None:
        name, kind, content = upload.name, upload.content_type, upload.content
    elif record.get("type") in ("url", "text"):
        return errors_answer(400, key, ["Attachment does not have a file attached"], as_xml)
    else:
        name, kind, content = f"attachment-{record['id']}.json", JSON, encode(record)
    return Answer(200, content, kind, {"content-disposition": f'attachment; filename="{name}"'})
