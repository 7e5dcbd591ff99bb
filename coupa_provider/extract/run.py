"""Write the pages of a walk to files that become visible as a whole."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from coupa_provider import __version__
from coupa_provider.client.errors import CoupaDataError, CoupaGiveUpError
from coupa_provider.client.id_ranges import LAST_ID, IdRange, IdRanges
from coupa_provider.client.page import Counters, Page
from coupa_provider.extract import PART_BYTES
from coupa_provider.extract.destination import Destination, Publication
from coupa_provider.extract.errors import ExtractError
from coupa_provider.extract.explode import Explode
from coupa_provider.extract.formats import FileFormat, PartWriter, make_format
from coupa_provider.extract.lines import LineTable, make_children
from coupa_provider.extract.manifest import ChildTable, File, Manifest
from coupa_provider.extract.progress import Progress, Reporter
from coupa_provider.extract.schema import PARENT_ID, POSITION, Field
from coupa_provider.extract.unfinished import StoredFile, Unfinished
from coupa_provider.extract.window import Window

log = logging.getLogger(__name__)

RECORDS = ""
"""Name of the records' own table, beside the tables of their lines."""

#: After these a later try would meet the same, or could not trust what this one wrote.
_NOTHING_TO_KEEP = (ExtractError, CoupaDataError, CoupaGiveUpError)


def extract_pages(
    pages: Iterable[Page],
    counters: Counters,
    destination: Destination,
    *,
    resource: str,
    instance: str,
    file_format: str = "parquet",
    fields: Sequence[Field] | None = None,
    explode: Explode | None = None,
    schema: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    window: Window | None = None,
    id_range: IdRange | None = None,
    unfinished: Unfinished | None = None,
    reports: Sequence[str] = (),
    on_progress: Callable[[Progress], None] | None = None,
    progress_seconds: float = 5.0,
    part_bytes: int = PART_BYTES,
) -> Manifest:
    """Write the pages of a walk to a folder and publish them with a manifest.

    Memory is bounded by a batch of records, not by their number. There is at least one part, without rows if there
    are no records, so that a loader need not look whether there is anything. If anything fails, the exception
    passes on, and what stood in the folder before stands there still.

    :param pages: the pages, in any order; no range of ids may come twice.
    :param counters: what the walk counts, read for progress and at the end.
    :param destination: the folder; parts and manifest of an earlier run there are replaced.
    :param resource: path under ``/api``.
    :param instance: host the pages come from.
    :param file_format: ``parquet``, ``ndjson`` or ``csv``.
    :param fields: Coupa's ``fields`` argument, which sets the columns; None for all.
    :param explode: lists that get tables of their own; see :func:`.lines.make_children`.
    :param schema: column types other than the documented ones; see :func:`.overrides.read_overrides`.
    :param query: query arguments to note in the manifest, without secrets; read at the end.
    :param window: window to note in the manifest.
    :param id_range: the ids that the pages have to cover without a gap, with what was covered before; None if
        nobody can tell.
    :param unfinished: where to note each finished part, so that a later try goes on after it; one that an earlier
        try left is gone on with. None: a failed run leaves nothing.
    :param reports: remarks of the walk to note in the manifest; read at the end.
    :param on_progress: called every ``progress_seconds`` from another thread.
    :param progress_seconds: seconds between reports.
    :param part_bytes: size of the JSON in a part, in bytes, before a new one is begun.
    :return: the manifest that was published.
    :raises ExtractError: the pages contradict themselves, leave ids out, or the destination is used by someone else.
    :raises ValueError: there is no such file format, or it cannot do what is asked for.
    """
    run = _Run(
        unfinished,
        counters,
        destination,
        make_format(file_format, resource, fields, explode=explode, schema=schema),
        make_children(resource, explode, file_format, fields),
        reports,
    )
    clock = time.monotonic()
    with Reporter(counters, on_progress, progress_seconds) as reporter, run.publication:
        reporter.records = run.state.records
        try:
            for page in pages:
                run.take(page)
                reporter.records += len(page)
                if run.json_bytes >= part_bytes:
                    run.finish_part()
            run.check_complete(id_range)
            if run.writing or not run.state.files:
                run.finish_part()
        except BaseException as error:
            run.give_up(error)
            raise
        finally:
            run.close()
        run.count()
        state = run.state
        files = run.files_of(RECORDS)
        seconds = time.monotonic() - clock if state.tries == 1 else _seconds_since(state.started)
        manifest = Manifest(
            resource=resource,
            instance=instance,
            query=dict(query or {}),
            window=(window.since, window.until) if window else (None, None),
            id_range=_open_ended(id_range or (0, LAST_ID)),
            file_format=file_format,
            records=sum(file.rows for file in files),
            min_id=min((file.min_id for file in files if file.min_id is not None), default=None),
            max_id=max((file.max_id for file in files if file.max_id is not None), default=None),
            files=files,
            columns=run.layouts[RECORDS].types,
            children=run.children(),
            drift=run.layouts[RECORDS].drift,
            reports=state.reports,
            started=state.started,
            finished=datetime.now(UTC),
            seconds=round(seconds, 3),
            tries=state.tries,
            run=state.run,
            requests=state.requests,
            throttled=state.throttled,
            retried=state.retried,
            provider_version=__version__,
        )
        try:
            run.publication.publish(manifest.to_json())
        except BaseException as error:
            run.give_up(error)
            raise
    return manifest


