"""Coupa's query syntax: checked, and encoded once.

``filters`` is a dict in Coupa's own words: ``{"status[in]": ["approved"], "supplier[name]": "Acme"}``
(articles 0007, 0009, 0014). Values are Python values; texts are sent as they are.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from coupa_provider.client.errors import CoupaQueryError
from coupa_provider.resources import Attribute, Resource, attributes_of_type

#: The operators of article 0007; equality is written without one.
OPERATORS = (
    "contains", "starts_with", "ends_with", "gt", "lt", "gt_or_eq", "lt_or_eq", "not_eq", "in", "not_in",
    "blank",
)  # fmt: skip
_NOT_FOR_INSTANTS = ("contains", "starts_with", "ends_with", "blank")
#: Spellings of other APIs. Coupa would take them for attributes of an association.
_FOREIGN_OPERATORS = {
    "eq": "no operator", "ne": "not_eq", "neq": "not_eq", "gte": "gt_or_eq", "ge": "gt_or_eq", "gteq": "gt_or_eq",
    "lte": "lt_or_eq", "le": "lt_or_eq", "lteq": "lt_or_eq", "nin": "not_in", "like": "contains",
    "ilike": "contains", "is_null": "blank", "isnull": "blank", "null": "blank", "startswith": "starts_with",
    "endswith": "ends_with", "not": "not_eq", "between": "gt_or_eq and lt", "greater_than": "gt", "less_than": "lt",
}  # fmt: skip
#: Arguments that shape the answer; a walk sets them itself.
_RESERVED = ("limit", "offset", "order_by", "dir", "fields", "return_object")
_KEY = re.compile(r"(?P<name>[A-Za-z0-9_.\-]+)(?P<rest>(?:\[[A-Za-z0-9_.\-]+\])*)")
_FIELD = re.compile(r"[A-Za-z0-9_\-]+")
#: Pairs of associations; conditions on both are answered with nothing at all (article 0055).
IMPOSSIBLE = {"exchange_rates": ("from_currency", "to_currency")}


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a query.

    :param path: attribute and, through associations, its parts: ``("supplier", "name")``, underscored.
    :param operator: one of :data:`OPERATORS`, or ``""`` for equality.
    :param values: the wire texts; more than one only for ``in`` and ``not_in``.
    :param base: documented base type of the attribute, None where the documents do not know it.
    """

    path: tuple[str, ...]
    operator: str
    values: tuple[str, ...]
    base: str | None = None

    @property
    def key(self) -> str:
        """The condition's key in a query string: ``updated_at[gt_or_eq]``."""
        operator = f"[{self.operator}]" if self.operator else ""
        return self.path[0] + "".join(f"[{part}]" for part in self.path[1:]) + operator

    @property
    def text(self) -> str:
        """The condition's value in a query string, not yet percent-encoded."""
        return ",".join(self.values)


def parse_filters(
    filters: Mapping[str, Any] | None, resource: Resource | None
) -> tuple[list[Condition], dict[str, str]]:
    """Check a user's filters.

    :param filters: Coupa's query keys with Python values; None or empty for no filter.
    :param resource: what the documents know of the resource; None knows nothing, so less can be checked.
    :return: the conditions, and the other arguments (``filter``, ``show_deleted_lines`` ...) as texts.
    :raises CoupaQueryError: an operator is unknown, a value cannot be sent, or a key is reserved.
    """
    conditions: list[Condition] = []
    arguments: dict[str, str] = {}
    if filters is not None and not isinstance(filters, Mapping):
        raise CoupaQueryError(f"filters must be a dict of Coupa's query keys, not {type(filters).__name__}.")
    for key, value in (filters or {}).items():
        condition = _parse_condition(key, value, resource)
        if condition.path in (
            ("filter",),
            ("show_deleted_lines",),
            ("attachable_type",),
            ("purchase_order_id",),
        ):
            arguments[condition.key] = condition.text
        elif any(other.key == condition.key for other in conditions):
            raise CoupaQueryError(
                f"filters name {condition.key!r} twice, once dashed and once underscored. Keep one of them."
            )
        else:
            conditions.append(condition)
    _refuse_impossible(conditions, resource)
    return conditions, arguments


