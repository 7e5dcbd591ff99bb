"""The account of a push: what became of each row, and what was about to be sent.

While a push is under way it is kept as notes that outlive a killed process, see
:class:`coupa_provider.extract.segments.Segments`; once all rows have an outcome, a file of outcomes takes their place. An
index in a temporary database answers questions without holding a large file's rows in memory.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from coupa_provider.extract.destination import Destination
from coupa_provider.extract.segments import Segments, write_whole

CREATED = "created"
UPDATED = "updated"
#: Coupa showed it as it would have been sent, so it was not sent.
UNCHANGED = "unchanged"
#: Refused, here or by Coupa; it had no effect.
REJECTED = "rejected"
#: Sent, but whether it had an effect could not be found out.
UNKNOWN = "unknown"
OUTCOMES = (CREATED, UPDATED, UNCHANGED, REJECTED, UNKNOWN)

OUTCOMES_NAME = "outcomes.ndjson"
_JOURNAL = "_journal"
#: Outcomes that can be found out again wait for company before they are noted.
_WAITING_LINES = 1000
_CHUNK_BYTES = 1024 * 1024


class Settled(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What became of a row.

    :param row: its number in the source.
    :param outcome: one of :data:`OUTCOMES`.
    :param id: id of the record in Coupa, where it is known.
    :param key: its key.
    :param errors: why it was rejected, or is unknown; Coupa's own messages.
    :param not_taken: attributes that Coupa's answer shows otherwise than they were sent.
    :param at: when, in UTC.
    """

    row: int
    outcome: str
    id: int | None = None
    key: dict[str, Any] = {}
    errors: list[str] = []
    not_taken: list[str] = []
    at: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))


class _Intent(msgspec.Struct, tag_field="note", tag="intent"):
    kind: str
    rows: list[int]


class _End(msgspec.Struct, tag_field="note", tag="end"):
    at: datetime


class _Outcome(msgspec.Struct, tag_field="note", tag="outcome"):
    settled: Settled


_lines = msgspec.json.Decoder(_Intent | _End | _Outcome)
_encoder = msgspec.json.Encoder()


