"""How the JSON values of one kind become an Arrow array, exactly.

Each kind has two ways. ``convert`` takes a whole column at C speed and refuses it if any value is unusual;
``read`` then takes the values one by one, puts right what can be put right without loss, and refuses the
rest. Both give the same result for the values both accept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from coupa_provider.resources.catalog import Attribute

_NULL = msgspec.Raw(b"null")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANT = pa.timestamp("us", "UTC")
_FIRST_INSTANT = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_LAST_INSTANT = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_FIRST_DAY = (date.min - _EPOCH.date()).days
MOST_DECIMAL_DIGITS = 38
_LEAST_SCALE = 10
"""Coupa sends more digits than a column's documented scale now and then; ten hold its rates as well."""

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)
_INTEGER = re.compile(r"-?(?:0|[1-9]\d*)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MIDNIGHT = re.compile(r"\d{4}-\d\d-\d\dT00:00:00(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d(?::\d\d(?::\d\d(?:\.\d{1,6}0*)?)?)?) ?(Z|UTC|[+-]\d\d(?::?\d\d)?)?", re.ASCII
)

_strings = msgspec.json.Decoder(list[str | None])
_integers = msgspec.json.Decoder(list[int | None])
_floats = msgspec.json.Decoder(list[float | None])
_booleans = msgspec.json.Decoder(list[bool | None])


class MisfitError(ValueError):
    """A value is not of its column's kind, and no lossless change makes it so."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of column.

    :param name: for messages and comparisons.
    :param arrow: type of the column.
    :param convert: a whole column of JSON texts to an array; raises if any does not fit as it is.
    :param read: one JSON text, never ``null``, to a value for ``pyarrow.array``; raises ``MisfitError``.
    """

    name: str
    arrow: pa.DataType
    convert: Callable[[Sequence[msgspec.Raw]], pa.Array]
    read: Callable[[bytes], Any]


def kind_of(attribute: Attribute, *, decimals_as_text: bool = False) -> Kind:
    """Return the kind of column that holds an attribute.

    :param attribute: a documented attribute.
    :param decimals_as_text: keep decimals as the text that was sent, for formats without exact decimals.
    """
    if attribute.base == "decimal":
        return NUMBER_TEXT if decimals_as_text else decimal_kind(max(_LEAST_SCALE, attribute.scale or 0))
    return _KINDS.get(attribute.base, JSON)


# ---------------------------------------------------------------------------------------------- text


def _joined(values: Sequence[msgspec.Raw]) -> bytes:
    return b"[" + b",".join(values) + b"]"


def _convert_text(values: Sequence[msgspec.Raw]) -> pa.Array:
    return pa.array(_strings.decode(_joined(values)), pa.string())


def _read_text(value: bytes) -> str:
    text, _ = _scalar_text(value)
    return text


def _convert_json(values: Sequence[msgspec.Raw]) -> pa.Array:
    return pa.array([None if value == _NULL else bytes(value) for value in values], pa.string())


def _read_json(value: bytes) -> str:
    return value.decode()


def _scalar_text(value: bytes) -> tuple[str, bool]:
    """Return the text of a JSON string, number, true or false, and whether it stood in quotes."""
    if value.startswith(b'"'):
        return msgspec.json.decode(value, type=str), True
    if value.startswith((b"{", b"[")):
        raise MisfitError("an object or array where a single value belongs")
    return value.decode(), False


# ---------------------------------------------------------------------------------------------- numbers


def _number_texts(values: Sequence[msgspec.Raw]) -> pa.Array:
    """Return numbers as text; they come either all quoted, as Coupa does, or all bare, as its OpenAPI says."""
    joined = b",".join(values)
    if b'"' in joined:
        return pa.array(_strings.decode(b"[" + joined + b"]"), pa.string())
    texts = joined.decode("ascii").split(",")
    if len(texts) != len(values):
        raise MisfitError("an object or array where a number belongs")
    return pa.array([None if text == "null" else text for text in texts], pa.string())


def _read_number_text(value: bytes) -> str:
    text, _ = _scalar_text(value)
    if not _NUMBER.fullmatch(text):
        raise MisfitError("not a number")
    return text


