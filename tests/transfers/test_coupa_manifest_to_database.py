"""The operator's arguments; real loads are in ``tests/load``, as they need drivers."""

from __future__ import annotations

import subprocess
import sys

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from coupa_provider.transfers.coupa_manifest_to_database import CoupaManifestToDatabaseOperator


def operator(**arguments) -> CoupaManifestToDatabaseOperator:
    return CoupaManifestToDatabaseOperator(
        **{"task_id": "load", "manifest": "file:///nowhere", "table": "coupa.invoices"} | arguments
    )


def test_templates_are_rendered():
    task = operator(
        manifest=["file:///lake/{{ ds }}", {"manifest": "file:///lake/{{ ds }}/full"}],
        table="coupa_{{ env }}.invoices",
    )
    task.render_template_fields({"ds": "2026-11-23", "env": "test"})
    assert task.manifest == ["file:///lake/2026-11-23", {"manifest": "file:///lake/2026-11-23/full"}]
    assert task.table == "coupa_test.invoices"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"manifest": []}, "manifest is empty"),
        ({"manifest": ""}, "manifest '' is no URL"),
        ({"manifest": "/lake/invoices"}, "manifest '/lake/invoices' is no URL"),
        ({"manifest": None}, "not NoneType. If the task before was skipped"),
        ({"manifest": {"files": []}}, "not dict"),
        ({"manifest": [["file:///a"], 7]}, "not int"),
        ({"table": " "}, "table is empty"),
    ],
)
def test_wrong_arguments_fail_without_a_retry(arguments, message):
    with pytest.raises(AirflowFailException, match=message):
        operator(**arguments).execute({})


def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    from coupa_provider.hooks import adbc_connection

    monkeypatch.setitem(sys.modules, "airflow.providers.apache.arrow.hooks.adbc", None)
    with pytest.raises(AirflowFailException, match=r"pip install 'airflow-provider-coupa\[database\]'"):
        adbc_connection.connect("adbc_default")


def test_importing_it_loads_neither_arrow_nor_a_driver():
    script = (
        "import sys, coupa_provider.transfers.coupa_manifest_to_database\n"
        "assert not {'pyarrow', 'adbc_driver_manager', 'duckdb'} & sys.modules.keys(), 'heavy'\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
