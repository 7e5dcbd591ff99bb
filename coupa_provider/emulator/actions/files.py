"""Calls whose body or answer is a file: scans, legal invoices, clearance documents, files of attachments."""

from __future__ import annotations

from coupa_provider.emulator.actions.call import ActionCall, Done
from coupa_provider.emulator.answers import Refusal, errors_answer, not_found
from coupa_provider.emulator.downloads import download, file_of, place_of
from coupa_provider.emulator.payloads import PayloadError, read_form
from coupa_provider.emulator.store import Record

_RETRIEVED = ("image_scan", "legal_invoice_pdf", "clearance_document")
#: OpenAPI names the part ``file``; public callers use the others too.
_PARTS = ("file", "image-scan")


def perform(call: ActionCall) -> Done | None:
    """Take or give a file; None for another call."""
    if call.target.resource.type == "Attachment" and call.action == "file":
        return download(call.instance, call.target, call.record(), call.key, call.as_xml)
    if call.path != "invoices":
        return None
    if call.action == "image_scan":
        return _take_scan(call)
    kind = call.action.removeprefix("retrieve_")
    if call.action != kind and kind in _RETRIEVED:
        found = file_of(call.instance, call.path, call.record(), kind)
        if found is not None:
            return found.answer()
        message = f"Invoice {call.target.record_id} has no {kind.replace('_', ' ')}."
        raise Refusal(not_found(call.key, message, call.instance.settings.switches, call.as_xml))
    return None


def _take_scan(call: ActionCall) -> Record:
    record = call.record()
    if not (call.content_type or "").lower().startswith("multipart/form-data"):
        raise Refusal(errors_answer(415, call.key, ["A scan is taken as a multipart form."], call.as_xml))
    try:
        _, files = read_form(call.content_type or "", call.body)
    except PayloadError as error:
        raise Refusal(errors_answer(error.status, call.key, [str(error)], call.as_xml)) from None
    upload = next((files[name] for name in _PARTS if name in files), None)
    if upload is None:
        call.refuse("The form has no part with a file")
    call.instance.uploads[place_of(call.path, "image_scan"), record["id"]] = upload
    record |= {
        "image-scan": upload.name[:25],
        "image-scan-file-name": upload.name,
        "image-scan-content-type": upload.content_type,
        "image-scan-file-size": str(len(upload.content)),
        "image-scan-url": f"/invoices/{record['id']}/image_scan",
    }
    return call.keep(record)
