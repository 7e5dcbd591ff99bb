"""Ask once for what several want to see, and give each what it asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

#: Names with what is wanted below them; None for everything.
Tree = dict[str, Any]


def read_tree(fields: str | None) -> Tree | None:
    """Read an encoded ``fields`` argument.

    :param fields: compact JSON, as :func:`.query.encode_fields` makes it; None for Coupa's default.
    :return: the tree, None for Coupa's default.
    """
    return None if fields is None else _tree(json.loads(fields))


def union(trees: Iterable[Tree | None]) -> Tree | None:
    """Return what shows as much as all of them; None, Coupa's default, where one asks for that."""
    whole: Tree = {}
    for tree in trees:
        if tree is None:
            return None
        _add(whole, tree)
    return whole


def to_fields(tree: Tree | None) -> list[Any] | None:
    """Return a ``fields`` list."""
    if tree is None:
        return None
    return [
        name if below is None else {name: {} if not below else to_fields(below)}
        for name, below in tree.items()
    ]


def project(value: Any, tree: Tree | None) -> Any:
    """Return what one asked for out of what several asked for, ``id`` at the top always with it.

    :param value: a record as Coupa sent it, with dashed names.
    :param tree: what was asked for; None takes everything.
    """
    if tree is None:
        return value
    return _project(value, {"id": None, **tree})


def _project(value: Any, tree: Tree | None) -> Any:
    if isinstance(value, list):
        return [_project(member, tree) for member in value]
    if not tree or not isinstance(value, Mapping):
        return value
    wanted = {name.replace("_", "-"): below for name, below in tree.items()}
    return {
        name: _project(part, wanted[name.replace("_", "-")])
        for name, part in value.items()
        if name.replace("_", "-") in wanted
    }


def _tree(fields: Iterable[Any]) -> Tree:
    tree: Tree = {}
    for item in fields:
        for name, below in item.items() if isinstance(item, Mapping) else [(item, None)]:
            _add(tree, {name: None if below is None else _tree(below)})
    return tree


def _add(tree: Tree, other: Tree) -> None:
    for name, below in other.items():
        if name not in tree:
            tree[name] = below if not below else _copy(below)
        elif tree[name] is None or below is None or not tree[name] or not below:
            tree[name] = _wider(tree[name], below)
        else:
            _add(tree[name], below)


def _wider(one: Tree | None, other: Tree | None) -> Tree | None:
    """A name alone leaves the shape of an association to Coupa: only everything below it surely holds both."""
    return None if one is None and other is None else {}


def _copy(tree: Tree) -> Tree:
    return {name: _copy(below) if below else below for name, below in tree.items()}
