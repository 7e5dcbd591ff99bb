"""By what a record is recognised where its id is not known: Coupa has no idempotency key and no upsert.

A key is one or more attributes; a reference among them counts by what identifies it: the key
``["invoice-number", "supplier"]`` of ``{"invoice-number": "4711", "supplier": {"number": "S-1"}}`` is the number
of the invoice together with the number of the supplier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from coupa_provider.client.conditions import parse_instant
from coupa_provider.push.errors import PushError
from coupa_provider.resources import find_resource

#: By these a reference is found, if it is not by its id. What else it shows, such as a status, others share.
_IDENTIFYING = frozenset(
    (
        *("number", "code", "login", "name", "email", "employee-number", "item-number", "po-number"),
        *("invoice-number", "location-code", "external-ref-num", "external-ref-code"),
    )
)
#: Beyond, a look-up has no room for it, and no documented key has as many.
_LONGEST = 500


class MissingKeyError(ValueError):
    """A record lacks a part of its key; the text says which."""


@dataclass(frozen=True, slots=True)
class KeyPart:
    """One attribute of a key with its value.

    :param path: dashed names: ``("supplier", "number")``.
    :param base: documented base type of the attribute, None where the documents do not know it.
    :param value: the value, a scalar.
    """

    path: tuple[str, ...]
    base: str | None
    value: Any

    @property
    def name(self) -> str:
        """The path as people write it: ``"supplier.number"``."""
        return ".".join(self.path)

    @property
    def text(self) -> str:
        """The value in one form for all spellings of it; letter case does not count, as in Coupa."""
        return _canonical(self.value, self.base)

    def is_in(self, shown: Mapping[str, Any]) -> bool:
        """Tell whether a record as Coupa shows it has this value."""
        if self.base in ("datetime", "date"):
            value = self._value_in(shown)
            return value is not None and _same_day(self.value, value)
        return self.text_in(shown) == self.text

    def text_in(self, shown: Mapping[str, Any]) -> str | None:
        """The value that a record as Coupa shows it has instead, in the form of :attr:`text`; None without one."""
        value = self._value_in(shown)
        return None if value is None else _canonical(value, self.base)

    def _value_in(self, shown: Mapping[str, Any]) -> Any:
        value: Any = shown
        for name in self.path:
            value = value.get(name) if isinstance(value, Mapping) else None
        return value


#: A key with its values, in the order of its attributes.
KeyValues = tuple[KeyPart, ...]


def default_key(resource: str) -> tuple[str, ...]:
    """Return the natural key of a resource, empty where the documents name none.

    :param resource: path under ``/api``.
    """
    known = find_resource(resource)
    return known.natural_key if known else ()


def checked_key(resource: str, key: Sequence[str] | None) -> tuple[str, ...]:
    """Return the attributes of a key, dashed.

    :param resource: path under ``/api``.
    :param key: attributes; None for the natural key of the resource.
    :raises PushError: it is no list of names, or names an attribute that the documents do not know.
    """
    if key is None:
        return default_key(resource)
    if isinstance(key, str) or not all(isinstance(name, str) and name for name in key):
        raise PushError(f'key must be a list of attributes, such as ["number"]; got {key!r}')
    names = tuple(name.replace("_", "-") for name in key)
    known = find_resource(resource)
    for name in names:
        if known and known.attributes and name != "id" and name not in known.attributes:
            raise PushError(
                f"key names {name!r}, which the documents do not know of {resource!r} (article {known.article}). "
                f"Its natural key is {list(known.natural_key) or 'not documented'}"
            )
    return names


def values_of(record: Mapping[str, Any], key: Sequence[str], resource: str) -> KeyValues:
    """Return the values of a record's key.

    :param record: the record, with dashed names.
    :param key: dashed attributes.
    :param resource: path under ``/api``.
    :raises MissingKeyError: one of them is absent or empty.
    """
    known = find_resource(resource)
    parts = []
    for name in key:
        attribute = known.attributes.get(name) if known else None
        base = "integer" if name == "id" else attribute.base if attribute else None
        path: tuple[str, ...] = (name,)
        value = record.get(name)
        if isinstance(value, Mapping):
            below = _identifying(value)
            if below is None:
                raise MissingKeyError(f"{name}, a part of the key, names nothing by which it can be found")
            path, value = (name, below), value[below]
            base = "integer" if below == "id" else "string"
        elif isinstance(value, list):
            raise MissingKeyError(f"{name} is a list, which cannot be a part of the key")
        if value is None or (isinstance(value, str) and not value.strip()):
            raise MissingKeyError(f"{'.'.join(path)}, a part of the key, is missing")
        if len(str(value)) > _LONGEST:
            raise MissingKeyError(
                f"{'.'.join(path)}, a part of the key, has {len(str(value)):,} characters, too many to be looked up"
            )
        if base in ("datetime", "date") and not _is_day(value):
            raise MissingKeyError(f"{name}, a part of the key, is no date such as 2026-11-24")
        parts.append(KeyPart(path, base, value))
    return tuple(parts)


def described(values: KeyValues) -> dict[str, Any]:
    """Return a key for people and outcome files: ``{"supplier.number": "S-1"}``."""
    return {part.name: part.value for part in values}


def identity(values: KeyValues) -> str:
    """Return a text that two records share if, and only if, Coupa could take them for the same."""
    return "\x1f".join(f"{part.name}={part.text}" for part in values)


def _is_day(value: Any) -> bool:
    day = value if isinstance(value, date) else parse_instant(value)
    # Further out there is no range around it to ask for.
    return day is not None and 1 < day.year < 9999


def _identifying(reference: Mapping[str, Any]) -> str | None:
    """The part of a reference that finds it: its id, else the first that identifies, else the only one."""
    given = [n for n, value in reference.items() if value not in (None, "", [], {}) and _is_scalar(value)]
    if "id" in given:
        return "id"
    return next((n for n in given if n in _IDENTIFYING), given[0] if len(given) == 1 else None)


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, Mapping | list)


def _canonical(value: Any, base: str | None) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    is_number = isinstance(value, int | float | Decimal) and base not in ("string", "text")
    if base in ("integer", "decimal", "float") or is_number:
        try:
            return format(Decimal(str(value)).normalize(), "f")
        except InvalidOperation:
            pass
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    text = str(value)
    if base in ("datetime", "date") and len(text) > len("2026-11-24") and (instant := parse_instant(text)):
        return instant.isoformat(timespec="seconds")
    return text.strip().casefold()


def _same_day(sent: Any, shown: Any) -> bool:
    """Compare days as Coupa keeps them: midnight in the zone of the company, in which it shows them."""
    try:
        there = datetime.fromisoformat(str(shown))
        if isinstance(sent, datetime):
            here = sent
        elif isinstance(sent, date) or len(str(sent)) <= len("2026-11-24"):
            return date.fromisoformat(str(sent)) == there.date()
        else:
            here = datetime.fromisoformat(str(sent))
    except ValueError:
        return str(sent) == str(shown)
    if here.tzinfo is None or there.tzinfo is None:
        return here.date() == there.date()
    return here.astimezone(there.tzinfo).date() == there.date()
