"""The watermark on a real Airflow: kept with the asset, waited for, read and set by a person."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from coupa_provider.emulator import Emulator
from tests.parallel.running_airflow import RunningAirflow

pytestmark = [pytest.mark.postgresql, pytest.mark.slow]

DAG_FILE = Path(__file__).parent / "dags" / "watermark.py"
LOOK_BACK = timedelta(minutes=15)


def state_store(airflow: RunningAirflow) -> str:
    """Find the asset's state store as a person would: by name."""
    [asset] = airflow.call("GET", "assets?uri_pattern=coupa_watermark")["assets"]
    assert asset["uri"] == "coupa://coupa_watermark/invoices"
    return f"assets/{asset['id']}/state-store"


def test_runs_wait_for_each_other_and_a_person_sets_the_watermark(
    parallel_airflow: RunningAirflow, tmp_path: Path
) -> None:
    airflow, conf = parallel_airflow, {"lake": f"file://{tmp_path}"}
    with Emulator(scale=0.2) as coupa:
        airflow.add_connection(
            "coupa_watermark", "coupa", host=coupa.url, login=coupa.client_id, password=coupa.client_secret
        )
        airflow.add_dags(DAG_FILE, "watermark")
        first, second = (airflow.trigger("watermark", conf) for _ in range(2))
        runs = [airflow.wait("watermark", run) for run in (first, second)]
        assert [run.state for run in runs] == ["success", "success"]
        runs.sort(key=lambda run: run.of("invoices")[0].started)
        early, late = (run.of("invoices")[0] for run in runs)
        assert early.ended <= late.started  # though four runs may be active: the second waited
        windows = [airflow.xcom(run, "invoices")["window"] for run in runs]
        assert windows[0][0] is None
        assert datetime.fromisoformat(windows[1][0]) == datetime.fromisoformat(windows[0][1]) - LOOK_BACK
        assert airflow.xcom(runs[0], "invoices")["records"] == len(coupa.ids("invoices"))
        assert airflow.xcom(runs[1], "invoices")["records"] == 0

        store = state_store(airflow)
        [entry] = airflow.call("GET", store)["asset_state_store"]
        assert (entry["key"], entry["value"]) == ("watermark:watermark.invoices", windows[1][1])
        assert entry["last_updated_by"]["task_id"] == "invoices"
        key = f"{store}/{quote(entry['key'])}"
        airflow.call("PUT", key, {"value": "2026-01-01T00:00:00Z"})
        again = airflow.run("watermark", conf)
        result: dict[str, Any] = airflow.xcom(again, "invoices")
        assert result["window"][0] == "2025-12-31T23:45:00+00:00"
        assert 0 < result["records"] < len(coupa.ids("invoices"))
        assert airflow.call("GET", key)["value"] == result["window"][1]
        manifest = json.loads(Path(result["manifest"].removeprefix("file://")).read_text())
        assert manifest["window"] == [stamp.replace("+00:00", "Z") for stamp in result["window"]]
