"""The file that gives rejected rows back to be mended."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from coupa_provider.extract.destination import Destination
from coupa_provider.extract.segments import write_whole
from coupa_provider.push.ledger import REJECTED, Ledger, Settled
from coupa_provider.push.record import ERRORS, LINE, ROW
from coupa_provider.push.source import Row, Source

_encoder = msgspec.json.Encoder(decimal_format="number")


def write_rejected(folder: Destination, ledger: Ledger, source: Source) -> str | None:
    """Write the rejected rows as they were read, so that they can be mended and pushed again.

    A CSV file stays one, all else becomes NDJSON. Each row gets ``_row`` and ``_errors``, which a push passes over.

    :param folder: where to.
    :param ledger: the account.
    :param source: where the rows came from.
    :return: the file's URL, None without rejected rows; the file of an earlier try is removed then.
    """
    name = "rejected.csv" if source.file_format == "csv" else "rejected.ndjson"
    if not ledger.counts()[REJECTED]:
        if folder.fs.exists(folder.path_of(name)):
            folder.fs.rm_file(folder.path_of(name))
        return None
    pairs = _pairs(ledger.settled(REJECTED), source.rows())
    if source.file_format == "csv":
        return write_whole(folder, name, _csv_lines(source.columns or [], pairs))
    return write_whole(folder, name, (_ndjson_line(row, one) for row, one in pairs))


def _pairs(rejected: Iterator[Settled], rows: Iterator[Row]) -> Iterator[tuple[Row, Settled]]:
    for one in rejected:
        for row in rows:
            if row.number == one.row:
                yield row, one
                break


def _ndjson_line(row: Row, one: Settled) -> bytes:
    notes: dict[str, Any] = {ROW: row.number, ERRORS: one.errors}
    if row.values is None:
        raw = row.raw.decode("utf-8", "replace") if isinstance(row.raw, bytes) else row.raw
        return _encoder.encode({**notes, LINE: raw}) + b"\n"
    if isinstance(row.raw, bytes) and row.values and ROW not in row.values:
        # As it stood: what is not touched shall come back unchanged.
        return _encoder.encode(notes)[:-1] + b"," + row.raw[1:] + b"\n"
    # JSON knows no NaN, and null would say something else.
    values = {name: str(value) if value != value else value for name, value in row.values.items()}
    return _encoder.encode({**values, **notes}) + b"\n"


def _csv_lines(header: list[str], pairs: Iterable[tuple[Row, Settled]]) -> Iterator[bytes]:
    plain = [name for name in header if name not in (ROW, ERRORS)]
    kept = [place for place, name in enumerate(header) if name not in (ROW, ERRORS)]
    yield _csv_line([*plain, ROW, ERRORS])
    for row, one in pairs:
        cells = row.raw if len(row.raw) != len(header) else [row.raw[place] for place in kept]
        yield _csv_line([*cells, row.number, "; ".join(one.errors)])


def _csv_line(cells: list[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode("utf-8", "surrogateescape")
