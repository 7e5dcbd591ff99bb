"""Read JSON without losing anything: the digits of a number as they were written, and no name twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

# A float would change the digits.
_decoder = msgspec.json.Decoder(float_hook=Decimal)


def read_json(text: str | bytes) -> Any:
    """Return the value of a JSON text, with fractions as ``Decimal``.

    :param text: the text, UTF-8.
    :raises ValueError: it is no JSON, or an object in it has a name twice, of which all readers would take one.
    """
    try:
        value = _decoder.decode(text)
        json.loads(text, object_pairs_hook=_refuse_doubles, parse_float=str, parse_int=str)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def _refuse_doubles(pairs: Sequence[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        doubles = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"an object has {', '.join(map(repr, doubles))} twice")