def window_conditions(
    since: datetime | None, until: datetime | None, given: Sequence[Condition]
) -> list[Condition]:
    """Return the conditions of the window ``[since, until)`` on ``updated-at``.

    Coupa keeps whole seconds. Both ends are raised to the next whole second, so that two windows which
    meet in the middle of a second neither overlap nor leave a gap.

    :param since: first instant inside, aware; None for no lower end.
    :param until: first instant outside, aware; None for no upper end.
    :param given: the user's own conditions, which may not speak of ``updated-at`` as well.
    :raises CoupaQueryError: an instant is naive, the window is empty, or the filters overlap with it.
    """
    for name, instant in (("updated_since", since), ("updated_until", until)):
        if instant is not None and not isinstance(instant, datetime):
            raise CoupaQueryError(
                f"{name} must be a datetime with a time zone, not {type(instant).__name__}: {instant!r}."
            )
        if instant is not None and instant.utcoffset() is None:
            raise CoupaQueryError(
                f"{name}={instant.isoformat()} has no time zone. Add one, for instance a final Z."
            )
    if since is not None and until is not None and since >= until:
        raise CoupaQueryError(
            f"The window [{since.isoformat()}, {until.isoformat()}) is empty: updated_since must be before "
            "updated_until. With a cron schedule Airflow 3 gives data intervals of no length; use "
            "CronDataIntervalTimetable or explicit times."
        )
    if (since or until) and any(condition.path == ("updated_at",) for condition in given):
        raise CoupaQueryError(
            "filters hold a condition on updated-at beside updated_since or updated_until. Use one of the two."
        )
    window = []
    if since is not None:
        window.append(Condition(("updated_at",), "gt_or_eq", (format_instant(since),), "datetime"))
    if until is not None:
        window.append(Condition(("updated_at",), "lt", (format_instant(until),), "datetime"))
    return window


def format_instant(instant: datetime) -> str:
    """Return an aware instant in UTC with ``Z``, raised to the next whole second."""
    try:
        whole = instant.astimezone(UTC)
        if whole.microsecond:
            whole = whole.replace(microsecond=0) + timedelta(seconds=1)
    except OverflowError:
        raise CoupaQueryError(
            f"{instant.isoformat()} is beyond the times that can be sent. Leave the condition out instead."
        ) from None
    return whole.replace(tzinfo=None).isoformat() + "Z"


def encode_fields(fields: Sequence[Any] | None, *, always: Sequence[str] = ()) -> str | None:
    """Return the ``fields`` argument (article 0008) as compact JSON with underscored names.

    :param fields: names, and one-key dicts for associations, nested: ``["id", {"supplier": ["name"]}]``;
        None leaves the shape to Coupa.
    :param always: names added where they are missing, because the walk needs them.
    :raises CoupaQueryError: the list is empty or holds anything else.
    """
    if fields is None:
        return None
    if not isinstance(fields, list | tuple) or not fields:
        raise CoupaQueryError(
            'fields must be a list of names such as ["id", {"supplier": ["id", "name"]}]; '
            f"got {fields!r}. Leave it out for Coupa's default attributes."
        )
    shaped = _shape_fields(fields)
    named = {item for item in shaped if isinstance(item, str)}
    return json.dumps([name for name in always if name not in named] + shaped, separators=(",", ":"))


def top_level_fields(fields: Sequence[Any]) -> list[str]:
    """Return the dashed names that a ``fields`` list asks for at the top level of a record."""
    names = [name for item in fields for name in (item if isinstance(item, Mapping) else [item])]
    return [str(name).replace("_", "-") for name in names]


def encode_query(pairs: Sequence[tuple[str, str]]) -> str:
    """Return a query string in which everything but unreserved characters is percent-encoded, once."""
    return "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in pairs)


def encode_arguments(arguments: Mapping[str, Any] | None) -> str:
    """Return the query string of arguments with Python values.

    :param arguments: values by name, not yet encoded.
    :raises CoupaQueryError: a name is no text, or a value cannot be sent.
    """
    pairs = []
    for name, value in (arguments or {}).items():
        if not isinstance(name, str):
            raise CoupaQueryError(f"params: {name!r} is not a name.")
        pairs.append((name, _wire_text(name, "gt_or_eq", value)))
    return encode_query(pairs)


def _parse_condition(key: object, value: Any, resource: Resource | None) -> Condition:
    match = _KEY.fullmatch(key) if isinstance(key, str) else None
    if match is None:
        raise CoupaQueryError(
            f"filters: {key!r} is no query key. Write attribute, attribute[operator] or association[attribute][operator]."
        )
    parts = [match["name"], *re.findall(r"\[([^\]]+)\]", match["rest"])]
    names = [part.replace("-", "_") for part in parts]
    if names[0] in _RESERVED:
        raise CoupaQueryError(
            f"filters: {key!r} is not a condition: paging, order and shape are set by the walk. "
            "Use the parameter fields for the attributes to return."
        )
    operator = names.pop() if len(names) > 1 and names[-1] in OPERATORS else ""
    attribute = _find_attribute(names, str(key), resource)
    if operator in _NOT_FOR_INSTANTS and attribute is not None and attribute.base == "datetime":
        raise CoupaQueryError(
            f"filters: {key!r}: Coupa's operator {operator!r} does not work on times (article 0007). "
            "Use gt, gt_or_eq, lt or lt_or_eq."
        )
    # Custom fields keep their own spelling: the customer chose it.
    path = parts[: len(names)] if names[0] == "custom_fields" else names
    base = attribute.base if attribute else None
    return Condition((names[0], *path[1:]), operator, _wire_values(str(key), operator, value), base)


