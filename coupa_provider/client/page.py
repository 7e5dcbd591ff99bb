"""A page of records, checked and kept as Coupa sent it."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec


@dataclass(frozen=True, slots=True)
class Page:
    """Records of one answer, in rising order of their ids: all that match in a range of ids.

    :param records: the JSON text of each record, byte for byte as sent; never decoded on the way.
    :param ids: the id of each record, in the same order.
    :param after: the range begins above this id.
    :param upto: the range ends with this id; ``id_ranges.LAST_ID`` where nothing comes after.
    """

    records: list[msgspec.Raw]
    ids: list[int]
    after: int
    upto: int

    def __len__(self) -> int:
        return len(self.records)


@dataclass(slots=True)
class Counters:
    """What a walk or a client has done so far; read while it runs to show progress.

    :param records: records handed on.
    :param requests: HTTP requests sent, repeats included.
    :param throttled: answers with status 429.
    :param retried: requests sent again after a failure, 429 included.
    :param received_bytes: size of the bodies received, in bytes, after decompression.
    :param waited_seconds: time requests spent waiting for the rate limit, in seconds, summed.
    """

    records: int = 0
    requests: int = 0
    throttled: int = 0
    retried: int = 0
    received_bytes: int = 0
    waited_seconds: float = 0.0
