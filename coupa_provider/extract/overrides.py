"""Column types that a user sets, in Coupa's own words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coupa_provider.extract.kinds import (
    MOST_DECIMAL_DIGITS,
    NUMBER_TEXT,
    SHOWN_DATE,
    Kind,
    decimal_kind,
    kind_of,
)
from coupa_provider.resources.catalog import Attribute

WORDS = ("string", "integer", "decimal", "decimal(p,s)", "float", "boolean", "datetime", "date", "json")
"""What a type may be called."""

_DECIMAL = re.compile(r"decimal\(\s*(\d{1,2})\s*,\s*(\d{1,2})\s*\)")
_CUSTOM_FIELD = re.compile(r"custom[-_]fields\[([^\[\]]+)\]")


@dataclass(frozen=True, slots=True)
class Override:
    """The type of one attribute as a user wants it.

    :param attribute: name on the wire, or ``"custom-fields[name]"``.
    :param kind: what its column holds.
    :param base: the same in the catalog's words.
    :param custom_field: name on the wire within ``custom-fields``; None for an attribute of the record.
    """

    attribute: str
    kind: Kind
    base: str
    custom_field: str | None = None


def read_overrides(schema: Mapping[str, str], *, decimals_as_text: bool = False) -> Sequence[Override]:
    """Read column types as users write them: ``{"my-field": "decimal", "custom-fields[region]": "string"}``.

    A name is that of a record's attribute, or ``custom-fields[name]``, as in Coupa's queries, with the name as it
    is on the wire. A type is one of ``WORDS``. A ``date`` also takes a time at midnight, as Coupa makes of a date.

    :param schema: type by name.
    :param decimals_as_text: keep decimals as text as sent, for formats without exact decimals.
    :raises ValueError: a name or a type is none.
    """
    return [_read(name, word, decimals_as_text) for name, word in schema.items()]


def _read(name: str, word: str, decimals_as_text: bool) -> Override:
    base, kind = _kind_called(name, word, decimals_as_text)
    custom = _CUSTOM_FIELD.fullmatch(name)
    if custom:
        return Override(f"custom-fields[{custom[1]}]", kind, base, custom[1])
    if "[" in name or "]" in name:
        raise ValueError(
            f"schema names {name!r}. Write the name of an attribute of the record, or 'custom-fields[name]'; there are "
            "no columns for parts of other objects."
        )
    return Override(name.replace("_", "-"), kind, base)


def _kind_called(name: str, word: str, decimals_as_text: bool) -> tuple[str, Kind]:
    digits = _DECIMAL.fullmatch(word) if isinstance(word, str) else None
    if digits:
        precision, scale = int(digits[1]), int(digits[2])
        if scale <= precision and 1 <= precision <= MOST_DECIMAL_DIGITS:
            return "decimal", NUMBER_TEXT if decimals_as_text else decimal_kind(scale, precision)
    if word == "date":
        return "date", SHOWN_DATE
    if word in WORDS and word != "decimal(p,s)":
        base = "unknown" if word == "json" else word
        return base, kind_of(Attribute(name, base), decimals_as_text=decimals_as_text)
    raise ValueError(
        f"schema gives {name!r} the type {word!r}, which is not one of {', '.join(WORDS)}, with p digits in all, "
        f"{MOST_DECIMAL_DIGITS} at most, and s of them after the point."
    )
