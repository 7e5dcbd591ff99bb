"""A real Airflow with parallel tasks for the tests in this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.parallel.running_airflow import RunningAirflow, running_airflow
from tests.postgresql import PostgreSQL


@pytest.fixture(scope="session")
def parallel_airflow(
    postgresql: PostgreSQL, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningAirflow]:
    """One Airflow for all tests: starting it takes longer than most of them.

    DAGs and connections are added while it runs, by ``add_dags`` and ``add_connection``.
    """
    import airflow

    if airflow.__version__.startswith("2."):
        pytest.fail("The processes meant here are those of Airflow 3.")
    with running_airflow(postgresql.fresh_database(), tmp_path_factory.mktemp("parallel-airflow")) as running:
        yield running
