"""From a row to a record that can be sent: names and values checked by what the documents say. Pure.

What is wrong here would not be noticed there: Coupa ignores attributes that it does not know, and reads
``"12a"`` as 12 (success portal playbook). What Coupa itself refuses with a message is left to Coupa. So are the names
of attributes below a record's own, of which the documents leave many out.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from coupa_provider.client.conditions import parse_instant
from coupa_provider.extract.schema import EXTRA
from coupa_provider.push.errors import PushError
from coupa_provider.push.exact_json import read_json
from coupa_provider.resources import Attribute, attributes_of_type, find_resource

#: Columns that rejected rows are given, and that are passed over when these come back.
ROW, ERRORS, LINE = "_row", "_errors", "_line"
_NOTES = frozenset((ROW, ERRORS))
CUSTOM_FIELDS = "custom-fields"
#: Coupa's own, never taken from a payload.
_STAMPS = frozenset(("created-at", "updated-at", "created-by", "updated-by"))
#: Orders to Coupa that stand beside attributes (article 0239).
_ORDERS = ("_cancel", "_close")
_WORDS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1", "1.0"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0", "0.0"), False),
}
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_MOST_DIGITS = 38
_DAY_OR_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ].+)?")
#: Floats are exact to here; beyond, two whole numbers share one.
_EXACT_TO = 2**53
_LARGEST = 2**63
#: What databases and spreadsheets write where they have no value.
_NO_VALUES = frozenset(
    ("\\N", "NULL", "#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!", "#SPILL!")
)
_SHORTENED = re.compile(r"[0-9](\.[0-9]+)?E\+[0-9]{2}")
_SENDABLE = (str, bool, int, float, Decimal, date, time, UUID)


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
        own = (name.replace("_", "-") for name in undocumented)
        beside = (*_STAMPS, *_NOTES, *_ORDERS, LINE, EXTRA, "id", CUSTOM_FIELDS)
        self._known = frozenset((*self.attributes, *own, *beside))

    def check_columns(self, columns: Sequence[str]) -> None:
        """Look at the columns of a file before its first row is read.

        :param columns: names as the file spells them.
        :raises PushError: one of them is no attribute, or two are the same, so that every row would be wrong.
        """
        wrong = [problem for name in columns if (problem := self._unknown(name, columns))]
        places: dict[Any, str] = {}
        for name in columns:
            first = places.setdefault(self._place(name), name)
            if first != name:
                wrong.append(f"{first!r} and {name!r} are the same attribute")
        if wrong:
            raise PushError(
                f"{'; '.join(wrong)}. Rename or leave out the column, or name it in undocumented if this instance has it"
            )

    def read(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the record of a row: dashed names, nested references, values as JSON or ``Decimal`` or dates.

        :param values: attributes by name: dashed or underscored, parts of references behind a dot.
        :raises InvalidRowError: a name or value is wrong, or there is no value at all.
        """
        record: dict[str, Any] = {}
        errors: list[str] = []
        seen: dict[Any, str] = {}
        if EXTRA in values:
            values = _with_extra(values)
        for spelled, value in values.items():
            if spelled in _NOTES:
                continue
            if spelled == LINE:
                if not _is_empty(value):
                    errors.append(
                        "the row still holds the line that could not be read: mend it and take its place"
                    )
                continue
            name, below = place = self._place(spelled)
            if problem := self._unknown(spelled, values):
                errors.append(problem)
            elif name in _STAMPS or self._is_companion(name, values):
                continue
            elif seen.setdefault(place, spelled) != spelled:
                errors.append(f"{seen[place]!r} and {spelled!r} are the same attribute")
            elif not _is_empty(value):
                self._take(record, errors, name, below, value)
            elif self._clears:
                self._clear(record, name, below)
        if not errors and all(value is None for value in record.values()):
            errors.append("the row holds no value")
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

    def _unknown(self, spelled: str, beside: Collection[str]) -> str | None:
        name, below = self._place(spelled)
        is_free = name == CUSTOM_FIELDS and all(below)
        if not is_free and not all(_NAME.fullmatch(part) for part in (name, *below)):
            dotted = str(spelled).replace("][", ".").replace("[", ".").rstrip("]")
            return f"{spelled!r} is no name of an attribute" + (
                f" (did you mean {dotted!r}?)" if dotted != spelled else ""
            )
        attribute = self.attributes.get(name)
        if below and attribute and attribute.base not in ("reference", "unknown"):
            return f"{spelled!r}: {name} is a {attribute.base}, so it has no parts"
        if not self.attributes or name in self._known or self._is_companion(name, beside):
            return None
        near = difflib.get_close_matches(name, sorted(self._known), n=1)
        hint = f"did you mean {near[0]!r}?" if near else "if this instance has it, name it in undocumented"
        return f"unknown attribute {name!r} ({hint})"

    def _is_companion(self, name: str, beside: Collection[str]) -> bool:
        """An extract has ``rate_date_day`` beside ``rate_date``, which says the same."""
        dated = name.removesuffix("-day")
        attribute = self.attributes.get(dated)
        return (
            dated != name
            and name not in self.attributes
            and attribute is not None
            and attribute.base == "datetime"
            and any(self._place(spelled) == (dated, ()) for spelled in beside)
        )

    def _is_writable(self, name: str) -> bool:
        attribute = self.attributes.get(name)
        return attribute is None or attribute.writable

    def _take(
        self, record: dict[str, Any], errors: list[str], name: str, below: Sequence[str], value: Any
    ) -> None:
        attribute = self.attributes.get(name)
        if name in self._key and isinstance(value, str):
            value = value.strip()  # as the columns of fixed width in databases are padded
        try:
            if not below:
                taken, held = _value(name, value, attribute), record.get(name)
                record[name] = _joined(taken, held) if isinstance(held, dict) else taken
                return
            if record.get(name) is None:
                record[name] = {}
            place = record[name]
            for step in below[:-1]:
                attribute = _below(attribute, step)
                place = place.setdefault(step, {})
                if not isinstance(place, dict):
                    raise ValueError(f"{step} is given as a value and in parts")
            last = below[-1]
            if last in place:
                raise ValueError("it is given twice")
            shaped = _free(value) if name == CUSTOM_FIELDS else _part(last, value, _below(attribute, last))
            place[last] = shaped
        except (ValueError, TypeError) as error:
            errors.append(f"{'.'.join((name, *below))}: {error}")

    def _clear(self, record: dict[str, Any], name: str, below: Sequence[str]) -> None:
        if name == CUSTOM_FIELDS and len(below) == 1:
            fields = record.setdefault(name, {})
            if isinstance(fields, dict):
                fields.setdefault(below[0], None)
        else:
            record.setdefault(name, None)


