"""All blueprints together, and the rows of any collection."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping

from coupa_provider.emulator.seed import attachments, company, documents, integration
from coupa_provider.emulator.seed.blueprint import Blueprint, Maker
from coupa_provider.emulator.seed.world import World
from coupa_provider.emulator.stamps import DEFAULT_ZONE
from coupa_provider.emulator.store import Row
from coupa_provider.resources import find_resource, resource_paths

_BY_HAND: dict[str, Blueprint] = {
    blueprint.path: blueprint
    for blueprints in (company.BLUEPRINTS, documents.BLUEPRINTS, integration.BLUEPRINTS)
    for blueprint in blueprints
}
_PARENTS_WITH_CHILDREN = 20
_CHILDREN = 40


def _blueprint(path: str) -> Blueprint:
    if path in _BY_HAND:
        return _BY_HAND[path]
    return Blueprint(path, _CHILDREN if ":" in path else 25)


class Seeder:
    """Makes the records of an instance.

    :param seed: the number that decides everything.
    :param scale: multiplies the sizes.
    :param sizes: number of records by catalog path, in place of the scaled default.
    :param zone: zone of the company.
    """

    def __init__(
        self,
        seed: int = 7,
        scale: float = 1.0,
        sizes: Mapping[str, int] | None = None,
        zone: str = DEFAULT_ZONE,
    ) -> None:
        blueprints = [_blueprint(path) for path in resource_paths()]
        self.world = World(
            seed,
            scale,
            sizes or {},
            {blueprint.path: (blueprint.size, blueprint.scales) for blueprint in blueprints},
            {blueprint.path: blueprint.identity for blueprint in blueprints if blueprint.identity},
            zone,
        )
        self._makers: dict[str, Maker] = {}

    def maker(self, path: str) -> Maker:
        """Return the maker of a collection.

        :param path: catalog path.
        :return: the maker.
        """
        if path not in self._makers:
            self._makers[path] = Maker(self.world, _blueprint(path))
        return self._makers[path]

    def rows(self, path: str) -> Iterable[Row]:
        """Make the seeded rows of a collection.

        :param path: catalog path.
        :return: rows, ids rising.
        """
        if path == attachments.PATH:
            return attachments.rows(self.world)
        rows = self.maker(path).rows()
        return self._with_parents(path, rows) if ":" in path else rows

    def _with_parents(self, path: str, rows: Iterable[Row]) -> Iterator[Row]:
        parent = parent_path(path)
        ids = self.world.ids(parent)[:_PARENTS_WITH_CHILDREN] if parent else range(1, 4)
        for place, row in enumerate(rows):
            if len(ids):
                yield (*row[:5], ids[place % len(ids)], row[6])

    def another(
        self, path: str, source: random.Random, record_id: int, now: int, parent_id: int | None = None
    ) -> Row:
        """Make a record that was not seeded.

        :param path: catalog path.
        :param source: source of chance.
        :param record_id: its id.
        :param now: when it is made.
        :param parent_id: id of the record that it belongs to.
        :return: the row.
        """
        # Numbers beyond the seeded ones keep names and numbers unique.
        number = self.world.size(path) + record_id
        return self.maker(path).row(source, number, record_id, now, now, parent_id)


def parent_path(path: str) -> str | None:
    """Return the collection that the records of a nested collection belong to.

    :param path: catalog path with a parameter, as ``suppliers/:supplier_id/addresses``.
    :return: path of the parents, or None when the documents have none.
    """
    parent = path.split("/:", 1)[0]
    return parent if ":" in path and find_resource(parent) is not None else None
