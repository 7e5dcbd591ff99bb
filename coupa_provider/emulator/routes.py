"""Which resource, record or action of the catalog a path means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from coupa_provider.resources import Resource, find_resource, resource_paths

# The one documented collection of the Core API that does not live under /api.
_ELSEWHERE = "/qualitycollaboration/api/v1/quality-inspections"
# Article 0262 spells the call of 0261 in another way.
_OTHER_SPELLINGS = {"requisitions/new/submit_for_approval": "requisitions/submit_for_approval"}


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is about.

    :param resource: the resource.
    :param record_id: id of one record, None for the collection.
    :param parent_id: id of the record that a nested collection belongs to.
    :param action: name of a documented call beyond reading and writing, None for those.
    """

    resource: Resource
    record_id: int | None = None
    parent_id: int | None = None
    action: str | None = None


@cache
def _collections() -> dict[tuple[str, ...], Resource]:
    found: dict[tuple[str, ...], Resource] = {}
    for path in resource_paths():
        resource = find_resource(path)
        if resource is not None:
            parts = ["*" if part.startswith(":") else part for part in path.strip("/").split("/")]
            found[tuple(parts)] = resource
    return found


@cache
def _actions() -> list[tuple[str, re.Pattern[str], str, Resource]]:
    found = []
    for resource in _collections().values():
        for name, call in resource.actions.items():
            if name in ("index", "show", "create", "update"):
                continue
            verb, _, path = call.partition(" ")
            named = re.sub(r":([a-z_]+)", lambda match: f"(?P<{match[1]}>\\d+)", path.strip("/"))
            try:
                found.append((verb, re.compile(named + r"\Z"), name, resource))
            except re.error:
                continue
    return found


def locate(method: str, path: str) -> Target | None:
    """Find what a request is about.

    :param method: HTTP method.
    :param path: path of the request.
    :return: the target, or None when Coupa knows no such path.
    """
    bare = path.removeprefix("/api/") if path.startswith("/api/") else path
    if not path.startswith("/api/") and not path.startswith(_ELSEWHERE):
        return None
    bare = _OTHER_SPELLINGS.get(bare.strip("/"), bare)
    parts = bare.strip("/").split("/")
    found = _collection(parts)
    if found is not None:
        return Target(found[0], None, found[1])
    if parts[-1].isdecimal():
        found = _collection(parts[:-1])
        if found is not None:
            return Target(found[0], int(parts[-1]), found[1])
    if parts[-1] == "file" and parts[-2:-1] and parts[-2].isdecimal():
        # Where ``file-url`` leads here; no document says where it leads in Coupa.
        found = _collection(parts[:-2])
        if found is not None and found[0].type == "Attachment":
            return Target(found[0], int(parts[-2]), found[1], "file")
    verbs = ("PUT", "PATCH") if method == "PATCH" else (method,)
    for verb, pattern, name, resource in _actions():
        match = pattern.match(bare.strip("/")) if verb in verbs else None
        if match is not None:
            ids = match.groupdict()
            record_id = int(ids["id"]) if "id" in ids else None
            parent_id = next((int(text) for key, text in ids.items() if key != "id"), None)
            return Target(resource, record_id, parent_id, name)
    return None


def _collection(parts: Sequence[str]) -> tuple[Resource, int | None] | None:
    parent = next((int(part) for part in reversed(parts) if part.isdecimal()), None)
    resource = _collections().get(tuple("*" if part.isdecimal() else part for part in parts))
    return (resource, parent) if resource is not None else None