def _find_attribute(names: list[str], key: str, resource: Resource | None) -> Attribute | None:
    """Follow a path through the catalog as far as it is known; refuse what looks like an operator."""
    known = dict(resource.attributes) if resource else {}
    attribute: Attribute | None = None
    for depth, name in enumerate(names):
        found = known.get(name.replace("_", "-"))
        if depth and found is None:
            if attribute is not None and not attribute.nested:
                raise CoupaQueryError(
                    f"filters: {key!r}: there is no operator {name!r}. Coupa has: {', '.join(OPERATORS)}."
                )
            if name in _FOREIGN_OPERATORS:
                raise CoupaQueryError(
                    f"filters: {key!r}: Coupa writes {_FOREIGN_OPERATORS[name]} for {name!r}."
                )
        attribute = found
        known = dict(attributes_of_type(found.target)) if found and found.target else {}
    return attribute


def _wire_values(key: str, operator: str, value: Any) -> tuple[str, ...]:
    if operator in ("in", "not_in"):
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list | tuple | set | frozenset) or not items:
            raise CoupaQueryError(f"filters: {key!r} needs a list of at least one value; got {value!r}.")
        # A set has no order of its own, but the same filters must make the same query.
        ordered = sorted(items, key=str) if isinstance(items, set | frozenset) else items
        texts = tuple(_wire_text(key, operator, item) for item in ordered)
        for text in texts:
            if not text.strip():
                raise CoupaQueryError(
                    f"filters: {key!r} holds an empty value, as a template that found nothing gives. "
                    "Leave it out, or use [blank] to ask for empty values."
                )
            if "," in text:
                raise CoupaQueryError(
                    f"filters: {key!r}: the value {text!r} holds a comma, for which Coupa documents no escape. "
                    "Ask for it alone, without [in]."
                )
        return texts
    if operator == "blank" and not isinstance(value, bool) and str(value).lower() not in ("true", "false"):
        raise CoupaQueryError(f"filters: {key!r} needs True or False; got {value!r}.")
    return (_wire_text(key, operator, value),)


def _wire_text(key: str, operator: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise CoupaQueryError(f"filters: {key!r}: {value!r} is no whole text: it holds half a character.")
        return value
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise CoupaQueryError(
                f"filters: {key!r}: {value.isoformat()} has no time zone. Add one, for instance UTC."
            )
        return format_instant(_in_whole_seconds(key, operator, value))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal) and value.is_finite():
        return format(value, "f")
    if isinstance(value, float) and math.isfinite(value):
        return format(Decimal(repr(value)), "f")
    if value is None:
        hint = "Use [blank] to ask for empty values"
    elif isinstance(value, list | tuple | set | frozenset):
        hint = "A list needs the operator [in] or [not_in]"
    else:
        hint = "Use text, numbers, dates or aware datetimes"
    raise CoupaQueryError(f"filters: {key!r}: {value!r} cannot be sent. {hint}.")


def _in_whole_seconds(key: str, operator: str, instant: datetime) -> datetime:
    """Round to the second so that the same records match: Coupa keeps whole seconds only."""
    if not instant.microsecond or operator in ("gt_or_eq", "lt"):
        return instant  # raised by format_instant
    if operator in ("gt", "lt_or_eq"):
        return instant.replace(microsecond=0)
    raise CoupaQueryError(
        f"filters: {key!r}: Coupa keeps whole seconds, so nothing equals {instant.isoformat()}. "
        "Use a range with [gt_or_eq] and [lt], or take the fraction off."
    )


def _shape_fields(fields: Sequence[Any]) -> list[Any]:
    shaped: list[Any] = []
    for item in fields:
        if isinstance(item, str) and _FIELD.fullmatch(item):
            shaped.append(item.replace("-", "_"))
        elif (
            isinstance(item, Mapping)
            and len(item) >= 1
            and all(isinstance(name, str) and _FIELD.fullmatch(name) for name in item)
        ):
            for name, below in item.items():
                if not isinstance(below, list | tuple) and below != {}:
                    raise CoupaQueryError(
                        f"fields: {name!r} needs a list of names, or {{}} for everything below it; got {below!r}."
                    )
                shaped.append({name.replace("-", "_"): _shape_fields(below) if below else {}})
        else:
            raise CoupaQueryError(
                f"fields: {item!r} is neither a name nor a dict of an association to its names."
            )
    return shaped


def _refuse_impossible(conditions: Sequence[Condition], resource: Resource | None) -> None:
    pair = IMPOSSIBLE.get(resource.path) if resource else None
    if pair and all(any(c.path[0] == name and len(c.path) > 1 for c in conditions) for name in pair):
        raise CoupaQueryError(
            f"filters: Coupa answers with no rows at all when {resource.path if resource else ''} are filtered by both "
            f"{pair[0]}[...] and {pair[1]}[...] (article 0055). Filter by one of them."
        )
