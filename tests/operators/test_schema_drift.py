"""The task fails for the changes it was told to fail for, and says what changed."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import fsspec
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from coupa_provider.client.page import Counters
from coupa_provider.extract.destination import Destination
from coupa_provider.extract.errors import ExtractError
from coupa_provider.extract.run import extract_pages
from coupa_provider.operators.coupa import CoupaSchemaDriftOperator
from tests.extract.synthetic import page_of


class FakeTaskInstance:
    def __init__(self) -> None:
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


def extract(folder: Path, *fields: str, resource: str = "suppliers") -> str:
    """Extract one record and return the URL of the folder."""
    destination = Destination(fsspec.filesystem("file"), str(folder), f"file://{folder}")
    record = {"id": 1} | dict.fromkeys(fields, "x")
    extract_pages(
        [page_of(record)], Counters(), destination, resource=resource, instance="acme", fields=["id", *fields]
    )
    return destination.url


@pytest.fixture
def old(tmp_path: Path) -> str:
    return extract(tmp_path / "old", "name", "status")


@pytest.fixture
def new(tmp_path: Path) -> str:
    return extract(tmp_path / "new", "name", "my-own")


def run(**arguments: Any) -> tuple[dict[str, Any], FakeTaskInstance]:
    task_instance = FakeTaskInstance()
    operator = CoupaSchemaDriftOperator(task_id="drift", **arguments)
    return operator.execute({"ti": task_instance}), task_instance


def logged(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> str:
    return caplog.text + capsys.readouterr().out  # Airflow 3.3 logs past the standard library


def test_changes_that_are_allowed_are_returned_and_logged(
    old: str, new: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO):
        result, _ = run(manifest={"manifest": f"{new}/_manifest.json"}, against=old, fail_on=["retyped"])
    assert json.loads(json.dumps(result)) == {
        "resource": "suppliers",
        "manifest": f"{new}/_manifest.json",
        "against": f"{old}/_manifest.json",
        "breaking": True,
        "changes": [
            {"what": "removed", "table": "suppliers", "name": "status", "before": "string", "after": None},
            {"what": "added", "table": "suppliers", "name": "my_own", "before": None, "after": "string"},
        ],
    }
    assert "  removed   suppliers: status, string" in logged(caplog, capsys)


def test_changes_that_are_not_allowed_fail_the_task_and_are_handed_on(old: str, new: str) -> None:
    operator = CoupaSchemaDriftOperator(task_id="drift", manifest=new, against=old)
    task_instance = FakeTaskInstance()
    with pytest.raises(
        AirflowFailException, match=r"suppliers: 1 change.* removed suppliers: status, string"
    ):
        operator.execute({"ti": task_instance})
    assert task_instance.pushed["return_value"]["changes"][0]["what"] == "removed"


def test_no_change(old: str) -> None:
    result, _ = run(manifest=old, against=old, fail_on=("removed", "retyped", "added", "appeared"))
    assert (result["changes"], result["breaking"]) == ([], False)


@pytest.mark.parametrize("against", [None, "", " ", "None", "file:///not/there"])
def test_the_first_run_has_nothing_to_compare(
    against: str | None, new: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO):
        result, _ = run(manifest=new, against=against)
    assert (result["against"], result["changes"]) == (None, [])
    assert "nothing to compare" in logged(caplog, capsys)


def test_extracts_of_different_resources_are_refused(old: str, tmp_path: Path) -> None:
    other = extract(tmp_path / "other", resource="invoices")
    with pytest.raises(AirflowFailException, match="the resource 'suppliers' and 'invoices'"):
        run(manifest=other, against=old)


def test_without_an_extract_it_fails(tmp_path: Path, old: str) -> None:
    with pytest.raises(ExtractError, match="There is no"):
        run(manifest=f"file://{tmp_path}/none", against=old)


@pytest.mark.parametrize("fail_on", ["removed", ["deleted"]])
def test_only_known_changes_can_fail_it(fail_on: Any) -> None:
    with pytest.raises(
        ValueError, match="is not a list of removed, retyped, added, vanished, appeared, misfit"
    ):
        CoupaSchemaDriftOperator(task_id="drift", manifest="x", against=None, fail_on=fail_on)
