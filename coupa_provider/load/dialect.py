"""What differs between databases, and nothing else."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import Any, Protocol

import pyarrow as pa

from coupa_provider.load.table import Table

_DECIMAL = re.compile(r"(?:numeric|decimal)\(\d+,(\d+)\)")


class Statements(Protocol):
    """Where a dialect sends its SQL; see :class:`.session.Session`."""

    def execute(self, sql: str) -> int:
        """Run a statement and return the number of rows it wrote."""

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query and return its rows."""


class Dialect(ABC):
    """Facts about one database."""

    vendor: str
    """How its ADBC driver names it."""

    text_types: tuple[str, ...]
    """Types that hold any text unchanged; the first is the one new columns get."""

    float_type: str
    """Type of a double."""

    decimal_name: str
    """Type of a decimal, without its digits."""

    decimal_types: tuple[str, ...] = ()
    """Types that hold any decimal unchanged."""

    longest_name: int | None = None
    """Bytes of the longest name it keeps; longer ones it would cut silently. None for no limit."""

    takes_nul: bool
    """Whether a text may hold the character U+0000."""

    def sql_type(self, arrow: pa.DataType) -> str:
        """Return the type of a column, in the words in which the database describes it.

        :param arrow: type of a column of an extract.
        """
        if pa.types.is_decimal(arrow):
            return f"{self.decimal_name}({arrow.precision},{arrow.scale})"
        if pa.types.is_string(arrow):
            return self.text_types[0]
        if pa.types.is_floating(arrow):
            return self.float_type
        return _SAME_EVERYWHERE[arrow]

    def holds(self, declared: str, arrow: pa.DataType) -> bool:
        """Return whether a column takes every value of an extract's column unchanged, or refuses it aloud.

        :param declared: type of the column in the words of the database.
        :param arrow: type of the extract's column.
        """
        if pa.types.is_decimal(arrow):
            sized = _DECIMAL.fullmatch(declared)
            return declared in self.decimal_types or (sized is not None and int(sized[1]) >= arrow.scale)
        if pa.types.is_string(arrow):
            return declared in self.text_types
        return declared == self.sql_type(arrow)

    @abstractmethod
    def default_schema(self, session: Statements) -> str:
        """Return the schema of names that give none."""

    @abstractmethod
    def has_schema(self, session: Statements, schema: str) -> bool:
        """Return whether a schema exists."""

    @abstractmethod
    def columns(self, session: Statements, table: Table) -> dict[str, str]:
        """Return the types of a table's columns by name; empty if there is no such table."""

    @abstractmethod
    def has_key(self, session: Statements, table: Table, column: str) -> bool:
        """Return whether no two rows of a table can have the same value in a column."""

    @abstractmethod
    def take_turns(self, session: Statements, thing: str) -> None:
        """Wait until no other load works on a thing; it is this one's until the transaction ends.

        :param thing: name of a table or schema, which need not exist.
        """

    @abstractmethod
    def keep_writers_out(self, session: Statements, table: Table) -> None:
        """Let nobody else write to a table until the transaction ends; reading goes on."""

    @abstractmethod
    def settle(self, session: Statements, stage: str, key: str) -> None:
        """Do what makes a filled temporary table quick to join.

        :param stage: the table, as it stands in SQL.
        :param key: column to join by.
        """

    @abstractmethod
    def describe(self, error: Exception) -> str:
        """Say what the database said, without any value of a record.

        :param error: an error of the driver.
        """


_SAME_EVERYWHERE = {
    pa.int64(): "bigint",
    pa.bool_(): "boolean",
    pa.date32(): "date",
    pa.timestamp("us", "UTC"): "timestamp with time zone",
}
