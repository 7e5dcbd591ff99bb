"""An emulator, extracts landed from it, and a client to push with."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from fsspec.implementations.local import LocalFileSystem

from coupa_provider.client import pacing
from coupa_provider.client.blocking import BlockingClient
from coupa_provider.client.config import CoupaConfig
from coupa_provider.client.retry import RetryPolicy
from coupa_provider.client.token import forget_tokens
from coupa_provider.emulator import Emulator
from coupa_provider.extract.destination import Destination
from coupa_provider.extract.manifest_reader import ManifestReader
from tests.extract.landed import land_records

#: Fails and tries again without a wait that a test would notice.
QUICK = RetryPolicy(attempts=8, first_delay=0.01, longest_delay=0.05)


@pytest.fixture(scope="module")
def emulator_of_module():
    with Emulator(seed=7, empty=True, rate_limit=None) as emulator:
        yield emulator


@pytest.fixture
def coupa(emulator_of_module):
    """The module's emulator with 300 invoices that nobody exported, and 20 that somebody did."""
    forget_tokens()
    pacing._pacers.clear()
    emulator_of_module.reset()
    emulator_of_module.add_client(emulator_of_module.client_id, emulator_of_module.client_secret)
    fill(emulator_of_module, 300)
    return emulator_of_module


def fill(emulator, count: int, resource: str = "invoices") -> None:
    emulator.load(
        {
            resource: [
                {
                    "id": number,
                    "exported": number > count,
                    "updated-at": "2026-11-20T08:00:00-08:00",
                    "created-at": "2026-11-20T08:00:00-08:00",
                }
                for number in range(1, count + 21)
            ]
        }
    )


@pytest.fixture(scope="session")
def filled():
    """Fill an emulator: ``filled(emulator, 300)``."""
    return fill


@pytest.fixture
def client(coupa):
    """A client of the emulator, quick and patient."""
    config = CoupaConfig.from_fields(
        "coupa_test", host=coupa.url, login=coupa.client_id, password=coupa.client_secret,
        extra={"requests_per_second": 2000},
    )  # fmt: skip
    with BlockingClient(config, retry=QUICK) as client:
        yield client


@pytest.fixture
def land(tmp_path, client):
    """Extract what is not exported yet: ``land(coupa)``; returns the extract."""
    numbers = itertools.count()

    def landing(coupa, resource="invoices", *, folder=None, **asked) -> ManifestReader:
        folder = folder or tmp_path / f"extract{next(numbers)}"
        place = Destination(LocalFileSystem(), str(folder), f"file://{folder}")
        extract = land_records(place, client, resource, **{"filters": {"exported": False}, **asked})
        coupa.reset_seen()
        return extract

    return landing


@pytest.fixture
def marks(coupa):
    """Count the marks by record id."""

    def count(resource="invoices", suffix="") -> Counter:
        start = f"PUT /api/{resource}/"
        return Counter(
            {
                int(write.removeprefix(start).removesuffix(suffix)): times
                for write, times in coupa.writes().items()
                if write.startswith(start)
            }
        )

    return count
