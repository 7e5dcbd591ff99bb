"""Looks at records: by their ids, many with one request, or by a query."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from coupa_provider.client.client import CoupaClient
from coupa_provider.client.errors import CoupaQueryError
from coupa_provider.client.walk import BATCH, Walk
from coupa_provider.watch.field_tree import project, read_tree, to_fields, union

#: Records of a query that are waited for, and handed on, together.
MOST_MATCHES = 1000


@dataclass(frozen=True, slots=True)
class RecordWant:
    """One record.

    :param record_id: its id.
    :param fields: encoded ``fields`` argument; None for Coupa's default.
    """

    record_id: int
    fields: str | None


@dataclass(frozen=True, slots=True)
class RecordsById:
    """The records of a resource by their ids. The answer for each: the record in a list, or an empty list.

    :param resource: path under ``/api``.
    """

    resource: str

    async def read(
        self, client: CoupaClient, wants: Sequence[RecordWant]
    ) -> Mapping[RecordWant, list[dict[str, Any]]]:
        """Ask for up to 49 ids with one request, and for all attributes that anybody wants."""
        trees = {fields: read_tree(fields) for fields in dict.fromkeys(want.fields for want in wants)}
        fields = to_fields(union(trees.values()))
        found: dict[int, dict[str, Any]] = {}
        ids = sorted({want.record_id for want in wants})
        for start in range(0, len(ids), BATCH):
            walk = Walk(client, self.resource, filters={"id[in]": ids[start : start + BATCH]}, fields=fields)
            async for page in walk.pages():
                found.update(
                    zip(page.ids, (msgspec.json.decode(record) for record in page.records), strict=True)
                )
        return {
            want: [project(found[want.record_id], trees[want.fields])] if want.record_id in found else []
            for want in wants
        }


@dataclass(frozen=True, slots=True)
class Matches:
    """The records that match a query. The answer: all of them, or ``enough`` of them.

    :param resource: path under ``/api``.
    :param filters: Coupa's query keys with texts, as compact JSON.
    :param fields: encoded ``fields`` argument; None for Coupa's default.
    :param enough: how many suffice; None for all.
    """

    resource: str
    filters: str
    fields: str | None
    enough: int | None

    async def read(self, client: CoupaClient, wants: Sequence[None]) -> Mapping[None, list[dict[str, Any]]]:
        """Read them, in rising order of their ids."""
        walk = Walk(
            client,
            self.resource,
            filters=json.loads(self.filters),
            fields=None if self.fields is None else json.loads(self.fields),
        )
        found: dict[int, dict[str, Any]] = {}
        pages = walk.pages()
        try:
            async for page in pages:
                found.update(
                    zip(page.ids, (msgspec.json.decode(record) for record in page.records), strict=True)
                )
                if self.enough is not None and len(found) >= self.enough:
                    break
                if len(found) > MOST_MATCHES:
                    raise CoupaQueryError(
                        f"More than {MOST_MATCHES:,} records of {self.resource} match the filters, too many to wait "
                        "for together. Narrow the filters."
                    )
        finally:
            await pages.aclose()  # type: ignore[attr-defined]
        return {None: [found[record_id] for record_id in sorted(found)][: self.enough]}
