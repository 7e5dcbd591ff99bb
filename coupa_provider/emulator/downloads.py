"""Answers that are files. Whether there is one, and which, follows from the record."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from urllib.parse import quote

from coupa_provider.emulator.answers import Answer, errors_answer
from coupa_provider.emulator.file_content import FileContent
from coupa_provider.emulator.instance import Instance
from coupa_provider.emulator.routes import Target
from coupa_provider.emulator.store import Record

PDF = "application/pdf"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a record.

    :param name: file name.
    :param content_type: its type.
    :param content: what is in it.
    """

    name: str
    content_type: str
    content: FileContent

    def answer(self) -> Answer:
        """Return the file as an answer."""
        plain = "".join(
            letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "_"
            for letter in self.name
        )
        disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(self.name, safe='')}"
        return Answer(200, b"", self.content_type, {"content-disposition": disposition}, file=self.content)


def file_of(instance: Instance, path: str, record: Record, kind: str) -> StoredFile | None:
    """Return a file of a record.

    :param instance: the instance.
    :param path: catalog path of the record.
    :param record: the record.
    :param kind: ``attachment`` for the record of one, else ``image_scan``, ``legal_invoice_pdf`` or
        ``clearance_document`` for an invoice.
    :return: the file, None where there is none.
    """
    upload = instance.uploads.get((place_of(path, kind), record["id"]))
    if upload is not None:
        content = FileContent(len(upload.content), given=upload.content)
        return StoredFile(upload.name, upload.content_type, content)
    seed = f"{kind} {path} {record['id']}"
    chance = zlib.crc32(seed.encode())
    if kind == "attachment":
        if record.get("type") != "file" and not record.get("file-file-name"):
            return None
        name, content_type, size = (record.get(f"file-{part}") for part in _SHOWN)
    elif kind == "image_scan":
        if not record.get("image-scan-file-name"):
            return None
        name, content_type, size = (record.get(f"image-scan-{part}") for part in _SHOWN)
    elif kind == "legal_invoice_pdf":
        # Which invoices have one is not in the record: three of four.
        if chance % 4 == 0:
            return None
        name, content_type, size = f"legal-invoice-{record['id']}.pdf", PDF, None
    else:
        if not record.get("clearance-document"):
            return None
        name, content_type, size = f"clearance-{record['id']}.xml", "application/xml", None
    content_type = content_type or PDF
    bytes_ = int(str(size)) if str(size or "").isdecimal() else 1000 + chance // 4 % 90_000
    return StoredFile(
        name or f"{kind}-{record['id']}.pdf", content_type, FileContent(bytes_, seed, content_type == PDF)
    )


_SHOWN = ("file-name", "content-type", "file-size")


def place_of(path: str, kind: str) -> str:
    """Return the place of an uploaded file among the uploads of an instance."""
    return path if kind == "attachment" else f"{path}/:id/{kind}"


def download(instance: Instance, target: Target, record: Record, key: str, as_xml: bool) -> Answer:
    """Answer an attachment with its content, as switch U26 may have it.

    :param instance: the instance.
    :param target: the attachment.
    :param record: its metadata.
    :param key: singular name for an error.
    :param as_xml: the client asked for XML.
    :return: the content, or an error for an attachment without a file.
    """
    found = file_of(instance, target.resource.path, record, "attachment")
    if found is None:
        return errors_answer(400, key, ["Attachment does not have a file attached"], as_xml)
    return found.answer()
