"""Where files go, and how they become visible there as a whole."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from coupa_provider.extract.errors import ExtractError

log = logging.getLogger(__name__)

#: Begin with an underscore: Arrow, Spark and others that read a whole folder pass over such names.
MANIFEST_NAME = "_manifest.json"
UNFINISHED = "_unfinished"
NOTE_NAME = "progress.json"
_OWN_NAME = re.compile(
    r"\.?(?:(?:[a-z0-9][a-z0-9_]*/)?part-\d{5,}\.(?:ndjson|parquet|csv)|_manifest\.json)(?:\.tmp)?"
)
_WRITER = "writer"


@dataclass(frozen=True)
class Destination:
    """A folder on some filesystem.

    :param fs: any fsspec filesystem.
    :param root: path of the folder on it, without a slash at the end: ``"lake/coupa/invoices"``.
    :param url: how the user writes the folder, for messages and results: ``"s3://aws@lake/coupa/invoices"``.
    """

    fs: AbstractFileSystem
    root: str
    url: str

    def path_of(self, name: str) -> str:
        """Return the path of a file on the filesystem."""
        return f"{self.root.rstrip('/')}/{name}"

    def url_of(self, name: str) -> str:
        """Return the URL of a file as a user would write it."""
        return f"{self.url.rstrip('/')}/{name}"

    @property
    def manifest_url(self) -> str:
        """URL of the manifest, which exists only after a run was published."""
        return self.url_of(MANIFEST_NAME)

    def own_files(self) -> dict[str, int]:
        """Return the sizes in bytes of the files that a run has published here, by name; others are not shown."""
        self.fs.invalidate_cache()
        try:
            found: dict[str, dict[str, Any]] = self.fs.find(self.root, maxdepth=2, detail=True)
        except FileNotFoundError:
            return {}
        sizes = {self._name_of(path): int(entry["size"] or 0) for path, entry in found.items()}
        return {name: size for name, size in sizes.items() if _OWN_NAME.fullmatch(name)}

    def _name_of(self, path: str) -> str:
        return path.split(self.root.strip("/") + "/", 1)[-1]

    def clear(self) -> None:
        """Remove what earlier runs published here, the manifest first: without it none of the rest counts."""
        for name in sorted(self.own_files(), key=lambda name: (name != MANIFEST_NAME, name)):
            self.fs.rm_file(self.path_of(name))


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A file that waits for its publication.

    :param stored: where it stands in the folder until then, as :meth:`Publication.adopt` takes it.
    :param bytes: its size.
    :param sha256: checksum of its content, in hexadecimal.
    """

    stored: str
    bytes: int
    sha256: str


