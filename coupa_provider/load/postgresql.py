"""Facts about PostgreSQL."""

from __future__ import annotations

import hashlib
from typing import Any

from coupa_provider.load.dialect import Dialect, Statements
from coupa_provider.load.table import Table, literal, quote

_DATA_EXCEPTION = "22"


class PostgreSQL(Dialect):
    """PostgreSQL 11 and newer."""

    vendor = "PostgreSQL"
    text_types = ("text", "character varying")
    float_type = "double precision"
    decimal_name = "numeric"
    decimal_types = ("numeric",)
    longest_name = 63
    takes_nul = False

    def default_schema(self, session: Statements) -> str:
        """Return the first schema of the search path."""
        ((schema,),) = session.rows("SELECT coalesce(CAST(current_schema() AS text), 'public')")
        return str(schema)

    def has_schema(self, session: Statements, schema: str) -> bool:
        """Look into the catalogue: CREATE ... IF NOT EXISTS needs the right to create even if it exists."""
        return bool(session.rows(f"SELECT 1 FROM pg_namespace WHERE nspname = {literal(schema)}"))

    def columns(self, session: Statements, table: Table) -> dict[str, str]:
        """Look into the catalogue, as the information schema hides lengths and what one may not change."""
        return dict(
            session.rows(
                "SELECT CAST(a.attname AS text), format_type(a.atttypid, a.atttypmod) FROM pg_attribute a "
                "JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
                f"WHERE n.nspname = {literal(table.schema)} AND c.relname = {literal(table.name)} "
                "AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
            )
        )

    def has_key(self, session: Statements, table: Table, column: str) -> bool:
        """Look for a primary key, or a unique index of all rows, on this column alone."""
        return bool(
            session.rows(
                "SELECT 1 FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid "
                "JOIN pg_namespace n ON n.oid = c.relnamespace "
                "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] "
                f"WHERE n.nspname = {literal(table.schema)} AND c.relname = {literal(table.name)} "
                f"AND a.attname = {literal(column)} AND i.indnkeyatts = 1 AND i.indpred IS NULL "
                "AND i.indisunique AND i.indisvalid"
            )
        )

    def take_turns(self, session: Statements, thing: str) -> None:
        """Take an advisory lock: what does not exist yet cannot be locked otherwise."""
        digest = hashlib.sha256(f"airflow-provider-coupa {thing}".encode()).digest()
        key = int.from_bytes(digest[:8], "big", signed=True)
        session.execute(f"DO $$BEGIN PERFORM pg_advisory_xact_lock({key}); END$$")

    def keep_writers_out(self, session: Statements, table: Table) -> None:
        """Lock the table."""
        session.execute(f"LOCK TABLE {table.sql} IN SHARE ROW EXCLUSIVE MODE")

    def settle(self, session: Statements, stage: str, key: str) -> None:
        """Count its rows, which nothing else does for a temporary table; a small sample will do."""
        session.execute("SET LOCAL default_statistics_target = 10")
        session.execute(f"ANALYZE {stage} ({quote(key)})")

    def describe(self, error: Exception) -> str:
        """Give the primary message, unless the error is about a value, which then stands in it."""
        facts: Any = error
        details = dict(getattr(facts, "details", None) or ())
        state = getattr(facts, "sqlstate", None)
        message = details.get(b"PG_DIAG_MESSAGE_PRIMARY", b"").decode(errors="replace")
        if not state:
            return f"the driver reports {_status(error)}"
        if state.startswith(_DATA_EXCEPTION) or not message:
            return f"SQLSTATE {state}"
        return f"{message} (SQLSTATE {state})"


def _status(error: Exception) -> str:
    status = getattr(error, "status_code", None)
    return str(getattr(status, "name", type(error).__name__))
