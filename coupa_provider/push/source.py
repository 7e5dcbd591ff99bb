"""Rows that are to become records: of files in NDJSON, CSV or Parquet, or handed over in memory.

Each row has a number, by which every account of it refers to it: the line in NDJSON, the row below the header in
CSV, the row in Parquet, the place in a list; the rows of several files are counted on. Memory holds a few rows,
however large a file is. A row that cannot be read is a row with a problem, not the end of the file.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, count
from typing import IO, Any, Protocol

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem
from fsspec.utils import infer_compression

from coupa_provider.extract.manifest_reader import ManifestReader, checksum_of
from coupa_provider.push.errors import PushError

FORMATS = {".ndjson": "ndjson", ".jsonl": "ndjson", ".json": "ndjson", ".csv": "csv", ".parquet": "parquet"}

_LONGEST_ROW_BYTES = 64 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
_PARQUET_ROWS = 1024
_BOM = b"\xef\xbb\xbf"
_DELIMITERS = ",;\t|"
# The digits of a number stay as they were written: a float would change them.
_object = msgspec.json.Decoder(float_hook=Decimal)


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it was read.

    :param number: its number, from 1.
    :param values: attributes by name as the source spells them; None if it cannot be read.
    :param problem: why it cannot be read.
    :param raw: the row as it stood: a line of NDJSON, the cells of CSV, else its values.
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
                with self._open(path) as file:
                    checksum = checksum_of(file)
                digest.update(checksum.encode())
                if self.file_format == "csv":
                    self._check_csv(path)
                elif self.file_format == "parquet":
                    self._check_parquet(path)
                else:
                    self._check_ndjson(path)
            except FileNotFoundError:
                raise PushError(
                    f"There is no {self.name}. Look at the task that should have written it"
                ) from None
            except (EOFError, OSError, pa.ArrowInvalid) as error:
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
            return self._header(file)[1]

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

    # Each reader yields values, problem and raw form; None for a line that is no row.

    def _ndjson(self, file: IO[bytes]) -> Iterator[tuple[Mapping[str, Any] | None, str | None, Any] | None]:
        for line in _lines(file):
            raw = line.strip()
            if not raw:
                yield None
                continue
            try:
                values = _object.decode(raw)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                yield None, f"the line is no JSON: {error}", raw
                continue
            if isinstance(values, dict):
                yield values, None, raw
            else:
                yield None, "the line is no JSON object", raw

    def _check_ndjson(self, path: str) -> None:
        with self._open(path) as file:
            start = file.read(64).removeprefix(_BOM).lstrip()
        if start.startswith(b"["):
            raise PushError(
                f"{self.name} holds a JSON array. Write one object a line (NDJSON), so that it can be read in pieces"
            )

    def _csv(self, file: IO[bytes]) -> Iterator[tuple[Mapping[str, Any] | None, str | None, Any] | None]:
        reader, header = self._header(file)
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield None, f"the row is no CSV: {error}", []
                continue
            if not cells:
                continue
            if len(cells) != len(header):
                yield None, f"the row has {len(cells)} cells, the header {len(header)}", cells
            elif any(_is_broken(cell) for cell in cells):
                yield None, "the row is not UTF-8", cells
            else:
                yield dict(zip(header, cells, strict=True)), None, cells

    def _header(self, file: IO[bytes]) -> tuple[Iterator[list[str]], list[str]]:
        csv.field_size_limit(_LONGEST_ROW_BYTES)
        text = io.TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="")
        first = text.readline(_LONGEST_ROW_BYTES)
        delimiter = max(_DELIMITERS, key=first.count)
        reader = csv.reader(chain([first], text), delimiter=delimiter, strict=True)
        try:
            header = [name.strip() for name in next(reader, [])]
        except csv.Error as error:
            raise PushError(f"The header of {self.name} is no CSV: {error}") from None
        if not header:
            raise PushError(f"{self.name} is empty: there is not even a header")
        doubles = {name for name in header if header.count(name) > 1}
        if doubles or "" in header:
            raise PushError(
                f"The header of {self.name} has empty or repeated names: {', '.join(map(repr, header))}"
            )
        return reader, header

    def _check_csv(self, path: str) -> None:
        with self._open(path) as file:
            reader, _ = self._header(file)
            number = 0
            while True:
                number += 1
                try:
                    if next(reader, None) is None:
                        return
                except csv.Error as error:
                    if "unexpected end" in str(error):
                        raise PushError(
                            f"{self.name}: a quote that is opened in row {number} or later is never closed, so the rows "
                            "cannot be told apart"
                        ) from None

    def _parquet(self, file: IO[bytes]) -> Iterator[tuple[Mapping[str, Any] | None, str | None, Any] | None]:
        for batch in pq.ParquetFile(file).iter_batches(_PARQUET_ROWS):
            for values in batch.to_pylist():
                yield values, None, values

    def _check_parquet(self, path: str) -> None:
        with self._open(path) as file:
            for _ in pq.ParquetFile(file).iter_batches(_PARQUET_ROWS * 16):
                pass


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
