"""A connection with its dialect: one funnel for all SQL, which keeps values of records out of errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pyarrow as pa

from coupa_provider.load.dialect import Dialect
from coupa_provider.load.duckdb import DuckDB
from coupa_provider.load.errors import LoadError, TableError
from coupa_provider.load.postgresql import PostgreSQL

DIALECTS: tuple[Dialect, ...] = (PostgreSQL(), DuckDB())


class Session:
    """SQL on a connection, inside a transaction.

    :param connection: a connection of ADBC's DBAPI with autocommit off, as ``AdbcHook.get_conn`` gives it.
    :raises TableError: the database is none of those this release knows.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._doing = "Asking the database what it is"
        self.dialect = self._recognise()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all that happens in the ``with`` block, or nothing of it."""
        try:
            yield
            with self.doing("Committing"), self._told("Whether it took effect is not known; load again."):
                self._connection.commit()
        except BaseException:
            with suppress(self._connection.Error):
                self._connection.rollback()
            raise

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Name what is being done, for errors inside the ``with`` block: ``"Creating coupa.invoices"``."""
        before, self._doing = self._doing, what
        yield
        self._doing = before

    def execute(self, sql: str) -> int:
        """Run a statement and return the number of rows it wrote, -1 for statements that write none."""
        with self._told(), self._connection.cursor() as cursor:
            cursor.execute(sql)
            return int(cursor.rowcount)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query and return its rows."""
        with self._told(), self._connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def ingest(self, name: str, rows: pa.RecordBatchReader, *, schema: str | None = None) -> None:
        """Append rows to a table, in bulk.

        :param schema: schema of the table; None for a temporary one.
        """
        with self._told(), self._connection.cursor() as cursor:
            cursor.adbc_ingest(name, rows, mode="append", temporary=schema is None, db_schema_name=schema)

    def _recognise(self) -> Dialect:
        with self._told():
            vendor = self._connection.adbc_get_info().get("vendor_name")
        for dialect in DIALECTS:
            if dialect.vendor == vendor:
                return dialect
        known = " and ".join(dialect.vendor for dialect in DIALECTS)
        raise TableError(f"The database is {vendor}; this release loads into {known}.")

    @contextmanager
    def _told(self, state: str = "The tables are as they were.") -> Iterator[None]:
        """Turn the driver's errors, which quote rows and are logged with all they were raised from.

        :param state: what to say of the tables.
        """
        try:
            yield
        except self._connection.Error as error:
            dialect = getattr(self, "dialect", None)
            said = dialect.describe(error) if dialect else type(error).__name__
            raise LoadError(f"{self._doing} failed: {said}. {state}") from None