def _split(spelled: str) -> tuple[str, tuple[str, ...]]:
    """Return the attribute, dashed, and what of it is meant. Custom fields keep the customer's spelling."""
    first, *below = str(spelled).strip().split(".")
    name = first if first.startswith("_") else first.replace("_", "-")
    return name, tuple(below) if name == CUSTOM_FIELDS else tuple(part.replace("_", "-") for part in below)


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _joined(taken: Any, held: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(taken, Mapping) or taken.keys() & held.keys():
        raise ValueError("it is given twice, as a whole and in parts")
    return {**taken, **held}


def _with_extra(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row of an extract with what had no place in its columns."""
    joined = {name: value for name, value in values.items() if name != EXTRA}
    if _is_empty(values[EXTRA]):
        return joined
    try:
        extra = read_json(values[EXTRA])
        for name, value in extra.items():
            joined.pop(name.replace("-", "_"), None)
            joined[name] = value
    except (ValueError, TypeError, AttributeError):
        raise InvalidRowError([f"{EXTRA} is no JSON object as in an extract"]) from None
    return joined


def _below(attribute: Attribute | None, name: str) -> Attribute | None:
    return attributes_of_type(attribute.target).get(name) if attribute and attribute.target else None


def _value(name: str, value: Any, attribute: Attribute | None) -> Any:
    """The value of a record's own attribute; of an object or list also its JSON text, as files with columns hold it."""
    base = attribute.base if attribute else ""
    if name == CUSTOM_FIELDS or base in ("reference", "list"):
        if isinstance(value, str):
            try:
                value = read_json(value)
            except ValueError as error:
                raise ValueError(
                    f'the text is no JSON ({error}). Write {{"id": 7}}, or name a part of it in the column, such as '
                    "supplier.number"
                ) from None
        if name == CUSTOM_FIELDS or base == "reference":
            if not isinstance(value, Mapping):
                raise ValueError('an object is needed, such as {"id": 7}')
        elif not isinstance(value, Mapping | list):
            raise ValueError('a list of objects is needed, such as [{"id": 7}]')
    return _part(name, value, attribute)


def _part(name: str, value: Any, attribute: Attribute | None) -> Any:
    """A value at any depth."""
    base = attribute.base if attribute else ""
    if name == CUSTOM_FIELDS:
        return _free(value)
    if isinstance(value, Mapping | list):
        if base not in ("", "unknown", "reference", "list"):
            raise ValueError(f"an object or list cannot be a {base}")
        if base == "list" and isinstance(value, Mapping):
            value = _entries(value)
        return _nested(value, attribute)
    if _is_empty(value) or (attribute and isinstance(value, str) and value in attribute.allowed):
        return value  # some numbers of the documents have words for values
    return _scalar(value, "integer" if name == "id" else base)


def _entries(value: Mapping[str, Any]) -> list[Any]:
    """The list in ``{"payment": [..]}`` or ``{"payment": {..}}``, two forms that Coupa takes (article 0213)."""
    inner = next(iter(value.values())) if len(value) == 1 else None
    if not isinstance(inner, Mapping | list):
        raise ValueError('a list of objects is needed, such as [{"id": 7}]')
    return list(inner) if isinstance(inner, list) else [inner]


def _free(value: Any) -> Any:
    """What stands below custom fields: names and types are the customer's."""
    if isinstance(value, Mapping):
        return {str(name): _free(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_free(one) for one in value]
    return None if value is None else _scalar(value, "")


def _nested(value: Any, attribute: Attribute | None) -> Any:
    if isinstance(value, list):
        return [
            _nested(one, attribute) if isinstance(one, Mapping | list) else _scalar(one, "") for one in value
        ]
    shaped: dict[str, Any] = {}
    for spelled, part in value.items():
        name = str(spelled) if str(spelled).startswith("_") else str(spelled).replace("_", "-")
        if not _NAME.fullmatch(name):
            raise ValueError(f"{spelled!r} is no name of an attribute")
        if name in shaped:
            raise ValueError(f"{name!r} is there twice, once with _")
        try:
            shaped[name] = _part(name, part, _below(attribute, name))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return shaped


def _scalar(value: Any, base: str) -> Any:
    if value is not None and not isinstance(value, _SENDABLE):
        raise ValueError(f"a {type(value).__name__} cannot be sent")
    if base == "integer":
        return _whole(value)
    if base in ("decimal", "float"):
        return _number(value)
    if base == "boolean":
        return _truth(value)
    if base in ("datetime", "date") or isinstance(value, datetime):
        return _time(value)
    if isinstance(value, bool):
        return value
    if base in ("string", "text"):
        return _text(value)
    if isinstance(value, int | float | Decimal):
        number = _number(value)
        return value if abs(number) < _LARGEST else number
    return value


def _text(value: Any) -> Any:
    if isinstance(value, int | float | Decimal):
        number = _number(value)
        # pandas makes floats of whole numbers beside gaps
        is_whole = number == number.to_integral_value() and (
            isinstance(value, float) or str(value).endswith(".0")
        )
        return format(number.to_integral_value() if is_whole else number, "f")
    if value in _NO_VALUES:
        raise ValueError(f"{value!r} stands for no value. Leave it empty")
    if isinstance(value, str) and _SHORTENED.fullmatch(value.strip()):
        raise ValueError("the value is a number that a spreadsheet has shortened. Export it as text")
    if isinstance(value, str) and "\0" in value:
        raise ValueError("it holds a character NUL")
    return value


def _whole(value: Any) -> int:
    number = _number(value)
    if number != number.to_integral_value():
        raise ValueError("the value is no whole number")
    if abs(number) >= _LARGEST:
        raise ValueError("the value is too large a number")
    return int(number)


def _number(value: Any) -> Decimal:
    if isinstance(value, bool) or (isinstance(value, str) and not _NUMBER.fullmatch(value.strip())):
        raise ValueError("the value is no number such as 1234.56")
    if not isinstance(value, str | int | float | Decimal):
        raise ValueError(f"a {type(value).__name__} is no number")
    number = Decimal(
        value.strip() if isinstance(value, str) else repr(value) if isinstance(value, float) else value
    )
    if not number.is_finite():
        raise ValueError("the value is no number that can be sent")
    if number and not -_MOST_DIGITS <= number.adjusted() <= _MOST_DIGITS:
        raise ValueError(f"it is no number that Coupa can hold: more than {_MOST_DIGITS} digits")
    if isinstance(value, float) and abs(value) > _EXACT_TO:
        raise ValueError(
            "the value is a float so large that it has lost digits. Write it as text or whole number"
        )
    return number


def _truth(value: Any) -> bool:
    word = str(value).strip().lower()
    if word not in _WORDS:
        raise ValueError("the value is neither true nor false")
    return _WORDS[word]


def _time(value: Any) -> Any:
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise ValueError("the value has no time zone. Add one, or give a date for a calendar day")
        return value
    if isinstance(value, date):
        return value
    text = str(value).strip()
    if not _DAY_OR_TIME.fullmatch(text) or parse_instant(text) is None:
        # 9/12/2019, which article 0213 shows, is a day in September to some and in December to others.
        raise ValueError("the value is no date such as 2026-11-24, and no time such as 2026-11-24T08:00:00Z")
    if len(text) > len("2026-11-24") and datetime.fromisoformat(text).utcoffset() is None:
        raise ValueError("the value has no time zone. Add one, such as a final Z, or give the day alone")
    return text