def _convert_number_text(values: Sequence[msgspec.Raw]) -> pa.Array:
    texts = _number_texts(values)
    _check_all_match(texts, f"^(?:{_NUMBER.pattern})$")
    return texts


def _check_all_match(texts: pa.Array, pattern: str) -> None:
    if not pc.all(pc.match_substring_regex(texts, pattern), min_count=0).as_py():
        raise MisfitError("not all in the plain form")


def decimal_kind(scale: int, precision: int = MOST_DECIMAL_DIGITS) -> Kind:
    """Return the kind of exact decimals.

    :param scale: digits after the point, 0 to ``precision``. A value with more does not fit; none is rounded.
    :param precision: digits in all, 1 to 38.
    """
    arrow = pa.decimal128(precision, scale)
    # Arrow's cast gives wrong numbers, and no error, for some texts of more than 38 digits after the change
    # of scale (apache/arrow issue 44356 is one case), so it gets no text that could have so many.
    whole = "0" if scale == precision else f"[0-9]{{1,{precision - scale}}}"
    places = f"(?:\\.[0-9]{{1,{scale}}})?" if scale else ""
    safe = f"^-?{whole}{places}$"

    def convert(values: Sequence[msgspec.Raw]) -> pa.Array:
        texts = _number_texts(values)
        _check_all_match(texts, safe)
        return texts.cast(arrow)

    def read(value: bytes) -> Decimal:
        number = Decimal(_read_number_text(value))
        if not number:
            return Decimal(0)
        if number.adjusted() >= precision - scale or _last_place(number) < -scale:
            raise MisfitError(f"more digits than decimal({precision}, {scale}) holds")
        return number

    return Kind("decimal", arrow, convert, read)


def _last_place(number: Decimal) -> int:
    """Return the exponent of the last digit that is not zero."""
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)  # noqa: S101 - only infinities and NaN have another
    return exponent + len(digits) - len("".join(map(str, digits)).rstrip("0"))


def _convert_integer(values: Sequence[msgspec.Raw]) -> pa.Array:
    return pa.array(_integers.decode(_joined(values)), pa.int64())


def _read_integer(value: bytes) -> int:
    text, quoted = _scalar_text(value)
    if _INTEGER.fullmatch(text):
        number = int(text)
    elif not quoted and _NUMBER.fullmatch(text) and _last_place(Decimal(text)) >= 0:
        number = int(Decimal(text))  # 3.0 and 3e2
    else:
        raise MisfitError("not an integer")
    if not -(2**63) <= number < 2**63:
        raise MisfitError("more than 64 bits")
    return number


def _convert_float(values: Sequence[msgspec.Raw]) -> pa.Array:
    # Up to fifteen digits survive the way into a double and back; longer ones are looked at one by one.
    if max(map(len, values), default=0) > 15 or b"e" in b"".join(values).lower():
        raise MisfitError("perhaps too many digits")
    return pa.array(_floats.decode(_joined(values)), pa.float64())


def _read_float(value: bytes) -> float:
    text = _read_number_text(value)
    number = float(text)
    if Decimal(repr(number)) != Decimal(text):
        raise MisfitError("more digits than a double holds")
    return number


def _convert_boolean(values: Sequence[msgspec.Raw]) -> pa.Array:
    return pa.array(_booleans.decode(_joined(values)), pa.bool_())


def _read_boolean(value: bytes) -> bool:
    text, _ = _scalar_text(value)
    if text not in ("true", "false"):
        raise MisfitError("not true or false")
    return text == "true"


# ---------------------------------------------------------------------------------------------- times


def _convert_time(values: Sequence[msgspec.Raw]) -> pa.Array:
    return _instants(_convert_text(values))


def _instants(texts: pa.Array) -> pa.Array:
    instants = texts.cast(_INSTANT)
    ends = pc.min_max(instants)
    if ends["min"].is_valid and not _FIRST_INSTANT <= ends["min"].value <= ends["max"].value <= _LAST_INSTANT:
        raise MisfitError("outside the years 1 to 9999")
    return instants


