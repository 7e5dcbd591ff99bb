"""Read the query string of a GET: conditions, paging, order and shape of the answer.

Nothing here knows about SQL or HTTP; what cannot be right is refused with the words for the answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qsl

from coupa_provider.emulator.attributes import Step, dashed, resolve
from coupa_provider.emulator.decimal_order import decimal_key
from coupa_provider.emulator.stamps import parse_day, parse_instant
from coupa_provider.emulator.switches import Switches

PAGE = 50
OPERATORS = frozenset(
    (
        "contains",
        "starts_with",
        "ends_with",
        "gt",
        "lt",
        "gt_or_eq",
        "lt_or_eq",
        "not_eq",
        "in",
        "not_in",
        "blank",
    )
)
MAX_ASSOCIATIONS = 3
_GREATEST = 2**63 - 1

_TEXT_ONLY = frozenset(("contains", "starts_with", "ends_with", "blank"))
_KEY = re.compile(r"(?P<head>[^\[\]]+)(?P<rest>(?:\[[^\[\]]+\])*)")
_SHAPES = frozenset(("limited", "shallow", "none", "full"))
_TRUE, _FALSE = frozenset(("true", "1", "yes", "t", "y")), frozenset(("false", "0", "no", "f", "n"))
# Arguments with a meaning of their own; no attribute of any resource has these names.
_ARGUMENTS = frozenset(
    ("limit", "offset", "order-by", "dir", "fields", "return-object", "filter", "show-deleted-lines")
)


class QueryError(Exception):
    """A query that Coupa would refuse with 400."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a query.

    :param steps: way to the attribute, outermost first.
    :param operator: one of the documented operators; ``eq`` for none.
    :param values: comparable values, as the SQL of the attribute's kind yields them.
    :param kind: how the attribute is compared: ``instant``, ``day``, ``number``, ``decimal``, ``boolean``,
        ``text`` or ``presence``.
    """

    steps: tuple[Step, ...]
    operator: str
    values: tuple[Any, ...]
    kind: str


@dataclass(slots=True)
class ListQuery:
    """What a GET of a collection asks for.

    :param conditions: all must hold.
    :param limit: size of the page.
    :param offset: rows to skip.
    :param order: way to the attribute to sort by; empty for the order of ids.
    :param order_kind: how that attribute is compared.
    :param descending: sort from the greatest.
    :param fields: parsed ``fields`` argument, or None.
    :param return_object: value of that argument, or None.
    :param saved_filter: name of a saved API filter, or None.
    :param show_deleted_lines: value of that argument.
    """

    conditions: list[Condition] = field(default_factory=list)
    limit: int = PAGE
    offset: int = 0
    order: tuple[Step, ...] = ()
    order_kind: str = "number"
    descending: bool = False
    fields: list[Any] | None = None
    return_object: str | None = None
    saved_filter: str | None = None
    show_deleted_lines: bool = False


def parse_query(
    query_string: str, type_name: str, switches: Switches, own_names: Collection[str] = ()
) -> ListQuery:
    """Read the query string of a list.

    :param query_string: as sent, still encoded.
    :param type_name: type of the records.
    :param switches: decide about unknown attributes and limits.
    :param own_names: top-level names beyond the documented ones that the records have.
    :return: the query.
    :raises QueryError: when Coupa would refuse it.
    """
    query = ListQuery()
    # Of two equal keys the last one counts, as in Rails.
    arguments = dict(parse_qsl(query_string, keep_blank_values=True))
    for key, text in arguments.items():
        plain = dashed(key)
        if plain in _ARGUMENTS:
            _read_argument(query, plain, text, switches)
        else:
            _add_condition(query, key, text, type_name, switches, own_names)
    if "order-by" in map(dashed, arguments):
        order_by = next(text for key, text in arguments.items() if dashed(key) == "order-by")
        _set_order(query, order_by, type_name, switches, own_names)
    return query


def _read_argument(query: ListQuery, name: str, text: str, switches: Switches) -> None:
    if name == "limit":
        query.limit = _whole_number("limit", text, least=1)
        if query.limit > PAGE and switches["U8"] == "400":
            raise QueryError(f"limit must not be greater than {PAGE}")
        query.limit = min(query.limit, PAGE)
    elif name == "offset":
        query.offset = _whole_number("offset", text, least=0)
    elif name == "dir":
        if text.lower() not in ("asc", "desc"):
            raise QueryError("dir must be asc or desc")
        query.descending = text.lower() == "desc"
    elif name == "fields":
        query.fields = parse_fields(text)
    elif name == "return-object":
        if text not in _SHAPES:
            raise QueryError(f"return_object must be one of {', '.join(sorted(_SHAPES))}")
        query.return_object = text
    elif name == "filter":
        query.saved_filter = text
    elif name == "show-deleted-lines":
        query.show_deleted_lines = text.lower() in _TRUE


def _whole_number(name: str, text: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        raise QueryError(f"{name} must be a whole number") from None
    if number < least:
        raise QueryError(f"{name} must be at least {least}")
    return _storable(name, number)


def _storable(name: str, number: int) -> int:
    if abs(number) > _GREATEST:
        raise QueryError(f"{name} is too large")
    return number


def parse_fields(text: str) -> list[Any]:
    """Read the ``fields`` argument.

    :param text: JSON array of names and of one-key objects.
    :return: the array with dashed names.
    :raises QueryError: when it is no such array.
    """
    try:
        parsed = json.loads(text)
    except ValueError:
        raise QueryError("fields must be a JSON array") from None
    return _normal_fields(parsed)


def _normal_fields(parsed: Any) -> list[Any]:
    if not isinstance(parsed, list):
        raise QueryError("fields must be a JSON array of names and objects")
    normal: list[Any] = []
    for entry in parsed:
        if isinstance(entry, str):
            normal.append(dashed(entry))
        elif isinstance(entry, dict):
            for name, below in entry.items():
                # An empty object asks for everything below.
                normal.append({dashed(name): {} if below == {} else _normal_fields(below)})
        else:
            raise QueryError("fields may hold only names and objects")
    return normal


def _add_condition(
    query: ListQuery, key: str, text: str, type_name: str, switches: Switches, own_names: Collection[str]
) -> None:
    match = _KEY.fullmatch(key)
    if match is None:
        if switches["U9"] == "ignored":
            return
        raise QueryError(f"{key} cannot be read as an attribute")
    parts = [match["head"], *re.findall(r"\[([^\[\]]+)\]", match["rest"])]
    operator = "eq"
    if len(parts) > 1 and parts[-1].replace("-", "_") in OPERATORS:
        operator = parts.pop().replace("-", "_")
    names = tuple(dashed(part) for part in parts)
    if len(names) - 1 > MAX_ASSOCIATIONS:
        raise QueryError(f"{key} goes through more than {MAX_ASSOCIATIONS} associations")
    steps = resolve(type_name, names, own_names)
    if steps is None:
        if switches["U9"] == "ignored":
            return
        raise QueryError(f"{'.'.join(names)} is not an attribute that can be queried")
    query.conditions.append(_condition(tuple(steps), operator, text, switches))


def _condition(steps: tuple[Step, ...], operator: str, text: str, switches: Switches) -> Condition:
    name, base = steps[-1].name, steps[-1].base
    if operator == "blank":
        if base in ("datetime", "date"):
            raise QueryError(f"{name} is a time and cannot be queried with blank")
        kind = "presence" if base in ("reference", "list", "unknown") else "text"
        return Condition(steps, operator, (_boolean(name, text),), kind)
    if base in ("reference", "list"):
        raise QueryError(f"{name} is an association; name one of its attributes")
    if base in ("datetime", "date") and operator in _TEXT_ONLY:
        raise QueryError(f"{name} is a time and cannot be queried with {operator}")
    fold = switches["U16"] == "insensitive"
    kind, read = _comparison(base, operator, text, fold)
    texts = [part.strip() for part in text.split(",")] if operator in ("in", "not_in") else [text]
    return Condition(steps, operator, tuple(read(name, part) for part in texts), kind)


def _comparison(base: str, operator: str, text: str, fold: bool) -> tuple[str, Callable[[str, str], Any]]:
    if operator in _TEXT_ONLY:
        return "text", (_folded if fold else _plain)
    if base in ("integer", "foreign_key"):
        return "number", _integer
    if base in ("decimal", "float"):
        return "decimal", _decimal
    if base == "boolean":
        return "boolean", _boolean
    if base == "datetime":
        return "instant", _instant
    if base == "date":
        return "day", _day
    if base == "unknown" and operator in ("gt", "lt", "gt_or_eq", "lt_or_eq") and decimal_key(text):
        return "decimal", _decimal
    return "text", (_folded if fold else _plain)


def _plain(_: str, text: str) -> str:
    return text


def _folded(_: str, text: str) -> str:
    return text.casefold()


def _integer(name: str, text: str) -> int:
    try:
        return _storable(name, int(text))
    except ValueError:
        raise QueryError(f"{name} must be compared with a whole number") from None


def _decimal(name: str, text: str) -> str:
    try:
        key = decimal_key(Decimal(text.strip()))
    except InvalidOperation:
        key = None
    if key is None:
        raise QueryError(f"{name} must be compared with a number")
    return key


def _boolean(name: str, text: str) -> int:
    word = text.strip().lower()
    if word in _TRUE:
        return 1
    if word in _FALSE:
        return 0
    raise QueryError(f"{name} must be compared with true or false")


def _instant(name: str, text: str) -> float:
    try:
        return parse_instant(text).timestamp()
    except (ValueError, OverflowError):
        raise QueryError(f"{name} must be compared with a time in ISO 8601") from None


def _day(name: str, text: str) -> str:
    try:
        return parse_day(text)
    except ValueError:
        raise QueryError(f"{name} must be compared with a day in ISO 8601") from None


def _set_order(
    query: ListQuery, order_by: str, type_name: str, switches: Switches, own_names: Collection[str]
) -> None:
    names = tuple(dashed(part) for part in re.findall(r"[^\[\]]+", order_by))
    steps = resolve(type_name, names, own_names)
    if steps is None or any(step.many for step in steps) or steps[-1].base == "reference":
        if switches["U9"] == "ignored":
            return
        raise QueryError(f"order_by cannot use {order_by}")
    query.order = tuple(steps)
    query.order_kind = order_kind(steps)


def order_kind(steps: Sequence[Step]) -> str:
    """Return how values of an attribute are compared when sorting.

    :param steps: way to the attribute.
    :return: one of the kinds of :class:`Condition`.
    """
    kinds = {
        "integer": "number",
        "foreign_key": "number",
        "decimal": "decimal",
        "float": "decimal",
        "boolean": "boolean",
        "datetime": "instant",
        "date": "day",
    }
    return kinds.get(steps[-1].base, "text")
