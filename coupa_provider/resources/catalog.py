"""Read the catalog of Coupa resources.

Facts come from Coupa's articles (each resource names its article number) and from its OpenAPI
description of release R39. An instance may differ: attributes are added by customers and releases, so
nothing here may be used to refuse what an instance really sends.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

_TYPE = re.compile(r"(?P<base>[a-z]+)(?:\((?P<size>\d+)(?:,(?P<scale>\d+))?\))?(?::(?P<target>.+))?")


@dataclass(frozen=True, slots=True)
class Attribute:
    """One documented attribute of a Coupa type.

    :param name: wire name, dashed, as in Coupa's JSON: ``"invoice-number"``.
    :param base: ``string``, ``text``, ``integer``, ``decimal``, ``float``, ``boolean``, ``datetime``,
        ``date``, ``reference``, ``list`` or ``unknown``.
    :param size: width of a string, precision of a decimal; None where the documents give none.
    :param scale: digits after the point of a decimal; None where the documents give none.
    :param target: type that a ``reference`` or ``list`` holds, for instance ``"Supplier"``.
    :param readable: Coupa sends it in answers.
    :param writable: Coupa takes it in a create or update.
    :param required: the article marks it as required (often only in some countries or cases).
    :param unique: the article marks it as unique.
    :param allowed: documented values, empty where the documents give none.
    """

    name: str
    base: str
    size: int | None = None
    scale: int | None = None
    target: str | None = None
    readable: bool = True
    writable: bool = False
    required: bool = False
    unique: bool = False
    allowed: tuple[str, ...] = ()

    @property
    def nested(self) -> bool:
        """True for objects and arrays, which are not a single value."""
        return self.base in ("reference", "list", "unknown")


@dataclass(frozen=True, slots=True)
class Resource:
    """One REST resource of the Core API.

    :param path: path under ``/api``, for instance ``"invoices"`` or ``"suppliers/:supplier_id/addresses"``.
    :param type: name of the type its records have.
    :param article: number of Coupa's article that describes it, None where only OpenAPI does.
    :param xml_root: root element of an XML list; of a single record it is this word in the singular.
    :param read_scope: OAuth scope that grants reading, None where none is published.
    :param write_scope: OAuth scope that grants writing, None where none is published.
    :param natural_key: attributes by which a record is recognised without its id; may be empty.
    :param actions: name of each documented call to its verb and path: ``{"submit": "PUT invoices/:id/submit"}``.
    """

    path: str
    type: str
    article: str | None
    xml_root: str
    read_scope: str | None
    write_scope: str | None
    natural_key: tuple[str, ...]
    actions: Mapping[str, str]

    @property
    def attributes(self) -> Mapping[str, Attribute]:
        """Documented attributes by wire name, in the order of the article."""
        return attributes_of_type(self.type)


@cache
def _catalog() -> dict[str, Any]:
    text = files("coupa_provider.resources").joinpath("catalog.json").read_text(encoding="utf-8")
    catalog: dict[str, Any] = json.loads(text)
    return catalog


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    parametrised = [path for path in _catalog()["resources"] if ":" in path]
    return [(re.compile(re.sub(r":[a-z_]+", r"[^/]+", path) + r"\Z"), path) for path in parametrised]


def resource_paths() -> list[str]:
    """Return the paths of all documented resources, sorted."""
    return sorted(_catalog()["resources"])


@cache
def find_resource(path: str) -> Resource | None:
    """Return the documented resource at a path.

    :param path: path under ``/api``; ids may stand in it: ``"suppliers/7/addresses"``.
    :return: the resource, or None when the documents know none there. An instance may know more.
    """
    resources = _catalog()["resources"]
    path = path.strip("/")
    if f"/{path}" in resources:
        path = f"/{path}"  # the one resource that does not live under /api
    if path not in resources:
        path = next((known for pattern, known in _patterns() if pattern.match(path)), "")
    if path not in resources:
        return None
    facts = resources[path]
    return Resource(
        path=path,
        type=facts["type"],
        article=facts["article"],
        xml_root=facts["xml_root"],
        read_scope=facts["read_scope"],
        write_scope=facts["write_scope"],
        natural_key=tuple(facts["natural_key"]),
        actions=facts["actions"],
    )


@cache
def attributes_of_type(type_name: str) -> Mapping[str, Attribute]:
    """Return the documented attributes of a type by wire name.

    :param type_name: a type that a resource, a ``reference`` or a ``list`` names.
    :return: attributes in documented order; empty for a type that the documents only mention.
    """
    facts = _catalog()["types"].get(type_name, {})
    allowed: dict[str, list[str]] = facts.get("allowed", {})
    return {
        name: _parse_attribute(name, text, tuple(allowed.get(name, ())))
        for name, text in facts.get("attributes", {}).items()
    }


def _parse_attribute(name: str, text: str, allowed: tuple[str, ...]) -> Attribute:
    type_text, *flags = text.split(" ")
    match = _TYPE.fullmatch(type_text)
    if match is None:
        raise ValueError(f"catalog.json: attribute {name!r} has an unreadable type {type_text!r}")
    return Attribute(
        name=name,
        base=match["base"],
        size=int(match["size"]) if match["size"] else None,
        scale=int(match["scale"]) if match["scale"] else None,
        target=match["target"],
        readable="unread" not in flags,
        writable="write" in flags,
        required="required" in flags,
        unique="unique" in flags,
        allowed=allowed,
    )
