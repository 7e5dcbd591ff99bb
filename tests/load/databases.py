"""The databases that loads are tested with, each behind an Airflow connection as the docs show it."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coupa_provider.extract.manifest_reader import ManifestReader
from coupa_provider.load.run import Counts, load_manifests


class Database(ABC):
    """An empty database."""

    @abstractmethod
    def connection_json(self) -> str:
        """Return a connection to it, as Airflow takes it from the environment."""

    @abstractmethod
    def connect(self) -> Any:
        """Return a new connection of ADBC's DBAPI."""

    def load(self, *readers: ManifestReader, table: str = "coupa.invoices", **options: Any) -> Counts:
        """Load over a new connection."""
        with self.connect() as connection:
            return load_manifests(connection, readers, table, **options)

    def execute(self, *statements: str) -> None:
        """Run statements and commit."""
        with self.connect() as connection:
            for sql in statements:
                with connection.cursor() as cursor:
                    cursor.execute(sql)
            connection.commit()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    def tables(self) -> list[str]:
        """Return the names of all tables that are no part of the system, temporary ones included."""
        return [
            name
            for (name,) in self.query(
                "SELECT CAST(table_name AS varchar(200)) FROM information_schema.tables WHERE table_schema NOT IN "
                "('pg_catalog', 'information_schema') ORDER BY table_name"
            )
        ]

    def columns(self, table: str) -> list[str]:
        """Return the names of a table's columns."""
        return [
            name
            for (name,) in self.query(
                "SELECT CAST(column_name AS varchar(200)) FROM information_schema.columns "
                f"WHERE table_name = '{table}' ORDER BY ordinal_position"
            )
        ]

    def numbers(self, columns: Sequence[str] = ("id", "number")) -> list[tuple[Any, ...]]:
        """Return the rows of coupa.invoices."""
        return self.query(f"SELECT {', '.join(columns)} FROM coupa.invoices ORDER BY id")


class DuckDBFile(Database):
    """A file.

    :param path: where; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def connection_json(self) -> str:
        return json.dumps(
            {"conn_type": "adbc", "extra": {"dialect": "duckdb", "db_kwargs": {"uri": str(self.path)}}}
        )

    def connect(self) -> Any:
        import adbc_driver_duckdb.dbapi

        return adbc_driver_duckdb.dbapi.connect(str(self.path))


class PostgreSQLServer(Database):
    """A fresh database of a server.

    :param server: what the fixture ``postgresql`` gives.
    """

    def __init__(self, server: Any) -> None:
        self.place = server.fresh_database()

    def connection_json(self) -> str:
        return json.dumps(
            {
                "conn_type": "adbc",
                "host": self.place.host,
                "port": self.place.port,
                "schema": self.place.dbname,
                "login": self.place.user,
                "password": self.place.password,
                "extra": {"dialect": "postgresql"},
            }
        )

    def connect(self) -> Any:
        import adbc_driver_postgresql.dbapi

        return adbc_driver_postgresql.dbapi.connect(self.place.url)
