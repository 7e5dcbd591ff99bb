"""``fields`` on pages of wide records without decoding what is not asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from coupa_provider.emulator.attributes import readable_attributes
from coupa_provider.emulator.store import encode

Nested = Callable[[dict[str, Any], Any], dict[str, Any]]
"""Projects a record of one attribute by one entry of ``fields``."""


class Projection:
    """Keeps some top-level attributes of records as the text they are.

    :param names: dashed names.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self._slots = {name: f"slot{place}" for place, name in enumerate(names)}
        struct = msgspec.defstruct(
            "Projected",
            [(slot, msgspec.Raw, msgspec.field(default=msgspec.Raw())) for slot in self._slots.values()],
            rename={slot: name for name, slot in self._slots.items()},
        )
        self._decoder = msgspec.json.Decoder(struct)

    def apply(self, body: bytes, fields: Sequence[Any], nested: Nested, readable: frozenset[str]) -> bytes:
        """Project one record.

        :param body: JSON of the record.
        :param fields: names, and objects of one name to the fields below.
        :param nested: projects attributes that are objects or lists.
        :param readable: names that are null when the record lacks them.
        :return: JSON of what was asked for.
        """
        kept = self._decoder.decode(body)
        parts: dict[str, bytes] = {}
        for entry in fields:
            name, below = (entry, {}) if isinstance(entry, str) else next(iter(entry.items()))
            raw = bytes(getattr(kept, self._slots[name]))
            if not raw:
                if name in readable:
                    parts[name] = b"null"
            elif below:
                shown = nested({name: msgspec.json.decode(raw)}, entry)
                parts[name] = encode(shown[name])
            else:
                parts[name] = raw
        return b"{" + b",".join(encode(name) + b":" + part for name, part in parts.items()) + b"}"


@lru_cache(maxsize=256)
def projection_of(names: tuple[str, ...]) -> Projection:
    """Return the projection to some names; made once.

    :param names: dashed names.
    :return: the projection.
    """
    return Projection(names)


@lru_cache(maxsize=256)
def readable_names(type_name: str) -> frozenset[str]:
    """Return the names that answers hold.

    :param type_name: type of the catalog.
    :return: dashed names.
    """
    return frozenset(readable_attributes(type_name))


def names_of(fields: Sequence[Any]) -> tuple[str, ...] | None:
    """Return the top-level names of a ``fields`` argument.

    :param fields: the argument.
    :return: names, or None when an object in it has several keys.
    """
    if any(isinstance(entry, dict) and len(entry) != 1 for entry in fields):
        return None
    return tuple(dict.fromkeys(entry if isinstance(entry, str) else next(iter(entry)) for entry in fields))
