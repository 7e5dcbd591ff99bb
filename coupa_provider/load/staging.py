"""Rows on their way: in bulk to a temporary table that lives no longer than the merge."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc

from coupa_provider.extract.manifest_reader import ManifestReader
from coupa_provider.load.errors import LoadError, TableError
from coupa_provider.load.session import Session
from coupa_provider.load.structure import column_definitions
from coupa_provider.load.table import Table, quote

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 10.0
#: The driver sends a batch once it is encoded; with small ones the server works meanwhile.
_BATCH_ROWS = 2048
_MOST_IDS_TOLD = 5


@contextmanager
def staged(
    session: Session, reader: ManifestReader, table: Table, key: str, child: str | None = None
) -> Iterator[str]:
    """Bring the rows of an extract into a temporary table, and drop it after the ``with`` block.

    A load that fails drops it as well: it is part of the transaction.

    :param reader: the extract.
    :param table: where the rows will go, for messages.
    :param key: column with the ids by which messages name rows.
    :param child: name of a table of lines; None for the records themselves.
    :return: the temporary table, as it stands in SQL.
    :raises ExtractError: a file is missing, or is not the one the manifest describes.
    :raises LoadError: the files hold another number of rows than the manifest says.
    :raises TableError: the database cannot store a value.
    """
    name = f"coupa_stage_{uuid.uuid4().hex}"
    stage = quote(name)
    with session.doing(f"Staging rows for {table}"):
        columns = column_definitions(session, reader.arrow_schema(child))
        session.execute(f"CREATE TEMPORARY TABLE {stage} ({columns})")
        _ingest(session, _Stream(session, reader, table, key, child), name)
        session.dialect.settle(session, stage, key)
    yield stage
    session.execute(f"DROP TABLE {stage}")


def fill(session: Session, reader: ManifestReader, table: Table, key: str, child: str | None = None) -> None:
    """Bring the rows of an extract into a table that was just made.

    The arguments and errors are those of ``staged``.
    """
    with session.doing(f"Filling {table}"):
        _ingest(session, _Stream(session, reader, table, key, child), table.name, table.schema)


def _ingest(session: Session, stream: _Stream, name: str, schema: str | None = None) -> None:
    try:
        rows = pa.RecordBatchReader.from_batches(stream.schema, stream.batches())
        session.ingest(name, rows, schema=schema)
    finally:
        # PostgreSQL's driver makes a mere text of it, DuckDB's takes it for the end of the rows.
        if stream.error is not None:
            raise stream.error from None
    stream.check_count()


class _Stream:
    """The rows of an extract as the driver draws them; it counts, reports and keeps what goes wrong."""

    def __init__(
        self,
        session: Session,
        reader: ManifestReader,
        table: Table,
        key: str,
        child: str | None,
    ) -> None:
        manifest = reader.manifest
        self.schema = reader.arrow_schema(child)
        self.rows = 0
        self.error: BaseException | None = None
        self._session = session
        self._reader = reader
        self._table = table
        self._key = key
        self._child = child
        self._expected = manifest.children[child].records if child else manifest.records

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows."""
        told = time.monotonic()
        try:
            for batch in self._reader.batches(child=self._child):
                self._check_text(batch)
                self.rows += batch.num_rows
                if time.monotonic() - told >= PROGRESS_SECONDS:
                    told = time.monotonic()
                    log.info("%s: %s of %s rows staged", self._table, f"{self.rows:,}", f"{self._expected:,}")
                for start in range(0, batch.num_rows, _BATCH_ROWS):
                    yield batch.slice(start, _BATCH_ROWS)
        except BaseException as error:
            self.error = error
            raise

    def check_count(self) -> None:
        """See that the files held what the manifest promises."""
        if self.rows != self._expected:
            raise LoadError(
                f"{self._reader.folder.manifest_url} promises {self._expected} rows for {self._table}, its files "
                f"hold {self.rows}. Extract it again."
            )

    def _check_text(self, batch: pa.RecordBatch) -> None:
        if self._session.dialect.takes_nul:
            return
        for field, values in zip(batch.schema, batch.columns, strict=True):
            # A look at the bytes is quick, and is enough where there is none in what lies between the texts either.
            if not pa.types.is_string(field.type) or b"\0" not in _bytes_of(values):
                continue
            found = pc.match_substring(values, "\0")
            if pc.any(found).as_py():
                ids = batch.column(self._key).filter(found)[:_MOST_IDS_TOLD].to_pylist()
                raise TableError(
                    f"{self._session.dialect.vendor} cannot store the character U+0000, which is in {field.name} "
                    f"of {self._key} {', '.join(map(str, ids))}. Correct the records in Coupa, or leave the "
                    "column out of the fields of the extract."
                )


def _bytes_of(texts: pa.Array) -> bytes:
    content = texts.buffers()[2]
    return content.to_pybytes() if content is not None else b""