def _read_time(value: bytes) -> int:
    """Return microseconds since 1970."""
    instant = _parse_time(_quoted_text(value))
    if instant.tzinfo is None:
        raise MisfitError("a time without an offset")
    microseconds = (instant - _EPOCH) // timedelta(microseconds=1)
    if not _FIRST_INSTANT <= microseconds <= _LAST_INSTANT:
        raise MisfitError("outside the years 1 to 9999")
    return microseconds


def _parse_time(text: str) -> datetime:
    match = _TIME.fullmatch(text)
    if match is None:
        raise MisfitError("not a time")
    day, clock, zone = match.groups(default="")
    try:
        return datetime.fromisoformat(f"{day}T{clock}{'Z' if zone == 'UTC' else zone}")
    except ValueError as error:
        raise MisfitError(str(error)) from error


def _convert_day(values: Sequence[msgspec.Raw]) -> pa.Array:
    texts = _convert_text(values)
    _instants(texts)
    return pc.utf8_slice_codeunits(texts, 0, 10).cast(pa.date32())


def _read_day(value: bytes) -> date:
    text = _quoted_text(value)
    return _day(text) if _DATE.fullmatch(text) else _parse_time(text).date()


def _convert_date(values: Sequence[msgspec.Raw]) -> pa.Array:
    days = _convert_text(values).cast(pa.date32())
    earliest = pc.min(days)
    if earliest.is_valid and earliest.value < _FIRST_DAY:
        raise MisfitError("before the year 1")
    return days


def _read_date(value: bytes) -> date:
    text = _quoted_text(value)
    if not _DATE.fullmatch(text):
        raise MisfitError("not a date")
    return _day(text)


def _convert_shown_date(values: Sequence[msgspec.Raw]) -> pa.Array:
    texts = _convert_text(values)
    if pc.all(pc.match_substring_regex(texts, f"^{_DATE.pattern}$"), min_count=0).as_py():
        return _convert_date(values)
    _check_all_match(texts, f"^{_MIDNIGHT.pattern}$")
    return _convert_day(values)


def _read_shown_date(value: bytes) -> date:
    text = _quoted_text(value)
    if _DATE.fullmatch(text):
        return _day(text)
    shown = _parse_time(text)
    if shown.time() != time.min:
        raise MisfitError("a time of day where a date belongs")
    return shown.date()


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise MisfitError(str(error)) from error


def _quoted_text(value: bytes) -> str:
    text, quoted = _scalar_text(value)
    if not quoted:
        raise MisfitError("not a text")
    return text


TEXT = Kind("text", pa.string(), _convert_text, _read_text)
"""Text; a number, true or false sent instead is kept as its JSON text."""
JSON = Kind("json", pa.string(), _convert_json, _read_json)
"""Any JSON value, as sent."""
NUMBER_TEXT = Kind("number text", pa.string(), _convert_number_text, _read_number_text)
"""A number as it was written, of any length."""
INTEGER = Kind("integer", pa.int64(), _convert_integer, _read_integer)
"""A whole number of up to 64 bits; text such as ``"776"`` counts."""
FLOAT = Kind("float", pa.float64(), _convert_float, _read_float)
"""A number that a double holds as written."""
BOOLEAN = Kind("boolean", pa.bool_(), _convert_boolean, _read_boolean)
"""true or false, or the same as text."""
TIME = Kind("time", _INSTANT, _convert_time, _read_time)
"""An instant in UTC. A time without an offset names no instant and does not fit."""
DAY = Kind("day", pa.date32(), _convert_day, _read_day)
"""The calendar day that a time shows in the offset Coupa sent."""
DATE = Kind("date", pa.date32(), _convert_date, _read_date)
"""A calendar day."""
SHOWN_DATE = Kind("shown date", pa.date32(), _convert_shown_date, _read_shown_date)
"""A calendar day, also as the midnight that Coupa makes of one: the day it shows. Another hour does not fit."""

_KINDS = {
    "string": TEXT,
    "text": TEXT,
    "integer": INTEGER,
    "float": FLOAT,
    "boolean": BOOLEAN,
    "datetime": TIME,
    "date": DATE,
}
