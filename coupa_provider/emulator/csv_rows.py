"""Read a CSV file as Coupa's loads do: names of columns in words, one record a row. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coupa_provider.emulator.rules import REFERENCE_KEYS
from coupa_provider.resources import Attribute, attributes_of_type

MOST_ROWS = 5000
MOST_BYTES = 8 * 1024 * 1024
#: Coupa's words for a row that cannot be told apart into cells (article 0051).
CORRUPT = "Row corrupt or invalid."
#: By these a column that names a reference alone finds it.
_USUAL_KEYS = ("name", "code", "number", "login")


class UnreadableFile(Exception):
    """A file of which no row can be loaded; the text says why."""


@dataclass(frozen=True, slots=True)
class CsvRow:
    """A row.

    :param number: its number; that of the header is 1.
    :param cells: what stands in it.
    :param payload: its record, None where the row is corrupt.
    """

    number: int
    cells: Sequence[str]
    payload: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A file whose header is known.

    :param columns: the attribute that each column means, or the way through a reference to it.
    :param lines: all rows below the header, as cells.
    """

    columns: Sequence[tuple[str, ...]]
    lines: Sequence[Sequence[str]]

    def rows(self) -> Iterator[CsvRow]:
        """Yield the rows; cells without a value say nothing."""
        for number, cells in enumerate(self.lines, start=2):
            if len(cells) != len(self.columns):
                yield CsvRow(number, cells, None)
                continue
            payload: dict[str, Any] = {}
            for path, cell in zip(self.columns, cells, strict=True):
                if cell.strip():
                    *above, last = path
                    place = payload
                    for name in above:
                        place = place.setdefault(name, {})
                    place[last] = cell
            yield CsvRow(number, cells, payload)


def read_csv(content: bytes, attributes: Mapping[str, Attribute]) -> CsvFile:
    """Read a file.

    :param content: the file.
    :param attributes: what its records have, by dashed name.
    :raises UnreadableFile: it is too large, no UTF-8, or a column is none of the attributes.
    """
    if len(content) > MOST_BYTES:
        raise UnreadableFile(f"The file is larger than {MOST_BYTES // 1024 // 1024} MB.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableFile("The file is not UTF-8.") from None
    try:
        header, *lines = [cells for cells in csv.reader(io.StringIO(text, newline=""), strict=True) if cells]
    except (ValueError, csv.Error):
        raise UnreadableFile("The file has no header, or a quote in it is not closed.") from None
    if len(lines) > MOST_ROWS:
        raise UnreadableFile(f"The file has more than {MOST_ROWS:,} rows.")
    columns = [_column(name, attributes) for name in header]
    unknown = [name for name, path in zip(header, columns, strict=True) if path is None]
    if unknown:
        raise UnreadableFile(f"Unknown columns: {', '.join(unknown)}.")
    return CsvFile([path for path in columns if path is not None], lines)


def _column(name: str, attributes: Mapping[str, Attribute]) -> tuple[str, ...] | None:
    """``External Ref Num`` is that attribute, ``Supplier Number`` the number of the supplier, ``Currency`` its code."""
    dashed = "-".join(name.replace("*", " ").replace("_", " ").replace("-", " ").lower().split())
    attribute = attributes.get(dashed)
    if attribute is not None:
        if attribute.base == "reference":
            return dashed, _key_of(attribute.target or "")
        return None if attribute.base == "list" else (dashed,)
    if dashed == "id":
        return ("id",)
    words = dashed.split("-")
    for place in range(len(words) - 1, 0, -1):
        reference = attributes.get("-".join(words[:place]))
        if reference is not None and reference.base == "reference":
            return reference.name, "-".join(words[place:])
    return None


def _key_of(target: str) -> str:
    if target in REFERENCE_KEYS:
        return REFERENCE_KEYS[target][1]
    known = attributes_of_type(target)
    return next((name for name in _USUAL_KEYS if name in known), "id")
