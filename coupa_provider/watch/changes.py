"""Which records of an answer are news. Pure decisions about instants and records, and the question they need.

The watermark is the newest ``updated-at`` that was seen. Each look asks for what comes after it, and for an overlap
before it: records may have equal stamps (Coupa keeps whole seconds), and a change may become visible after later ones.
What the overlap shows again is recognised and left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from coupa_provider.client.client import CoupaClient
from coupa_provider.client.conditions import parse_instant
from coupa_provider.client.errors import CoupaIncompleteError
from coupa_provider.client.walk import Walk
from coupa_provider.watch.stream import Stream

#: Where nothing changes the watermark follows the clock at this distance; clocks here and there may differ by as much.
#: Without it the records of one large load would be read again by each look until something else changes.
CLOCK_DISTANCE = timedelta(minutes=5)


class News:
    """Tells news from what was told before; knows nothing that was before it was made.

    :param watermark: up to which instant changes have been told, aware.
    :param overlap: how late a change may become visible.
    """

    def __init__(self, watermark: datetime, overlap: timedelta) -> None:
        self.watermark = watermark.astimezone(UTC)
        self._overlap = overlap
        self._told: dict[int, tuple[datetime, Mapping[str, Any]]] = {}

    @property
    def since(self) -> datetime:
        """The first instant to ask for, a whole second."""
        return (self.watermark - self._overlap).replace(microsecond=0)

    def sort_out(self, records: Sequence[Mapping[str, Any]], asked_at: datetime) -> list[Mapping[str, Any]]:
        """Return the records that are news, the oldest change first, and move the watermark.

        A record is news if it was not told, or shows anything else than when it was told: two changes within a second
        have the same stamp.

        :param records: all that Coupa showed since :attr:`since`.
        :param asked_at: when it was asked, by the clock here.
        :raises CoupaIncompleteError: a record shows no ``updated-at``; the watermark stays.
        """
        shown = {int(record["id"]): (_stamp(record), record) for record in records}
        fresh = [
            (stamp, record_id)
            for record_id, (stamp, record) in shown.items()
            if record_id not in self._told or self._told[record_id][1] != record
        ]
        newest = max((stamp for stamp, _ in shown.values()), default=self.watermark)
        # Not beyond the question: what changes while pages are read may have a stamp before those on a later page.
        # That also keeps a stamp in the future from hiding all that comes before it.
        self.watermark = max(self.watermark, min(newest, asked_at), asked_at - CLOCK_DISTANCE)
        since = self.since
        self._told = {key: told for key, told in {**self._told, **shown}.items() if told[0] >= since}
        return [shown[record_id][1] for _, record_id in sorted(fresh)]


async def read_since(
    client: CoupaClient, stream: Stream, since: datetime
) -> tuple[list[dict[str, Any]], list[str]]:
    """Read the records that changed since an instant.

    :param client: an entered client.
    :param stream: what is watched.
    :param since: first instant of ``updated-at``, aware.
    :return: the records, each once, and what a person should know about the answers.
    :raises CoupaError: not all of them could be read.
    """
    walk = Walk(
        client,
        stream.resource,
        filters=json.loads(stream.filters),
        fields=json.loads(stream.fields),
        updated_since=since,
    )
    found: dict[int, dict[str, Any]] = {}
    async for page in walk.pages():
        found.update(zip(page.ids, (msgspec.json.decode(record) for record in page.records), strict=True))
    return list(found.values()), walk.reports


def _stamp(record: Mapping[str, Any]) -> datetime:
    stamp = parse_instant(record.get("updated-at"))
    if stamp is None:
        raise CoupaIncompleteError(
            f"Record {record.get('id')} shows no updated-at, so its changes cannot be told apart. The client may lack the "
            "permission to see it"
        )
    return stamp
