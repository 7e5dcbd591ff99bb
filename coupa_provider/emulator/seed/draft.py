"""A record on its way to being made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from coupa_provider.emulator.seed.world import World


@dataclass(slots=True)
class Draft:
    """What is known of a record before its attributes are made.

    :param world: the frame.
    :param chance: gives numbers from 0 to 1.
    :param number: place in the collection.
    :param id: id of the record.
    :param created: when it was made, in seconds since 1970.
    :param updated: when it was changed last.
    :param values: JSON text of the attributes made so far.
    """

    world: World
    chance: Callable[[], float]
    number: int
    id: int
    created: int
    updated: int
    values: dict[str, str] = field(default_factory=dict)

    def pick(self, choices: list[str] | tuple[str, ...]) -> str:
        """Return one of several texts."""
        return choices[int(self.chance() * len(choices))]