class _Run:
    """One try: what was taken in, what is being written, and what is finished."""

    def __init__(
        self,
        unfinished: Unfinished | None,
        counters: Counters,
        destination: Destination,
        main: FileFormat,
        children: Mapping[str, LineTable],
        reports: Sequence[str],
    ) -> None:
        self.publication = Publication(destination)
        self.layouts: dict[str, FileFormat] = {RECORDS: main, **children}
        self.json_bytes = 0
        #: The part being written, a file for each table.
        self.writing: dict[str, PartWriter] = {}
        self.state = unfinished or Unfinished(run="", request="")
        #: False while a page is half written, when nothing may be made of the part.
        self._intact = True
        self._resumable = unfinished is not None
        self._counters = counters
        self._reports = reports
        self._before = (self.state.requests, self.state.throttled, self.state.retried)
        self._covered = IdRanges(self.state.covered)
        for stored in self.state.files:
            self.publication.adopt(stored.file.name, stored.stored, stored.file.bytes)
        for table, drift in self.state.drift.items():
            self.layouts[table].resume(drift)

    def take(self, page: Page) -> None:
        """Check a page and write it to the part."""
        self._intact = False
        self._take(page)
        self._intact = True

    def _take(self, page: Page) -> None:
        _check_page(page)
        try:
            self._covered.add(page.after, page.upto)
        except ValueError as error:
            raise ExtractError(
                f"A page came with ids of another one: {error}. So the walk did not see a consistent set; nothing was "
                "published. Run the extract again; if it happens again, please report it with the manifest's "
                "resource and query."
            ) from error
        if not page.ids:
            return
        self._begin_part()
        size = sum(map(len, page.records))
        for writer in self.writing.values():
            writer.write(page.records, page.ids, size)
        self.json_bytes += size

    def _begin_part(self) -> None:
        if not self.writing:
            self.writing = {
                table: layout.open(self.publication.stage(self._name(table)))
                for table, layout in self.layouts.items()
            }

    def _name(self, table: str) -> str:
        number = len(self.files_of(RECORDS))
        return f"{table}/part-{number:05d}.{self.layouts[table].name}".lstrip("/")

    def finish_part(self) -> None:
        """Put the part with the finished ones, and note it for a later try."""
        self._intact = False
        self._begin_part()  # one without rows, if nothing came
        finished: list[StoredFile] = []
        for table, writer in self.writing.items():
            writer.finish()
            name = self._name(table)
            put = self.publication.put(name)
            described = File(name, writer.rows, put.bytes, put.sha256, writer.min_id, writer.max_id)
            finished.append(StoredFile(table, put.stored, described))
        self.state.files += finished
        self.writing, self.json_bytes = {}, 0
        self.state.covered = self._covered.ranges
        self.state.drift = {
            table: layout.drift for table, layout in self.layouts.items() if layout.drift is not None
        }
        self.count()
        if self._resumable:
            self.publication.note(self.state.to_json())
        self._intact = True

    def count(self) -> None:
        """Add this try's requests and remarks to those of earlier ones."""
        now = (self._counters.requests, self._counters.throttled, self._counters.retried)
        self.state.requests, self.state.throttled, self.state.retried = (
            before + since for before, since in zip(self._before, now, strict=True)
        )
        self.state.reports = list(dict.fromkeys([*self.state.reports, *self._reports]))

    def check_complete(self, id_range: IdRange | None) -> None:
        """Make sure that the pages left no ids out."""
        gaps = self._covered.gaps(*id_range) if id_range else []
        if gaps:
            raise ExtractError(
                f"The walk ended without a word on the ids {gaps[0][0] + 1} to {gaps[0][1]}, so records may be missing; "
                "nothing was published. Please report this with the manifest's resource and query."
            )

    def give_up(self, error: BaseException) -> None:
        """Keep what a later try can go on from, if there will be one."""
        self.publication.keep = self._resumable and not isinstance(error, _NOTHING_TO_KEEP)
        if not (self.publication.keep and self.writing and self._intact):
            return
        try:
            self.finish_part()
        except Exception as another:  # noqa: BLE001 - what stopped the run matters more
            log.warning("Could not keep the part that was being written: %s", another)

    def close(self) -> None:
        """Let go of open files."""
        for writer in self.writing.values():
            writer.close()

    def files_of(self, table: str) -> list[File]:
        """Return the finished files of a table."""
        return [stored.file for stored in self.state.files if stored.table == table]

    def children(self) -> dict[str, ChildTable]:
        """Describe the tables of lines."""
        tables: dict[str, ChildTable] = {}
        for table, layout in self.layouts.items():
            if isinstance(layout, LineTable):
                files = self.files_of(table)
                tables[table] = ChildTable(
                    attribute=layout.attribute,
                    parent_column=PARENT_ID,
                    position_column=POSITION,
                    records=sum(file.rows for file in files),
                    files=files,
                    columns=layout.types,
                    drift=layout.drift,
                )
        return tables


def _check_page(page: Page) -> None:
    if len(page.records) != len(page.ids):
        raise ExtractError(
            f"The page from id {page.ids[0]} has {len(page.records)} records but {len(page.ids)} ids."
        )
    for before, after in zip(page.ids, page.ids[1:], strict=False):
        if before >= after:
            raise ExtractError(f"Id {after} follows id {before} on one page; the ids of a page must rise.")
    if page.ids and not page.after < page.ids[0] <= page.ids[-1] <= page.upto:
        raise ExtractError(
            f"A page of the ids {page.after + 1} to {page.upto} holds {page.ids[0]} to {page.ids[-1]}."
        )


def _open_ended(id_range: IdRange) -> tuple[int, int | None]:
    after, upto = id_range
    return after, None if upto == LAST_ID else upto


def _seconds_since(instant: datetime) -> float:
    return (datetime.now(UTC) - instant).total_seconds()
