"""What is attached to records, as Coupa shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from coupa_provider.client.client import CoupaClient
from coupa_provider.client.walk import Walk
from coupa_provider.extract.attachment_manifest import Key
from coupa_provider.extract.errors import ExtractError
from coupa_provider.resources import find_resource

ATTACHMENTS = "attachments"
IMAGE_SCAN = "image_scan"
LEGAL_INVOICE_PDF = "legal_invoice_pdf"
KINDS = (ATTACHMENTS, IMAGE_SCAN, LEGAL_INVOICE_PDF)

_SCAN_FIELDS = ("image-scan", "image-scan-file-name", "image-scan-content-type", "image-scan-file-size")

Instant = Annotated[datetime, msgspec.Meta(tz=True)]


@dataclass(frozen=True, slots=True)
class Attached:
    """Something that is, or may be, attached to a record.

    :param key: what it is known by.
    :param type: ``file``, ``url`` or ``text``; ``none`` where the record shows that there is nothing.
    :param name: file name; None where Coupa tells it with the file only.
    :param content_type: media type, where it is shown.
    :param size: size in bytes, where it is shown.
    :param updated_at: when it was changed last; of a kind without such a time, when its record was.
    :param url: ``file-url``, or where an attachment of type ``url`` leads.
    :param text: what an attachment of type ``text`` says, as far as Coupa shows it.
    """

    key: Key
    type: str
    name: str | None = None
    content_type: str | None = None
    size: int | None = None
    updated_at: datetime | None = None
    url: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A record and what is attached to it.

    :param id: its id.
    :param attached: what it shows.
    :param lists: it shows its attachments; else they have to be asked for by :meth:`AttachmentSource.listed`.
    """

    id: int
    attached: list[Attached]
    lists: bool


class _Attachment(msgspec.Struct, rename="kebab"):
    id: int
    type: str | None = None
    file_file_name: str | None = None
    file_content_type: str | None = None
    file_file_size: str | int | None = None
    file_url: str | None = None
    file: Any = None
    url: str | None = None
    text: str | None = None
    updated_at: Instant | None = None


class _Record(msgspec.Struct, rename="kebab"):
    id: int
    updated_at: Instant | None = None
    attachments: list[_Attachment] | msgspec.UnsetType | None = msgspec.UNSET
    image_scan: Any = msgspec.UNSET
    image_scan_file_name: str | msgspec.UnsetType | None = msgspec.UNSET
    image_scan_content_type: str | None = None
    image_scan_file_size: str | int | None = None


_record = msgspec.json.Decoder(_Record, strict=False)
_attachment = msgspec.json.Decoder(_Attachment, strict=False)


class AttachmentSource:
    """Asks Coupa what is attached.

    Attachments of 49 records come with one request, as nested ``fields`` (article 0008) of the records. Where the
    documents know no such attribute, or an instance does not show it, each record's own list is read.

    :param client: leads to the instance.
    :param resource: path under ``/api``.
    :param kinds: some of :data:`KINDS`.
    :raises ExtractError: the resource has nothing of a kind.
    """

    def __init__(self, client: CoupaClient, resource: str, kinds: Sequence[str]) -> None:
        self._client = client
        self._resource = resource.strip("/")
        self._kinds = kinds
        unknown = [kind for kind in kinds if kind not in KINDS]
        if unknown or not kinds:
            raise ExtractError(
                f"kinds names {', '.join(map(repr, unknown)) or 'nothing'}; there are {', '.join(KINDS)}."
            )
        if self._resource != "invoices" and set(kinds) - {ATTACHMENTS}:
            raise ExtractError(
                f"Only invoices have scans and legal PDFs, not {resource!r}: leave these kinds out."
            )
        known = find_resource(self._resource)
        nested = find_resource(f"{self._resource}/1/attachments")
        self._nested = known is None or "attachments" in known.attributes
        if ATTACHMENTS in kinds and not self._nested and (nested is None or nested.type != "Attachment"):
            raise ExtractError(f"The documents know no attachments of {resource!r}.")

    async def of(self, ids: Sequence[int]) -> list[Record]:
        """Return some records and what is attached to them; those that Coupa no longer shows are missing."""
        fields: list[Any] = ["id", "updated-at"]
        if ATTACHMENTS in self._kinds and self._nested:
            fields.append({"attachments": {}})
        if IMAGE_SCAN in self._kinds:
            fields += _SCAN_FIELDS
        walk = Walk(self._client, self._resource, filters={"id[in]": list(ids)}, fields=fields)
        return [self._read(text) async for page in walk.pages() for text in page.records]

    async def listed(self, record_id: int) -> list[Attached]:
        """Return the attachments of one record, from its own list."""
        walk = Walk(self._client, f"{self._resource}/{record_id}/attachments")
        found = []
        async for page in walk.pages():
            for text in page.records:
                try:
                    found.append(_shown(record_id, _attachment.decode(text)))
                except msgspec.ValidationError as error:
                    raise self._unreadable(record_id, error) from None
        return found

    def _read(self, text: msgspec.Raw) -> Record:
        try:
            record = _record.decode(text)
        except msgspec.ValidationError as error:
            raise self._unreadable(None, error) from None
        attached = []
        shown = record.attachments
        if ATTACHMENTS in self._kinds and isinstance(shown, list):
            attached += [_shown(record.id, attachment) for attachment in shown]
        if IMAGE_SCAN in self._kinds:
            attached.append(_scan(record))
        if LEGAL_INVOICE_PDF in self._kinds:
            # Nothing tells whether there is one: it has to be asked for.
            key = Key(record.id, LEGAL_INVOICE_PDF, 0)
            attached.append(Attached(key, "file", updated_at=_in_utc(record.updated_at)))
        return Record(record.id, attached, ATTACHMENTS not in self._kinds or isinstance(shown, list))

    def _unreadable(self, record_id: int | None, error: msgspec.ValidationError) -> ExtractError:
        which = (
            f"An attachment of {self._resource} {record_id}" if record_id else f"A record of {self._resource}"
        )
        return ExtractError(f"{which} cannot be read: {error}")


def _shown(record_id: int, attachment: _Attachment) -> Attached:
    name = attachment.file_file_name or (attachment.file if isinstance(attachment.file, str) else None)
    kind = attachment.type if attachment.type in ("url", "text") and not name else "file"
    return Attached(
        Key(record_id, ATTACHMENTS, attachment.id),
        kind,
        name,
        attachment.file_content_type,
        _size(attachment.file_file_size),
        _in_utc(attachment.updated_at),
        attachment.url or attachment.file_url if kind == "url" else attachment.file_url,
        attachment.text,
    )


def _scan(record: _Record) -> Attached:
    key = Key(record.id, IMAGE_SCAN, 0)
    if record.image_scan is None and record.image_scan_file_name is None:
        return Attached(key, "none", updated_at=_in_utc(record.updated_at))
    name = record.image_scan_file_name
    return Attached(
        key,
        "file",
        name if isinstance(name, str) else None,
        record.image_scan_content_type,
        _size(record.image_scan_file_size),
        _in_utc(record.updated_at),
    )


def _in_utc(instant: datetime | None) -> datetime | None:
    return instant.astimezone(UTC) if instant else None


def _size(value: str | int | None) -> int | None:
    """Return a size that is a whole number of bytes; no other one can be compared."""
    return int(value) if value is not None and str(value).isdecimal() else None
