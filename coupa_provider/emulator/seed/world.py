"""The frame of a seeded instance: how many records of each kind, their ids, and how others refer to them.

Every collection can be made without the others, in any order, and still all references resolve: what a
reference shows of a record follows from the number of that record alone.
"""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Callable, Mapping
from zoneinfo import ZoneInfo

from coupa_provider.emulator.attributes import home_of_type
from coupa_provider.emulator.seed.template import fragment
from coupa_provider.emulator.stamps import DEFAULT_ZONE, render_instant

SECONDS_A_DAY = 86400
# Fixed, so that a seed means the same data on every day: 2024-01-01 to 2026-06-30 in UTC.
BEGIN = 1704067200
END = 1782777600

# The hour that the end of daylight saving repeats in the default zone: 01:30 -07:00 and 01:30 -08:00.
_REPEATED_HOUR = (1730622600, 1730626200)
_MASS_UPDATE = 130
_POOL = 3000

Identity = Callable[["World", int, int], dict[str, str]]


class World:
    """The frame of one instance.

    :param seed: makes all the rest.
    :param scale: multiplies the sizes of collections that grow with a company.
    :param sizes: number of records by catalog path, in place of the scaled default.
    :param zone: zone of the company, in which instants are printed.
    :param defaults: default size by path, and whether it scales.
    :param identities: what a reference shows of a record, by path.
    """

    def __init__(
        self,
        seed: int,
        scale: float,
        sizes: Mapping[str, int],
        defaults: Mapping[str, tuple[int, bool]],
        identities: Mapping[str, Identity],
        zone: str = DEFAULT_ZONE,
    ) -> None:
        self.seed = seed
        self.zone = ZoneInfo(zone)
        self._scale = scale
        self._sizes = dict(sizes)
        self._defaults = defaults
        self._identities = identities
        self._ids: dict[str, array[int]] = {}
        self._pools: dict[str, list[str]] = {}

    def size(self, path: str) -> int:
        """Return the number of seeded records.

        :param path: catalog path.
        :return: the number.
        """
        if path in self._sizes:
            return self._sizes[path]
        size, scales = self._defaults.get(path, (25, False))
        return max(1, round(size * self._scale)) if scales else size

    def random(self, path: str, purpose: str = "") -> random.Random:
        """Return a source of chance that depends on the seed and a name only.

        :param path: catalog path.
        :param purpose: parts several sources of one path.
        :return: the source.
        """
        return random.Random(f"{self.seed}/{path}/{purpose}")  # noqa: S311 - made-up data, no secret

    def ids(self, path: str) -> array[int]:
        """Return the ids of a collection, rising and with gaps.

        :param path: catalog path.
        :return: the ids.
        """
        if path not in self._ids:
            chance = self.random(path, "ids").random
            found = array("q")
            last = 0
            for _ in range(self.size(path)):
                throw = chance()
                if throw < 0.85:
                    last += 1
                elif throw < 0.998:
                    last += 2 + int(chance() * 5)
                else:
                    last += 100 + int(chance() * 900)
                found.append(last)
            self._ids[path] = found
        return self._ids[path]

    def stub(self, path: str, number: int) -> str:
        """Return what a reference to a record shows.

        :param path: catalog path of the record.
        :param number: its place in the collection, from 0; beyond the end it starts again.
        :return: JSON object, or ``null`` when the collection is empty.
        """
        ids = self.ids(path)
        if not ids:
            return "null"
        place = number % len(ids)
        shown = self.identity(path, place, ids[place])
        return "{" + ",".join(f'"{name}":{value}' for name, value in shown.items()) + "}"

    def identity(self, path: str, number: int, record_id: int) -> dict[str, str]:
        """Return the attributes by which a record is known.

        :param path: catalog path.
        :param number: place in the collection.
        :param record_id: id of the record.
        :return: JSON text by attribute, the id first.
        """
        make = self._identities.get(path)
        return {"id": str(record_id), **(make(self, number, record_id) if make else {})}

    def pool(self, type_or_path: str) -> list[str]:
        """Return references to choose from.

        :param type_or_path: type of the catalog, or path of a collection.
        :return: JSON objects; ``["null"]`` for a type that has no collection.
        """
        path = type_or_path if type_or_path in self._defaults else home_of_type(type_or_path)
        if path is None:
            return ["null"]
        if path not in self._pools:
            number = min(_POOL, self.size(path))
            self._pools[path] = [self.stub(path, place) for place in range(number)] or ["null"]
        return self._pools[path]

    def instant(self, epoch: int) -> str:
        """Return an instant as JSON text.

        :param epoch: seconds since 1970.
        :return: quoted text in the zone of the company.
        """
        return f'"{render_instant(epoch, self.zone)}"'

    def created(self, number: int, size: int) -> int:
        """Return when a record was made; ids and times rise together.

        :param number: place in the collection.
        :param size: number of records in it.
        :return: seconds since 1970.
        """
        span = END - BEGIN - 60 * SECONDS_A_DAY
        # Not evenly: the fraction of a golden ratio spreads the times of day.
        return BEGIN + int((number + (number * 0.618034) % 1) * span / max(size, 1))

    def updated(self, number: int, size: int, created: int, chance: Callable[[], float]) -> int:
        """Return when a record was changed last, with the ties that bulk jobs leave.

        :param number: place in the collection.
        :param size: number of records in it.
        :param created: when it was made.
        :param chance: gives numbers from 0 to 1.
        :return: seconds since 1970.
        """
        throw = chance()
        if size >= 400 and 0 <= number - int(size * 0.4) < _MASS_UPDATE:
            return BEGIN + int((END - BEGIN) * 0.9)
        if number in (3, 4) and created < _REPEATED_HOUR[0]:
            return _REPEATED_HOUR[number - 3]
        if throw < 0.15:
            # A nightly job stamps what it touches with one second.
            return math.ceil((created + 1) / (7 * SECONDS_A_DAY)) * 7 * SECONDS_A_DAY
        if throw < 0.45:
            return created
        return min(END, created + int((throw - 0.45) * 70 * SECONDS_A_DAY))


def quoted(text: str | None) -> str:
    """Return text as JSON.

    :param text: any text, or None.
    :return: JSON string or ``null``.
    """
    return fragment(text)
