"""What became of each record, kept where the next try of the task finds it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import msgspec
from pyroaring import BitMap64

from coupa_provider.extract.destination import Destination
from coupa_provider.extract.segments import Segments


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
    """Outcomes by id, in :class:`Segments`.

    :param folder: the folder; it need not exist yet.
    :raises msgspec.DecodeError: a file in it is not a journal's.
    """

    def __init__(self, folder: Destination) -> None:
        self.folder = folder
        #: The ids with each outcome.
        self.outcomes: dict[str, BitMap64] = {}
        self._segments = Segments(folder)
        decoder = msgspec.json.Decoder(Entry)
        for text in self._segments.read():
            self._take(decoder.decode_lines(text))

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
        self._segments.append(msgspec.json.Encoder().encode_lines(entries))
        self._take(entries)

    def _take(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self.ids(entry.outcome).update(entry.ids)
