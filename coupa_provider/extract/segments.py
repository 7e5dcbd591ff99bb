"""Notes that outlive a killed process, in a folder of small files that are never changed.

Object storage cannot append, so each note is a file of its own, whole or not there. Its name holds a random part: a
try that was taken for dead and still writes does not overwrite the notes of the next.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem

from coupa_provider.extract.destination import Destination

_SEGMENT = re.compile(r"(\d+)-[0-9a-f]+\.ndjson")
_READERS = 16


class Segments:
    """The notes in one folder.

    :param folder: the folder; it need not exist yet.
    """

    def __init__(self, folder: Destination) -> None:
        self.folder = folder
        self._next = 0

    def read(self) -> Iterator[bytes]:
        """Yield all notes in the order they were written; the next one is written after them."""
        fs, segments = self.folder.fs, self._paths()
        if segments and (match := _SEGMENT.fullmatch(segments[-1].rpartition("/")[2])):
            self._next = int(match[1]) + 1
        with ThreadPoolExecutor(_READERS) as readers:
            for start in range(0, len(segments), _READERS * 4):
                yield from readers.map(fs.cat_file, segments[start : start + _READERS * 4])

    def clear(self) -> None:
        """Remove all notes, after what they tell stands elsewhere; the last goes last, since it may end the others."""
        segments = self._paths()
        if isinstance(self.folder.fs, LocalFileSystem):
            for path in segments:
                # A try that was taken for dead may clear them at the same time.
                Path(path).unlink(missing_ok=True)
            return
        for some in (segments[:-1], segments[-1:]):
            if some:
                self.folder.fs.rm(some)

    def _paths(self) -> list[str]:
        fs = self.folder.fs
        fs.invalidate_cache()
        try:
            paths = [str(path) for path in fs.ls(self.folder.root, detail=False)]
        except FileNotFoundError:
            return []
        found = [(match, path) for path in paths if (match := _SEGMENT.fullmatch(path.rpartition("/")[2]))]
        return [path for _, path in sorted(found, key=lambda one: (int(one[0][1]), one[1]))]

    def append(self, text: bytes) -> None:
        """Keep a note. When this returns, it outlives the process.

        :param text: its content, whole lines.
        """
        name = f"{self._next:06d}-{uuid.uuid4().hex[:8]}.ndjson"
        self._next += 1
        if isinstance(self.folder.fs, LocalFileSystem):
            _write_to_disk(Path(self.folder.root), name, [text])
        else:
            self.folder.fs.pipe_file(self.folder.path_of(name), text)


def write_whole(folder: Destination, name: str, chunks: Iterable[bytes]) -> str:
    """Write a file that is whole or not there, and return its URL; object storage makes it so by itself.

    :param folder: where to; it need not exist yet.
    :param name: name of the file.
    :param chunks: its content.
    """
    if isinstance(folder.fs, LocalFileSystem):
        _write_to_disk(Path(folder.root), name, chunks)
        return folder.url_of(name)
    folder.fs.makedirs(folder.root, exist_ok=True)
    with folder.fs.open(folder.path_of(name), "wb") as file:
        for chunk in chunks:
            file.write(chunk)
    return folder.url_of(name)


def _write_to_disk(folder: Path, name: str, chunks: Iterable[bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # A name of its own: two tries may write at a time.
    staged = folder / f".{name}.{uuid.uuid4().hex[:8]}.tmp"
    with staged.open("wb") as file:
        file.writelines(chunks)
        file.flush()
        os.fsync(file.fileno())
    staged.replace(folder / name)
    entry = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(entry)
    finally:
        os.close(entry)
