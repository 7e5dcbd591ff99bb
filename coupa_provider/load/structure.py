"""Tables as the extract needs them: made where they are missing, widened where it has more columns."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from coupa_provider.load.errors import TableError
from coupa_provider.load.session import Session
from coupa_provider.load.table import Table, quote, quoted


def ensure_table(session: Session, table: Table, wanted: pa.Schema, key: Sequence[str]) -> list[str] | None:
    """Make the table, or add the columns it does not have; nothing is dropped and no type is changed.

    :param wanted: columns of the extract.
    :param key: columns of the primary key.
    :return: names of the columns added; None if the table was made.
    :raises TableError: a column cannot take what the extract has for it, or the table has no key.
    """
    with session.doing(f"Making room in {table}"):
        _check_names(session, [table.schema, table.name, *wanted.names])
        declared = session.dialect.columns(session, table)
        if not declared:
            _create(session, table, wanted, key)
            return None
        if absent := [name for name in key if name not in declared]:
            raise TableError(
                f"{table} exists without a column {' and '.join(absent)}, so it is no table to merge into. "
                "Load into another one."
            )
        if len(key) == 1 and not session.dialect.has_key(session, table, *key):
            raise TableError(
                f"{table} exists without a key, so it may hold several rows of one {key[0]}. Give it one (ALTER TABLE "
                f"{table.sql} ADD PRIMARY KEY ({quoted(key)})), or load into another table."
            )
        _check_types(session, table, declared, wanted)
        added = [field for field in wanted if field.name not in declared]
        for field in added:
            session.execute(f"ALTER TABLE {table.sql} ADD COLUMN {_column(session, field)}")
        return [field.name for field in added]


def column_definitions(session: Session, wanted: pa.Schema) -> str:
    """Return the columns as they stand in CREATE TABLE."""
    return ", ".join(_column(session, field) for field in wanted)


def _column(session: Session, field: pa.Field) -> str:
    return f"{quote(field.name)} {session.dialect.sql_type(field.type)}"


def _create(session: Session, table: Table, wanted: pa.Schema, key: Sequence[str]) -> None:
    if not session.dialect.has_schema(session, table.schema):
        session.dialect.take_turns(session, table.schema)
        if not session.dialect.has_schema(session, table.schema):
            session.execute(f"CREATE SCHEMA {quote(table.schema)}")
    session.execute(
        f"CREATE TABLE {table.sql} ({column_definitions(session, wanted)}, PRIMARY KEY ({quoted(key)}))"
    )


def _check_names(session: Session, names: Sequence[str]) -> None:
    longest = session.dialect.longest_name
    for name in names:
        if longest is not None and len(name.encode()) > longest:
            raise TableError(
                f"The name {name} has more than the {longest} bytes that {session.dialect.vendor} keeps. "
                "Leave the column out of the fields of the extract, or give the table a shorter name."
            )


def _check_types(session: Session, table: Table, declared: dict[str, str], wanted: pa.Schema) -> None:
    dialect = session.dialect
    for field in wanted:
        if field.name in declared and not dialect.holds(declared[field.name], field.type):
            raise TableError(
                f"Column {field.name} of {table} is {declared[field.name]}, but the extract has {field.type} "
                f"for it, which needs {dialect.sql_type(field.type)}. Change the column (ALTER TABLE {table.sql} "
                f"ALTER COLUMN {quote(field.name)} TYPE {dialect.sql_type(field.type)}), or load into another "
                "table."
            )
