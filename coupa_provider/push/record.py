"""From a row to a record that can be sent: names and values checked by what the documents say. Pure.

What is wrong here would not be noticed there: Coupa ignores attributes that it does not know, and reads
``"12a"`` as 12 (success portal playbook). What Coupa itself refuses with a message is left to Coupa.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from coupa_provider.client.conditions import parse_instant
from coupa_provider.push.errors import PushError
from coupa_provider.resources import Attribute, attributes_of_type, find_resource

#: Columns that rejected rows are given, and that are passed over when these come back.
ROW, ERRORS, LINE = "_row", "_errors", "_line"
_NOTES = frozenset((ROW, ERRORS))
CUSTOM_FIELDS = "custom-fields"
#: Coupa's own, never taken from a payload.
_STAMPS = frozenset(("created-at", "updated-at", "created-by", "updated-by"))
#: Orders to Coupa that stand beside attributes (article 0239).
_ORDERS = ("_cancel", "_close")
_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_SLASHED = re.compile(r"\d{1,2}/\d{1,2}/\d{4}")
_json = msgspec.json.Decoder(float_hook=Decimal)


class InvalidRowError(ValueError):
    """A row that cannot become a record.

    :param errors: what is wrong with it.
    """

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = tuple(errors)


class RecordReader:
    """Turns the rows of one push into records.

    :param resource: path under ``/api``.
    :param key: dashed attributes of the key; they may be ones that Coupa computes.
    :param empty: ``"keep"`` leaves out attributes that are null or empty, so that Coupa keeps what it has;
        ``"clear"`` sends them as null.
    :param undocumented: attributes that this instance has, though the documents do not know them.
    :raises PushError: an argument is wrong.
    """

    def __init__(
        self,
        resource: str,
        key: Sequence[str] = (),
        *,
        empty: str = "keep",
        undocumented: Collection[str] = (),
    ) -> None:
        if empty not in ("keep", "clear"):
            raise PushError(f'empty must be "keep" or "clear", not {empty!r}')
        if isinstance(undocumented, str):
            raise PushError(f'undocumented must be a list of attributes, such as ["{undocumented}"]')
        known = find_resource(resource)
        self.attributes: Mapping[str, Attribute] = known.attributes if known else {}
        self._resource = resource
        self._key = frozenset(key)
        self._clears = empty == "clear"
        self._undocumented = frozenset(name.replace("_", "-") for name in undocumented)

    def check_columns(self, columns: Sequence[str]) -> None:
        """Look at the columns of a file before its first row is read.

        :param columns: names as the file spells them.
        :raises PushError: one of them is no attribute, so that every row would be wrong.
        """
        wrong = [problem for name in columns if (problem := self._unknown(self._place(name)[0]))]
        if wrong:
            raise PushError(
                f"{'; '.join(wrong)}. Rename or leave out the column, or name it in undocumented if this instance has it"
            )

    def read(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the record of a row: dashed names, nested references, values as JSON or ``Decimal`` or dates.

        :param values: attributes by name: dashed or underscored, parts of references behind a dot.
        :raises InvalidRowError: a name or value is wrong.
        """
        record: dict[str, Any] = {}
        errors: list[str] = []
        for spelled, value in values.items():
            if spelled in _NOTES:
                continue
            if spelled == LINE:
                errors.append(
                    "the row still holds the line that could not be read: mend it and take its place"
                )
                continue
            name, below = self._place(spelled)
            if problem := self._unknown(name):
                errors.append(problem)
            elif name in _STAMPS:
                continue
            elif value is not None and value != "":
                self._take(record, errors, name, below, value)
            elif self._clears and not below:
                record.setdefault(name, None)
        if errors:
            raise InvalidRowError(errors)
        return record

    def sent(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return what of a record goes into a payload: not its id, and no key that Coupa computes.

        Other attributes that the documents call read-only are sent: they have been wrong before, Coupa ignores what
        it does not take, and its answer shows it.
        """
        return {
            name: value
            for name, value in record.items()
            if name != "id" and (name not in self._key or self._is_writable(name))
        }

    def _place(self, spelled: str) -> tuple[str, tuple[str, ...]]:
        """Return the attribute and the part of it that a name means; ``supplier-id`` is ``supplier.id``."""
        name, below = _split(spelled)
        reference = self.attributes.get(name.removesuffix("-id"))
        if name not in self.attributes and reference is not None and reference.base == "reference":
            return reference.name, ("id",)
        return name, below

    def _unknown(self, name: str) -> str | None:
        known = {*self.attributes, *self._undocumented, *_STAMPS, *_NOTES, LINE, "id", CUSTOM_FIELDS}
        if not self.attributes or name in known or name in _ORDERS:
            return None
        near = difflib.get_close_matches(name, sorted(known), n=1)
        return f"unknown attribute {name!r}" + (f" (did you mean {near[0]!r}?)" if near else "")

    def _is_writable(self, name: str) -> bool:
        attribute = self.attributes.get(name)
        return attribute is None or attribute.writable

    def _take(
        self, record: dict[str, Any], errors: list[str], name: str, below: Sequence[str], value: Any
    ) -> None:
        attribute = self.attributes.get(name)
        try:
            if below:
                place = record.setdefault(name, {})
                for step in below[:-1]:
                    place = place.setdefault(step, {})
                place[below[-1]] = value
            else:
                taken = _value(name, value, attribute)
                held = record.get(name)
                record[name] = (
                    {**taken, **held} if isinstance(held, dict) and isinstance(taken, dict) else taken
                )
        except (ValueError, TypeError, AttributeError) as error:
            errors.append(f"{name}: {error}")


def _split(spelled: str) -> tuple[str, tuple[str, ...]]:
    """Return the attribute, dashed, and what of it is meant. Custom fields keep the customer's spelling."""
    first, *below = str(spelled).strip().split(".")
    name = first if first.startswith("_") else first.replace("_", "-")
    return name, tuple(below) if name == CUSTOM_FIELDS else tuple(part.replace("_", "-") for part in below)


def _value(name: str, value: Any, attribute: Attribute | None) -> Any:
    base = "id" if name == "id" else attribute.base if attribute else ""
    if name == CUSTOM_FIELDS or base in ("reference", "list"):
        return _nested(value, attribute)
    if isinstance(value, Mapping | list) and base not in ("", "unknown"):
        raise ValueError(f"an object or list cannot be a {base}")
    if base in ("integer", "id"):
        return _whole(value)
    if base in ("decimal", "float"):
        return _number(value)
    if base == "boolean":
        return _truth(value)
    if base in ("datetime", "date"):
        return _time(value)
    if isinstance(value, float) and value.is_integer() and base in ("string", "text"):
        return str(int(value))  # pandas makes floats of whole numbers beside gaps
    if isinstance(value, datetime):
        return _time(value)
    return value


def _nested(value: Any, attribute: Attribute | None) -> Any:
    """An object or list, or its JSON text, as files with columns hold it; keys are dashed where documented."""
    if isinstance(value, str):
        try:
            value = _json.decode(value)
        except msgspec.DecodeError:
            raise ValueError(
                'the text is no JSON. Write {"id": 7}, or name a part of it in the column, such as supplier.number'
            ) from None
    if not isinstance(value, Mapping | list):
        raise ValueError("an object or a list is needed")
    return _dashed(value, attribute.target if attribute else None)


def _dashed(value: Any, type_name: str | None) -> Any:
    if isinstance(value, Mapping):
        below = attributes_of_type(type_name) if type_name else {}
        shaped = {}
        for spelled, part in value.items():
            name = (
                str(spelled)
                if str(spelled).startswith("_") or type_name is None
                else str(spelled).replace("_", "-")
            )
            attribute = below.get(name)
            shaped[name] = _dashed(part, attribute.target if attribute else None)
        return shaped
    if isinstance(value, list):
        return [_dashed(part, type_name) for part in value]
    return _time(value) if isinstance(value, datetime) else value


def _whole(value: Any) -> int:
    number = _number(value)
    if number != int(number):
        raise ValueError(f"{value!r} is no whole number")
    return int(number)


def _number(value: Any) -> Decimal:
    try:
        if isinstance(value, bool):
            raise InvalidOperation
        number = value if isinstance(value, Decimal) else Decimal(str(value).strip())
    except InvalidOperation:
        raise ValueError(f"{value!r} is no number such as 1234.56") from None
    if not number.is_finite():
        raise ValueError(f"{value!r} is no number that can be sent")
    return number


def _truth(value: Any) -> bool:
    word = str(value).strip().lower()
    if word not in _WORDS:
        raise ValueError(f"{value!r} is neither true nor false")
    return _WORDS[word]


def _time(value: Any) -> Any:
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise ValueError(
                f"{value.isoformat()} has no time zone. Add one, or give a date for a calendar day"
            )
        return value
    if isinstance(value, date):
        return value
    text = str(value).strip()
    if _SLASHED.fullmatch(text):
        return text  # as in article 0213
    if parse_instant(text) is None:
        raise ValueError(f"{text!r} is no date such as 2026-11-24, and no time such as 2026-11-24T08:00:00Z")
    if len(text) > len("2026-11-24") and datetime.fromisoformat(text).utcoffset() is None:
        raise ValueError(f"{text!r} has no time zone. Add one, such as a final Z, or give the day alone")
    return text
