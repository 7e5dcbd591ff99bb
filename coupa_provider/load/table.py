"""Names of tables and columns, safe to stand in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from coupa_provider.load.errors import TableError


def quote(name: str) -> str:
    """Return an identifier in quotes, so that it means itself and nothing else, capitals included."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def quoted(names: Sequence[str]) -> str:
    """Return identifiers in quotes, parted by commas."""
    return ", ".join(quote(name) for name in names)


@dataclass(frozen=True, order=True, slots=True)
class Table:
    """A table in a schema.

    :param schema: name of the schema.
    :param name: name of the table.
    """

    schema: str
    name: str

    @classmethod
    def parse(cls, text: str, default_schema: str) -> Self:
        """Read ``"schema.table"`` or ``"table"``.

        :param default_schema: schema of a name that gives none.
        :raises TableError: it is neither.
        """
        parts = text.split(".")
        if not 1 <= len(parts) <= 2 or not all(part.strip() for part in parts):
            raise TableError(
                f"{text!r} is no name of a table. Write 'schema.table' or 'table', without quotes."
            )
        return cls(*parts) if len(parts) == 2 else cls(default_schema, *parts)

    def child(self, name: str) -> Table:
        """Return the table of lines that goes with this one where nobody says otherwise."""
        return Table(self.schema, f"{self.name}_{name}")

    @property
    def sql(self) -> str:
        """The name as it stands in SQL."""
        return f"{quote(self.schema)}.{quote(self.name)}"

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"
