"""What becomes of staged rows: what is older is left out, what differs is updated, what is new is inserted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coupa_provider.load.errors import LoadError
from coupa_provider.load.session import Session
from coupa_provider.load.table import Table, quote, quoted

ID = "id"
STAMP = "updated_at"

_MOST_IDS_TOLD = 5


@dataclass(frozen=True, slots=True)
class Merged:
    """What became of staged records.

    :param inserted: records that the table did not have.
    :param updated: records that differed.
    :param older: records that the table has newer.
    """

    inserted: int
    updated: int
    older: int


def merge_records(session: Session, target: Table, stage: str, columns: Sequence[str], rows: int) -> Merged:
    """Merge staged records by id; of two with one id the one with the newest stamp stays.

    Without a stamp on one side, and with the same on both, the staged record is taken. Afterwards the stage holds
    the records that were taken, and no others.

    :param target: table of records.
    :param stage: temporary table with one row per id, as it stands in SQL.
    :param columns: the columns of the stage, which the target has as well.
    :param rows: rows of the stage.
    :raises LoadError: the stage has several rows of one id.
    """
    stamped = STAMP in columns
    others = [name for name in columns if name not in (ID, STAMP)]
    moved = f"t.{STAMP} IS DISTINCT FROM s.{STAMP}"
    differ = " OR ".join(f"t.{quote(name)} IS DISTINCT FROM s.{quote(name)}" for name in others)
    with session.doing(f"Merging rows into {target}"):
        updated = older = 0
        if stamped:
            # Where the stamps differ nothing else need be compared, and a join without the other columns is quick.
            updated = _update(
                session, target, stage, columns, f"{moved} AND (t.{STAMP} > s.{STAMP}) IS NOT TRUE"
            )
            if updated == rows:  # each has found its own, so there is nothing else to look for
                return Merged(0, updated, 0)
        _check_ids(session, target, stage)
        if others:
            alike = f"NOT ({moved}) AND ({differ})" if stamped else differ
            updated += _update(session, target, stage, columns, alike)
        if stamped:
            older = session.execute(
                f"DELETE FROM {stage} AS s USING {target.sql} AS t "
                f"WHERE t.{ID} = s.{ID} AND t.{STAMP} > s.{STAMP}"
            )
        inserted = session.execute(
            f"INSERT INTO {target.sql} ({quoted(columns)}) SELECT {quoted(columns)} FROM {stage} AS s "
            f"WHERE NOT EXISTS (SELECT 1 FROM {target.sql} AS t WHERE t.{ID} = s.{ID})"
        )
        return Merged(inserted, updated, older)


def _update(session: Session, target: Table, stage: str, columns: Sequence[str], condition: str) -> int:
    assignments = ", ".join(f"{quote(name)} = s.{quote(name)}" for name in columns if name != ID)
    return session.execute(
        f"UPDATE {target.sql} AS t SET {assignments} FROM {stage} AS s WHERE t.{ID} = s.{ID} AND ({condition})"
    )


def replace_lines(
    session: Session, target: Table, stage: str, records: str, columns: Sequence[str], parent: str
) -> int:
    """Replace the lines of each record that was taken, and return how many there are now.

    :param target: table of lines.
    :param stage: temporary table of lines, as it stands in SQL.
    :param records: table with the records that were taken, likewise.
    :param columns: the columns of the stage.
    :param parent: the one with the id of the record.
    """
    taken = f"{quote(parent)} IN (SELECT {ID} FROM {records})"
    with session.doing(f"Replacing lines in {target}"):
        session.execute(f"DELETE FROM {target.sql} WHERE {taken}")
        return session.execute(
            f"INSERT INTO {target.sql} ({quoted(columns)}) SELECT {quoted(columns)} FROM {stage} "
            f"WHERE {taken}"
        )


def delete_rows(session: Session, target: Table, stage: str, key: str = ID) -> int:
    """Delete the rows whose key is a staged id, and return how many there were.

    :param stage: temporary table of ids, as it stands in SQL.
    :param key: column of the target: its id, or for lines the id of their record.
    """
    with session.doing(f"Deleting rows from {target}"):
        return session.execute(f"DELETE FROM {target.sql} WHERE {quote(key)} IN (SELECT {ID} FROM {stage})")


def _check_ids(session: Session, target: Table, stage: str) -> None:
    twice = session.rows(
        f"SELECT {ID} FROM {stage} GROUP BY {ID} HAVING count(*) > 1 ORDER BY {ID} LIMIT {_MOST_IDS_TOLD}"
    )
    if twice:
        ids = ", ".join(str(each) for (each,) in twice)
        raise LoadError(f"The extract for {target} has several rows of id {ids}. Extract it again.")
