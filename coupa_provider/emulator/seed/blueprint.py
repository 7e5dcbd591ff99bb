"""How the records of one collection are made."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from coupa_provider.emulator.attributes import CUSTOM_FIELDS, readable_attributes
from coupa_provider.emulator.seed.automatic import automatic_makers
from coupa_provider.emulator.seed.draft import Draft
from coupa_provider.emulator.seed.template import Template
from coupa_provider.emulator.seed.world import World
from coupa_provider.emulator.store import Row
from coupa_provider.resources import find_resource

Fill = Callable[[Draft], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Blueprint:
    """How the records of one collection are made.

    :param path: catalog path.
    :param size: number of records at scale 1.
    :param scales: the number grows with the scale.
    :param identity: attributes by which a record is known, as JSON text; references show them.
    :param fill: further attributes, as JSON text.
    :param automatic: make plausible values for what ``identity`` and ``fill`` leave open; else it is null.
    :param custom: undocumented attributes that ``fill`` makes at top level, besides ``custom-fields``.
    """

    path: str
    size: int = 25
    scales: bool = False
    identity: Callable[[World, int, int], dict[str, str]] | None = None
    fill: Fill | None = None
    automatic: bool = True
    custom: tuple[str, ...] = ()


class Maker:
    """Makes rows of one collection.

    :param world: the frame.
    :param blueprint: how.
    """

    def __init__(self, world: World, blueprint: Blueprint) -> None:
        resource = find_resource(blueprint.path)
        if resource is None:
            raise ValueError(f"no resource {blueprint.path!r} in the catalog")
        self._world = world
        self._blueprint = blueprint
        self._type = resource.type
        self._attributes = readable_attributes(resource.type)
        self._template: Template | None = None
        self._automatic: dict[str, Callable[[Draft], str]] = {}

    @property
    def own_names(self) -> set[str]:
        """Undocumented top-level names."""
        return {CUSTOM_FIELDS, *self._blueprint.custom}

    def rows(self) -> Iterator[Row]:
        """Make all seeded rows."""
        world, path = self._world, self._blueprint.path
        source = world.random(path)
        ids = world.ids(path)
        for number, record_id in enumerate(ids):
            created = world.created(number, len(ids))
            updated = world.updated(number, len(ids), created, source.random)
            yield self.row(source, number, record_id, created, updated)

    def row(
        self,
        source: random.Random,
        number: int,
        record_id: int,
        created: int,
        updated: int,
        parent_id: int | None = None,
    ) -> Row:
        """Make one row.

        :param source: source of chance.
        :param number: place in the collection; beyond the seeded ones for records made later.
        :param record_id: its id.
        :param created: when it was made.
        :param updated: when it was changed last.
        :param parent_id: id of the record that it belongs to.
        :return: the row.
        """
        draft = Draft(self._world, source.random, number, record_id, created, updated)
        values = draft.values
        values["created-at"] = self._world.instant(created)
        values["updated-at"] = self._world.instant(updated)
        values.update(self._world.identity(self._blueprint.path, number, record_id))
        if self._blueprint.fill is not None:
            values.update(self._blueprint.fill(draft))
        values.setdefault(CUSTOM_FIELDS, "{}")
        if self._template is None:
            # The first record shows which attributes are made by hand; the rest stays automatic or fixed.
            if self._blueprint.automatic:
                open_ = {n: a for n, a in self._attributes.items() if n not in values}
                self._automatic = automatic_makers(self._world, open_)
            self._template = Template(self._type, [*values, *self._automatic])
        for name, make in self._automatic.items():
            values[name] = make(draft)
        status = values.get("status", "null")
        exported = values.get("exported")
        return (
            record_id,
            created,
            updated,
            status[1:-1] if status.startswith('"') else None,
            None if exported is None else int(exported == "true"),
            parent_id,
            self._template.render(values),
        )