class Ledger:
    """The account of one push, over all tries.

    Opening it begins a try: what earlier tries settled stays settled, except that rows which were rejected in a try
    that came to its end are open again, since their cause may have been mended in Coupa.

    :param folder: where it is kept.
    :raises msgspec.DecodeError: a file in it is not a ledger's.
    """

    def __init__(self, folder: Destination) -> None:
        self.folder = folder
        self._segments = Segments(Destination(folder.fs, folder.path_of(_JOURNAL), folder.url_of(_JOURNAL)))
        self._waiting: list[_Outcome] = []
        self._lock = threading.Lock()
        # On disk where it grows, without a name, gone with the process.
        self._index = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._index.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE settled (row INTEGER PRIMARY KEY, outcome TEXT, not_taken TEXT, line BLOB);"
            "CREATE TABLE intended (row INTEGER PRIMARY KEY, kind TEXT);"
            "CREATE TABLE claimed (identity BLOB PRIMARY KEY, row INTEGER) WITHOUT ROWID;"
        )
        self._read_outcomes()
        for text in self._segments.read():
            self._replay(text)

    def close(self) -> None:
        """Give up the index; the notes stay."""
        with self._lock:  # SQLite crashes if a thread is using it
            self._index.close()

    def is_settled(self, rows: Sequence[int]) -> set[int]:
        """Return those of some rows that have an outcome."""
        marks = ",".join("?" * len(rows))
        with self._lock:
            found = self._index.execute(f"SELECT row FROM settled WHERE row IN ({marks})", rows)  # noqa: S608
            return {row for (row,) in found}

    def intents(self, rows: Sequence[int]) -> dict[int, str]:
        """Return what was about to be sent for some rows, in this try or an earlier one: ``create`` or ``update``."""
        marks = ",".join("?" * len(rows))
        with self._lock:
            return dict(self._index.execute(f"SELECT row, kind FROM intended WHERE row IN ({marks})", rows))  # noqa: S608

    def claim(self, identity: str, row: int) -> int:
        """Return the first row that claimed an identity in this try: this one, or an earlier one."""
        digest = hashlib.blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        with self._lock:
            self._index.execute("INSERT OR IGNORE INTO claimed VALUES (?, ?)", (digest, row))
            found = self._index.execute("SELECT row FROM claimed WHERE identity = ?", (digest,))
            return int(found.fetchone()[0])

    def note(
        self,
        settled: Collection[Settled] = (),
        *,
        intent: str = "",
        rows: Collection[int] = (),
        wait: bool = False,
    ) -> None:
        """Keep outcomes, and what is about to be sent. When this returns, both outlive the process.

        :param settled: outcomes of rows.
        :param intent: ``create`` or ``update``.
        :param rows: rows to which that is about to be done.
        :param wait: these outcomes can be found out again, so they may wait for others.
        """
        with self._lock:
            outcomes = [_Outcome(one) for one in settled]
            self._keep(outcomes)
            self._waiting += outcomes
            notes: list[Any] = [_Intent(intent, list(rows))] if rows else []
            self._index.executemany(
                "INSERT OR REPLACE INTO intended VALUES (?, ?)", [(row, intent) for row in rows]
            )
            if notes or (self._waiting and (not wait or len(self._waiting) >= _WAITING_LINES)):
                self._write(notes)

    def end(self) -> str:
        """Put the file of outcomes in place of the notes: every row has one. Return its URL.

        A line holds ``row``, ``outcome``, ``id``, ``key``, ``errors``, ``not_taken`` and ``at``; they are in the order
        of the rows.
        """
        with self._lock:
            self._write([_End(datetime.now(UTC))])
        lines = (_encoder.encode(_whole(one)) + b"\n" for one in self.settled())
        url = write_whole(self.folder, OUTCOMES_NAME, lines)
        self._segments.clear()
        return url

    def counts(self) -> dict[str, int]:
        """Return the number of rows by outcome."""
        with self._lock:
            found = dict(self._index.execute("SELECT outcome, count(*) FROM settled GROUP BY outcome"))
        return {outcome: int(found.get(outcome, 0)) for outcome in OUTCOMES}

    def not_taken(self) -> dict[str, int]:
        """Return the number of rows of which Coupa did not take over an attribute, by attribute."""
        with self._lock:
            found = self._index.execute(
                "SELECT not_taken, count(*) FROM settled WHERE not_taken != '' GROUP BY not_taken"
            ).fetchall()
        counts: Counter[str] = Counter()
        for names, rows in found:
            counts.update(dict.fromkeys(names.split(" "), rows))
        return dict(sorted(counts.items()))

    def settled(self, *outcomes: str) -> Iterator[Settled]:
        """Yield what became of the rows, in their order.

        :param outcomes: only these; none for all.
        """
        decoder = msgspec.json.Decoder(Settled)
        last = 0
        marks = ",".join("?" * len(outcomes))
        chosen = f"AND outcome IN ({marks})" if outcomes else ""
        while True:
            with self._lock:
                some = self._index.execute(
                    f"SELECT row, line FROM settled WHERE row > ? {chosen} ORDER BY row LIMIT 1000",  # noqa: S608
                    (last, *outcomes),
                ).fetchall()
            for last, line in some:  # noqa: B007 - goes on from the last
                yield decoder.decode(line)
            if not some:
                return

    def _write(self, notes: list[Any]) -> None:
        self._segments.append(_encoder.encode_lines([*self._waiting, *notes]))
        self._waiting = []

    def _read_outcomes(self) -> None:
        try:
            file = self.folder.fs.open(self.folder.path_of(OUTCOMES_NAME), "rb")
        except FileNotFoundError:
            return
        decoder = msgspec.json.Decoder(Settled)
        with file:
            while lines := file.readlines(_CHUNK_BYTES):
                self._keep([_Outcome(decoder.decode(line)) for line in lines])
        self._open_rejected()

    def _open_rejected(self) -> None:
        rejected = "SELECT row FROM settled WHERE outcome = 'rejected'"
        self._index.execute(f"DELETE FROM intended WHERE row IN ({rejected})")  # noqa: S608
        self._index.execute("DELETE FROM settled WHERE outcome = 'rejected'")

    def _replay(self, text: bytes) -> None:
        outcomes: list[_Outcome] = []
        for line in _lines.decode_lines(text):
            if isinstance(line, _Outcome):
                outcomes.append(line)
            elif isinstance(line, _Intent):
                self._index.executemany(
                    "INSERT OR REPLACE INTO intended VALUES (?, ?)", [(row, line.kind) for row in line.rows]
                )
            else:
                self._keep(outcomes)
                outcomes = []
                self._open_rejected()
        self._keep(outcomes)

    def _keep(self, outcomes: Sequence[_Outcome]) -> None:
        self._index.execute("BEGIN")
        self._index.executemany(
            "INSERT OR REPLACE INTO settled VALUES (?, ?, ?, ?)",
            [
                (
                    one.settled.row,
                    one.settled.outcome,
                    " ".join(one.settled.not_taken),
                    _encoder.encode(one.settled),
                )
                for one in outcomes
            ],
        )
        self._index.execute("COMMIT")


def _whole(settled: Settled) -> dict[str, Any]:
    """An outcome with all its parts, also those that are empty."""
    return {name: getattr(settled, name) for name in Settled.__struct_fields__}
