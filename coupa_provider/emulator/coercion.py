"""Turn values of a payload into what Coupa would keep, or say why not."""

from __future__ import annotations

import re
from datetime import datetime, time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from coupa_provider.emulator.stamps import parse_day, parse_instant
from coupa_provider.resources import Attribute

_NUMBER = re.compile(r"\s*[-+]?(\d+(\.\d+)?|\.\d+)([eE][-+]?\d{1,3})?")
_WHOLE = re.compile(r"\s*[-+]?\d+")
_TRUE, _FALSE = (
    frozenset(("true", "1", "yes", "t", "y", "on")),
    frozenset(("false", "0", "no", "f", "n", "off", "")),
)
_MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+\Z")
_ACRONYMS = {"po": "PO", "id": "ID", "url": "URL", "uom": "UOM"}
_HAS_TIME = re.compile(r"\d[T ]\d{1,2}:")


class Invalid(Exception):
    """A value that fails validation; the text is the message for the answer."""


def label(name: str) -> str:
    """Return the name of an attribute as messages show it.

    :param name: dashed name.
    :return: for instance ``"Invoice number"``.
    """
    words = name.split("-")
    words = [_ACRONYMS.get(word, word) for word in words]
    return " ".join([words[0][:1].upper() + words[0][1:], *words[1:]])


def coerced(attribute: Attribute, value: Any, zone: ZoneInfo, complaint: str | None = None) -> Any:
    """Return a scalar as Coupa keeps it.

    :param attribute: what the documents say about it.
    :param value: as sent; not None.
    :param zone: zone of the company, for days without a time.
    :param complaint: Coupa's words for a value that is not allowed or no e-mail address; None for the usual ones.
    :return: the value.
    :raises Invalid: when it fails validation.
    """
    if isinstance(value, dict | list):
        raise Invalid(f"{label(attribute.name)} is invalid")
    is_word = attribute.base == "integer" and not all(word.isdecimal() for word in attribute.allowed)
    if attribute.base in ("string", "text") or is_word:
        return _text(attribute, value, complaint)
    if attribute.base == "integer":
        return int(_leading(_WHOLE, value))
    if attribute.base == "decimal":
        return _plain_digits(_leading(_NUMBER, value))
    if attribute.base == "float":
        return float(_leading(_NUMBER, value))
    if attribute.base == "boolean":
        return _boolean(attribute, value)
    try:
        if attribute.base == "datetime":
            return _instant(str(value), zone)
        if attribute.base == "date":
            return parse_day(str(value))
    except (ValueError, OverflowError):
        raise Invalid(f"{label(attribute.name)} is not a valid date") from None
    return value


def _leading(pattern: re.Pattern[str], value: Any) -> str:
    """Numbers are read as Ruby does: as far as they go, and 0 for what does not begin with one."""
    text = str(int(value)) if isinstance(value, bool) else str(value)
    match = pattern.match(text)
    return match[0].strip().removeprefix("+") if match else "0"


def _plain_digits(number: str) -> str:
    """Digits stay as they were sent, but for an exponent, which Coupa never prints."""
    if number.startswith((".", "-.")):
        number = number.replace(".", "0.", 1)
    return format(Decimal(number), "f") if "e" in number.lower() else number


def _text(attribute: Attribute, value: Any, complaint: str | None) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if attribute.size is not None and attribute.base == "string" and len(text) > attribute.size:
        raise Invalid(f"{label(attribute.name)} is too long (maximum is {attribute.size} characters)")
    if attribute.allowed and text and text not in attribute.allowed:
        *most, last = attribute.allowed
        words = f"{', '.join(most)} or {last}" if most else last
        raise Invalid(complaint or f"{label(attribute.name)} must be one of {words}.")
    is_mail = attribute.name == "email" or attribute.name.endswith("-email")
    if is_mail and text and not _MAIL.match(text):
        raise Invalid(complaint or f"{label(attribute.name)} is not a valid email address.")
    return text


def _boolean(attribute: Attribute, value: Any) -> bool:
    word = str(value).strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise Invalid(f"{label(attribute.name)} must be true or false")


def is_true(value: Any) -> bool:
    """Tell whether a mark such as ``_delete`` is set.

    :param value: as sent, None where it is not.
    """
    return value is not None and str(value).strip().lower() in _TRUE


def _instant(text: str, zone: ZoneInfo) -> str:
    found = parse_instant(text)
    if not _HAS_TIME.search(text):
        # A day picked without a time is midnight in the zone of the company.
        found = datetime.combine(found.date(), time(), zone)
    return found.astimezone(zone).replace(microsecond=0).isoformat()


def floored_to_day(text: str, zone: ZoneInfo) -> str:
    """Return the beginning of the day that an instant lies in.

    :param text: an instant.
    :param zone: zone of the company.
    :return: its midnight.
    """
    return datetime.combine(parse_instant(text).astimezone(zone).date(), time(), zone).isoformat()
