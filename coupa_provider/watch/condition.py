"""Conditions that records which are waited for are held against: read, compared, and put into words."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from coupa_provider.client.conditions import satisfies
from coupa_provider.client.errors import CoupaQueryError
from coupa_provider.client.query import Condition, parse_filters
from coupa_provider.resources import find_resource
from coupa_provider.watch.field_tree import Tree, union

_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gt_or_eq": operator.ge,
    "lt": operator.lt,
    "lt_or_eq": operator.le,
}
_WORDS = {
    "": "is",
    "in": "is one of",
    "not_eq": "is not",
    "not_in": "is none of",
    "gt": ">",
    "gt_or_eq": ">=",
    "lt": "<",
    "lt_or_eq": "<=",
    "contains": "contains",
    "starts_with": "starts with",
    "ends_with": "ends with",
}
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def parse_conditions(name: str, given: Mapping[str, Any] | None, resource: str) -> tuple[Condition, ...]:
    """Read the conditions of an argument.

    :param name: of the argument, for messages.
    :param given: Coupa's query keys with values; None for none.
    :param resource: path under ``/api``.
    :raises CoupaQueryError: one of them could never be told of a record.
    """
    conditions, arguments = parse_query(name, given, resource)
    if arguments:
        raise CoupaQueryError(f"{name}: {next(iter(arguments))!r} is no attribute of a record.")
    for condition in conditions:
        first, _, below = condition.path[0].partition(".")
        if below:
            raise CoupaQueryError(
                f"{name}: {condition.key!r} has a dot in it. Write {first}[{below.replace('.', '][')}] for what is below "
                f"{first}."
            )
        if condition.base in ("reference", "list") and condition.operator != "blank":
            key = condition.key.removesuffix(f"[{condition.operator}]")
            raise CoupaQueryError(
                f"{name}: {condition.key!r} is an object or a list. Name what is below it, as {key}[id], or use "
                f"{key}[blank] to ask whether there is one."
            )
    return tuple(conditions)


def parse_query(
    name: str, given: Mapping[str, Any] | None, resource: str
) -> tuple[list[Condition], dict[str, str]]:
    """Read a query.

    :return: its conditions, and its other arguments, as :func:`.query.parse_filters` gives them.
    :raises CoupaQueryError: something of it is wrong; the message calls it by ``name``.
    """
    if isinstance(given, str):
        raise CoupaQueryError(
            f"{name} must be a dict of Coupa's query keys, not text: {given[:80]!r}. If it is one template, set "
            "render_template_as_native_obj=True on the DAG; templates may also stand in its values."
        )
    try:
        return parse_filters(given, find_resource(resource))
    except CoupaQueryError as error:
        raise CoupaQueryError(error.message.replace("filters", name, 1)) from None


def holds(record: Mapping[str, Any], condition: Condition) -> bool:
    """Tell whether a record surely satisfies a condition.

    Where :func:`.conditions.satisfies` cannot tell how Coupa orders two values, two days count by the calendar and two
    numbers by their size.
    """
    verdict = satisfies(record, condition)
    order = _ORDERS.get(condition.operator)
    if verdict is not None or order is None:
        return bool(verdict)
    shown, value = value_at(record, condition.path)
    wanted = condition.values[0]
    if not shown or not isinstance(value, str):
        return False
    if _DAY.match(value) and _DAY.fullmatch(wanted):
        return order(value[:10], wanted)
    try:
        return order(Decimal(value), Decimal(wanted))
    except InvalidOperation:
        return False


def value_at(record: Mapping[str, Any], path: Sequence[str]) -> tuple[bool, Any]:
    """Return whether a record shows what a path leads to, and that; a list where the path comes to one."""
    value: Any = record
    for part in path:
        if isinstance(value, list):
            break
        name = part.replace("_", "-")
        if not isinstance(value, Mapping) or (name not in value and part not in value):
            return False, None
        value = value[name] if name in value else value[part]
    return True, value


def in_words(conditions: Iterable[Condition]) -> str:
    """Return what conditions ask for: ``status is one of 'approved', 'paid'``."""
    return " and ".join(_in_words(condition) for condition in conditions)


def shown(record: Mapping[str, Any], conditions: Iterable[Condition]) -> str:
    """Return what a record shows of the attributes that conditions speak of."""
    return ", ".join(
        f"{'.'.join(path)} is {_value_in_words(record, path)}"
        for path in dict.fromkeys(condition.path for condition in conditions)
    )


def unlisted(conditions: Iterable[Condition], resource: str) -> str:
    """Return a sentence on values that the documents do not list, so that one misspelt is found; or nothing."""
    known = find_resource(resource)
    for condition in conditions:
        attribute = known.attributes.get(condition.path[0].replace("_", "-")) if known else None
        if attribute is None or len(condition.path) > 1 or condition.operator not in ("", "in"):
            continue
        odd = [value for value in condition.values if attribute.allowed and value not in attribute.allowed]
        if odd:
            return (
                f"The documents do not list {', '.join(map(repr, odd))} among the values of {attribute.name}: "
                f"{', '.join(attribute.allowed)}"
            )
    return ""


def tree_of(conditions: Iterable[Condition]) -> Tree:
    """Return the attributes that conditions speak of, and ``id``."""
    return union([{"id": None}, *(_tree(condition.path) for condition in conditions)]) or {}


def _tree(path: Sequence[str]) -> Tree:
    if path[0] == "custom_fields":  # what can be asked for below it, and how, is not documented
        return {"custom_fields": {}}
    tree: Tree | None = None
    for name in reversed(path):
        tree = {name: tree}
    return tree or {}


def _in_words(condition: Condition) -> str:
    name = ".".join(condition.path)
    if condition.operator == "blank":
        return f"{name} is {'blank' if condition.text.lower() == 'true' else 'not blank'}"
    return f"{name} {_WORDS[condition.operator]} {', '.join(map(repr, condition.values))}"


def _value_in_words(record: Mapping[str, Any], path: Sequence[str]) -> str:
    is_shown, value = value_at(record, path)
    if not is_shown:
        return "not shown (it is null, misspelt, or hidden from this connection)"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list):
        return f"below a list of {len(value)}"
    return "null" if value is None else repr(value)
