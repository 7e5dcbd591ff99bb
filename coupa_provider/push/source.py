"""Rows that are to become records: of files in NDJSON, CSV or Parquet, or handed over in memory.

Each row has a number, by which every account of it refers to it: the line in NDJSON, the row below the header in
CSV, the row in Parquet, the place in a list; blank ones count, and the rows of several files are counted on. Memory
holds a few rows, however large a file is. A row that cannot be read is a row with a problem, not the end of the file.
"""

from __future__ import annotations

import csv
import hashlib
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import IO, Any, Protocol

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem
from fsspec.utils import infer_compression

from coupa_provider.extract.manifest_reader import ManifestReader, checksum_of
from coupa_provider.push.errors import PushError
from coupa_provider.push.exact_json import read_json

FORMATS = {".ndjson": "ndjson", ".jsonl": "ndjson", ".json": "ndjson", ".csv": "csv", ".parquet": "parquet"}

_LONGEST_ROW_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
_PARQUET_ROWS = 128
_BOM = b"\xef\xbb\xbf"
_DELIMITERS = ",;\t|"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
#: How a damaged file shows itself, by format and compression.
_DAMAGES = (
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    pa.ArrowException,
)


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it was read.

    :param number: its number, from 1.
    :param values: attributes by name as the source spells them; None if it cannot be read.
    :param problem: why it cannot be read.
    :param raw: the row as it stood: a line of NDJSON, the cells of CSV, or its lines where they are no cells, else
        its values.
    """

    number: int
    values: Mapping[str, Any] | None
    problem: str | None
    raw: Any


class Source(Protocol):
    """Where rows come from.

    :param name: URL or other name, for messages.
    :param file_format: ``"ndjson"``, ``"csv"``, ``"parquet"`` or ``"rows"``.
    """

    name: str
    file_format: str

    def check(self) -> str:
        """Read all of it once, before anything is sent, and return a checksum of the content.

        :raises PushError: it cannot be read to its end.
        """

    @property
    def columns(self) -> list[str] | None:
        """Names of the columns, None where each row names its own."""

    def rows(self) -> Iterator[Row]:
        """Yield all rows."""


class FileSource:
    """Rows of one or more files of the same format.

    :param fs: filesystem of the files.
    :param paths: their paths on it, in order.
    :param name: URL for messages.
    :param file_format: one of ``"ndjson"``, ``"csv"`` and ``"parquet"``; None tells it by the ending.
    :param checksums: SHA-256 of each file in hexadecimal, where a manifest holds them.
    :raises PushError: the format is not known.
    """

    def __init__(
        self,
        fs: AbstractFileSystem,
        paths: Sequence[str],
        name: str,
        file_format: str | None = None,
        checksums: Sequence[str] = (),
    ) -> None:
        self.name = name
        self._fs = fs
        self._paths = list(paths)
        self._checksums = checksums
        self.file_format = file_format or _format_of(paths[0] if paths else name)
        if self.file_format not in FORMATS.values():
            raise PushError(f'file_format must be "ndjson", "csv" or "parquet"; got {self.file_format!r}')

    @classmethod
    def of_extract(cls, extract: ManifestReader) -> FileSource:
        """Return the files that a manifest lists.

        :param extract: the extract.
        """
        folder, files = extract.folder, extract.manifest.files
        return cls(
            folder.fs,
            [folder.path_of(file.name) for file in files],
            folder.manifest_url,
            extract.manifest.file_format,
            [file.sha256 for file in files],
        )

    def check(self) -> str:
        """Read all of it once, before anything is sent, and return a checksum of the content.

        :raises PushError: a file is missing, damaged, or of another format.
        """
        digest = hashlib.sha256()
        for place, path in enumerate(self._paths):
            try:
                if infer_compression(path) and not self._fs.size(path):
                    raise EOFError("it holds nothing, not even what an empty compressed file holds")
                with self._open(path) as file:
                    checksum = checksum_of(file)
                digest.update(checksum.encode())
                with self._open(path) as file:
                    self._check(file)
            except FileNotFoundError:
                raise PushError(
                    f"There is no {self.name}. Look at the task that should have written it"
                ) from None
            except (PushError, ConnectionError, TimeoutError):
                raise
            except _DAMAGES as error:
                raise PushError(f"{self.name} cannot be read to its end: {error}") from error
            if self._checksums and checksum != self._checksums[place]:
                raise PushError(
                    f"{self.name} describes another file than {path.rpartition('/')[2]}: the checksum differs"
                )
        return digest.hexdigest()

    @property
    def columns(self) -> list[str] | None:
        """Names of the columns, None for NDJSON, where each row names its own."""
        if self.file_format == "ndjson" or not self._paths:
            return None
        with self._open(self._paths[0]) as file:
            if self.file_format == "parquet":
                return [str(name) for name in pq.ParquetFile(file).schema_arrow.names]
            return self._header(file)[2]

    def rows(self) -> Iterator[Row]:
        """Yield all rows."""
        read = {"ndjson": self._ndjson, "csv": self._csv, "parquet": self._parquet}[self.file_format]
        numbers = count(1)
        for path in self._paths:
            with self._open(path) as file:
                for row in read(file):
                    number = next(numbers)
                    if row is not None:
                        yield Row(number, *row)

    def _open(self, path: str) -> IO[bytes]:
        compression = None if self.file_format == "parquet" else infer_compression(path)
        opened: IO[bytes] = self._fs.open(path, "rb", compression=compression)
        return opened

    def _check(self, file: IO[bytes]) -> None:
        if self.file_format == "parquet":
            self._check_parquet(file)
            return
        start = file.read(64)
        file.seek(0)
        if start.startswith(_UTF16) or b"\0" in start:
            raise PushError(f"{self.name} is no UTF-8 text, perhaps UTF-16. Save it as UTF-8")
        if self.file_format == "csv":
            self._check_csv(file)
        else:
            self._check_ndjson(file, start.removeprefix(_BOM).lstrip())

    # Each reader yields values, problem and raw form; None for a line that is no row.

    def _ndjson(self, file: IO[bytes]) -> Iterator[tuple[Mapping[str, Any] | None, str | None, Any] | None]:
        for line in _lines(file):
            raw = line.strip()
            if not raw:
                yield None
                continue
            try:
                values = read_json(raw)
            except ValueError as error:
                yield None, f"the line is no JSON: {error}", raw
                continue
            if isinstance(values, dict):
                yield values, None, raw
            else:
                yield None, "the line is no JSON object", raw

    def _check_ndjson(self, file: IO[bytes], start: bytes) -> None:
        spread = "an array" if start.startswith(b"[") else "an object over several lines"
        if spread == "an array" or start.partition(b"\n")[0].rstrip() == b"{":
            raise PushError(
                f"{self.name} holds {spread}. Write one object a line (NDJSON), so that it can be read in pieces"
            )
        for _ in _lines(file):
            pass  # of bearable length

    def _csv(self, file: IO[bytes]) -> Iterator[tuple[Mapping[str, Any] | None, str | None, Any] | None]:
        lines, reader, header = self._header(file)
        while True:
            lines.taken.clear()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                # Never as many cells as the header: it must not be read back as a row by itself.
                cells = ["".join(lines.taken).rstrip("\r\n"), *([""] if len(header) == 1 else [])]
                yield None, f"the row is no CSV: {error}", cells
                continue
            if not cells:
                yield None
            elif len(cells) != len(header):
                yield None, f"the row has {len(cells)} cells, the header {len(header)}", cells
            elif any(_is_broken(cell) for cell in cells):
                yield None, "the row is not UTF-8", cells
            else:
                yield dict(zip(header, cells, strict=True)), None, cells

    def _header(self, file: IO[bytes]) -> tuple[_Lines, _Reader, list[str]]:
        csv.field_size_limit(_LONGEST_ROW_BYTES)
        text = io.TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="")
        first = text.readline(_LONGEST_ROW_BYTES)
        delimiter = max(_DELIMITERS, key=first.count)
        lines = _Lines(chain([first], text))
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            header = [name.strip() for name in next(reader, [])]
        except csv.Error as error:
            raise PushError(f"The header of {self.name} is no CSV: {error}") from None
        if not header:
            raise PushError(f"{self.name} is empty: there is not even a header")
        if any(_is_broken(name) for name in header):
            raise PushError(f"The header of {self.name} is not UTF-8. Save the file as UTF-8")
        if "" in header or len(set(header)) < len(header):
            raise PushError(
                f"The header of {self.name} has empty or repeated names: {', '.join(map(repr, header))}. Name each "
                "column once; an index that pandas writes without a name is left out by index=False"
            )
        return lines, reader, header

    def _check_csv(self, file: IO[bytes]) -> None:
        lines, reader, _ = self._header(file)
        for number in count(1):
            lines.taken.clear()
            before = reader.line_num
            try:
                if next(reader, None) is None:
                    return
            except csv.Error as error:
                # Within one line a wrong quote spoils one row; over several it has swallowed others.
                if len(lines.taken) > 1 or "unexpected end" in str(error) or "limit" in str(error):
                    raise PushError(
                        f"{self.name}: a quote that is opened in row {number} (line {before + 1}) is not closed as it should, "
                        "so the rows cannot be told apart. Double the quotes within cells"
                    ) from None

    def _parquet(self, file: IO[bytes]) -> Iterator[tuple[Mapping[str, Any] | None, str | None, Any] | None]:
        # Else memory would hold a whole group of rows, which may be the whole file.
        parquet = pq.ParquetFile(file, buffer_size=_CHUNK_BYTES, pre_buffer=False)
        for batch in parquet.iter_batches(_PARQUET_ROWS, use_threads=False):
            columns = [_exact(column) for column in batch.columns]
            for values in pa.RecordBatch.from_arrays(columns, names=batch.schema.names).to_pylist():
                yield values, None, values

    def _check_parquet(self, file: IO[bytes]) -> None:
        schema = pq.ParquetFile(file).schema_arrow
        if len(set(schema.names)) < len(schema.names):
            raise PushError(f"{self.name} has columns of the same name: {', '.join(schema.names)}")
        wrong = [f"{field.name} ({field.type})" for field in schema if not _is_sendable(field.type)]
        if wrong:
            raise PushError(
                f"{self.name} has columns that have no JSON form: {', '.join(wrong)}. Write them as text, or leave them out"
            )
        file.seek(0)
        for _ in self._parquet(file):
            pass  # also dates beyond the year 9999 are found


class RowsSource:
    """Rows in memory, as another task hands them over.

    :param rows: the rows.
    :raises PushError: it is no list of dicts.
    """

    name = "the rows"
    file_format = "rows"
    columns = None

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        if isinstance(rows, Mapping | str | bytes) or not isinstance(rows, Iterable):
            raise PushError(f"rows must be a list of dicts, not {type(rows).__name__}")
        self._rows = list(rows)

    def check(self) -> str:
        """Return a checksum of the rows.

        :raises PushError: they hold something that has no JSON form.
        """
        try:
            return hashlib.sha256(msgspec.json.encode(self._rows)).hexdigest()
        except (TypeError, ValueError, OverflowError) as error:
            raise PushError(f"The rows cannot be sent as JSON: {error}") from error

    def rows(self) -> Iterator[Row]:
        """Yield all rows."""
        for number, values in enumerate(self._rows, 1):
            if isinstance(values, Mapping):
                yield Row(number, values, None, values)
            else:
                yield Row(number, None, f"the row is a {type(values).__name__}, not a dict", values)


def _format_of(path: str) -> str:
    name = path.lower().rpartition("/")[2]
    if infer_compression(name):
        name = name.rpartition(".")[0]
    for ending, file_format in FORMATS.items():
        if name.endswith(ending):
            return file_format
    raise PushError(f"{path!r} does not tell its format by {', '.join(FORMATS)}. Set file_format")


class _Lines:
    """Lines of a text that remember which of them make the row that is read.

    :param lines: the lines.
    """

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.taken: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.taken.append(line)
        return line


class _Reader(Protocol):
    """What ``csv.reader`` returns."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...

    def __next__(self) -> list[str]: ...


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    rest = file.read(len(_BOM)).removeprefix(_BOM)
    while chunk := file.read(_CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
        if len(rest) > _LONGEST_ROW_BYTES:
            raise PushError("A line is longer than 64 MB. Write one object a line (NDJSON)")
    if rest:
        yield rest


def _is_broken(cell: str) -> bool:
    return not cell.isascii() and any("\ud800" <= letter <= "\udfff" for letter in cell)


def _exact(column: pa.Array) -> pa.Array:
    """A column as values that Python has: no nanoseconds, and floats of 32 bits with the digits that they stand for."""
    if pa.types.is_float32(column.type) or pa.types.is_float16(column.type):
        return column.cast(pa.string()).cast(pa.float64())
    plain = _microseconds(column.type)
    return column if plain == column.type else column.cast(plain, safe=False)


def _microseconds(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", kind.tz)
    if pa.types.is_time64(kind):
        return pa.time64("us")
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_microseconds(field.type)) for field in kind])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(_microseconds(kind.value_type))
    return kind


def _is_sendable(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return all(_is_sendable(field.type) for field in kind)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_dictionary(kind):
        return _is_sendable(kind.value_type)
    is_bytes = (
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
    )
    return not (is_bytes or pa.types.is_map(kind) or pa.types.is_duration(kind) or pa.types.is_interval(kind))
