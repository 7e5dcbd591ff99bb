"""Writers of one part in each file format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from coupa_provider.extract import FILE_FORMATS
from coupa_provider.extract.drift import Drift
from coupa_provider.extract.explode import Explode, line_lists
from coupa_provider.extract.kinds import JSON
from coupa_provider.extract.schema import EXTRA, Field, Schema, schema_of
from coupa_provider.extract.table import TableDecoder

_BATCH_BYTES = 8 * 1024 * 1024
_BATCH_CELLS = 250_000
_ROW_GROUP_BYTES = 32 * 1024 * 1024
_WRITE_BUFFER_BYTES = 1024 * 1024
_LINE_ENDS = b"\r\n"
_TAKEN_FOR_NULL = pa.array(pyarrow.csv.ConvertOptions().null_values)
"""Texts that Arrow and others read as no value unless they stand in quotes; NA is also Namibia."""


class PartWriter(ABC):
    """Writes one part.

    :ivar rows: rows taken in so far; of a table of lines, the lines.
    :ivar min_id: least id of the records that have a row in it; None without rows.
    :ivar max_id: greatest of these ids.
    """

    rows: int = 0
    min_id: int | None = None
    max_id: int | None = None

    def count(self, ids: Sequence[int]) -> None:
        """Count rows.

        :param ids: for each row, the id of its record.
        """
        if not ids:
            return
        self.rows += len(ids)
        first, last = min(ids), max(ids)
        self.min_id = first if self.min_id is None else min(self.min_id, first)
        self.max_id = last if self.max_id is None else max(self.max_id, last)

    @abstractmethod
    def write(self, records: Sequence[msgspec.Raw], ids: Sequence[int], size: int) -> None:
        """Take in the records of a page.

        :param records: the JSON text of each record.
        :param ids: their ids.
        :param size: length of the texts together, in bytes.
        :raises ExtractError: a record cannot be kept.
        """

    @abstractmethod
    def finish(self) -> None:
        """Complete the file; not called for a part that is given up."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file, complete or not; may be called again."""


class FileFormat(ABC):
    """A file format for one extract.

    :ivar name: name and file extension.
    """

    name: str

    @abstractmethod
    def open(self, path: Path) -> PartWriter:
        """Begin a part.

        :param path: where to write it.
        """

    @property
    def types(self) -> dict[str, str]:
        """Type of each column by name; empty for formats without columns."""
        return {}

    @property
    def drift(self) -> Drift | None:
        """How the records written so far differ from the columns; None for formats without columns.

        It goes on changing while records are written, and covers all of them once a part is finished.
        """
        return None

    def resume(self, drift: Drift) -> None:  # noqa: B027 - formats without columns count nothing
        """Go on where another process stopped, before the first part is opened.

        :param drift: what its format had as ``drift`` after its last part was finished; taken over.
        """


def make_format(
    name: str,
    resource: str,
    fields: Sequence[Field] | None,
    *,
    explode: Explode | None = None,
    schema: Mapping[str, str] | None = None,
) -> FileFormat:
    """Return the file format of the records of one extract.

    :param name: one of ``coupa_provider.extract.FILE_FORMATS``.
    :param resource: path of the resource.
    :param fields: Coupa's ``fields`` argument; None for all.
    :param explode: lists that get tables of their own and no column here; only for ``parquet``. See
        :func:`~coupa_provider.extract.lines.make_children`.
    :param schema: column types other than the documented ones; not for ``ndjson``.
    :raises ValueError: there is no such format, or it cannot do what is asked for.
    """
    if name not in FILE_FORMATS:
        raise ValueError(f"file_format {name!r} is not one of {', '.join(FILE_FORMATS)}.")
    if explode and name != "parquet":
        raise ValueError(f"explode makes tables of lines as Parquet only, not with file_format {name!r}.")
    if name == "ndjson":
        if schema:
            raise ValueError("schema sets types of columns, and file_format 'ndjson' has none.")
        return Ndjson()
    if name == "csv":
        return Csv(schema_of(resource, fields, overrides=schema, decimals_as_text=True))
    exploded = [lines.attribute for lines in line_lists(resource, explode, fields)]
    return Parquet(schema_of(resource, fields, overrides=schema, exploded=exploded))


# ---------------------------------------------------------------------------------------------- NDJSON


class Ndjson(FileFormat):
    """A record a line, byte for byte as Coupa sent it.

    Only the line ends of a pretty-printed record are left out; they can stand between its tokens alone,
    since JSON has none inside text.
    """

    name = "ndjson"

    def open(self, path: Path) -> PartWriter:
        """Begin a part."""
        return _NdjsonPart(path)


class _NdjsonPart(PartWriter):
    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=_WRITE_BUFFER_BYTES)

    def write(self, records: Sequence[msgspec.Raw], ids: Sequence[int], size: int) -> None:
        lines = b"\n".join(records)
        if lines.count(b"\n") != len(records) - 1 or b"\r" in lines:
            lines = b"\n".join(bytes(record).translate(None, _LINE_ENDS) for record in records)
        self._file.write(lines + b"\n")
        self.count(ids)

    def finish(self) -> None:
        self._file.close()

    def close(self) -> None:
        self._file.close()


# ---------------------------------------------------------------------------------------------- tables


