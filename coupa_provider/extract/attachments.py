"""Fetch what is attached to the records of an extract: each file once, whole, with an account of every one."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import shutil
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from fsspec.implementations.local import LocalFileSystem

from coupa_provider import __version__
from coupa_provider.client.blocking import BlockingClient, run_in_background
from coupa_provider.client.client import CoupaClient
from coupa_provider.client.errors import (
    CoupaAuthenticationError,
    CoupaConfigError,
    CoupaError,
    CoupaNotAFileError,
    CoupaNotFoundError,
    CoupaValidationError,
)
from coupa_provider.client.in_thread import in_thread
from coupa_provider.client.received import Received
from coupa_provider.client.together import for_each_read, together
from coupa_provider.client.walk import BATCH
from coupa_provider.extract.attachment_manifest import (
    ABSENT,
    FAILED,
    GONE,
    LINK,
    OUTCOMES,
    STORED,
    TEXT,
    UNCHANGED,
    AttachmentManifest,
    AttachmentReader,
    Entry,
    Key,
    Listing,
)
from coupa_provider.extract.attachment_register import Register
from coupa_provider.extract.attachment_source import ATTACHMENTS, Attached, AttachmentSource, Record
from coupa_provider.extract.destination import MANIFEST_NAME, UNFINISHED, Destination
from coupa_provider.extract.errors import ExtractError
from coupa_provider.extract.file_names import safe_name
from coupa_provider.extract.manifest_reader import ManifestReader
from coupa_provider.extract.progress import Progress, Reporter
from coupa_provider.extract.segments import Segments

log = logging.getLogger(__name__)

#: Files under way at a time: enough to fill the pace with answers that take half a second.
_LANES = 16
_LOOKING_UP = 2
#: Failures after which it is not about single files.
_MOST_FAILED = 100
_SAMPLE = 20
#: So many files, or so many seconds, are fetched a second time at most after a kill.
_NOTED_FILES, _NOTED_SECONDS = 50, 5.0
#: A larger file is written to object storage in pieces: a client library may hold a put whole in memory.
_PIECE_BYTES = 8 * 1024 * 1024
_NO_FILE = "does not have a file"


def fetch_attachments(
    client: BlockingClient,
    extract: ManifestReader,
    destination: Destination,
    kinds: Sequence[str],
    *,
    on_progress: Callable[[Progress], None] | None = None,
    progress_seconds: float = 10.0,
) -> AttachmentManifest:
    """Store what is attached to the records of an extract; call it again to go on after a failure.

    :param client: leads to the instance the extract came from.
    :param extract: the extract.
    :param destination: folder of the files, with nothing else in it; what it holds from earlier runs and did not
        change is not fetched again.
    :param kinds: some of ``attachments``, ``image_scan`` and ``legal_invoice_pdf``.
    :param on_progress: called every ``progress_seconds`` from another thread; its records are files.
    :param progress_seconds: seconds between reports.
    :return: the manifest, which is in place.
    :raises ExtractError: arguments do not fit, or files failed; all others are stored then.
    :raises CoupaError: a request failed for good that is not about one file.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    resource, instance = extract.manifest.resource.strip("/"), client.config.instance
    source = AttachmentSource(client.client, resource, kinds)
    earlier = _earlier(extract, destination, instance)
    counters = client.client.counters
    before = counters.requests, counters.throttled, counters.retried
    with ExitStack() as stack:
        store = stack.enter_context(_Store(destination, f"{instance} {resource}"))
        register = stack.enter_context(Register(store.staging / "register"))
        if earlier is not None:
            register.load(earlier.entries(), noted=False)
        register.load(store.noted(), noted=True)
        reporter = stack.enter_context(Reporter(counters, on_progress, progress_seconds))
        fetching = _Fetching(client.client, source, extract, store, register, reporter)
        run_in_background(fetching.run())
        if fetching.failed:
            raise ExtractError(
                f"{len(fetching.failed):,} files of {resource} failed, the others are stored: "
                f"{_named(fetching.failed)}. The first: {fetching.failure}. All are listed with their reasons in "
                f"{store.notes_url}; a retry asks for them again"
            )
        listing, counts = store.list(register)
        finished = datetime.now(UTC)
        manifest = AttachmentManifest(
            resource=resource,
            instance=instance,
            kinds=list(kinds),
            source=extract.folder.manifest_url,
            records=extract.manifest.records,
            records_gone=fetching.records_gone,
            counts={outcome: counts[outcome] for outcome in OUTCOMES},
            stored_bytes=fetching.stored_bytes,
            listing=listing,
            started=started,
            finished=finished,
            seconds=round(time.monotonic() - clock, 3),
            requests=counters.requests - before[0],
            throttled=counters.throttled - before[1],
            retried=counters.retried - before[2],
            provider_version=__version__,
        )
        store.publish(manifest, earlier)
    return manifest


