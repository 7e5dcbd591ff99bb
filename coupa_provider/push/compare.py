"""Does Coupa show what was, or would be, sent? Pure decisions.

Coupa ignores attributes that it computes, may leave out a reference that it cannot find (U20) or a null (U19), and
writes values in forms of its own. So an update that changes nothing is not sent, and after a write the answer is held
against what was sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from coupa_provider.client.conditions import parse_instant
from coupa_provider.resources import Attribute, attributes_of_type

#: Endings of lists that hold lines of their record; an entry without an id is a new one (article 0239).
_LINES = (
    "-lines",
    "-allocations",
    "payments",
    "addresses",
    "contacts",
    "-emails",
    "-registrations",
    "-sites",
)
_YES, _NO = ("true", "t", "1", "yes", "y"), ("false", "f", "0", "no", "n")


def differences(
    sent: Mapping[str, Any], shown: Mapping[str, Any], attributes: Mapping[str, Attribute]
) -> list[str]:
    """Return the attributes of a record that Coupa does not show as they were sent.

    An attribute that is not shown counts as different. Lines without an id count as the same if each has its like
    among those shown and there are as many.

    :param sent: attributes, dashed.
    :param shown: the record as Coupa shows it.
    :param attributes: documented attributes of its type by dashed name.
    """
    return [
        name for name, value in sent.items() if not _same(value, shown.get(name, ...), attributes.get(name))
    ]


def adds_to(changes: Mapping[str, Any], attributes: Mapping[str, Attribute]) -> list[str]:
    """Return the attributes of an update that would take effect twice if it were sent twice.

    These are lists with objects that have no id, at any depth, which Coupa adds (article 0239), and orders such as
    ``_cancel`` and ``_delete``. All others are just set.

    :param changes: attributes to change, dashed or underscored.
    :param attributes: documented attributes of the type by dashed name.
    """
    return [
        name
        for name, value in changes.items()
        if name.startswith("_") or _adds(value, _is_list(attributes.get(name.replace("_", "-"))))
    ]


def added_lines(changes: Mapping[str, Any], attributes: Mapping[str, Attribute]) -> list[str]:
    """Return those that hold lines of their record, not references to others.

    :param changes: attributes to change, dashed.
    :param attributes: documented attributes of the type by dashed name.
    """
    return [name for name in adds_to(changes, attributes) if name.endswith(_LINES)]


def _is_list(attribute: Attribute | None) -> bool:
    return attribute is not None and attribute.base == "list"


def _adds(value: Any, listed: bool) -> bool:
    """Tell whether a value holds an object that belongs to a list and has no id."""
    if isinstance(value, Mapping):
        if any(str(name).startswith("_") for name in value):
            return True
        new = listed and not value.get("id")
        if new and any(not isinstance(part, Mapping | list | tuple) for part in value.values()):
            return True
        return any(_adds(part, new) for part in value.values())
    if isinstance(value, list | tuple):
        return any((isinstance(part, Mapping) and not part.get("id")) or _adds(part, False) for part in value)
    return False


def _same(sent: Any, shown: Any, attribute: Attribute | None) -> bool:
    if shown is ...:
        return False
    if sent in (None, "") or shown in (None, ""):
        return sent in (None, "", [], {}) and shown in (None, "", [], {})
    if isinstance(sent, Mapping):
        below = attributes_of_type(attribute.target) if attribute and attribute.target else {}
        return isinstance(shown, Mapping) and not differences(sent, shown, below)
    if isinstance(sent, list):
        return isinstance(shown, list) and _same_list(sent, shown, attribute)
    return not isinstance(shown, Mapping | list) and _same_value(
        sent, shown, attribute.base if attribute else ""
    )


def _same_list(sent: Sequence[Any], shown: Sequence[Any], attribute: Attribute | None) -> bool:
    """Lists of references are the same in any order; of lines, those that are named by id are compared."""
    below = attributes_of_type(attribute.target) if attribute and attribute.target else {}
    left = list(shown)
    # Those that say most come first: what says little may be like several.
    for entry in sorted(sent, key=lambda entry: -len(entry) if isinstance(entry, Mapping) else 0):
        like = next((one for one in left if _same_entry(entry, one, below)), ...)
        if like is ...:
            return False
        left.remove(like)
    # Of lines the others stay; a line without an id would be added, though one like it is there.
    is_lines = attribute is not None and attribute.name.endswith(_LINES)
    named = all(isinstance(entry, Mapping) and entry.get("id") is not None for entry in sent)
    return not left or (is_lines and named)


def _same_entry(sent: Any, shown: Any, below: Mapping[str, Attribute]) -> bool:
    if not isinstance(sent, Mapping):
        return bool(sent == shown)
    if any(name.startswith("_") for name in sent) or not isinstance(shown, Mapping):
        return False
    if sent.get("id") is not None and str(sent["id"]) != str(shown.get("id")):
        return False
    return not differences(sent, shown, below)


def _same_value(sent: Any, shown: Any, base: str) -> bool:
    if isinstance(sent, bool) or isinstance(shown, bool) or base == "boolean":
        words = (str(sent).strip().lower(), str(shown).strip().lower())
        return words[0] == words[1] or all(w in _YES for w in words) or all(w in _NO for w in words)
    is_number = isinstance(sent, int | float | Decimal) and base not in ("string", "text")
    if base in ("integer", "decimal", "float") or is_number:
        try:
            return Decimal(str(sent)) == Decimal(str(shown))
        except InvalidOperation:
            return str(sent).strip() == str(shown).strip()  # some numbers have words for values
    if isinstance(sent, date) or base in ("datetime", "date"):
        return _same_time(sent, shown)
    # Line ends are written by whoever stored the text last.
    return str(sent).replace("\r\n", "\n").strip() == str(shown).replace("\r\n", "\n").strip()


def _same_time(sent: Any, shown: Any) -> bool:
    there = parse_instant(shown)
    if there is None:
        return str(sent) == str(shown)
    text = sent.isoformat() if isinstance(sent, date) else str(sent)
    if len(text) <= len("2026-11-24"):
        # A day is midnight in the zone of the company, in which Coupa shows it.
        return text == str(shown)[:10]
    here = sent if isinstance(sent, datetime) else parse_instant(text)
    return here is not None and here.astimezone(UTC).replace(microsecond=0) == there.replace(microsecond=0)
