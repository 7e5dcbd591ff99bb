"""Facts about DuckDB."""

from __future__ import annotations

import re

from coupa_provider.load.dialect import Dialect, Statements
from coupa_provider.load.table import Table, literal

_KINDS_WITHOUT_VALUES = ("Binder", "Catalog", "Constraint", "IO", "Permission", "TransactionContext")
_STATUS = re.compile(r"^[A-Z_]+: ")
_KIND = re.compile(r"^(\w+) Error: ")
_KEY = re.compile(r'(duplicate key) ".*"', re.I)


class DuckDB(Dialect):
    """DuckDB, as a file or in memory."""

    vendor = "duckdb"
    text_types = ("varchar",)
    float_type = "double"
    decimal_name = "decimal"
    takes_nul = True

    def default_schema(self, session: Statements) -> str:
        """Return the current schema."""
        ((schema,),) = session.rows("SELECT current_schema()")
        return str(schema)

    def has_schema(self, session: Statements, schema: str) -> bool:
        """Look into the catalogue; names do not heed capitals."""
        return bool(
            session.rows(
                "SELECT 1 FROM duckdb_schemas() WHERE database_name = current_database() "
                f"AND lower(schema_name) = lower({literal(schema)})"
            )
        )

    def columns(self, session: Statements, table: Table) -> dict[str, str]:
        """Look into the catalogue; names do not heed capitals."""
        return dict(
            session.rows(
                "SELECT lower(column_name), lower(data_type) FROM duckdb_columns() "
                "WHERE database_name = current_database() "
                f"AND lower(schema_name) = lower({literal(table.schema)}) "
                f"AND lower(table_name) = lower({literal(table.name)}) ORDER BY column_index"
            )
        )

    def has_key(self, session: Statements, table: Table, column: str) -> bool:
        """Look for a constraint on this column alone."""
        return bool(
            session.rows(
                "SELECT 1 FROM duckdb_constraints() WHERE database_name = current_database() "
                f"AND lower(schema_name) = lower({literal(table.schema)}) "
                f"AND lower(table_name) = lower({literal(table.name)}) "
                "AND constraint_type IN ('PRIMARY KEY', 'UNIQUE') AND len(constraint_column_names) = 1 "
                f"AND lower(constraint_column_names[1]) = lower({literal(column)})"
            )
        )

    def take_turns(self, session: Statements, thing: str) -> None:
        """Do nothing: of two transactions that write to one table, DuckDB lets one fail."""

    def keep_writers_out(self, session: Statements, table: Table) -> None:
        """Do nothing, for the same reason."""

    def settle(self, session: Statements, stage: str, key: str) -> None:
        """Do nothing: DuckDB counts as it writes."""

    def describe(self, error: Exception) -> str:
        """Give the first line, unless the error may be about a value, which then stands in it."""
        message = _STATUS.sub("", str(error)).partition("\n")[0]
        details = dict(getattr(error, "details", None) or ())
        named = _KIND.match(message)
        kind = named[1] if named else details.get(b"duckdb:error_type", b"Unknown").decode()
        if kind not in _KINDS_WITHOUT_VALUES:
            return f"{kind} Error"
        return _KEY.sub(r"\1", message)
