"""Comments and tasks: each stands in a collection of its own, and below what it is about."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from coupa_provider.emulator.instance import Instance
from coupa_provider.emulator.routes import Target
from coupa_provider.emulator.seed.catalogue import parent_path
from coupa_provider.emulator.store import Record
from coupa_provider.resources import find_resource, resource_paths

# The collection of each type, and the attributes that name what a record of it is about.
_LINKS: Mapping[str, tuple[str, str, str]] = {
    "Comment": ("comments", "commentable-type", "commentable-id"),
    "Task": ("tasks", "linkable-type", "linkable-id"),
}


def reserve_id(instance: Instance, target: Target) -> None:
    """See to it that the next record gets an id that is free in all of its collections.

    :param instance: the instance.
    :param target: where it will be created.
    """
    if target.resource.type not in _LINKS:
        return
    home = _LINKS[target.resource.type][0]
    collections = [instance.store.collection(path) for path in (home, *_below(target.resource.type).values())]
    instance.store.collection(target.resource.path).next_id = max(one.next_id for one in collections)


def spread(instance: Instance, target: Target, record_id: int) -> None:
    """Keep a record that was created or changed in its other collection too.

    :param instance: the instance.
    :param target: where it was written.
    :param record_id: its id.
    """
    kind = target.resource.type
    record = instance.store.record(target.resource.path, record_id) if kind in _LINKS else None
    if record is None:
        return
    home, type_name, id_name = _LINKS[kind]
    if target.resource.path != home:
        # That of the path, whatever the payload says.
        owner = find_resource(parent_path(target.resource.path) or "")
        record[type_name] = owner.type if owner is not None else None
        record[id_name] = target.parent_id or record.get(id_name)
        instance.store.put(target.resource.path, record)
        instance.store.put(home, record)
        return
    below = _below(kind).get(str(record.get(type_name)))
    if below is not None and isinstance(record.get(id_name), int):
        instance.store.put(below, record, record[id_name])


def remove(instance: Instance, target: Target) -> None:
    """Remove a record that was deleted from its other collection too.

    :param instance: the instance.
    :param target: what was deleted.
    """
    if target.resource.type in _LINKS and target.record_id is not None:
        for path in (_LINKS[target.resource.type][0], *_below(target.resource.type).values()):
            instance.store.delete(path, target.record_id)


def keep_comment(instance: Instance, kind: str, document_id: int, text: str) -> None:
    """Keep what a call says as a comment on its document.

    :param instance: the instance.
    :param kind: type of the document.
    :param document_id: its id.
    :param text: the comment.
    """
    resource = find_resource("comments")
    if resource is None:
        raise LookupError("the catalog has no comments")
    target = Target(resource)
    reserve_id(instance, target)
    given: Record = {"comments": text, "commentable-type": kind, "commentable-id": document_id}
    comment = instance.completed(resource, given)
    instance.store.put("comments", comment)
    spread(instance, target, comment["id"])


@cache
def _below(kind: str) -> Mapping[str, str]:
    """Nested collections of a type by the type of what they belong to."""
    found = {}
    for path in resource_paths():
        resource, owner = find_resource(path), find_resource(parent_path(path) or "")
        if resource is not None and owner is not None and resource.type == kind:
            found[owner.type] = path
    return found
