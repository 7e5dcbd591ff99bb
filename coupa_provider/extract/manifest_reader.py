"""Read an extract back: the manifest, and the rows of its files as Arrow batches."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import IO

import msgspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from coupa_provider.extract.destination import MANIFEST_NAME, Destination
from coupa_provider.extract.errors import ExtractError
from coupa_provider.extract.manifest import File, Manifest
from coupa_provider.extract.schema import schema_of
from coupa_provider.extract.table import TableDecoder

_BATCH_ROWS = 16 * 1024
_CHUNK_BYTES = 1024 * 1024
#: A row may not be longer than this.
_CSV_BLOCK_BYTES = 16 * 1024 * 1024


class ManifestReader:
    """An extract that was published.

    :param folder: the folder of the manifest.
    :raises ExtractError: there is no manifest, or it cannot be read.
    """

    def __init__(self, folder: Destination) -> None:
        self.folder = folder
        try:
            text = folder.fs.cat_file(folder.path_of(MANIFEST_NAME))
        except FileNotFoundError:
            raise ExtractError(
                f"There is no {folder.manifest_url}: the extract that should have made it did not end well, or the "
                "URL is another one."
            ) from None
        try:
            self.manifest = Manifest.from_json(text)
        except (ValueError, msgspec.DecodeError) as error:
            if _kind_of(text) == "attachments":
                raise ExtractError(
                    f"{folder.manifest_url} lists attachments, not records. Hand on the extract they belong to."
                ) from None
            raise ExtractError(f"{folder.manifest_url} cannot be read: {error}") from error

    def arrow_schema(self, child: str | None = None) -> pa.Schema:
        """Return the columns of the batches.

        :param child: name of a table of lines; None for the records themselves.
        """
        columns = self.manifest.children[child].columns if child else self.manifest.columns
        if not columns:  # NDJSON
            return schema_of(self.manifest.resource).arrow
        return pa.schema([pa.field(name, _arrow_type(text)) for name, text in columns.items()])

    def batches(
        self, columns: Sequence[str] | None = None, *, child: str | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows in batches of bounded size, files in the order of the manifest.

        Each file is compared with the checksum in the manifest before a row of it is given out.

        :param columns: names of the columns wanted, in this order; None for all.
        :param child: name of a table of lines; None for the records themselves.
        :raises ExtractError: a file is missing, or is not the one the manifest describes.
        """
        schema = self.arrow_schema(child)
        wanted = list(schema.names if columns is None else columns)
        absent = [name for name in wanted if name not in schema.names]
        if absent:
            raise ExtractError(f"{self.folder.manifest_url} has no column {', '.join(absent)}.")
        files = self.manifest.children[child].files if child else self.manifest.files
        for file in files:
            with self._opened(file) as source:
                yield from self._rows_of(file, source, schema, wanted)

    def _rows_of(
        self, file: File, source: IO[bytes], schema: pa.Schema, wanted: list[str]
    ) -> Iterator[pa.RecordBatch]:
        if self.manifest.file_format == "parquet":
            for batch in pq.ParquetFile(source).iter_batches(_BATCH_ROWS, columns=wanted):
                yield batch.select(wanted)  # Parquet gives them in the order of the file
        elif self.manifest.file_format == "csv":
            options = pyarrow.csv.ConvertOptions(
                column_types=schema,
                include_columns=wanted,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            )
            parsing = pyarrow.csv.ParseOptions(newlines_in_values=True)
            reading = pyarrow.csv.ReadOptions(block_size=_CSV_BLOCK_BYTES)
            yield from pyarrow.csv.open_csv(source, reading, parsing, options)
        else:
            decoder = TableDecoder(schema_of(self.manifest.resource))
            for text in whole_lines(source):
                records = [msgspec.Raw(line) for line in text.split(b"\n") if line]
                ids = [row.id for row in _identified.decode_lines(text)]
                yield decoder.decode(records, ids).select(wanted)

    def _opened(self, file: File) -> IO[bytes]:
        path = self.folder.path_of(file.name)
        try:
            source: IO[bytes] = self.folder.fs.open(path, "rb")
        except FileNotFoundError:
            raise ExtractError(
                f"{self.folder.url_of(file.name)} is gone, though the manifest lists it."
            ) from None
        if checksum_of(source) != file.sha256:
            source.close()
            raise ExtractError(
                f"{self.folder.url_of(file.name)} is not the file its manifest describes: the checksum differs. "
                "Extract it again."
            )
        source.seek(0)
        return source


class _Kind(msgspec.Struct):
    kind: str = ""


def _kind_of(text: bytes) -> str:
    try:
        return msgspec.json.decode(text, type=_Kind).kind
    except msgspec.DecodeError:
        return ""


class _Identified(msgspec.Struct):
    id: int


_identified = msgspec.json.Decoder(_Identified, strict=False)


def whole_lines(source: IO[bytes]) -> Iterator[bytes]:
    """Yield the rest of a file in pieces that end with a line; files on object storage have no such method."""
    rest = b""
    while chunk := source.read(_CHUNK_BYTES):
        text = rest + chunk
        end = text.rfind(b"\n") + 1
        if end:
            yield text[:end]
        rest = text[end:]
    if rest:
        yield rest


def checksum_of(source: IO[bytes]) -> str:
    """Return the SHA-256 of the rest of a file, in hexadecimal."""
    digest = hashlib.sha256()
    while chunk := source.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def _arrow_type(text: str) -> pa.DataType:
    """Read a type in Arrow's words, as a manifest holds it."""
    if text.startswith("decimal128("):
        precision, scale = text.removeprefix("decimal128(").rstrip(")").split(",")
        return pa.decimal128(int(precision), int(scale))
    if text == "timestamp[us, tz=UTC]":
        return pa.timestamp("us", "UTC")
    if text == "date32[day]":
        return pa.date32()
    return pa.type_for_alias(text)
