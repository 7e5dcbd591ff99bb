"""Turn a query into SQL for SQLite.

Records are JSON text in the column ``body`` of one table for each collection; what every list needs fast
is copied to columns. Functions that SQLite lacks (``fold``, ``decimal_key``) are registered by the store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from coupa_provider.emulator.attributes import Step, home_of_type
from coupa_provider.emulator.query import Condition, ListQuery
from coupa_provider.emulator.switches import Switches

COLUMNS = {
    "id": "id",
    "created-at": "created_at",
    "updated-at": "updated_at",
    "status": "status",
    "exported": "exported",
}

COMPARE = {"eq": "=", "gt": ">", "lt": "<", "gt_or_eq": ">=", "lt_or_eq": "<=", "not_eq": "<>"}


@dataclass(frozen=True, slots=True)
class Statement:
    """A piece of SQL with the values of its placeholders.

    :param text: SQL.
    :param values: one value for each ``?``, in order.
    """

    text: str
    values: tuple[Any, ...] = ()


class Compiler:
    """Compiles queries of one collection.

    :param table: name of the table, unquoted.
    :param switches: decide about letter case, lists and ignored orders.
    :param table_of: gives the table of another collection, or None when it has no rows to join.
    """

    def __init__(self, table: str, switches: Switches, table_of: Callable[[str], str | None]) -> None:
        self._table = table
        self._source = f'"{table}" t'
        self._fold = switches["U16"] == "insensitive"
        self._lists = switches["U17"]
        self._keyset = switches["U15"]
        self._table_of = table_of
        self._aliases = 0

    def page(self, query: ListQuery, extra: Sequence[Statement] = ()) -> Statement:
        """Compile one page of a list.

        :param query: what is asked.
        :param extra: further conditions on ``t``.
        :return: SELECT of the bodies.
        """
        conditions, order_text = self._keyset_quirk(query)
        source, where = self._where(conditions)
        clauses = [*extra, *where]
        tests = " AND ".join(clause.text for clause in clauses)
        where_text = f" WHERE {tests}" if clauses else ""
        values = tuple(value for clause in clauses for value in clause.values)
        order = f" ORDER BY {order_text}"
        limit = " LIMIT ? OFFSET ?"
        values = (*values, query.limit, query.offset)
        # Names come from the catalog, values are bound.
        by_columns = source == self._source and "body" not in tests and order_text.startswith("t.id")
        if by_columns and self._is_sparse(conditions, query.offset):
            # To skip many wide records, walk the narrow index and fetch bodies of the page alone.
            inner = f'SELECT t.id FROM "{self._table}" t INDEXED BY "{self._table} lean"'  # noqa: S608
            text = f'SELECT t.body FROM "{self._table}" t WHERE t.id IN ({inner}{where_text}{order}{limit}){order}'  # noqa: S608
            return Statement(text, values)
        return Statement(f"SELECT t.body FROM {source}{where_text}{order}{limit}", values)  # noqa: S608

    @staticmethod
    def _is_sparse(conditions: Sequence[Condition], offset: int) -> bool:
        return offset > 0 or any(condition.steps[0].name != "id" for condition in conditions)

    def _keyset_quirk(self, query: ListQuery) -> tuple[list[Condition], str]:
        has_id_bound = any(
            len(condition.steps) == 1 and condition.steps[0].name == "id" and condition.operator == "gt"
            for condition in query.conditions
        )
        if not (has_id_bound and query.order):
            return query.conditions, self._order(query)
        if self._keyset == "order_ignored":
            # Rows as an optimiser that took the index on updated_at would yield them.
            return query.conditions, "t.updated_at, t.id"
        if self._keyset == "filter_ignored":
            kept = [
                condition
                for condition in query.conditions
                if not (condition.steps[0].name == "id" and condition.operator == "gt")
            ]
            return kept, self._order(query)
        return query.conditions, self._order(query)

    def _order(self, query: ListQuery) -> str:
        direction = "DESC" if query.descending else "ASC"
        if not query.order or query.order[0].name == "id":
            return f"t.id {direction}"
        value = self._comparable(self._value("t.body", query.order, top=True), query.order_kind, query.order)
        return f"{value} {direction}, t.id {direction}"

    def _where(self, conditions: Sequence[Condition]) -> tuple[str, list[Statement]]:
        flat = [condition for condition in conditions if _first_list(condition.steps) is None]
        through = [condition for condition in conditions if _first_list(condition.steps) is not None]
        clauses = [self._test(condition, "t.body", condition.steps, top=True) for condition in flat]
        source = self._source
        if self._lists == "duplicates":
            joins, tests = self._joined("t.body", [(c, c.steps) for c in through])
            return ", ".join([source, *joins]), clauses + tests
        if self._lists == "any_line":
            groups = [[(condition, condition.steps)] for condition in through]
        else:
            groups = [[(condition, condition.steps) for condition in through]] if through else []
        for group in groups:
            clauses += self._exists("t.body", group)
        return source, clauses

    def _exists(self, source: str, group: list[tuple[Condition, tuple[Step, ...]]]) -> list[Statement]:
        """Conditions on one list hold together for one of its lines; so do those on lists inside it."""
        clauses: list[Statement] = []
        for prefix, members in _by_list(group).items():
            alias, listing = self._each(source, prefix)
            tests: list[Statement] = []
            deeper: list[tuple[Condition, tuple[Step, ...]]] = []
            for condition, rest in members:
                if not rest:
                    tests.append(self._test(condition, f"{alias}.value", (), top=False))
                elif _first_list(rest) is None:
                    tests.append(self._test(condition, f"{alias}.value", rest, top=False))
                else:
                    deeper.append((condition, rest))
            tests += self._exists(f"{alias}.value", deeper)
            text = " AND ".join(test.text for test in tests)
            values = tuple(value for test in tests for value in test.values)
            clauses.append(Statement(f"EXISTS (SELECT 1 FROM {listing} WHERE {text})", values))  # noqa: S608
        return clauses

    def _joined(
        self, source: str, group: list[tuple[Condition, tuple[Step, ...]]]
    ) -> tuple[list[str], list[Statement]]:
        joins: list[str] = []
        tests: list[Statement] = []
        for prefix, members in _by_list(group).items():
            alias, listing = self._each(source, prefix)
            joins.append(listing)
            deeper = [(c, rest) for c, rest in members if rest and _first_list(rest) is not None]
            tests += [
                self._test(c, f"{alias}.value", rest, top=False)
                for c, rest in members
                if not rest or _first_list(rest) is None
            ]
            more_joins, more_tests = self._joined(f"{alias}.value", deeper)
            joins += more_joins
            tests += more_tests
        return joins, tests

    def _each(self, source: str, prefix: tuple[Step, ...]) -> tuple[str, str]:
        self._aliases += 1
        alias = f"j{self._aliases}"
        return alias, f"json_each({self._value(source, prefix, top=source == 't.body')}) {alias}"

    def _value(self, source: str, steps: Sequence[Step], top: bool) -> str:
        """SQL for a value: from the record itself, else from the record that it refers to."""
        if top and len(steps) == 1 and steps[0].name in COLUMNS:
            return f"t.{COLUMNS[steps[0].name]}"
        own = extract(source, steps)
        if len(steps) == 1 or (len(steps) == 2 and steps[1].name == "id"):
            return own
        home = home_of_type(steps[0].target) if steps[0].base == "reference" else None
        table = self._table_of(home) if home else None
        if table is None:
            return own
        self._aliases += 1
        alias = f"r{self._aliases}"
        there = self._value(f"{alias}.body", steps[1:], top=False)
        key = extract(source, (steps[0], Step("id", "integer")))
        return f'COALESCE({own}, (SELECT {there} FROM "{table}" {alias} WHERE {alias}.id = {key}))'  # noqa: S608

    def _test(self, condition: Condition, source: str, steps: Sequence[Step], top: bool) -> Statement:
        value = self._value(source, steps, top) if steps else source
        operator = condition.operator
        if operator == "blank":
            empty = f"({value} IS NULL OR {value} = '' OR {value} = '[]' OR {value} = '{{}}')"
            return Statement(empty if condition.values[0] else f"NOT {empty}")
        compared = self._comparable(value, condition.kind, condition.steps)
        if operator in ("in", "not_in"):
            marks = ", ".join("?" * len(condition.values))
            word = "IN" if operator == "in" else "NOT IN"
            return Statement(f"{compared} {word} ({marks})", condition.values)
        (wanted,) = condition.values
        if operator == "contains":
            return Statement(f"instr({compared}, ?) > 0", (wanted,))
        if operator == "starts_with":
            return Statement(f"substr({compared}, 1, length(?)) = ?", (wanted, wanted))
        if operator == "ends_with":
            return (
                Statement(
                    f"(length({compared}) >= length(?) AND substr({compared}, -length(?)) = ?)",
                    (wanted, wanted, wanted),
                )
                if wanted
                else Statement(f"{compared} IS NOT NULL")
            )
        return Statement(f"{compared} {COMPARE[operator]} ?", (wanted,))

    def _comparable(self, value: str, kind: str, steps: Sequence[Step]) -> str:
        is_column = value.startswith("t.") and value != "t.body"
        if steps[-1].base == "unknown" and kind == "text" and value.startswith("json_extract("):
            value = _spelled_out(value)
        if kind == "text":
            text = comparable(value, "text" if self._fold else "exact")
            if is_column and value == "t.id":
                return f"CAST({value} AS TEXT)"
            return text
        if is_column:
            return value
        return comparable(value, kind)


def comparable(value: str, kind: str) -> str:
    """Return SQL that compares as values of a kind do.

    :param value: SQL for the value as it stands in the JSON.
    :param kind: one of the kinds of a condition; ``exact`` is text whose letter case counts.
    :return: SQL for the comparable value.
    """
    if kind == "exact":
        return f"CAST({value} AS TEXT)"
    if kind == "instant":
        return f"CAST(strftime('%s', {value}) AS INTEGER)"
    if kind == "day":
        return f"substr({value}, 1, 10)"
    if kind == "decimal":
        return f"decimal_key({value})"
    if kind == "number":
        return f"CAST({value} AS INTEGER)"
    if kind == "text":
        return f"fold({value})"
    return value


def _spelled_out(value: str) -> str:
    """SQLite gives 1 and 0 for true and false; where no document tells the type, words have to match."""
    type_of = value.replace("json_extract(", "json_type(", 1)
    return f"CASE {type_of} WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE {value} END"


def extract(source: str, steps: Sequence[Step]) -> str:
    """Return SQL for a value inside JSON.

    :param source: SQL for the JSON.
    :param steps: way to the value; no lists on it.
    :return: SQL; NULL where a part is missing.
    """
    names: list[str] = []
    for step in steps:
        if step.base == "foreign_key":
            names += [step.name.removesuffix("-id"), "id"]
        else:
            names.append(step.name)
    path = "$" + "".join('."' + name.replace('"', "").replace("'", "''") + '"' for name in names)
    return f"json_extract({source}, '{path}')"


def _first_list(steps: Sequence[Step]) -> int | None:
    return next((position for position, step in enumerate(steps) if step.many), None)


def _by_list(
    group: list[tuple[Condition, tuple[Step, ...]]],
) -> dict[tuple[Step, ...], list[tuple[Condition, tuple[Step, ...]]]]:
    """Sort conditions by the list they go through first; each keeps the steps that follow it."""
    sorted_: dict[tuple[Step, ...], list[tuple[Condition, tuple[Step, ...]]]] = {}
    for condition, steps in group:
        cut = _first_list(steps)
        if cut is None:
            continue
        sorted_.setdefault(steps[: cut + 1], []).append((condition, steps[cut + 1 :]))
    return sorted_
