"""The DAG that users copy: it loads, and asks for the right things, on every Airflow supported."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

DAG_FILE = Path(__file__).parents[1] / "dags" / "coupa_daily_extract.py"


@pytest.fixture(scope="module")
def dag() -> Any:
    spec = importlib.util.spec_from_file_location("coupa_daily_extract", DAG_FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.dag


@pytest.fixture
def render(dag: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("AIRFLOW_VAR_COUPA_LAKE", "s3://aws_default@lake/coupa")

    class Variables:
        def get(self, name: str, default: str) -> str:
            assert name == "coupa_lake"
            return "s3://aws_default@lake/coupa"

    def render(task_id: str, *, full_load: bool) -> Any:
        task = dag.get_task(task_id)
        context = {
            "params": {"full_load": full_load},
            "data_interval_start": datetime(2026, 11, 19, tzinfo=UTC),
            "data_interval_end": datetime(2026, 11, 20, tzinfo=UTC),
            "var": {"value": Variables()},
        }
        env = dag.get_template_env()
        return {
            name: task.render_template(getattr(task, name), context, env)
            for name in ("destination", "updated_since", "updated_until")
        }

    return render


def test_one_task_for_each_resource(dag: Any) -> None:
    assert set(dag.task_ids) == {"invoices", "purchase_orders", "suppliers"}
    assert all(not task.upstream_task_ids for task in dag.tasks)


def test_a_daily_run_asks_for_its_day(render: Callable[..., Any]) -> None:
    assert render("invoices", full_load=False) == {
        "destination": "s3://aws_default@lake/coupa/invoices/daily/2026-11-19",
        "updated_since": "2026-11-19 00:00:00+00:00",
        "updated_until": "2026-11-20 00:00:00+00:00",
    }


def test_a_full_load_asks_for_everything(render: Callable[..., Any]) -> None:
    assert render("suppliers", full_load=True) == {
        "destination": "s3://aws_default@lake/coupa/suppliers/full/2026-11-19",
        "updated_since": "",
        "updated_until": "",
    }


def test_what_is_rendered_can_be_templated(dag: Any) -> None:
    fields = set(dag.get_task("invoices").template_fields)
    assert {"destination", "updated_since", "updated_until"} <= fields


@pytest.mark.airflow
def test_a_run_has_a_whole_day_as_its_interval(dag: Any) -> None:
    """Airflow 3's "@daily" would give an interval without length, and a run that fetches nothing."""
    from airflow.timetables.base import TimeRestriction

    restriction = TimeRestriction(earliest=_pendulum(2026, 1, 1), latest=None, catchup=True)
    info = dag.timetable.next_dagrun_info(last_automated_data_interval=None, restriction=restriction)
    assert info.data_interval.start == datetime(2026, 1, 1, tzinfo=UTC)
    assert info.data_interval.end == datetime(2026, 1, 2, tzinfo=UTC)


def _pendulum(*day: int) -> Any:
    import pendulum

    return pendulum.datetime(*day)
