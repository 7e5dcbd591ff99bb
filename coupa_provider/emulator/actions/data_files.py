"""Files that are handed over by a call, or picked up before their time. What the bodies hold is not documented."""

from __future__ import annotations

from coupa_provider.emulator.actions.call import ActionCall, Done
from coupa_provider.emulator.answers import Refusal, errors_answer
from coupa_provider.emulator.file_load import KINDS, flattened
from coupa_provider.emulator.file_loader import DATA_FILE_SOURCES, begin_load, pick_up
from coupa_provider.emulator.payloads import PayloadError, Upload, read_form
from coupa_provider.emulator.store import Record


def perform(call: ActionCall) -> Done | None:
    """Take a file; None for another call."""
    if call.path != DATA_FILE_SOURCES:
        return None
    if call.action == "load_file":
        return _load_file(call)
    return _load_from_sftp(call) if call.action == "load_from_sftp" else None


def _load_file(call: ActionCall) -> Record:
    texts, files = _form(call)
    folder = _folder_for(call, texts.get("source-for"))
    upload = files.get("file")
    if upload is None:
        call.refuse("File can't be blank")
    return _shown(call, begin_load(call.instance, KINDS[folder], flattened(upload.name), upload.content))


def _load_from_sftp(call: ActionCall) -> Record:
    as_form = call.instance.settings.switches["U23"] == "multipart"
    given = _form(call)[0] if as_form else call.payload()
    folder = _folder_for(call, given.get("source-for"))
    name = str(given.get("file-file-name") or "").rpartition("/")[2]
    if (folder, name) not in call.instance.files.waiting():
        call.refuse(f"There is no file {name} in Incoming/{folder}")
    return _shown(call, pick_up(call.instance, KINDS[folder], folder, name))


def _shown(call: ActionCall, record_id: int) -> Record:
    return call.instance.store.record(DATA_FILE_SOURCES, record_id) or {}


def _folder_for(call: ActionCall, source_for: object) -> str:
    if source_for in (None, ""):
        call.refuse("Source for can't be blank")
    found = next((folder for folder, kind in KINDS.items() if kind.source_for == source_for), None)
    if found is None:
        call.refuse(f"Source for must be one of {', '.join(kind.source_for for kind in KINDS.values())}.")
    return found


def _form(call: ActionCall) -> tuple[Record, dict[str, Upload]]:
    if not (call.content_type or "").lower().startswith("multipart/form-data"):
        raise Refusal(
            errors_answer(415, call.key, ["Content-Type must be multipart/form-data."], call.as_xml)
        )
    try:
        return read_form(call.content_type or "", call.body)
    except PayloadError as error:
        raise Refusal(errors_answer(error.status, call.key, [str(error)], call.as_xml)) from None
