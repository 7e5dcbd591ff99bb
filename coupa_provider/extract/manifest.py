"""The manifest: what an extract holds, and the sign that it is whole."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self

import msgspec

from coupa_provider.extract.drift import Drift

FORMAT_VERSION = 1


class File(msgspec.Struct, frozen=True):
    """One part.

    :param name: path in the folder of the manifest: ``"part-00000.parquet"``, or
        ``"invoice_lines/part-00000.parquet"`` for a table of lines.
    :param rows: rows in it.
    :param bytes: its size.
    :param sha256: checksum of its content, in hexadecimal.
    :param min_id: least id of the records in it, or of those its lines belong to; None if it has no rows.
    :param max_id: greatest of these ids.
    """

    name: str
    rows: int
    bytes: int
    sha256: str
    min_id: int | None
    max_id: int | None


class ChildTable(msgspec.Struct, frozen=True, kw_only=True):
    """A table of the lines that the records hold, such as ``invoice_lines``.

    The lines of a record are replaced as a whole: whoever merges them removes all lines of each record in this
    extract before adding these. A record without lines has none here, and loses what it had.

    :param attribute: name on the wire of the list they stand in.
    :param parent_column: column with the id of the record that a line belongs to.
    :param position_column: column with the place of a line in its record, from 0.
    :param replaces: what these rows stand for: all lines of each record.
    :param records: lines in all files.
    :param files: the parts.
    :param columns: type of each column in Arrow's words.
    :param drift: how the lines differ from the columns.
    """

    attribute: str
    parent_column: str
    position_column: str
    replaces: Literal["lines of each record"] = "lines of each record"
    records: int
    files: list[File]
    columns: dict[str, str] = msgspec.field(name="schema")
    drift: Drift | None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What one run extracted. Files that no manifest lists do not belong to any extract.

    :param version: version of this format.
    :param kind: ``records``, or ``deletions`` where the rows are ids that Coupa no longer holds.
    :param resource: path under ``/api``: ``"invoices"``.
    :param instance: host it came from.
    :param query: query arguments as sent, without those of the paging.
    :param window: first instant inside and first outside of the update times asked for; None is open.
    :param id_range: the records with ids above the first and not above the second are all here; None is open.
    :param file_format: ``parquet``, ``ndjson`` or ``csv``.
    :param records: records in all files.
    :param min_id: least id, None if there are no records.
    :param max_id: greatest id.
    :param files: the parts, in the order they were written.
    :param columns: type of each column in Arrow's words; empty for ``ndjson``.
    :param children: tables of lines, by name.
    :param drift: how the records differ from the columns; None for ``ndjson``, which nobody looks into.
    :param reports: what the walk had to do differently from usual.
    :param started: when the run began, in UTC; of a run that was continued, its first try.
    :param finished: when its last part was in place, in UTC.
    :param seconds: time between the two.
    :param tries: how many tries of the task it took.
    :param run: names the task instance that made it, the same for all its tries; empty where there is none.
    :param requests: HTTP requests sent, repeats included.
    :param throttled: answers with status 429.
    :param retried: requests sent again.
    :param provider_version: version of airflow-provider-coupa.
    """

    version: int = FORMAT_VERSION
    kind: Literal["records", "deletions"] = "records"
    resource: str
    instance: str
    query: dict[str, str]
    window: tuple[datetime | None, datetime | None]
    id_range: tuple[int, int | None]
    file_format: str
    records: int
    min_id: int | None
    max_id: int | None
    files: list[File]
    columns: dict[str, str] = msgspec.field(name="schema")
    children: dict[str, ChildTable] = msgspec.field(default_factory=dict)
    drift: Drift | None
    reports: list[str]
    started: datetime
    finished: datetime
    seconds: float
    tries: int = 1
    run: str = ""
    requests: int
    throttled: int
    retried: int
    provider_version: str

    @property
    def all_files(self) -> list[File]:
        """The parts, those of the lines as well."""
        return [*self.files, *(file for lines in self.children.values() for file in lines.files)]

    def to_json(self) -> bytes:
        """Return the text of the file, indented for people."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    @classmethod
    def from_json(cls, text: bytes | str) -> Self:
        """Read the text of a manifest.

        :raises ValueError: it is not a manifest, or of a version this release does not know.
        """
        manifest = msgspec.json.decode(text, type=cls)
        if manifest.version != FORMAT_VERSION:
            raise ValueError(
                f"The manifest has format version {manifest.version}; this release reads {FORMAT_VERSION}. "
                "Use the release of airflow-provider-coupa that wrote it, or a newer one."
            )
        return manifest
