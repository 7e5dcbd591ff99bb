"""What became of the attachments of an extract: a manifest, and a listing with a line for each of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Literal, NamedTuple, Self

import msgspec

from coupa_provider.extract.destination import MANIFEST_NAME, Destination
from coupa_provider.extract.errors import ExtractError
from coupa_provider.extract.manifest_reader import whole_lines

FORMAT_VERSION = 1

#: Outcomes.
STORED = "stored"
UNCHANGED = "unchanged"
LINK = "link"
TEXT = "text"
ABSENT = "absent"
FAILED = "failed"
#: An earlier run stored it, and Coupa no longer shows it; the file stays.
GONE = "gone"
#: It belongs to a record that this extract does not have.
KEPT = "kept"
OUTCOMES = (STORED, UNCHANGED, LINK, TEXT, ABSENT, FAILED, GONE, KEPT)


class Key(NamedTuple):
    """What an attachment is known by.

    :param record_id: id of the record it belongs to.
    :param kind: ``attachments``, ``image_scan`` or ``legal_invoice_pdf``.
    :param attachment_id: its own id; 0 for the kinds of which a record has one at most.
    """

    record_id: int
    kind: str
    attachment_id: int


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the listing.

    :param record_id: id of the record it belongs to.
    :param kind: ``attachments``, ``image_scan`` or ``legal_invoice_pdf``.
    :param attachment_id: its own id; 0 for the kinds of which a record has one at most.
    :param outcome: one of :data:`OUTCOMES`.
    :param name: file name as Coupa has it.
    :param content_type: media type that came with the file.
    :param bytes: size of the file.
    :param sha256: checksum of the file, in hexadecimal.
    :param path: where the file is, from the folder of the manifest; None where there is none.
    :param updated_at: when it was changed last; of a kind without such a time, when its record was.
    :param shown_bytes: size that Coupa shows for it.
    :param link: where an attachment of type ``url`` leads.
    :param text: what an attachment of type ``text`` says, as far as Coupa shows it.
    :param error: why it failed.
    """

    record_id: int
    kind: str
    attachment_id: int
    outcome: str
    name: str | None = None
    content_type: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    path: str | None = None
    updated_at: datetime | None = None
    shown_bytes: int | None = None
    link: str | None = None
    text: str | None = None
    error: str | None = None

    @property
    def key(self) -> Key:
        """What it is known by."""
        return Key(self.record_id, self.kind, self.attachment_id)


class Listing(msgspec.Struct, frozen=True):
    """The file with an :class:`Entry` a line, as NDJSON.

    :param name: its name in the folder of the manifest.
    :param entries: lines in it.
    :param bytes: its size.
    :param sha256: its checksum, in hexadecimal.
    """

    name: str
    entries: int
    bytes: int
    sha256: str


class AttachmentManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What one run made of the attachments of an extract. It stands beside the files, and is written last.

    :param version: version of this format.
    :param kind: ``attachments``.
    :param resource: path under ``/api``: ``"invoices"``.
    :param instance: host they came from.
    :param kinds: kinds that were asked for.
    :param source: URL of the manifest of the extract.
    :param records: records of the extract.
    :param records_gone: those of them that Coupa no longer shows.
    :param counts: number of entries by outcome.
    :param stored_bytes: size of what was stored.
    :param listing: the file that tells of each attachment.
    :param started: when the last try began, in UTC.
    :param finished: when everything was in place, in UTC.
    :param seconds: time between the two.
    :param requests: HTTP requests of the last try, repeats included.
    :param throttled: answers with status 429 in it.
    :param retried: requests it sent again.
    :param provider_version: version of airflow-provider-coupa.
    """

    version: int = FORMAT_VERSION
    kind: Literal["attachments"] = "attachments"
    resource: str
    instance: str
    kinds: list[str]
    source: str
    records: int
    records_gone: int
    counts: dict[str, int]
    stored_bytes: int
    listing: Listing
    started: datetime
    finished: datetime
    seconds: float
    requests: int
    throttled: int
    retried: int
    provider_version: str

    def to_json(self) -> bytes:
        """Return the text of the file, indented for people."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Read the text of a manifest.

        :raises ValueError: it is not a manifest of attachments, or of a version this release does not know.
        """
        manifest = msgspec.json.decode(text, type=cls)
        if manifest.version != FORMAT_VERSION:
            raise ValueError(
                f"it has format version {manifest.version}; this release reads {FORMAT_VERSION}. Use the release of "
                "airflow-provider-coupa that wrote it, or a newer one."
            )
        return manifest


class AttachmentReader:
    """The attachments in a folder.

    :param folder: the folder of their manifest.
    :raises FileNotFoundError: there is no manifest.
    :raises ExtractError: the manifest cannot be read, or is not one of attachments.
    """

    def __init__(self, folder: Destination) -> None:
        self.folder = folder
        #: The manifest as it stands there.
        self.text: bytes = folder.fs.cat_file(folder.path_of(MANIFEST_NAME))
        try:
            self.manifest = AttachmentManifest.from_json(self.text)
        except (ValueError, msgspec.DecodeError) as error:
            raise ExtractError(f"{folder.manifest_url} lists no attachments: {error}") from error

    def entries(self) -> Iterator[Entry]:
        """Yield what is listed, by record, kind and id.

        :raises ExtractError: the listing is not the one that the manifest describes.
        """
        listing = self.manifest.listing
        decoder = msgspec.json.Decoder(Entry)
        digest = hashlib.sha256()
        with self.folder.fs.open(self.folder.path_of(listing.name), "rb") as source:
            for text in whole_lines(source):
                digest.update(text)
                yield from decoder.decode_lines(text)
        if digest.hexdigest() != listing.sha256:
            raise ExtractError(
                f"{self.folder.url_of(listing.name)} is not the listing its manifest describes: the checksum differs."
            )
