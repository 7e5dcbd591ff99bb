"""Write the pages of a walk to files that become visible as a whole."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from coupa_provider import __version__
from coupa_provider.client.page import Counters, Page
from coupa_provider.extract.destination import Destination, Publication
from coupa_provider.extract.errors import ExtractError
from coupa_provider.extract.formats import FileFormat, PartWriter, make_format
from coupa_provider.extract.manifest import File, Manifest
from coupa_provider.extract.progress import Progress, Reporter
from coupa_provider.extract.schema import Field
from coupa_provider.extract.seen import SeenIds
from coupa_provider.extract.window import Window

PART_BYTES = 128 * 1024 * 1024
"""A part ends with the page that takes the JSON in it to this size; Parquet makes a tenth of it or less."""


def extract_pages(
    pages: Iterable[Page],
    counters: Counters,
    destination: Destination,
    *,
    resource: str,
    instance: str,
    file_format: str = "parquet",
    fields: Sequence[Field] | None = None,
    query: Mapping[str, str] | None = None,
    window: Window | None = None,
    reports: Sequence[str] = (),
    on_progress: Callable[[Progress], None] | None = None,
    progress_seconds: float = 5.0,
    part_bytes: int = PART_BYTES,
) -> Manifest:
    """Write the pages of a walk to a folder and publish them with a manifest.

    Memory is bounded by a batch of records, not by their number. If anything fails, the exception passes on
    and the folder holds no manifest and no part of this run. There is at least one part, without rows if there
    are no records, so that a loader need not look whether there is anything.

    :param pages: the pages, in any order; each id may come once.
    :param counters: what the walk counts, read for progress and at the end.
    :param destination: the folder; parts and manifest of an earlier run there are replaced.
    :param resource: path under ``/api``.
    :param instance: host the pages come from.
    :param file_format: ``parquet``, ``ndjson`` or ``csv``.
    :param fields: Coupa's ``fields`` argument, which sets the columns; None for all.
    :param query: query arguments to note in the manifest, without secrets; read at the end.
    :param window: window to note in the manifest.
    :param reports: remarks of the walk to note in the manifest; read at the end.
    :param on_progress: called every ``progress_seconds`` from another thread.
    :param progress_seconds: seconds between reports.
    :param part_bytes: size of the JSON in a part, in bytes, before a new one is begun.
    :return: the manifest that was published.
    :raises ExtractError: the pages contradict themselves, or the destination is used by someone else.
    :raises ValueError: there is no such file format.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    layout = make_format(file_format, resource, fields)
    seen = SeenIds()
    files: list[File] = []
    part: _Part | None = None
    with (
        Reporter(counters, on_progress, progress_seconds) as reporter,
        Publication(destination) as publication,
    ):
        try:
            for page in pages:
                if not page.ids:
                    continue
                _check_page(page, seen)
                if part is None:
                    part = _Part(len(files), layout, publication)
                part.write(page)
                reporter.records += len(page)
                if part.json_bytes >= part_bytes:
                    files.append(part.put_in_place())
                    part = None
            if part is not None or not files:
                part = part or _Part(0, layout, publication)
                files.append(part.put_in_place())
        finally:
            if part is not None:
                part.close()
        manifest = Manifest(
            resource=resource,
            instance=instance,
            query=dict(query or {}),
            window=(window.since, window.until) if window else (None, None),
            id_range=(0, None),
            file_format=file_format,
            records=reporter.records,
            min_id=min((file.min_id for file in files if file.min_id is not None), default=None),
            max_id=max((file.max_id for file in files if file.max_id is not None), default=None),
            files=files,
            columns=layout.types,
            drift=layout.drift,
            reports=list(reports),
            started=started,
            finished=datetime.now(UTC),
            seconds=round(time.monotonic() - clock, 3),
            requests=counters.requests,
            throttled=counters.throttled,
            retried=counters.retried,
            provider_version=__version__,
        )
        publication.publish(manifest.to_json())
    return manifest


def _check_page(page: Page, seen: SeenIds) -> None:
    if len(page.records) != len(page.ids):
        raise ExtractError(
            f"The page from id {page.ids[0]} has {len(page.records)} records but {len(page.ids)} ids."
        )
    for before, after in zip(page.ids, page.ids[1:], strict=False):
        if before >= after:
            raise ExtractError(f"Id {after} follows id {before} on one page; the ids of a page must rise.")
    twice = seen.add(page.ids)
    if twice is not None:
        raise ExtractError(
            f"Record {twice} came twice, so the walk did not see a consistent set; nothing was published. "
            "Run the extract again; if it happens again, please report it with the manifest's resource and query."
        )


class _Part:
    """A part while it is written."""

    def __init__(self, number: int, layout: FileFormat, publication: Publication) -> None:
        self.json_bytes = 0
        self._name = f"part-{number:05d}.{layout.name}"
        self._publication = publication
        self._path = publication.stage(self._name)
        self._writer: PartWriter = layout.open(self._path)
        self._rows = 0
        self._min_id: int | None = None
        self._max_id: int | None = None

    def write(self, page: Page) -> None:
        size = sum(map(len, page.records))
        self._writer.write(page.records, page.ids, size)
        self.json_bytes += size
        self._rows += len(page)
        first, last = page.ids[0], page.ids[-1]
        self._min_id = first if self._min_id is None else min(self._min_id, first)
        self._max_id = last if self._max_id is None else max(self._max_id, last)

    def put_in_place(self) -> File:
        self._writer.finish()
        with self._path.open("rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
        size = self._path.stat().st_size
        self._publication.put(self._name)
        return File(self._name, self._rows, size, checksum, self._min_id, self._max_id)

    def close(self) -> None:
        self._writer.close()