class Publication:
    """The files of one run: gathered in ``_unfinished``, where nobody looks, and published together.

    What an earlier run published stays as it is until this one has everything. Then the order is: old manifest
    away, old files away, new files, new manifest, so no manifest ever stands beside files it does not describe,
    and someone who reads every file in the folder sees none that is stale. Until the manifest is there, all files
    are in ``_unfinished`` still: a run that dies while it publishes has lost nothing.

    Of two runs that write to one folder the one that began later goes on; the other one notices and fails.

    :param destination: the folder.
    :ivar keep: leave what was put when the ``with`` block ends in an exception, for a later try to adopt.
    """

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self.keep = False
        self._writer = secrets.token_hex(8)
        self._local = isinstance(destination.fs, LocalFileSystem)
        self._staging: Path | None = None
        self._staged: set[Path] = set()
        self._claimed = False
        #: Where each file stands and its size, by the name it will have.
        self._files: dict[str, tuple[str, int]] = {}

    def __enter__(self) -> Self:
        if not self._local:
            self._staging = Path(tempfile.mkdtemp(prefix="coupa-extract-"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for staged in self._staged:
                staged.unlink(missing_ok=True)
            if kind is not None and not self.keep:
                self._withdraw()
        finally:
            if self._staging is not None:
                shutil.rmtree(self._staging, ignore_errors=True)

    def stage(self, name: str) -> Path:
        """Return the local path at which to write a file before it is put."""
        folder = Path(self.destination.path_of(self._stored(""))) if self._local else self._staging
        assert folder is not None, "a publication is used in a with statement"  # noqa: S101
        staged = folder / f"{name}.tmp"
        staged.parent.mkdir(parents=True, exist_ok=True)
        self._staged.add(staged)
        return staged

    def put(self, name: str) -> StagedFile:
        """Put a staged file with the others, whole or not at all.

        :param name: the name it will have.
        :raises ExtractError: a run that began later writes to the same folder.
        """
        self._claim()
        staged = self.stage(name)
        if not staged.exists():
            raise self._not_alone(f"{staged.name} is gone")
        with staged.open("rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
        put = StagedFile(self._stored(name), staged.stat().st_size, checksum)
        self._files[name] = (put.stored, put.bytes)
        self._move(staged, put.stored)
        return put

    def adopt(self, name: str, stored: str, size: int) -> None:
        """Take over a file that an earlier try has put.

        :param name: the name it will have.
        :param stored: where it stands.
        :param size: its size in bytes.
        """
        self._files[name] = (stored, size)

    def note(self, content: bytes) -> None:
        """Write down which files a later try may adopt.

        :raises ExtractError: a run that began later writes to the same folder.
        """
        self._claim()
        staged = self.stage(NOTE_NAME)
        staged.write_bytes(content)
        self._move(staged, f"{UNFINISHED}/{NOTE_NAME}")

    def publish(self, manifest: bytes) -> None:
        """Give all files their names and write the manifest.

        :param manifest: its content.
        :raises ExtractError: another run writes to the same folder.
        """
        self._claim()
        staged = self.stage(MANIFEST_NAME)
        staged.write_bytes(manifest)
        self.destination.clear()
        for name, (stored, _) in self._files.items():
            self._copy(stored, name)
        present, wanted = (
            self.destination.own_files(),
            {name: size for name, (_, size) in self._files.items()},
        )
        if present != wanted:
            odd = sorted({name for name, _ in present.items() ^ wanted.items()})
            raise self._not_alone(f"look at {', '.join(odd[:5])}")
        self._check_alone()
        self._move(staged, MANIFEST_NAME)
        try:
            self.destination.fs.rm(self.destination.path_of(UNFINISHED), recursive=True)
        except Exception as error:  # noqa: BLE001 - the extract is whole, and the next run tidies up
            log.warning("Could not remove %s: %s", self.destination.url_of(UNFINISHED), error)

    def _stored(self, name: str) -> str:
        return f"{UNFINISHED}/{self._writer}/{name}".rstrip("/")

    def _claim(self) -> None:
        """Make this run the one that writes here, or find out that it no longer is."""
        if self._claimed:
            self._check_alone()
            return
        self._claimed = True
        staged = self.stage(_WRITER)
        staged.write_text(self._writer)
        self._move(staged, f"{UNFINISHED}/{_WRITER}")
        in_use = {"/".join(stored.split("/")[:2]) for stored, _ in self._files.values()}
        if in_use:
            in_use.add(f"{UNFINISHED}/{NOTE_NAME}")  # until there is a newer one
        in_use |= {self._stored(""), f"{UNFINISHED}/{_WRITER}"}
        fs = self.destination.fs
        fs.invalidate_cache()
        for path in fs.ls(self.destination.path_of(UNFINISHED), detail=False):
            name = f"{UNFINISHED}/{str(path).rstrip('/').rsplit('/', 1)[-1]}"
            if name not in in_use:
                fs.rm(self.destination.path_of(name), recursive=True)

    def _check_alone(self) -> None:
        if self._last_writer() != self._writer:
            raise self._not_alone("it began later")

    def _last_writer(self) -> str | None:
        """Return which run claimed the folder last; None where none is under way."""
        try:
            writer: bytes = self.destination.fs.cat_file(self.destination.path_of(f"{UNFINISHED}/{_WRITER}"))
        except FileNotFoundError:
            return None
        return writer.decode()

    def _not_alone(self, sign: str) -> ExtractError:
        return ExtractError(
            f"Another run writes to {self.destination.url} ({sign}), or something removes files there; this one "
            "published nothing. Give each run a destination of its own, for instance with {{ ds }} in it."
        )

    def _move(self, staged: Path, name: str) -> None:
        target = self.destination.path_of(name)
        if self._local:
            _flush_to_disk(staged)
            os.replace(staged, target)
        else:
            self.destination.fs.put_file(str(staged), target)
            staged.unlink()
        self._staged.discard(staged)

    def _copy(self, stored: str, name: str) -> None:
        source, target = self.destination.path_of(stored), self.destination.path_of(name)
        if not self._local:
            self.destination.fs.copy(source, target)
            return
        Path(target).parent.mkdir(exist_ok=True)
        try:
            os.link(source, target)
        except OSError:  # a filesystem without links
            shutil.copyfile(source, target)
            _flush_to_disk(Path(target))

    def _withdraw(self) -> None:
        if not self._claimed and not self._local and not self._files:
            return
        try:
            if not self._claimed and self._files:
                self._claim()  # what an earlier try put goes as well
            left = self._stored("")
            if self._claimed:
                writer = self._last_writer()
                if writer == self._writer:
                    left = UNFINISHED
                elif writer is not None:
                    return  # it may have adopted what this run put, and clears up in the end
            self.destination.fs.invalidate_cache()
            if self.destination.fs.exists(self.destination.path_of(left)):
                self.destination.fs.rm(self.destination.path_of(left), recursive=True)
            if self._local:  # an empty folder is nothing to leave either
                with suppress(OSError):
                    Path(self.destination.path_of(UNFINISHED)).rmdir()
        except Exception as error:  # noqa: BLE001 - what stopped the run matters more; no manifest is there
            log.warning("Could not remove the parts of the failed run: %s", error)


def _flush_to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
