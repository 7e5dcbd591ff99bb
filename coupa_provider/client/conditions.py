"""Does a record satisfy the conditions it was asked for?

Coupa may drop a condition it does not understand and then answers with everything. So each record is held
against the query. The comparison is lenient where Coupa's own is not documented (case, formats): it says
False only where no reading of the condition fits, and None where it cannot tell.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from coupa_provider.client.query import Condition

_YES, _NO = ("true", "1", "yes", "t", "y"), ("false", "0", "no", "f", "n")


def satisfies(record: Mapping[str, Any], condition: Condition) -> bool | None:
    """Tell whether a record satisfies a condition.

    :param record: the decoded attributes that the condition's path starts with, by dashed wire name.
    :param condition: one condition of the query.
    :return: True or False, or None where the record does not show the attribute.
    """
    values = list(_values_at(record, condition.path))
    if not values:
        return None
    verdicts = [_compare(value, condition) for value in values]
    if any(verdict is not False for verdict in verdicts):
        return True if True in verdicts else None
    return False


def parse_instant(text: object) -> datetime | None:
    """Return an instant in UTC; text without a zone counts as UTC (article 0014); None if it is no time."""
    if not isinstance(text, str) or len(text) < 10 or text[4:5] != "-":
        return None
    try:
        instant = datetime.fromisoformat(text.strip("'\""))
    except ValueError:
        return None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def _values_at(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """Yield what a path leads to; through a list it leads to each of its members."""
    if isinstance(value, list):
        for member in value:
            yield from _values_at(member, path)
    elif not path:
        yield value
    elif isinstance(value, Mapping):
        for name in (path[0].replace("_", "-"), path[0]):
            if name in value:
                yield from _values_at(value[name], path[1:])
                return


def _compare(value: Any, condition: Condition) -> bool | None:
    operator, wanted = condition.operator, condition.values
    if operator == "blank":
        if isinstance(value, str) and value and not value.strip():
            return None  # empty to Ruby, not to SQL
        return (value in (None, "", [], {})) == (wanted[0].lower() == "true")
    if isinstance(value, Mapping):
        return None
    if operator in ("", "in"):
        if isinstance(value, str) and value in wanted:
            return True  # the usual case, without looking for other spellings
        return _any(_equal(value, text) for text in wanted)
    if operator in ("not_eq", "not_in"):
        # SQL leaves nulls out here, other engines do not: a null proves nothing.
        return None if value is None else _differs(value, condition)
    if value is None:
        return False
    if operator in ("contains", "starts_with", "ends_with"):
        return _has_part(value, operator, wanted[0])
    return _ordered(value, operator, wanted[0], condition.base)


def _any(verdicts: Iterator[bool | None]) -> bool | None:
    seen = list(verdicts)
    return True if True in seen else None if None in seen else False


def _differs(value: Any, condition: Condition) -> bool | None:
    """Whether a value is none of those excluded: what differs in spelling only may count as another."""
    if not any(_equal(value, text) for text in condition.values):
        return True
    exact = not isinstance(value, str) or condition.base in ("decimal", "integer", "float", "datetime")
    if exact or value in condition.values:
        return False
    return None


def _has_part(value: Any, operator: str, part: str) -> bool | None:
    if not isinstance(value, str):
        return None  # how Coupa would write a number or a flag as text is not documented
    text, part_of_it = _folded(value), _folded(part)
    found = {
        "contains": part_of_it in text,
        "starts_with": text.startswith(part_of_it),
        "ends_with": text.endswith(part_of_it),
    }[operator]
    # In the LIKE of SQL these two stand for other letters.
    return True if found else None if "%" in part or "_" in part else False


def _folded(text: str) -> str:
    """Return a text without letter case and accents, which databases may leave out of a comparison."""
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in parts if not unicodedata.combining(letter)).casefold()


def _equal(value: Any, text: str) -> bool | None:
    if value is None:
        return text == ""
    if isinstance(value, bool):
        word = text.strip().casefold()
        if word not in _YES and word not in _NO:
            return None
        return word in (_YES if value else _NO)
    number, wanted_number = _number(value), _number(text)
    if number is not None and wanted_number is not None:
        return number == wanted_number
    instant, wanted_instant = parse_instant(value), parse_instant(text)
    if instant is not None and wanted_instant is not None:
        # A day may mean midnight here or there (article 0014): not decided by equality.
        return (
            True if instant == wanted_instant else None if len(text) <= 10 or len(str(value)) <= 10 else False
        )
    return _folded(str(value).strip()) == _folded(text.strip())


def _ordered(value: Any, operator: str, text: str, base: str | None) -> bool | None:
    left: Any
    right: Any
    left, right = parse_instant(value), parse_instant(text)
    if not isinstance(value, str) or base in ("decimal", "integer", "float"):
        left, right = _number(value), _number(text)
    elif base == "date" or len(value) <= 10:
        return None  # a calendar day against an instant, or a text: its order is not documented
    if left is None or right is None:
        return None
    return bool(
        {"gt": left > right, "lt": left < right, "gt_or_eq": left >= right, "lt_or_eq": left <= right}[
            operator
        ]
    )


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
