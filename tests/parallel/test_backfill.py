"""The DAG for the past runs on a real Airflow, several resources at a time, and brings all of its window."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import fsspec
import pytest

from coupa_provider.client.blocking import BlockingClient
from coupa_provider.client.config import CoupaConfig
from coupa_provider.emulator import Emulator
from coupa_provider.extract.destination import Destination
from coupa_provider.extract.manifest_reader import ManifestReader

pytestmark = [pytest.mark.postgresql, pytest.mark.slow]

DAG_FILE = Path(__file__).parents[2] / "dags" / "coupa_backfill.py"
SINCE = datetime(2024, 8, 1, tzinfo=UTC)
SIZES = {"invoices": 3_000, "purchase_orders": 1_500, "suppliers": 300}


@pytest.fixture(scope="module")
def coupa():
    with Emulator(seed=7, sizes=SIZES, rate_limit=None) as emulator:
        yield emulator


@pytest.fixture
def airflow(parallel_airflow, coupa):
    fields = {"host": coupa.url, "login": coupa.client_id, "password": coupa.client_secret}
    parallel_airflow.add_connection("coupa_default", "coupa", **fields, extra={"requests_per_second": 200})
    return parallel_airflow


@pytest.fixture
def lake(airflow, tmp_path):
    airflow.call("POST", "variables", {"key": "coupa_lake", "value": f"file://{tmp_path}/lake"})
    yield tmp_path / "lake"
    airflow.call("DELETE", "variables/coupa_lake")


def ids_since(coupa, resource):
    """Ask for the ids of the window in one walk."""
    config = CoupaConfig.from_fields(
        "coupa_test", host=coupa.url, login=coupa.client_id, password=coupa.client_secret,
        extra={"requests_per_second": 1000},
    )  # fmt: skip
    with BlockingClient(config) as client, client.pages(resource, fields=["id"], updated_since=SINCE) as walk:
        return sorted(number for page in walk for number in page.ids)


@pytest.mark.timeout(300)
def test_the_past_is_fetched_by_several_tasks(airflow, coupa, lake):
    airflow.add_dags(DAG_FILE, "coupa_backfill")
    run = airflow.run("coupa_backfill", {"since": SINCE.isoformat()}, timeout=200)
    assert run.state == "success"
    for resource in SIZES:
        (folder,) = (lake / resource).iterdir()
        assert re.fullmatch(r"\d{8}T\d{6}", folder.name)
        extract = ManifestReader(Destination(fsspec.filesystem("file"), str(folder), f"file://{folder}"))
        ids = [number for batch in extract.batches(["id"]) for number in batch.column(0).to_pylist()]
        assert sorted(ids) == ids_since(coupa, resource) != []
        assert extract.manifest.window == (SINCE, None)
        partitions = airflow.xcom(run, f"{resource}.plan")
        assert len(run.of(f"{resource}.extract")) == len(partitions) == len(list(folder.glob("partition-*")))
        assert airflow.xcom(run, f"{resource}.gather")["records"] == len(ids) < SIZES[resource]
    assert len(run.of("invoices.extract")) > 1
    assert len(run.of("suppliers.extract")) == 1
