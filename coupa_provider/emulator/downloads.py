"""Answers that are files."""

from __future__ import annotations

from coupa_provider.emulator.answers import JSON, Answer, errors_answer
from coupa_provider.emulator.instance import Instance
from coupa_provider.emulator.routes import Target
from coupa_provider.emulator.store import Record, encode


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
