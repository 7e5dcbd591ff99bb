"""Tables of the lines in records, written beside the table of the records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from coupa_provider.extract.explode import Explode, LineList, LineReader, line_lists
from coupa_provider.extract.formats import Parquet, ParquetPart, PartWriter
from coupa_provider.extract.schema import Field, schema_of_lines
from coupa_provider.extract.table import TableDecoder


def make_children(
    resource: str, explode: Explode | None, file_format: str, fields: Sequence[Field] | None
) -> dict[str, LineTable]:
    """Return the tables of lines of one extract, by name: ``{"invoice_lines": ...}``.

    :param resource: path of the resource.
    :param explode: lists in its records, each with the attributes of a line that get columns:
        ``{"invoice-lines": ["id", "line-num"]}``; None for all documented ones. What has no column is in ``_extra``.
    :param file_format: format of the records' own table; there are lines for ``parquet`` alone.
    :param fields: Coupa's ``fields`` argument, which has to ask for the lists; None for all.
    :raises ValueError: something named is no list, is not asked for, or comes twice; or it is another format.
    """
    if explode and file_format != Parquet.name:
        raise ValueError(
            f"explode makes tables of lines as Parquet only, not with file_format {file_format!r}."
        )
    return {lines.table: LineTable(lines) for lines in line_lists(resource, explode, fields)}


class LineTable(Parquet):
    """A Parquet table of the lines in one list of the records.

    Its parts are given records and write their lines: the id of the record as ``_parent_id``, the place in the
    list as ``_position``, then what a line holds. A record without the list, or with an empty one, has no lines.
    What is no object is no line; the records' own table keeps it.

    :param lines: the list.
    :ivar attribute: name of the list on the wire.
    """

    def __init__(self, lines: LineList) -> None:
        super().__init__(schema_of_lines(lines.type_name, lines.fields))
        self.attribute = lines.attribute

    def open(self, path: Path) -> PartWriter:
        """Begin a part."""
        return _LinesPart(path, self._decoder, LineReader(self.attribute))


class _LinesPart(ParquetPart):
    def __init__(self, path: Path, decoder: TableDecoder, reader: LineReader) -> None:
        super().__init__(path, decoder)
        self._reader = reader

    def write(self, records: Sequence[msgspec.Raw], ids: Sequence[int], size: int) -> None:
        lines = self._reader.read(records, ids)
        if lines.texts:
            self.take(
                lines.texts, lines.parents, lines.positions, size
            )  # the texts hold on to the whole page