def _earlier(extract: ManifestReader, destination: Destination, instance: str) -> AttachmentReader | None:
    """Return what an earlier run has left at the destination, once everything fits together."""
    manifest = extract.manifest
    if manifest.kind != "records":
        raise ExtractError(f"{extract.folder.manifest_url} lists {manifest.kind}: they have no attachments.")
    if manifest.instance != instance:
        raise ExtractError(
            f"{extract.folder.manifest_url} was extracted from {manifest.instance}, but the connection leads to "
            f"{instance}. The same ids are other records there: use the connection of the extract."
        )
    destination.fs.invalidate_cache()
    try:
        earlier = AttachmentReader(destination)
    except FileNotFoundError:
        return None
    held = earlier.manifest.instance, earlier.manifest.resource
    if held != (instance, manifest.resource.strip("/")):
        raise ExtractError(
            f"{destination.url} holds attachments of {held[1]} from {held[0]}. Give each resource a folder of its own."
        )
    return earlier


class _Fetching:
    """One try to fetch everything."""

    def __init__(
        self,
        client: CoupaClient,
        source: AttachmentSource,
        extract: ManifestReader,
        store: _Store,
        register: Register,
        reporter: Reporter,
    ) -> None:
        self.failed: list[Key] = []
        #: Why the first of them failed.
        self.failure = ""
        self.records_gone = 0
        self.stored_bytes = 0
        self._client = client
        self._source = source
        self._extract = extract
        self._resource = extract.manifest.resource.strip("/")
        self._store = store
        self._register = register
        self._reporter = reporter
        self._jobs: asyncio.Queue[Callable[[], Coroutine[Any, Any, None]] | None] = asyncio.Queue(_LANES)
        #: This instance answers an attachment with data about it, and ``file-url`` leads to the file.
        self._by_url = False

    async def run(self) -> None:
        """Settle everything that is attached."""

        async def look_up_all() -> None:
            await for_each_read(self._batches(), self._look_up, _LOOKING_UP)
            for _ in range(_LANES):
                await self._jobs.put(None)

        async def work() -> None:
            while (job := await self._jobs.get()) is not None:
                await job()

        try:
            await together([look_up_all(), *(work() for _ in range(_LANES))])
        finally:
            await in_thread(self._store.note)

    def _batches(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for rows in self._extract.batches(["id"]):
            for record_id in rows.column(0).to_pylist():
                batch.append(record_id)
                if len(batch) == BATCH:
                    yield batch
                    batch = []
        if batch:
            yield batch

    async def _look_up(self, ids: Sequence[int]) -> None:
        records = await self._source.of(ids)
        absent = sorted(set(ids) - {record.id for record in records})
        if absent:
            self.records_gone += len(absent)
            log.warning(
                "%s: %s records are no longer there, or no longer shown to this connection: %s",
                self._resource, f"{len(absent):,}", ", ".join(map(str, absent[:_SAMPLE])),
            )  # fmt: skip
        for record in records:
            if record.lists:
                self._note_gone(record)
            else:
                await self._jobs.put(partial(self._list, record))
            for attached in record.attached:
                await self._jobs.put(partial(self._settle, attached))

    async def _list(self, record: Record) -> None:
        """Settle the attachments of a record that does not show them itself."""
        try:
            attached = await self._source.listed(record.id)
        except CoupaNotFoundError:
            attached = []
        self._note_gone(record, attached)
        for one in attached:
            await self._settle(one)

    def _note_gone(self, record: Record, attached: Sequence[Attached] = ()) -> None:
        shown = [
            one.key.attachment_id for one in (*record.attached, *attached) if one.key.kind == ATTACHMENTS
        ]
        for entry in self._register.others(record.id, ATTACHMENTS, shown):
            self._register.settle(msgspec.structs.replace(entry, outcome=GONE))

    async def _settle(self, attached: Attached) -> None:
        """Bring one attachment to its outcome."""
        found = self._register.known(attached.key)
        known, noted = found if found else (None, False)
        if attached.type == "none":
            entry = self._absent(attached, known)
        elif attached.type in ("url", "text"):
            outcome = LINK if attached.type == "url" else TEXT
            entry = _entry(
                attached, outcome, link=attached.url if outcome == LINK else None, text=attached.text
            )
        elif known and _is_same(known, attached) and await in_thread(self._store.holds, known):
            if noted:
                self.stored_bytes += known.bytes or 0
            entry = msgspec.structs.replace(known, outcome=STORED if noted else UNCHANGED)
        else:
            entry = await self._fetch(attached, known)
        self._register.settle(entry)
        self._reporter.records += 1

    async def _fetch(self, attached: Attached, known: Entry | None) -> Entry:
        try:
            with self._store.open_staged() as file:
                received = await self._download(attached, file)
                entry = _entry(
                    attached,
                    STORED,
                    name=attached.name or received.name,
                    content_type=received.content_type or attached.content_type,
                    bytes=received.size,
                    sha256=received.sha256,
                    path=_path(attached, received.name),
                )
                await in_thread(self._store.take, file, entry)
        except CoupaNotFoundError:
            return self._absent(attached, known)
        except (CoupaAuthenticationError, CoupaConfigError):
            raise
        except CoupaError as error:
            if isinstance(error, CoupaValidationError) and any(_NO_FILE in said for said in error.errors):
                return self._absent(attached, known)
            entry = _entry(attached, FAILED, error=error.message)
            await in_thread(self._store.remember, entry)
            self._count_failure(attached.key, error)
            return entry
        self.stored_bytes += received.size
        return entry

    async def _download(self, attached: Attached, file: BinaryIO) -> Received:
        record_id, kind, attachment_id = attached.key
        get = partial(self._client.download, size=attached.size, content_type=attached.content_type)
        if kind != ATTACHMENTS:
            return await get(f"{self._resource}/{record_id}/retrieve_{kind}", file)
        if self._by_url and attached.url:
            return await get(attached.url, file)
        try:
            return await get(f"{self._resource}/{record_id}/attachments/{attachment_id}", file)
        except CoupaNotAFileError:
            if not attached.url:
                raise
            received = await get(attached.url, file)
            self._by_url = True
            return received

    def _absent(self, attached: Attached, known: Entry | None) -> Entry:
        if known is not None and known.path:
            return msgspec.structs.replace(known, outcome=GONE)
        return _entry(attached, ABSENT)

    def _count_failure(self, key: Key, error: CoupaError) -> None:
        self.failed.append(key)
        self.failure = self.failure or error.message
        log.warning("%s %s was not stored: %s", self._resource, _named([key]), error.message)
        if len(self.failed) >= _MOST_FAILED:
            raise ExtractError(
                f"{len(self.failed)} files of {self._resource} failed, so it is not about single ones: {self.failure}. "
                f"The first: {_named(self.failed)}"
            )


class _Store:
    """The destination: files are whole there or not at all, and noted for the try after a kill."""

    def __init__(self, destination: Destination, owner: str) -> None:
        self._destination = destination
        self._fs = destination.fs
        self._local = isinstance(self._fs, LocalFileSystem)
        name = f"{UNFINISHED}/{hashlib.sha256(owner.encode()).hexdigest()[:16]}"
        self._notes = Destination(self._fs, destination.path_of(name), destination.url_of(name))
        self._segments = Segments(self._notes)
        self._pending: list[Entry] = []
        self._noting = threading.Lock()
        self._noted_at = time.monotonic()

    @property
    def notes_url(self) -> str:
        """Where it is noted what became of files before the manifest is there."""
        return self._notes.url

    def __enter__(self) -> _Store:
        parent = None
        if self._local:  # on the same filesystem, so that a file moves into its place as a whole
            parent = Path(self._destination.path_of(UNFINISHED))
            parent.mkdir(parents=True, exist_ok=True)
            for left in parent.glob("staging-*"):
                shutil.rmtree(left, ignore_errors=True)
        self.staging = Path(tempfile.mkdtemp(prefix="staging-", dir=parent))
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.staging, ignore_errors=True)
        if self._local:
            with suppress(OSError):  # notes may be in it
                self.staging.parent.rmdir()

    def noted(self) -> Iterator[Entry]:
        """Yield what tries stored that did not end."""
        decoder = msgspec.json.Decoder(Entry)
        for text in self._segments.read():
            yield from (entry for entry in decoder.decode_lines(text) if entry.outcome == STORED)

    @contextmanager
    def open_staged(self) -> Iterator[BinaryIO]:
        """Open a file to write to before its place is known; it goes away in the end unless it was taken."""
        path = self.staging / uuid.uuid4().hex
        try:
            with path.open("w+b") as file:
                yield file
        finally:
            path.unlink(missing_ok=True)

    def holds(self, entry: Entry) -> bool:
        """Tell whether the file of an entry is there, with its size."""
        try:
            return (
                entry.path is not None and self._fs.size(self._destination.path_of(entry.path)) == entry.bytes
            )
        except FileNotFoundError:
            return False

    def take(self, file: BinaryIO, entry: Entry) -> None:
        """Put a staged file in its place and note it; safe across threads."""
        self._put(Path(file.name), str(entry.path))
        self.remember(entry)

    def remember(self, entry: Entry) -> None:
        """Note what became of a file, soon; safe across threads."""
        with self._noting:
            self._pending.append(entry)
            is_due = len(self._pending) >= _NOTED_FILES or time.monotonic() - self._noted_at > _NOTED_SECONDS
        if is_due:
            self.note()

    def note(self) -> None:
        """Note what was put since the last time."""
        with self._noting:
            pending, self._pending, self._noted_at = self._pending, [], time.monotonic()
            if pending:
                self._segments.append(msgspec.json.Encoder().encode_lines(pending))

    def list(self, register: Register) -> tuple[Listing, Counter[str]]:
        """Write the listing; nobody looks at it before the manifest names it."""
        staged = self.staging / "listing"
        digest, counts, size = hashlib.sha256(), Counter[str](), 0
        with staged.open("wb") as file:
            for entry in register.entries():
                line = msgspec.json.encode(entry) + b"\n"
                digest.update(line)
                counts[entry.outcome] += 1
                size += file.write(line)
        name = f"attachments-{digest.hexdigest()[:16]}.ndjson"
        self._put(staged, name)
        return Listing(name, counts.total(), size, digest.hexdigest()), counts

    def publish(self, manifest: AttachmentManifest, earlier: AttachmentReader | None) -> None:
        """Write the manifest, then take away what only mattered before."""
        self._check_alone(earlier)
        staged = self.staging / MANIFEST_NAME
        staged.write_bytes(manifest.to_json())
        self._put(staged, MANIFEST_NAME)
        try:
            if earlier is not None and earlier.manifest.listing.name != manifest.listing.name:
                self._fs.rm_file(self._destination.path_of(earlier.manifest.listing.name))
            self._fs.invalidate_cache()
            if self._fs.exists(self._notes.root):
                self._fs.rm(self._notes.root, recursive=True)
        except Exception as error:  # noqa: BLE001 - everything is in place, and the next run tidies up
            log.warning("Could not tidy up in %s: %s", self._destination.url, error)

    def _check_alone(self, earlier: AttachmentReader | None) -> None:
        self._fs.invalidate_cache()
        try:
            present = self._fs.cat_file(self._destination.path_of(MANIFEST_NAME))
        except FileNotFoundError:
            present = None
        if present != (earlier.text if earlier else None):
            raise ExtractError(
                f"Another run wrote {self._destination.manifest_url} meanwhile. Let no two runs overlap "
                "(max_active_runs=1); a retry finds what both have stored."
            )

    def _put(self, staged: Path, name: str) -> None:
        target = self._destination.path_of(name)
        if self._local:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            with staged.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(staged, target)
        elif staged.stat().st_size <= _PIECE_BYTES:
            self._fs.put_file(str(staged), target)
        else:
            with staged.open("rb") as file, self._fs.open(target, "wb", block_size=_PIECE_BYTES) as out:
                shutil.copyfileobj(file, out, 1024 * 1024)


def _entry(attached: Attached, outcome: str, **more: Any) -> Entry:
    record_id, kind, attachment_id = attached.key
    shown = {"name": attached.name, "updated_at": attached.updated_at, "shown_bytes": attached.size}
    return Entry(
        record_id=record_id, kind=kind, attachment_id=attachment_id, outcome=outcome, **{**shown, **more}
    )


def _is_same(known: Entry, attached: Attached) -> bool:
    """Tell whether a file that was stored before is the one that Coupa shows now."""
    return (
        known.path is not None
        and known.updated_at is not None
        and known.updated_at == attached.updated_at
        and known.shown_bytes == attached.size
    )


def _path(attached: Attached, name: str | None) -> str:
    record_id, kind, attachment_id = attached.key
    begin = str(attachment_id) if kind == ATTACHMENTS else kind
    return f"{record_id}/{begin}-{safe_name(attached.name or name)}"


def _named(keys: Sequence[Key]) -> str:
    names = [
        f"{key.record_id} {key.kind} {key.attachment_id}"
        if key.attachment_id
        else f"{key.record_id} {key.kind}"
        for key in keys[:_SAMPLE]
    ]
    return ", ".join(names) + (", ..." if len(keys) > _SAMPLE else "")
