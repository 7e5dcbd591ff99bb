"""What is known of each attachment while a run is at work: on disk, for there may be millions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from coupa_provider.extract.attachment_manifest import ABSENT, GONE, KEPT, Entry, Key

_WHERE = "WHERE record_id = ? AND kind = ? AND attachment_id = ?"


class Register:
    """Entries by their key. Used by one thread at a time.

    :param path: file to make; it counts for nothing later.
    """

    def __init__(self, path: Path) -> None:
        self._rows = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._rows.execute("PRAGMA journal_mode = OFF")
        self._rows.execute("PRAGMA synchronous = OFF")
        self._rows.execute(
            "CREATE TABLE entries (record_id INTEGER, kind TEXT, attachment_id INTEGER, entry BLOB, "
            "noted INTEGER, met INTEGER, PRIMARY KEY (record_id, kind, attachment_id)) WITHOUT ROWID"
        )
        self._decoder = msgspec.json.Decoder(Entry)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rows.close()

    def load(self, entries: Iterable[Entry], *, noted: bool) -> None:
        """Take over what was known before.

        :param entries: what was known; it replaces what was loaded before.
        :param noted: a try that did not end stored them.
        """
        self._rows.execute("BEGIN")
        rows = ((*entry.key, msgspec.json.encode(entry), noted, False) for entry in entries)
        self._rows.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?)", rows)
        self._rows.execute("COMMIT")

    def known(self, key: Key) -> tuple[Entry, bool] | None:
        """Return what is known of an attachment, and whether a try that did not end stored it."""
        row = self._rows.execute(f"SELECT entry, noted FROM entries {_WHERE}", key).fetchone()  # noqa: S608
        return (self._decoder.decode(row[0]), bool(row[1])) if row else None

    def settle(self, entry: Entry) -> None:
        """Keep what became of an attachment."""
        row = (*entry.key, msgspec.json.encode(entry), False, True)
        self._rows.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?)", row)

    def others(self, record_id: int, kind: str, shown: Iterable[int]) -> list[Entry]:
        """Return the attachments of a record that are known and no longer shown, if they were stored.

        :param record_id: id of the record.
        :param kind: their kind.
        :param shown: ids that Coupa shows.
        """
        query = "SELECT entry FROM entries WHERE record_id = ? AND kind = ?"
        entries = [self._decoder.decode(row[0]) for row in self._rows.execute(query, (record_id, kind))]
        wanted = set(shown)
        return [entry for entry in entries if entry.path and entry.attachment_id not in wanted]

    def entries(self) -> Iterator[Entry]:
        """Yield all entries by their keys; what was not met in this run is kept."""
        query = "SELECT entry, met FROM entries ORDER BY record_id, kind, attachment_id"
        for text, met in self._rows.execute(query):
            entry = self._decoder.decode(text)
            if met or entry.outcome == GONE:
                yield entry
            elif entry.outcome != ABSENT:
                yield msgspec.structs.replace(entry, outcome=KEPT)
