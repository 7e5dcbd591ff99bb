"""Plausible values for attributes that no blueprint makes by hand, from their documented type and name."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping

from coupa_provider.emulator.seed.draft import Draft
from coupa_provider.emulator.seed.template import fragment
from coupa_provider.emulator.seed.words import COUNTRIES, GOODS, NOTES
from coupa_provider.emulator.seed.world import World, quoted
from coupa_provider.resources import Attribute

Make = Callable[[Draft], str]

_NOTES = [quoted(note) for note in NOTES]
_GOODS = [quoted(goods) for goods in GOODS]
_COUNTRIES = [fragment({"id": i, "code": code, "name": name}) for i, code, name in COUNTRIES]
_USUALLY_TRUE = frozenset(("active", "enabled", "enabled-flag"))


def automatic_makers(world: World, attributes: Mapping[str, Attribute]) -> dict[str, Make]:
    """Return a maker for each attribute that is not simply null.

    :param world: the frame.
    :param attributes: attributes by name.
    :return: makers by name.
    """
    makers: dict[str, Make] = {}
    for name, attribute in attributes.items():
        make = _maker(world, name, attribute)
        if make is not None:
            makers[name] = make
    return makers


def _maker(world: World, name: str, attribute: Attribute) -> Make | None:
    if attribute.base == "reference":
        return _reference(world, name, attribute)
    if attribute.allowed:
        choices = [quoted(word) for word in attribute.allowed]
        if not attribute.required:
            choices.append("null")
        return lambda draft: draft.pick(choices)
    if attribute.base == "boolean":
        likely = 0.95 if name in _USUALLY_TRUE else 0.3
        return lambda draft: "true" if draft.chance() < likely else "false"
    if attribute.base in ("string", "text"):
        return _text(name, attribute)
    # Which of the other attributes an instance uses is a matter of taste, but always the same ones.
    if zlib.crc32(name.encode()) % 10 < 4 and not attribute.required:
        return None
    if attribute.base == "integer":
        return lambda draft: str(int(draft.chance() * 100))
    if attribute.base == "decimal":
        return lambda draft: f'"{int(draft.chance() * 100_000)}.{int(draft.chance() * 10)}0"'
    if attribute.base == "float":
        return lambda draft: str(int(draft.chance() * 400) / 4)
    if attribute.base == "datetime":
        return lambda draft: world.instant(draft.created + int(draft.chance() * 1_000_000))
    if attribute.base == "date":
        return lambda draft: world.instant(draft.created)[:11] + '"'
    return None


def _reference(world: World, name: str, attribute: Attribute) -> Make | None:
    if attribute.target == "Country":
        return lambda draft: draft.pick(_COUNTRIES)
    pool = world.pool(attribute.target or "")
    if pool == ["null"]:
        return None
    if name in ("created-by", "updated-by", "currency") or attribute.required:
        return lambda draft: draft.pick(pool)
    return lambda draft: draft.pick(pool) if draft.chance() < 0.6 else "null"


def _text(name: str, attribute: Attribute) -> Make | None:
    width = attribute.size or 255
    if "email" in name:
        return lambda draft: f'"{name.removesuffix("-email")}{draft.number}@example.com"'
    if "url" in name or name == "website":
        return lambda draft: f'"https://example.com/{name}/{draft.number}"'
    if name == "description" and width >= 60:
        return lambda draft: draft.pick(_GOODS)
    if name in ("name", "title", "code", "number") or attribute.required or attribute.unique:
        label = name.replace("-", " ").capitalize()
        return lambda draft: f'"{label} {draft.number + 1}"'[: width + 1].rstrip('"') + '"'
    if zlib.crc32(name.encode()) % 10 < 6 or width < 60:
        return None
    return lambda draft: draft.pick(_NOTES) if draft.chance() < 0.7 else "null"
