"""Any sequence of loads leaves what a dict would hold after the same steps."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import adbc_driver_duckdb.dbapi
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from coupa_provider.load.run import load_manifests
from tests.load.extracts import IDS, INSTANT, LINES, NOON, line, write_extract

TYPES = {"updated_at": INSTANT, "number": pa.string(), "total": pa.decimal128(38, 10), "paid": pa.bool_()}
VALUES = {
    "updated_at": st.sampled_from([None, NOON, NOON.replace(hour=13), NOON.replace(hour=14)]),
    "number": st.sampled_from([None, "", "a", "b"]),
    "total": st.none() | st.decimals(-9, 9, places=1),
    "paid": st.none() | st.booleans(),
}
IDENTIFIERS = st.integers(1, 4)


@dataclass
class Records:
    """An extract of records; ``lines`` is None where it has no table of lines."""

    columns: list[str]
    rows: list[dict[str, Any]]
    lines: list[dict[str, Any]] | None

    def write(self, folder: Path):
        schema = pa.schema([("id", pa.int64()), *((name, TYPES[name]) for name in self.columns)])
        children = {} if self.lines is None else {"invoice_lines": (self.lines, LINES)}
        return write_extract(folder, self.rows, schema, children=children)


@dataclass
class Deletions:
    """An extract of ids that are gone."""

    ids: list[int]

    def write(self, folder: Path):
        return write_extract(folder, [{"id": id} for id in self.ids], IDS, kind="deletions")


@dataclass
class Model:
    """What the tables should hold."""

    columns: set[str] = field(default_factory=set)
    records: dict[int, dict[str, Any]] = field(default_factory=dict)
    lines: dict[int, list[tuple[int, int, str]]] = field(default_factory=dict)

    def apply(self, step: Records | Deletions) -> None:
        if isinstance(step, Deletions):
            for id in step.ids:
                self.records.pop(id, None)
                self.lines.pop(id, None)
            return
        self.columns |= set(step.columns)
        for row in step.rows:
            mine = self.records.setdefault(row["id"], {})
            old, new = mine.get("updated_at"), row.get("updated_at")
            if old and new and old > new:
                continue
            mine.update(row)
            if step.lines is not None:
                own = [each for each in step.lines if each["_parent_id"] == row["id"]]
                self.lines[row["id"]] = [tuple(each.values()) for each in own]


@st.composite
def records(draw) -> Records:
    columns = draw(st.lists(st.sampled_from(sorted(TYPES)), unique=True))
    ids = draw(st.lists(IDENTIFIERS, unique=True))
    rows = [{"id": id, **{name: draw(VALUES[name]) for name in columns}} for id in ids]
    lines = None
    if draw(st.booleans()):
        counts = [(id, draw(st.integers(0, 2))) for id in ids]
        text = draw(st.sampled_from(["x", "y"]))
        lines = [line(id, position, text) for id, count in counts for position in range(count)]
    return Records(columns, rows, lines)


STEPS = records() | st.builds(Deletions, st.lists(IDENTIFIERS, unique=True))
LOADS = st.lists(st.lists(STEPS, min_size=1, max_size=3), min_size=1, max_size=5)


@given(LOADS)
@settings(max_examples=60, deadline=None)
def test_the_tables_are_what_a_dict_would_be(loads):
    model = Model()
    with (
        tempfile.TemporaryDirectory() as folder,
        adbc_driver_duckdb.dbapi.connect() as connection,
    ):
        for number, steps in enumerate(loads):
            readers = [step.write(Path(folder) / f"{number}-{i}") for i, step in enumerate(steps)]
            for _ in range(2 if len(steps) == 1 else 1):  # once more changes nothing
                counts = load_manifests(connection, readers, "invoices")
            if len(steps) == 1:
                assert (counts.inserted, counts.updated, counts.deleted) == (0, 0, 0)
            for step in steps:
                model.apply(step)
            check(
                connection,
                model,
                any(isinstance(step, Records) for steps in loads[: number + 1] for step in steps),
            )


def check(connection: Any, model: Model, made: bool) -> None:
    rows = {}
    if made:
        columns = ["id", *sorted(model.columns)]
        for row in query(connection, f"SELECT {', '.join(columns)} FROM invoices"):
            rows[row[0]] = dict(zip(columns, row, strict=True))
    empty = dict.fromkeys(model.columns)
    assert rows == {id: {**empty, **record} for id, record in model.records.items()}
    lines = []
    if query(connection, "SELECT 1 FROM duckdb_tables() WHERE table_name = 'invoices_invoice_lines'"):
        lines = query(connection, "SELECT * FROM invoices_invoice_lines ORDER BY ALL")
    assert lines == sorted(each for own in model.lines.values() for each in own)
    assert (
        query(connection, "SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'coupa_stage%'") == []
    )


def query(connection: Any, sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()
