"""What became of each record, kept where the next try of the task finds it."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from fsspec.implementations.local import LocalFileSystem
from pyroaring import BitMap64

from coupa_provider.extract.destination import Destination

_SEGMENT = re.compile(r"(\d+)-[0-9a-f]+\.ndjson")
_READERS = 16


class Entry(msgspec.Struct, frozen=True):
    """A line of the journal.

    :param outcome: what became of the records.
    :param at: when, in UTC.
    :param ids: the records.
    """

    outcome: str
    at: datetime
    ids: list[int]


class Journal:
    """Outcomes by id, in a folder of small files that are never changed.

    Object storage cannot append, so each note is a file of its own, whole or not there. Its name holds a
    random part: a try that was taken for dead and still writes does not overwrite the notes of the next.

    :param folder: the folder; it need not exist yet.
    :raises msgspec.DecodeError: a file in it is not a journal's.
    """

    def __init__(self, folder: Destination) -> None:
        self.folder = folder
        #: The ids with each outcome.
        self.outcomes: dict[str, BitMap64] = {}
        self._next = 0
        self._read()

    def ids(self, outcome: str) -> BitMap64:
        """Return the ids with an outcome; the set is the journal's own."""
        return self.outcomes.setdefault(outcome, BitMap64())

    def note(self, outcomes: Mapping[str, Iterable[int]]) -> None:
        """Keep outcomes. When this returns, they outlive the process.

        :param outcomes: ids by outcome; nothing is written if there are none.
        """
        now = datetime.now(UTC)
        entries = [Entry(outcome, now, list(ids)) for outcome, ids in outcomes.items()]
        entries = [entry for entry in entries if entry.ids]
        if not entries:
            return
        name = f"{self._next:06d}-{uuid.uuid4().hex[:8]}.ndjson"
        self._next += 1
        text = msgspec.json.Encoder().encode_lines(entries)
        if isinstance(self.folder.fs, LocalFileSystem):
            _write_to_disk(Path(self.folder.root), name, text)
        else:
            self.folder.fs.pipe_file(self.folder.path_of(name), text)
        self._take(entries)

    def _read(self) -> None:
        fs = self.folder.fs
        fs.invalidate_cache()
        try:
            paths = [str(path) for path in fs.ls(self.folder.root, detail=False)]
        except FileNotFoundError:
            return
        segments = sorted(path for path in paths if _SEGMENT.fullmatch(path.rpartition("/")[2]))
        decoder = msgspec.json.Decoder(Entry)
        with ThreadPoolExecutor(_READERS) as readers:
            for text in readers.map(fs.cat_file, segments):
                self._take(decoder.decode_lines(text))
        if segments and (match := _SEGMENT.fullmatch(segments[-1].rpartition("/")[2])):
            self._next = int(match[1]) + 1

    def _take(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self.ids(entry.outcome).update(entry.ids)


def _write_to_disk(folder: Path, name: str, text: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    staged = folder / f".{name}.tmp"
    with staged.open("wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    staged.replace(folder / name)
    entry = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(entry)
    finally:
        os.close(entry)
