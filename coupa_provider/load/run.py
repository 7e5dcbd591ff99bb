"""A load from beginning to end: manifests in their order, all in one transaction."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa

from coupa_provider.extract.manifest_reader import ManifestReader
from coupa_provider.extract.schema import PARENT_ID, POSITION, column_name
from coupa_provider.load.errors import TableError
from coupa_provider.load.merge import ID, Merged, delete_rows, merge_records, replace_lines
from coupa_provider.load.session import Session
from coupa_provider.load.staging import fill, staged
from coupa_provider.load.structure import ensure_table
from coupa_provider.load.table import Table
from coupa_provider.resources.catalog import find_resource

log = logging.getLogger(__name__)


@dataclass
class Counts:
    """What a load did.

    :param staged: rows read from the manifests: records, and ids to delete.
    :param inserted: records that the table did not have.
    :param updated: records that replaced others.
    :param unchanged: records that the table had as they are.
    :param older: records that the table has newer, left out.
    :param deleted: records deleted.
    :param lines: lines written, by table.
    :param columns_added: columns that a table got, by table; none for one that was made.
    :param seconds: time until the commit.
    """

    staged: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    older: int = 0
    deleted: int = 0
    lines: dict[str, int] = field(default_factory=dict)
    columns_added: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the counts as what can be JSON."""
        return asdict(self)


def load_manifests(
    connection: Any,
    readers: Sequence[ManifestReader],
    table: str,
    *,
    child_tables: Mapping[str, str] | None = None,
) -> Counts:
    """Merge extracts into a table, one after the other; all of it or nothing.

    :param connection: a connection of ADBC's DBAPI with autocommit off, such as ``AdbcHook.get_conn`` gives.
        It must be fresh: what it has not committed is committed or rolled back too.
    :param readers: the extracts, of one resource, oldest first.
    :param table: ``"schema.table"`` or ``"table"``; made if it does not exist.
    :param child_tables: tables of lines by the names the manifests have for them; ``<table>_<name>`` for others.
    :return: what was done.
    :raises TableError: the extract and the table do not fit each other, or an argument is wrong.
    :raises LoadError: the database refused.
    :raises ExtractError: a file is missing, or is not the one its manifest describes.
    """
    resources = sorted({reader.manifest.resource for reader in readers})
    if len(resources) != 1:
        raise TableError(
            f"A table takes the extracts of one resource; these are of {', '.join(resources) or 'none'}."
        )
    started = time.monotonic()
    session = Session(connection)
    with session.transaction():
        load = _Load(session, table, child_tables or {})
        load.take_turns(readers)
        for reader in readers:
            load.merge(reader)
    load.counts.seconds = round(time.monotonic() - started, 3)
    return load.counts


