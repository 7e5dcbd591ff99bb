"""The DAG for the past loads, and all tasks of a run mean the same, on every Airflow supported."""

from __future__ import annotations

import importlib.util
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

DAG_FILE = Path(__file__).parents[1] / "dags" / "coupa_backfill.py"
ASKED_FOR = datetime(2026, 11, 23, 2, 0, 5, tzinfo=UTC)
RESOURCES = ("invoices", "purchase_orders", "suppliers")
#: A run as Airflow 3 and Airflow 2 show it to templates.
RUNS = [
    SimpleNamespace(run_after=ASKED_FOR, logical_date=None),
    SimpleNamespace(logical_date=ASKED_FOR),
]


def load() -> Any:
    spec = importlib.util.spec_from_file_location("coupa_backfill", DAG_FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.dag


@pytest.fixture(scope="module")
def dag() -> Any:
    return load()


def arguments(task: Any) -> dict[str, Any]:
    """Return what a task was given, mapped or not."""
    return task.partial_kwargs if hasattr(task, "partial_kwargs") else vars(task)


def render(dag: Any, task_id: str, name: str, run: Any, since: str = "", until: str = "") -> Any:
    task = dag.get_task(task_id)
    context = {
        "dag_run": run,
        "macros": SimpleNamespace(timedelta=timedelta),
        "params": {"since": since, "until": until},
        "var": {"value": SimpleNamespace(coupa_lake="s3://aws_default@lake/coupa")},
    }
    return task.render_template(arguments(task)[name], context, dag.get_template_env())


def test_each_resource_is_planned_read_and_gathered(dag: Any) -> None:
    names = ("plan", "extract", "gather")
    assert set(dag.task_ids) == {f"{resource}.{name}" for resource in RESOURCES for name in names}
    for resource in RESOURCES:
        assert dag.get_task(f"{resource}.extract").upstream_task_ids == {f"{resource}.plan"}
        assert dag.get_task(f"{resource}.gather").upstream_task_ids == {f"{resource}.extract"}


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("task_id", ["invoices.plan", "invoices.extract"])
def test_by_default_it_takes_five_years_and_all_that_comes(dag: Any, task_id: str, run: Any) -> None:
    assert render(dag, task_id, "updated_since", run) == "2021-11-24 02:00:05+00:00"
    assert render(dag, task_id, "updated_until", run) == ""


@pytest.mark.parametrize("task_id", ["suppliers.plan", "suppliers.extract"])
def test_the_bounds_can_be_chosen(dag: Any, task_id: str) -> None:
    bounds = {"since": "2024-01-01T00:00:00Z", "until": "2025-01-01T00:00:00Z"}
    assert render(dag, task_id, "updated_since", RUNS[0], **bounds) == bounds["since"]
    assert render(dag, task_id, "updated_until", RUNS[0], **bounds) == bounds["until"]


@pytest.mark.parametrize("run", RUNS)
def test_what_is_read_is_gathered_where_it_was_written(dag: Any, run: Any) -> None:
    found = {render(dag, f"invoices.{name}", "destination", run) for name in ("extract", "gather")}
    assert found == {"s3://aws_default@lake/coupa/invoices/20261123T020005"}


def test_the_plan_and_the_transfers_ask_for_the_same(dag: Any) -> None:
    for resource in RESOURCES:
        plan, extract = (arguments(dag.get_task(f"{resource}.{name}")) for name in ("plan", "extract"))
        for name in ("coupa_conn_id", "resource", "filters", "window", "updated_since", "updated_until"):
            assert plan[name] == extract.get(name)


def test_only_a_few_read_at_a_time(dag: Any) -> None:
    assert dag.max_active_tasks == 4


def test_nothing_in_it_is_deprecated() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load()
    assert [str(it.message) for it in caught if "coupa_backfill" in it.filename] == []
