"""The DAG that users copy: it loads, and asks for the right things, on every Airflow supported."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

DAG_FILE = Path(__file__).parents[1] / "dags" / "coupa_nightly.py"
SUNDAY = datetime(2026, 11, 22, 2, 0, 5, tzinfo=UTC)
MONDAY = datetime(2026, 11, 23, 2, 0, 5, tzinfo=UTC)


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    def load(database: str | None = None) -> Any:
        if database is None:
            monkeypatch.delenv("COUPA_DATABASE", raising=False)
        else:
            monkeypatch.setenv("COUPA_DATABASE", database)
        spec = importlib.util.spec_from_file_location("coupa_nightly", DAG_FILE)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def render(load: Callable[..., Any]) -> Callable[..., Any]:
    dag = load("warehouse").dag

    class Variables:
        coupa_lake = "s3://aws_default@lake/coupa"

    def render(task_id: str, name: str, **dag_run: Any) -> Any:
        task = dag.get_task(task_id)
        context = {"dag_run": SimpleNamespace(**dag_run), "var": {"value": Variables}}
        return task.render_template(getattr(task, name), context, dag.get_template_env())

    return render


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    for name in ("20261123T020005", "20261122T020005-deletions", "20261122T020005"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "_manifest.json").write_text("{}")
    (tmp_path / "20261124T020005").mkdir()  # was begun, and failed
    return tmp_path


def test_without_a_database_it_lands_files_only(load: Callable[..., Any]) -> None:
    tasks = {"extract", "list_extracts", "sweep"}
    resources = ("invoices", "purchase_orders", "suppliers")
    assert set(load().dag.task_ids) == {f"{resource}.{task}" for resource in resources for task in tasks}


def test_with_a_database_every_resource_has_a_table(load: Callable[..., Any]) -> None:
    dag = load("warehouse").dag
    for resource in ("invoices", "purchase_orders", "suppliers"):
        for name, source in (("load", "extract"), ("delete", "sweep")):
            task = dag.get_task(f"{resource}.{name}")
            assert (task.table, task.adbc_conn_id) == (f"coupa.{resource}", "warehouse")
            assert f"{resource}.{source}" in task.upstream_task_ids


def test_deletions_are_loaded_after_what_was_extracted_before_them(load: Callable[..., Any]) -> None:
    assert "invoices.load" in load("warehouse").dag.get_task("invoices.delete").upstream_task_ids


def test_it_goes_on_where_the_last_run_ended(load: Callable[..., Any]) -> None:
    dag = load().dag
    assert {task.window for task in dag.tasks if task.task_id.endswith(".extract")} == {"watermark"}
    assert dag.max_active_runs == 1
    assert not dag.catchup


def test_fields_hold_what_merging_needs(load: Callable[..., Any]) -> None:
    for options in load().RESOURCES.values():
        assert "fields" not in options or {"id", "updated-at"} <= {str(it) for it in options["fields"]}


def test_each_run_has_folders_of_its_own_in_the_order_of_the_runs(render: Callable[..., Any]) -> None:
    found = [
        # All there is in a run by hand on Airflow 3.
        render(f"invoices.{task}", "destination", run_after=day, logical_date=None)
        for day in (SUNDAY, MONDAY)
        for task in ("extract", "sweep")
    ]
    lake = "s3://aws_default@lake/coupa/invoices"
    assert found == sorted(found)
    assert found[:2] == [f"{lake}/20261122T020005", f"{lake}/20261122T020005-deletions"]
    assert len(set(found)) == 4
    assert render("invoices.extract", "destination", logical_date=SUNDAY) == found[0]  # Airflow 2


def test_on_the_day_of_the_sweep_all_extracts_are_listed_oldest_first(
    load: Callable[..., Any], lake: Path
) -> None:
    listed = load().list_extracts.function(
        lake.as_uri(), {"sweep": False}, SimpleNamespace(start_date=SUNDAY)
    )
    assert listed == [
        f"{lake.as_uri()}/{name}"
        for name in ("20261122T020005", "20261122T020005-deletions", "20261123T020005")
    ]


def test_on_other_days_there_is_a_sweep_if_it_is_asked_for(load: Callable[..., Any], lake: Path) -> None:
    from airflow.providers.common.compat.sdk import AirflowSkipException

    list_extracts = load().list_extracts.function
    with pytest.raises(AirflowSkipException):
        list_extracts(lake.as_uri(), {"sweep": False}, SimpleNamespace(start_date=MONDAY))
    assert len(list_extracts(lake.as_uri(), {"sweep": True}, SimpleNamespace(start_date=MONDAY))) == 3


def test_nothing_in_it_is_deprecated(load: Callable[..., Any]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load("warehouse")
    assert [str(it.message) for it in caught if "coupa_nightly" in it.filename] == []
