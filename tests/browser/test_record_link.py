"""The button that leads from a task to its record in Coupa, in a real browser."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from coupa_provider.emulator import Emulator
from tests.browser.conftest import AirflowUi

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

DAG = """
from datetime import UTC, datetime

from airflow.providers.common.compat.sdk import DAG

from coupa_provider.operators.coupa import CoupaActionOperator

with DAG(dag_id="void_an_invoice", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
    CoupaActionOperator(task_id="void", resource="invoices", record_id=7, action="void")
"""


def test_the_button_of_a_task_leads_to_its_record(
    airflow_ui: AirflowUi, page: Page, shoot: Callable[..., None]
) -> None:
    with Emulator(empty=True) as coupa:
        coupa.load({"invoices": [{"id": 7, "status": "approved"}]})
        connection = {
            "conn_type": "coupa", "host": coupa.url, "login": coupa.client_id, "password": coupa.client_secret,
        }  # fmt: skip
        (airflow_ui.home / "dags").mkdir(exist_ok=True)
        (airflow_ui.home / "dags" / "void_an_invoice.py").write_text(DAG)
        env = airflow_ui.env | {"AIRFLOW_CONN_COUPA_DEFAULT": json.dumps(connection)}
        for command in (["dags", "reserialize"], ["dags", "test", "void_an_invoice", "2026-11-24T08:00:00Z"]):
            subprocess.run(
                [sys.executable, "-m", "airflow", *command],
                env=env,
                check=True,
                capture_output=True,
                timeout=300,
            )
        assert coupa.record("invoices", 7)["status"] == "voided"
        page.goto(f"{airflow_ui.url}/dags/void_an_invoice")
        run_id = page.evaluate(
            "fetch('/api/v2/dags/void_an_invoice/dagRuns').then(a => a.json()).then(a => a.dag_runs[0].dag_run_id)"
        )
        page.goto(f"{airflow_ui.url}/dags/void_an_invoice/runs/{quote(run_id)}/tasks/void/details")
        button = page.get_by_role("link", name="Open in Coupa")
        button.wait_for()
        shoot(page, "record-link", clip={"x": 330, "y": 60, "width": 950, "height": 400})
        assert button.get_attribute("href") == f"{coupa.url}/invoices/7"
        assert button.get_attribute("target") == "_blank"
