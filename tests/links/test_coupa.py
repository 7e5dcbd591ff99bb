"""The button of a task: where it leads, and that Airflow shows it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from coupa_provider.emulator import Emulator
from coupa_provider.get_provider_info import get_provider_info
from coupa_provider.links.coupa import CoupaRecordLink
from coupa_provider.operators import coupa as operators
from coupa_provider.resources.ui_paths import record_url

BASE = "https://acme.coupahost.com"


@pytest.mark.parametrize(
    ("resource", "record_id", "url"),
    [
        ("invoices", 7, f"{BASE}/invoices/7"),
        ("/invoices/", " 7 ", f"{BASE}/invoices/7"),
        ("purchase_orders", "7", f"{BASE}/order_headers/7"),
        ("requisitions", 7, f"{BASE}/requisition_headers/7"),
        ("suppliers", 7, f"{BASE}/suppliers/show/7"),
        ("approvals", 7, None),
        ("no_such_resource", 7, None),
    ],
)
def test_the_page_of_a_record(resource, record_id, url):
    assert record_url(BASE, resource, record_id) == url


class Task:
    def __init__(self):
        self.pushed = {}

    def xcom_push(self, key, value):
        self.pushed[key] = value


class Hook:
    class config:
        base_url = BASE


@pytest.mark.parametrize("record_id", [None, "", "None", "7/edit", "{{ ti }}", "../7"])
def test_what_is_no_id_makes_no_address(record_id):
    task = Task()
    CoupaRecordLink.persist({"ti": task}, Hook(), "invoices", record_id)
    assert task.pushed == {}
    CoupaRecordLink.persist({"ti": task}, Hook(), "invoices", " 7")
    assert task.pushed == {"coupa_record_url": f"{BASE}/invoices/7"}


def test_the_link_is_registered():
    path = f"{CoupaRecordLink.__module__}.{CoupaRecordLink.__qualname__}"
    assert get_provider_info()["extra-links"] == [path]
    with_link = {
        name for name in operators.__all__
        if any(isinstance(link, CoupaRecordLink) for link in getattr(operators, name).operator_extra_links)
    }  # fmt: skip
    assert with_link >= {
        "CoupaActionOperator", "CoupaCreateOperator", "CoupaGetOperator", "CoupaUpdateOperator",
    }  # fmt: skip


DAG = """
from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import DAG
from coupa_provider.operators.coupa import CoupaCreateOperator

with DAG("links", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc)) as dag:
    for resource, record in (("suppliers", {"name": "A", "number": "1"}), ("departments", {"name": "A"})):
        # Without a key only a first try is sent, so each Airflow has to count its tries from 1.
        CoupaCreateOperator(task_id=resource, resource=resource, record=record, key=[])
"""

SCRIPT = """
import json, os, sqlite3, sys
import airflow
from airflow.utils import db

db.initdb()
from airflow.models.dagbag import DagBag
try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    pass
dag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags["links"]
run = dag.test()
if airflow.__version__.startswith("2."):
    # What the webserver does: it has the stored form of the DAG, and asks each link when somebody looks.
    from airflow.serialization.serialized_objects import SerializedDAG

    stored = SerializedDAG.from_dict(json.loads(json.dumps(SerializedDAG.to_dict(dag))))
    shown = {
        ti.task_id: {name: stored.get_task(ti.task_id).get_extra_links(ti, name) for name in
            stored.get_task(ti.task_id).extra_links}
        for ti in run.get_task_instances()
    }
else:
    # What the API server does: it reads what the task left under the key of the link.
    with sqlite3.connect(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].removeprefix("sqlite:///")) as known:
        rows = known.execute("SELECT task_id, value FROM xcom WHERE key = '_link_CoupaRecordLink'").fetchall()
    shown = {task: {"Open in Coupa": json.loads(json.loads(value)) if value.startswith('"\\\\"') else json.loads(value)}
             for task, value in rows}
print("shown", json.dumps([run.state, shown]))
"""


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_airflow_shows_the_button(tmp_path: Path) -> None:
    """On the Airflow installed; `tests/parallel/test_single_calls.py` asks the API server of Airflow 3."""
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "links.py").write_text(DAG)
    with Emulator(empty=True, rate_limit=None) as coupa:
        connection = {"conn_type": "coupa", "host": coupa.url, "login": coupa.client_id}
        connection["password"] = coupa.client_secret
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={
                **os.environ,
                "AIRFLOW_HOME": str(tmp_path),
                "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
                "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
                "AIRFLOW_CONN_COUPA_DEFAULT": json.dumps(connection),
            },
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        lines = [line for line in done.stdout.splitlines() if line.startswith("shown ")]
        assert lines, done.stdout[-3000:] + done.stderr[-3000:]
        state, shown = json.loads(lines[0].removeprefix("shown "))
        [supplier] = coupa.ids("suppliers")
        assert state == "success"
        assert shown["suppliers"] == {"Open in Coupa": f"{coupa.url}/suppliers/show/{supplier}"}
        assert not shown["departments"]["Open in Coupa"]
