"""The records of the emulated instance, in SQLite in memory.

A record is kept as the JSON text that a default GET answers, so a page is joined, not rendered. The few
columns beside it are what nearly every list filters and sorts by.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from coupa_provider.emulator.attributes import Step
from coupa_provider.emulator.decimal_order import decimal_key
from coupa_provider.emulator.sql import Statement, comparable, extract
from coupa_provider.emulator.stamps import parse_instant

#: What SQLite takes; no id is greater.
GREATEST_INTEGER = 2**63 - 1

Record = dict[str, Any]
Row = tuple[int, int | None, int | None, str | None, int | None, int | None, str]
"""Id, created_at, updated_at, status, exported, parent id and body of a record."""

_COLUMNS = "id, created_at, updated_at, status, exported, parent_id, body"
# All columns but the body: what the compiler walks to skip many records.
_LEAN = "id, updated_at, created_at, status, exported, parent_id"
# Floats would not survive: numbers that are not whole come as text and stay as they were written.
_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder(decimal_format="number")


def decode(body: bytes | str) -> Any:
    """Decode JSON.

    :param body: JSON.
    :return: plain objects.
    """
    return _decoder.decode(body)


def encode(value: Any) -> bytes:
    """Encode to JSON.

    :param value: plain objects.
    :return: JSON.
    """
    return _encoder.encode(value)


def fold(value: object) -> str | None:
    """Return a value as text without letter case, as MySQL's usual collations compare.

    :param value: what SQLite found in the JSON.
    :return: folded text, or None for null.
    """
    return None if value is None else str(value).casefold()


@dataclass(slots=True)
class Collection:
    """One table.

    :param path: catalog path of the resource.
    :param next_id: id of the next record that is made.
    :param own_names: top-level names that records have beyond the documented ones.
    """

    path: str
    next_id: int
    own_names: set[str]


class Store:
    """All collections of one instance.

    :param seed_rows: gives the seeded rows of a collection and its undocumented top-level names; called
        when the collection is first used.
    """

    def __init__(self, seed_rows: Callable[[str], tuple[Iterable[Row], set[str]]]) -> None:
        self._seed_rows = seed_rows
        self._lock = threading.RLock()
        self._collections: dict[str, Collection] = {}
        self._indexes: set[str] = set()
        self._connection = self._open()

    @staticmethod
    def _open() -> sqlite3.Connection:
        connection = sqlite3.connect(
            ":memory:", check_same_thread=False, isolation_level=None, cached_statements=512
        )
        # Wide records then share a page instead of spilling over into chains of small ones.
        connection.execute("PRAGMA page_size = 65536")
        connection.execute("PRAGMA journal_mode = OFF")
        connection.text_factory = bytes
        connection.create_function("fold", 1, _folded_bytes, deterministic=True)
        connection.create_function("decimal_key", 1, decimal_key, deterministic=True)
        return connection

    def reset(self) -> None:
        """Forget every record; collections are seeded again on their next use."""
        with self._lock:
            self._connection.close()
            self._collections.clear()
            self._indexes.clear()
            self._connection = self._open()

    def close(self) -> None:
        """Free the memory."""
        with self._lock:
            self._connection.close()

    def collection(self, path: str) -> Collection:
        """Return a collection, made and seeded if this is its first use.

        :param path: catalog path.
        :return: the collection.
        """
        found = self._collections.get(path)
        if found is not None:
            return found
        with self._lock:
            if path not in self._collections:
                self._create(path)
            return self._collections[path]

    def _create(self, path: str) -> None:
        self._connection.execute(
            f'CREATE TABLE "{path}" (id INTEGER PRIMARY KEY, created_at INTEGER, updated_at INTEGER, '
            "status TEXT, exported INTEGER, parent_id INTEGER, body TEXT NOT NULL)"
        )
        rows, own_names = self._seed_rows(path)
        self._insert(path, rows)
        for column in ("updated_at", "created_at", "exported", "parent_id"):
            self._connection.execute(f'CREATE INDEX "{path} {column}" ON "{path}" ({column}, id)')
        self._connection.execute(f'CREATE INDEX "{path} lean" ON "{path}" ({_LEAN})')
        (last,) = self._connection.execute(f'SELECT MAX(id) FROM "{path}"').fetchone()  # noqa: S608
        self._collections[path] = Collection(path, (last or 0) + 1, set(own_names))

    def _insert(self, path: str, rows: Iterable[Row]) -> None:
        self._connection.execute("BEGIN")
        self._connection.executemany(
            f'INSERT OR REPLACE INTO "{path}" ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)',  # noqa: S608
            rows,
        )
        self._connection.execute("COMMIT")

    def seeded(self) -> dict[str, int]:
        """Return the number of records of each collection in use."""
        with self._lock:
            return {path: self.count(path) for path in sorted(self._collections)}

    def count(self, path: str) -> int:
        """Return the number of records.

        :param path: catalog path.
        :return: records now alive.
        """
        self.collection(path)
        with self._lock:
            (number,) = self._connection.execute(f'SELECT COUNT(*) FROM "{path}"').fetchone()  # noqa: S608
            return int(number)

    def select(self, statement: Statement) -> list[bytes]:
        """Run a SELECT of one column.

        :param statement: the SELECT; its tables must exist.
        :return: the column.
        """
        with self._lock:
            return [row[0] for row in self._connection.execute(statement.text, statement.values)]

    def ids(self, path: str) -> list[int]:
        """Return the ids now alive.

        :param path: catalog path.
        :return: sorted ids.
        """
        self.collection(path)
        with self._lock:
            return [row[0] for row in self._connection.execute(f'SELECT id FROM "{path}" ORDER BY id')]  # noqa: S608

    def body(self, path: str, record_id: int, parent_id: int | None = None) -> bytes | None:
        """Return the JSON of one record.

        :param path: catalog path.
        :param record_id: its id.
        :param parent_id: id of the record that it must belong to.
        :return: JSON, or None when there is no such record.
        """
        self.collection(path)
        if max(record_id, parent_id or 0) > GREATEST_INTEGER:
            return None
        text = f'SELECT body FROM "{path}" WHERE id = ?'  # noqa: S608
        values: tuple[int, ...] = (record_id,)
        if parent_id is not None:
            text, values = text + " AND parent_id = ?", (record_id, parent_id)
        with self._lock:
            row = self._connection.execute(text, values).fetchone()
        return row[0] if row else None

    def record(self, path: str, record_id: int) -> Record | None:
        """Return one record decoded.

        :param path: catalog path.
        :param record_id: its id.
        :return: the record, or None when there is no such record.
        """
        body = self.body(path, record_id)
        return None if body is None else decode(body)

    def new_id(self, path: str) -> int:
        """Return an id that no record had before.

        :param path: catalog path.
        :return: the id.
        """
        with self._lock:
            collection = self.collection(path)
            collection.next_id += 1
            return collection.next_id - 1

    def put(self, path: str, record: Record, parent_id: int | None = None) -> None:
        """Keep a record in place of the one with its id.

        :param path: catalog path.
        :param record: the record with an id.
        :param parent_id: id of the record that it belongs to; None leaves it as it is.
        """
        self.put_rows(path, [row_of(record, parent_id)], keep_parent=parent_id is None)

    def put_rows(self, path: str, rows: Sequence[Row], keep_parent: bool = False) -> None:
        """Keep several rows.

        :param path: catalog path.
        :param rows: the rows.
        :param keep_parent: leave the parent that a row has in the table.
        """
        with self._lock:
            collection = self.collection(path)
            if keep_parent and ":" in path:
                rows = [(*row[:5], self._parent(path, row[0]), row[6]) for row in rows]
            self._insert(path, rows)
            collection.next_id = max([collection.next_id, *(row[0] + 1 for row in rows)])

    def _parent(self, path: str, record_id: int) -> int | None:
        text = f'SELECT parent_id FROM "{path}" WHERE id = ?'  # noqa: S608
        row = self._connection.execute(text, (record_id,)).fetchone()
        return row[0] if row else None

    def delete(self, path: str, record_id: int) -> bool:
        """Remove a record.

        :param path: catalog path.
        :param record_id: its id.
        :return: True when there was one.
        """
        self.collection(path)
        with self._lock:
            cursor = self._connection.execute(f'DELETE FROM "{path}" WHERE id = ?', (record_id,))  # noqa: S608
            return cursor.rowcount > 0

    def matching(
        self,
        path: str,
        equal: Sequence[tuple[tuple[Step, ...], str, Any]],
        limit: int = 2,
        parent_id: int | None = None,
    ) -> list[int]:
        """Find records by the values of some attributes, through an index made on first use.

        :param path: catalog path.
        :param equal: way to each attribute, how it is compared, and the comparable value.
        :param limit: how many are wanted.
        :param parent_id: id of the record that they must belong to.
        :return: ids.
        """
        self.collection(path)
        expressions = [_key_expression(steps, kind) for steps, kind, _ in equal]
        if "id" not in expressions:
            self._index(path, expressions)
        where = " AND ".join(f"{expression} = ?" for expression in expressions)
        values = tuple(value for _, _, value in equal)
        if parent_id is not None:
            where, values = f"{where} AND parent_id = ?", (*values, parent_id)
        text = f'SELECT id FROM "{path}" WHERE {where} ORDER BY id LIMIT ?'  # noqa: S608
        values = (*values, limit)
        with self._lock:
            return [row[0] for row in self._connection.execute(text, values)]

    def few(
        self,
        path: str,
        steps: tuple[Step, ...],
        kind: str,
        tests: Sequence[tuple[str, tuple[Any, ...]]],
        most: int,
    ) -> list[int] | None:
        """Find records by the value of one attribute, through an index made on first use.

        :param path: catalog path.
        :param steps: way to the attribute.
        :param kind: how it is compared.
        :param tests: operators of SQL with placeholders, and the comparable values for them; all must hold.
        :param most: how many are wanted at most.
        :return: ids, or None when there are more.
        """
        self.collection(path)
        expression = _key_expression(steps, kind)
        name = self._index(path, [expression])
        where = " AND ".join(f"{expression} {test}" for test, _ in tests)
        text = f'SELECT id FROM "{path}" INDEXED BY "{name}" WHERE {where} LIMIT ?'  # noqa: S608
        values = (*(value for _, values in tests for value in values), most + 1)
        with self._lock:
            found = [row[0] for row in self._connection.execute(text, values)]
        return found if len(found) <= most else None

    def _index(self, path: str, expressions: Sequence[str]) -> str:
        """Make searching by the value of some attributes together fast, from now on."""
        name = f"{path} by {', '.join(expressions)}".replace('"', "")
        if name not in self._indexes:
            with self._lock:
                columns = ", ".join(expressions)
                self._connection.execute(f'CREATE INDEX IF NOT EXISTS "{name}" ON "{path}" ({columns})')
                self._indexes.add(name)
        return name

    def first_id(self, path: str) -> int | None:
        """Return the least id, or None when there is no record.

        :param path: catalog path.
        """
        self.collection(path)
        with self._lock:
            (first,) = self._connection.execute(f'SELECT MIN(id) FROM "{path}"').fetchone()  # noqa: S608
            return None if first is None else int(first)


def _key_expression(steps: tuple[Step, ...], kind: str) -> str:
    if len(steps) == 1 and steps[0].name == "id":
        return "id"
    return comparable(extract("body", steps), kind)


def _folded_bytes(value: object) -> str | None:
    return fold(value.decode() if isinstance(value, bytes) else value)


def row_of(record: Record, parent_id: int | None = None) -> Row:
    """Return the row that keeps a record.

    :param record: the record with an id.
    :param parent_id: id of the record that it belongs to.
    :return: the row.
    """
    exported = record.get("exported")
    status = record.get("status")
    return (
        int(record["id"]),
        _epoch(record.get("created-at")),
        _epoch(record.get("updated-at")),
        status if isinstance(status, str) else None,
        int(exported) if isinstance(exported, bool) else None,
        parent_id,
        encode(record).decode(),
    )


def _epoch(value: object) -> int | None:
    return int(parse_instant(value).timestamp()) if isinstance(value, str) else None
