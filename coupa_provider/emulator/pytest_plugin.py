"""Fixture for the tests of people who write DAGs: an emulated Coupa."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from coupa_provider.emulator.emulator import Emulator


@pytest.fixture
def coupa_emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """Give a running emulator with seeded data.

    Arguments of :class:`~coupa_provider.emulator.emulator.Emulator` can be given by a marker, as
    ``@pytest.mark.coupa_emulator(empty=True, data={"suppliers": [...]})``.
    """
    from coupa_provider.emulator import Emulator

    marker = request.node.get_closest_marker("coupa_emulator")
    with Emulator(**(marker.kwargs if marker else {})) as emulator:
        yield emulator


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known.

    :param config: of the run.
    """
    config.addinivalue_line(
        "markers", "coupa_emulator(**arguments): arguments of the emulator that the fixture starts"
    )
