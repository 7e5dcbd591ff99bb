"""A throw-away Airflow for the tests.

Airflow reads its settings from the environment while it is imported, so they are put there
before anything else runs: nothing of a developer's own Airflow is read or written. Each
process of pytest-xdist gets a home of its own.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest_plugins = ["tests.object_store", "tests.postgresql"]

HERE = Path(__file__).parent
HOME = Path(tempfile.mkdtemp(prefix="coupa-tests-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)

for name in [name for name in os.environ if name.startswith(("AIRFLOW_", "AIRFLOW__"))]:
    del os.environ[name]
os.environ.update(
    {
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
        # From Airflow 3.1 a DAG runs only when it lies in a known bundle: this folder is one.
        "AIRFLOW__CORE__DAGS_FOLDER": str(HERE / "dags"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME}/airflow.db",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        # A proxy in the environment must not come between a test and a server on this machine.
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }
)


@pytest.hookimpl(trylast=True)  # after the options have taken tests out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have each process begin with what takes long, so that none is left with it when the others are done.

    pytest-xdist gives each process a run of tests that follow each other, of about equal length, and lets it take others
    later. The tests of a module stay together: they share what it took long to set up.
    """
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    slow: dict[Path, list[pytest.Item]] = {}
    quick: list[pytest.Item] = []
    for item in items:
        if item.get_closest_marker("slow") or item.get_closest_marker("first"):
            slow.setdefault(item.path, []).append(item)
        else:
            quick.append(item)
    modules = list(slow.values())
    left, ordered = len(items), []
    for place in range(processes):
        own = [item for module in modules[place::processes] for item in module]
        room = max(0, left // (processes - place) - len(own))
        ordered += own + quick[:room]
        left -= len(own) + len(quick[:room])
        del quick[:room]
    items[:] = ordered + quick


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """Make Airflow's metadata database, once a process."""
    from airflow.utils import db

    db.initdb()


@pytest.fixture(autouse=True)
def _database_for_marked_tests(request: pytest.FixtureRequest) -> None:
    """Tests marked ``airflow`` find the metadata database made."""
    if request.node.get_closest_marker("airflow"):
        request.getfixturevalue("airflow_db")


@pytest.fixture(autouse=True)
def _secrets_of_its_own() -> Iterator[None]:
    """Forget the secrets of the test: Airflow looks for all that a process ever had, at each new one anew."""
    yield
    for name in ("airflow.sdk._shared.secrets_masker.secrets_masker", "airflow.utils.log.secrets_masker"):
        if module := sys.modules.get(name):
            masker = module._secrets_masker()
            masker.patterns, masker.replacer = set(), None