class _TablePart(PartWriter):
    """Gathers records to batches of bounded size; subclasses write the batches."""

    def __init__(self, decoder: TableDecoder) -> None:
        self._decoder = decoder
        self._batch_rows = max(1, _BATCH_CELLS // len(decoder.schema.arrow))
        self._records: list[msgspec.Raw] = []
        self._ids: list[int] = []
        self._positions: list[int] = []
        self._size = 0

    def write(self, records: Sequence[msgspec.Raw], ids: Sequence[int], size: int) -> None:
        self.take(records, ids, (), size)

    def take(
        self, records: Sequence[msgspec.Raw], ids: Sequence[int], positions: Sequence[int], size: int
    ) -> None:
        """Take in rows.

        :param records: the JSON text of each record, or of each line.
        :param ids: ids of the records, or those the lines belong to.
        :param positions: places of the lines in their records; of records, none.
        :param size: length of the texts that are held for them, in bytes.
        """
        self.count(ids)
        self._records += records
        self._ids += ids
        self._positions += positions
        self._size += size
        if self._size >= _BATCH_BYTES or len(self._ids) >= self._batch_rows:
            self._flush()

    def finish(self) -> None:
        self._flush()

    def _flush(self) -> None:
        records, ids, positions = self._records, self._ids, self._positions
        self._records, self._ids, self._positions, self._size = [], [], [], 0
        # One page of records is never too much, but its lines may be.
        for first in range(0, len(ids), 2 * self._batch_rows):
            rows = slice(first, first + 2 * self._batch_rows)
            self.write_batch(self._decoder.decode(records[rows], ids[rows], positions[rows]))

    @abstractmethod
    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Write a batch with at least one row."""


class _TableFormat(FileFormat):
    def __init__(self, schema: Schema) -> None:
        self._decoder = TableDecoder(schema)

    @property
    def types(self) -> dict[str, str]:
        return self._decoder.schema.types

    @property
    def drift(self) -> Drift | None:
        return self._decoder.drift

    def resume(self, drift: Drift) -> None:
        self._decoder.resume(drift)


class Parquet(_TableFormat):
    """Typed columns, compressed with Zstandard.

    :param schema: the columns.
    """

    name = "parquet"

    def open(self, path: Path) -> PartWriter:
        """Begin a part."""
        return ParquetPart(path, self._decoder)


class ParquetPart(_TablePart):
    """A part in Parquet; a row group is written when it has its size.

    :param path: where to write it.
    :param decoder: turns records into rows.
    """

    def __init__(self, path: Path, decoder: TableDecoder) -> None:
        super().__init__(decoder)
        self._batches: list[pa.RecordBatch] = []
        without_order = {EXTRA, *(column.name for column in decoder.schema.columns if column.kind is JSON)}
        self._writer = pq.ParquetWriter(
            str(path),
            decoder.schema.arrow,
            compression="zstd",
            # Most text of a record is its own; what repeats, Zstandard finds with less work.
            use_dictionary=False,
            # Readers skip row groups by numbers and times, not by the least of all JSON texts.
            write_statistics=[name for name in decoder.schema.arrow.names if name not in without_order],
        )

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Keep a batch for the row group it belongs to."""
        self._batches.append(batch)
        if sum(each.nbytes for each in self._batches) >= _ROW_GROUP_BYTES:
            self._write_row_group()

    def finish(self) -> None:
        """Complete the file."""
        super().finish()
        if self._batches:
            self._write_row_group()
        self.close()

    def _write_row_group(self) -> None:
        table = pa.Table.from_batches(self._batches)
        self._batches = []
        self._writer.write_table(table, row_group_size=len(table))
        del table
        # Arrow keeps freed memory in pieces into which the next group fits less and less well.
        pa.default_memory_pool().release_unused()

    def close(self) -> None:
        """Let go of the file."""
        self._writer.close()


class Csv(_TableFormat):
    """RFC 4180 in UTF-8 with a header line.

    An attribute without a value is an empty field, an empty text is ``""``. Decimals are written as they were
    sent, instants in UTC with a ``Z``, nested values as JSON text. Nothing is put before a text that begins
    with ``=``, ``+``, ``-`` or ``@``: the data stays exact, so do not open a file in a spreadsheet that runs
    formulas from people you do not trust.

    :param schema: the columns, with decimals as text.
    """

    name = "csv"

    def open(self, path: Path) -> PartWriter:
        """Begin a part."""
        return _CsvPart(path, self._decoder)


class _CsvPart(_TablePart):
    def __init__(self, path: Path, decoder: TableDecoder) -> None:
        super().__init__(decoder)
        self._file = path.open("wb", buffering=_WRITE_BUFFER_BYTES)
        self._file.write(",".join(decoder.schema.arrow.names).encode())
        self._file.write(_LINE_ENDS)

    def finish(self) -> None:
        super().finish()
        self.close()

    def write_batch(self, batch: pa.RecordBatch) -> None:
        cells = [pc.fill_null(_cells(column), "") for column in batch.columns]
        lines = pc.binary_join_element_wise(*cells, ",")
        for line in lines.to_pylist():
            self._file.write(line.encode() + _LINE_ENDS)

    def close(self) -> None:
        self._file.close()


def _cells(values: pa.Array) -> Any:
    if pa.types.is_timestamp(values.type):
        texts = pc.replace_substring(values.cast(pa.string()), " ", "T", max_replacements=1)
        return pc.replace_substring(texts, ".000000Z", "Z")
    if not pa.types.is_string(values.type):
        return values.cast(pa.string())
    in_need = pc.or_(
        pc.match_substring_regex(values, r'^$|[",\r\n]|^\s|\s$'), pc.is_in(values, value_set=_TAKEN_FOR_NULL)
    )
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(values, '"', '""'), '"', "")
    return pc.if_else(in_need, quoted, values)
