"""The manifest: what an extract holds, and the sign that it is whole."""

from __future__ import annotations

from datetime import datetime
from typing import Self

import msgspec

from coupa_provider.extract.drift import Drift

FORMAT_VERSION = 1


class File(msgspec.Struct, frozen=True):
    """One part.

    :param name: file name in the folder of the manifest.
    :param rows: records in it.
    :param bytes: its size.
    :param sha256: checksum of its content, in hexadecimal.
    :param min_id: least id in it, None if it has no rows.
    :param max_id: greatest id in it.
    """

    name: str
    rows: int
    bytes: int
    sha256: str
    min_id: int | None
    max_id: int | None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What one run extracted. Files that no manifest lists do not belong to any extract.

    :param version: version of this format.
    :param resource: path under ``/api``: ``"invoices"``.
    :param instance: host it came from.
    :param query: query arguments as sent, without those of the paging.
    :param window: first instant inside and first outside of the update times asked for; None is open.
    :param file_format: ``parquet``, ``ndjson`` or ``csv``.
    :param records: records in all files.
    :param min_id: least id, None if there are no records.
    :param max_id: greatest id.
    :param files: the parts, in the order they were written.
    :param columns: type of each column in Arrow's words; empty for ``ndjson``.
    :param drift: how the records differ from the columns; None for ``ndjson``, which nobody looks into.
    :param reports: what the walk had to do differently from usual.
    :param started: when the run began, in UTC.
    :param finished: when its last part was in place, in UTC.
    :param seconds: time between the two.
    :param requests: HTTP requests sent, repeats included.
    :param throttled: answers with status 429.
    :param retried: requests sent again.
    :param provider_version: version of airflow-provider-coupa.
    """

    version: int = FORMAT_VERSION
    resource: str
    instance: str
    query: dict[str, str]
    window: tuple[datetime | None, datetime | None]
    file_format: str
    records: int
    min_id: int | None
    max_id: int | None
    files: list[File]
    columns: dict[str, str] = msgspec.field(name="schema")
    drift: Drift | None
    reports: list[str]
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
