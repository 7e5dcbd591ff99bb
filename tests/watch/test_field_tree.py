"""One answer for several: it shows what each asked for, and each gets what it would have been answered alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coupa_provider.client.query import encode_fields
from coupa_provider.emulator.query import parse_fields
from coupa_provider.emulator.shape import project as project_as_coupa
from coupa_provider.watch.field_tree import Tree, project, read_tree, to_fields, union

NAMES = st.sampled_from(["id", "name", "unit-price", "supplier", "order-lines", "currency"])
VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
RECORDS = st.dictionaries(
    NAMES,
    st.recursive(
        VALUES,
        lambda part: st.dictionaries(NAMES, part, max_size=4) | st.lists(st.dictionaries(NAMES, part), max_size=3),
        max_leaves=12,
    ),
).map(lambda record: {**record, "id": 7})  # fmt: skip


def as_list(tree: dict[str, Any]) -> list[Any]:
    return [name if below is None else {name: as_list(below)} for name, below in tree.items()]


#: As users write them, dashed or underscored, each name once.
FIELDS = st.none() | st.recursive(
    st.dictionaries(NAMES, st.none(), min_size=1, max_size=4),
    lambda part: st.dictionaries(NAMES, st.none() | part, min_size=1, max_size=4),
    max_leaves=8,
).map(as_list)


def answer(record: dict[str, Any], fields: list[Any] | None) -> dict[str, Any]:
    """Return what Coupa shows of a record."""
    encoded = encode_fields(fields, always=["id"])
    if encoded is None:
        return record
    return project_as_coupa(record, parse_fields(encoded), "", lambda path, record_id: None, None)


def tree(fields: list[Any] | None) -> Tree | None:
    return read_tree(encode_fields(fields, always=["id"]))


@given(RECORDS, st.lists(FIELDS, min_size=1, max_size=4))
def test_each_gets_its_own_answer(record: dict[str, Any], asked: list[list[Any] | None]) -> None:
    together = answer(record, to_fields(union(tree(fields) for fields in asked)))
    for fields in asked:
        assert project(together, tree(fields)) == answer(record, fields)


@given(RECORDS, FIELDS)
def test_who_asks_alone_is_answered_alike(record: dict[str, Any], fields: list[Any] | None) -> None:
    assert answer(record, to_fields(union([tree(fields)]))) == answer(record, fields)


@given(st.lists(FIELDS, max_size=4))
def test_the_order_does_not_matter_and_nobody_is_changed(asked: list[list[Any] | None]) -> None:
    trees = [tree(fields) for fields in asked]
    before = json.dumps(trees)
    assert union(trees) == union(reversed(trees))
    assert json.dumps(trees) == before


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ([["id"], ["status"]], ["id", "status"]),
        ([["id"], None], None),
        ([[{"supplier": ["name"]}], [{"supplier": ["number"]}]], [{"supplier": ["name", "number"]}, "id"]),
        # What a name alone shows of an association is left to Coupa: everything below holds it for sure.
        ([["supplier"], [{"supplier": ["number"]}]], [{"supplier": {}}, "id"]),
        ([[{"supplier": {}}], [{"supplier": ["number"]}]], [{"supplier": {}}, "id"]),
        ([["unit-price"], ["unit_price"]], ["unit_price", "id"]),
    ],
)
def test_what_is_asked_for_together(asked: list[Any], expected: Any) -> None:
    fields = to_fields(union(tree(one) for one in asked))
    assert sorted(map(str, fields or [])) == sorted(map(str, expected or []))
    assert (fields is None) == (expected is None)
