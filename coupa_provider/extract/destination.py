"""Where files go, and how they become visible there as a whole."""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from coupa_provider.extract.errors import ExtractError

log = logging.getLogger(__name__)

#: Begins with an underscore: Arrow, Spark and others that read a whole folder pass over such names.
MANIFEST_NAME = "_manifest.json"
_OWN_NAME = re.compile(r"\.?(?:part-\d{5,}\.(?:ndjson|parquet|csv)|_manifest\.json)(?:\.tmp)?")


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
        """Return the sizes in bytes of the files that a run has left here, by name; others are not shown."""
        self.fs.invalidate_cache()
        try:
            entries: list[dict[str, Any]] = self.fs.ls(self.root, detail=True)
        except FileNotFoundError:
            return {}
        sizes = {str(entry["name"]).rsplit("/", 1)[-1]: int(entry["size"] or 0) for entry in entries}
        return {name: size for name, size in sizes.items() if _OWN_NAME.fullmatch(name)}

    def clear(self, *, keep: str | None = None) -> None:
        """Remove what earlier runs left here, the manifest first: without it none of the rest counts.

        :param keep: name of a file to leave alone.
        """
        names = self.own_files().keys() - {keep}
        for name in sorted(names, key=lambda name: (name != MANIFEST_NAME, name)):
            self.fs.rm_file(self.path_of(name))


class Publication:
    """The files of one run: staged where nobody looks, put in place one by one, published by the manifest.

    What an earlier run left is removed just before the first file is put in place, so a run that fails
    before it has a file destroys nothing, and no manifest ever stands beside files it does not describe.
    The order is: old manifest away, old parts away, new parts, new manifest. Someone who reads every file in
    the folder, manifest or not, sees no stale part once the manifest is there either. When the ``with`` block
    ends in an exception, everything the run put in place is removed.

    :param destination: the folder. Two runs may not write to it at once; this is noticed before the manifest
        is written.
    """

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self._local = isinstance(destination.fs, LocalFileSystem)
        self._staging: Path | None = None
        self._begun = False
        self._staged: set[Path] = set()
        self._sizes: dict[str, int] = {}

    def __enter__(self) -> Self:
        if not self._local:
            self._staging = Path(tempfile.mkdtemp(prefix="coupa-extract-"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is not None:
                self._withdraw()
        finally:
            if self._staging is not None:
                shutil.rmtree(self._staging, ignore_errors=True)

    def stage(self, name: str) -> Path:
        """Return the local path at which to write a file before it is put in place.

        On a local filesystem this is a hidden file in the same folder, so that putting it in place is one
        rename; elsewhere it is a file in a temporary folder.
        """
        if self._local:
            folder = Path(self.destination.root)
            folder.mkdir(parents=True, exist_ok=True)
            staged = folder / f".{name}.tmp"
        else:
            assert self._staging is not None, "a publication is used in a with statement"  # noqa: S101
            staged = self._staging / name
        self._staged.add(staged)
        return staged

    def put(self, name: str) -> None:
        """Put a staged file in place, whole or not at all; the first one clears the folder."""
        staged = self.stage(name)
        size = staged.stat().st_size
        if not self._begun:
            self._begun = True
            self.destination.clear(keep=staged.name if self._local else None)
        self._sizes[name] = size
        if self._local:
            _flush_to_disk(staged)
            os.replace(staged, self.destination.path_of(name))
        else:
            self.destination.fs.put_file(str(staged), self.destination.path_of(name))
            staged.unlink()

    def publish(self, manifest: bytes) -> None:
        """Write the manifest, after a look whether every part is there and no other.

        :param manifest: its content.
        :raises ExtractError: the folder holds other files than this run put there.
        """
        present = self.destination.own_files()
        if present != self._sizes:
            odd = sorted(name for name, _ in present.items() ^ self._sizes.items())
            raise ExtractError(
                f"{self.destination.url} does not hold the files just written (look at {', '.join(odd[:5])}): "
                "another run writes to the same destination, or something removes files there. Give each run "
                "a destination of its own, for instance with {{ ds }} in it."
            )
        self.stage(MANIFEST_NAME).write_bytes(manifest)
        self.put(MANIFEST_NAME)

    def _withdraw(self) -> None:
        for staged in self._staged:
            staged.unlink(missing_ok=True)
        if self._begun:
            try:
                self.destination.clear()
            except Exception as error:  # noqa: BLE001 - what stopped the run matters more; no manifest is there
                log.warning("Could not remove the parts of the failed run: %s", error)


def _flush_to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
