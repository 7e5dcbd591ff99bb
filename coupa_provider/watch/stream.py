"""New and changed records of a resource: what of them is watched. Light to import, since DAG files do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from coupa_provider.client.errors import CoupaQueryError
from coupa_provider.client.query import encode_fields, parse_filters, window_conditions
from coupa_provider.resources import find_resource

#: What a record shows of itself anyway; ``status`` and ``created-at`` where the documents know them.
_OWN = ("id", "updated_at", "created_at", "status")


@dataclass(frozen=True, slots=True)
class Stream:
    """The records of one resource that are news when they appear or change.

    :param resource: path under ``/api``.
    :param filters: Coupa's query keys with texts, as compact JSON with sorted keys.
    :param fields: encoded ``fields`` argument.
    """

    resource: str
    filters: str
    fields: str

    @classmethod
    def parse(
        cls, resource: str, filters: Mapping[str, Any] | None = None, fields: Sequence[Any] | None = None
    ) -> Self:
        """Check what a user wants to watch.

        :param resource: path under ``/api``: ``"invoices"``.
        :param filters: Coupa's query keys with Python values; None or empty for all records.
        :param fields: attributes beside ``id``, ``updated-at``, ``created-at`` and ``status``.
        :raises CoupaQueryError: something of it is wrong.
        """
        if not isinstance(resource, str) or not resource.strip("/"):
            raise CoupaQueryError(f"resources: {resource!r} is no path under /api, such as 'invoices'.")
        resource = resource.strip("/")
        if resource.rpartition("/")[2].isdigit():
            raise CoupaQueryError(
                f"resources: {resource!r} is one record, not a list. Name the resource, and ask for the record by "
                "filters: {'id': ...}."
            )
        known = find_resource(resource)
        if known and "updated-at" not in known.attributes:
            raise CoupaQueryError(
                f"resources: {resource} have no updated-at, so their changes cannot be asked for."
            )
        conditions, arguments = parse_filters(filters, known)
        window_conditions(datetime.now(UTC), None, conditions)  # refuses one on updated-at
        query = {**{condition.key: condition.text for condition in conditions}, **arguments}
        own = list(_OWN[:2])
        if known:
            own += [name for name in _OWN[2:] if name.replace("_", "-") in known.attributes]
        encoded = encode_fields(own if fields is None else fields, always=own)
        return cls(resource, json.dumps(query, sort_keys=True, separators=(",", ":")), str(encoded))

    @property
    def key(self) -> str:
        """A name that is the same as long as the same records are watched, whatever they show."""
        if self.filters == "{}":
            return self.resource
        return f"{self.resource}:{hashlib.sha256(self.filters.encode()).hexdigest()[:10]}"


def parse_streams(
    resources: str | Sequence[str] | Mapping[str, Mapping[str, Any] | None],
    fields: Sequence[Any] | Mapping[str, Sequence[Any]] | None,
) -> tuple[Stream, ...]:
    """Check what a user wants to watch together.

    :param resources: one path, several, or filters by path.
    :param fields: attributes for all of them, or by path.
    :return: the streams in the order of their paths, so that the same wish is always written the same way.
    :raises CoupaQueryError: something of it is wrong.
    """
    if isinstance(resources, str):
        resources = [resources]
    by_path = dict(resources) if isinstance(resources, Mapping) else dict.fromkeys(resources)
    if not by_path:
        raise CoupaQueryError("resources: name at least one, such as 'invoices'.")
    if isinstance(fields, Mapping) and (unknown := sorted(set(fields) - set(by_path))):
        raise CoupaQueryError(f"fields name {unknown[0]!r}, which is none of the resources.")
    streams = tuple(
        Stream.parse(path, by_path[path], fields.get(path) if isinstance(fields, Mapping) else fields)
        for path in sorted(by_path)
    )
    if len({stream.resource for stream in streams}) < len(streams):
        raise CoupaQueryError(f"resources name one twice: {', '.join(sorted(by_path))}.")
    return streams
