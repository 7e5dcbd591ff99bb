"""Run the operator against an emulator and hold what it wrote against the emulator's own truth."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path

import pytest

from coupa_provider.client.retry import RetryPolicy
from coupa_provider.client.token import forget_tokens
from coupa_provider.emulator import Emulator
from coupa_provider.hooks.coupa import CoupaHook
from coupa_provider.transfers.coupa_to_object_storage import CoupaToObjectStorageOperator

#: What a user would ask for; also keeps a page small, so that the emulator answers faster than the drift moves.
FIELDS = ["id", "invoice-number", "status", "total-with-taxes", "updated-at", {"supplier": ["id", "name"]}]


@pytest.fixture(scope="module")
def emulator_of_module(request):
    """One emulator for a module, with as many invoices as its ``INVOICES`` says."""
    with Emulator(seed=7, sizes={"invoices": request.module.INVOICES}, rate_limit=None) as emulator:
        yield emulator


@pytest.fixture
def coupa(emulator_of_module):
    """The module's emulator as it was at the start."""
    forget_tokens()
    emulator_of_module.reset()
    emulator_of_module.configure(rate_limit=None)
    yield emulator_of_module
    emulator_of_module.configure(faults=None, drift=None, latency=None)


class Landing:
    """What an extract left in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def published(self) -> bool:
        return (self.folder / "_manifest.json").exists()

    @property
    def manifest(self) -> dict:
        return json.loads((self.folder / "_manifest.json").read_text())

    def ids(self) -> Counter:
        lines = (line for file in sorted(self.folder.glob("part-*.ndjson")) for line in file.open("rb"))
        return Counter(json.loads(line)["id"] for line in lines)


@pytest.fixture
def extract(coupa, tmp_path, monkeypatch):
    """Run ``CoupaToObjectStorageOperator`` with a connection to the emulator."""
    runs = itertools.count(1)

    def run(
        resource="invoices", *, requests_per_second=300, timeout_seconds=1, retry=None, **arguments
    ) -> Landing:
        connection = {
            "conn_type": "coupa",
            "host": coupa.url,
            "login": coupa.client_id,
            "password": coupa.client_secret,
            "extra": {"requests_per_second": requests_per_second, "timeout_seconds": timeout_seconds},
        }
        landing = run.landing = Landing(tmp_path / f"run{next(runs)}")
        monkeypatch.setenv("AIRFLOW_CONN_COUPA_DEFAULT", json.dumps(connection))
        arguments.setdefault("fields", FIELDS)
        operator = CoupaToObjectStorageOperator(
            task_id="extract",
            resource=resource,
            destination=f"file://{landing.folder}",
            file_format="ndjson",
            **arguments,
        )
        operator.hook = CoupaHook(retry=retry or RetryPolicy(attempts=8, first_delay=0.1, longest_delay=1))
        operator.execute({})
        return landing

    return run


@pytest.fixture
def there_all_along(coupa):
    """Return the ids that were there before and after, deletions by drift left out."""

    def ids(before: list[int]) -> set[int]:
        gone = {event["id"] for event in coupa.drift_log()["deleted"]}
        return set(before) - gone

    return ids