class _Load:
    def __init__(self, session: Session, table: str, child_tables: Mapping[str, str]) -> None:
        self._session = session
        self._schema = session.dialect.default_schema(session)
        self._table = Table.parse(table, self._schema)
        self._child_tables = {name: Table.parse(text, self._schema) for name, text in child_tables.items()}
        self.counts = Counts()

    def take_turns(self, readers: Sequence[ManifestReader]) -> None:
        """Wait for other loads into these tables, in an order in which no two wait for each other.

        :raises TableError: a table is to take two kinds of rows.
        """
        children = {name for reader in readers for name in self._names_of_children(reader)}
        tables = [self._table, *(self._child(name) for name in children)]
        if twice := {str(table) for table in tables if tables.count(table) > 1}:
            raise TableError(
                f"{', '.join(sorted(twice))} is to take two kinds of rows. Give each table of lines one of its own "
                "in child_tables."
            )
        for table in sorted(tables):
            self._session.dialect.take_turns(self._session, str(table))

    def merge(self, reader: ManifestReader) -> None:
        """Merge one extract."""
        log.info(
            "%s: loading %s %s from %s",
            self._table,
            f"{reader.manifest.records:,}",
            reader.manifest.kind,
            reader.folder.manifest_url,
        )
        self.counts.staged += reader.manifest.records
        if reader.manifest.kind == "deletions":
            self._delete(reader)
        else:
            self._merge_records(reader)

    def _merge_records(self, reader: ManifestReader) -> None:
        wanted = reader.arrow_schema()
        rows = reader.manifest.records
        if self._make(self._table, wanted, [ID]):
            fill(self._session, reader, self._table, ID)
            self._count(Merged(inserted=rows, updated=0, older=0), rows)
            for name in reader.manifest.children:
                self._replace_lines(reader, name, self._table.sql)
            return
        with staged(self._session, reader, self._table, ID) as stage:
            self._count(merge_records(self._session, self._table, stage, wanted.names, rows), rows)
            for name in reader.manifest.children:
                self._replace_lines(reader, name, stage)

    def _replace_lines(self, reader: ManifestReader, name: str, records: str) -> None:
        child = reader.manifest.children[name]
        table = self._child(name)
        drift = reader.manifest.drift
        if drift is not None and child.attribute in drift.never_seen:
            log.warning(
                "%s: left as it is, since no record of the extract has %s: Coupa may not show it to this client",
                table,
                child.attribute,
            )
            return
        wanted = reader.arrow_schema(name)
        made = self._make(table, wanted, [child.parent_column, child.position_column])
        if made and records == self._table.sql:
            fill(self._session, reader, table, child.parent_column, name)
            written = child.records
        else:
            with staged(self._session, reader, table, child.parent_column, name) as stage:
                written = replace_lines(
                    self._session, table, stage, records, wanted.names, child.parent_column
                )
        self.counts.lines[str(table)] = self.counts.lines.get(str(table), 0) + written

    def _delete(self, reader: ManifestReader) -> None:
        if not self._columns(self._table):
            return
        self._session.dialect.keep_writers_out(self._session, self._table)
        with staged(self._session, reader, self._table, ID) as stage:
            self.counts.deleted += delete_rows(self._session, self._table, stage)
            for table in sorted({self._child(name) for name in self._names_of_children(reader)}):
                if {PARENT_ID, POSITION} <= self._columns(table).keys():
                    delete_rows(self._session, table, stage, PARENT_ID)

    def _make(self, table: Table, wanted: pa.Schema, key: list[str]) -> bool:
        """Make a table, or widen it; return whether it was made."""
        added = ensure_table(self._session, table, wanted, key)
        if added:
            log.info("%s: added the columns %s", table, ", ".join(added))
            self.counts.columns_added.setdefault(str(table), []).extend(added)
        self._session.dialect.keep_writers_out(self._session, table)
        return added is None

    def _count(self, merged: Merged, rows: int) -> None:
        unchanged = rows - merged.inserted - merged.updated - merged.older
        counts = (merged.inserted, merged.updated, unchanged, merged.older)
        log.info(
            "%s: %s inserted, %s updated, %s unchanged, %s older",
            self._table,
            *(f"{count:,}" for count in counts),
        )
        self.counts.inserted += merged.inserted
        self.counts.updated += merged.updated
        self.counts.unchanged += unchanged
        self.counts.older += merged.older

    def _columns(self, table: Table) -> dict[str, str]:
        return self._session.dialect.columns(self._session, table)

    def _child(self, name: str) -> Table:
        return self._child_tables.get(name) or self._table.child(name)

    def _names_of_children(self, reader: ManifestReader) -> Iterator[str]:
        """Give those of the manifest; a deletions manifest has none, so all that the resource may have."""
        yield from reader.manifest.children
        if reader.manifest.kind == "deletions":
            yield from self._child_tables
            known = find_resource(reader.manifest.resource)
            for attribute in known.attributes.values() if known else ():
                if attribute.base == "list":
                    yield column_name(attribute.name)
