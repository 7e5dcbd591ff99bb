"""The operator with a real database behind it; its arguments are tested in ``tests/transfers``."""

from __future__ import annotations

import json
import logging

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from coupa_provider.load.errors import LoadError
from coupa_provider.transfers.coupa_manifest_to_database import CoupaManifestToDatabaseOperator
from tests.load.extracts import LINES, invoice, line, write_extract


@pytest.fixture
def load(database, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_ADBC_DEFAULT", database.connection_json())

    def load(manifest, **arguments):
        arguments = {"task_id": "load", "table": "coupa.invoices"} | arguments
        return CoupaManifestToDatabaseOperator(manifest=manifest, **arguments).execute({})

    return load


def test_the_result_is_a_summary(load, database, tmp_path):
    lines = {"invoice_lines": ([line(1, 0)], LINES)}
    write_extract(tmp_path / "a", [invoice(1), invoice(2)], children=lines)
    result = load(f"file://{tmp_path}/a/_manifest.json", child_tables={"invoice_lines": "coupa.lines"})
    assert json.loads(json.dumps(result)) == result
    assert 0 <= result.pop("seconds") < 60
    assert result == {
        "table": "coupa.invoices",
        "manifests": [f"file://{tmp_path}/a/_manifest.json"],
        "staged": 2,
        "inserted": 2,
        "updated": 0,
        "unchanged": 0,
        "older": 0,
        "deleted": 0,
        "lines": {"coupa.lines": 1},
        "columns_added": {},
    }
    assert database.numbers() == [(1, "INV-1"), (2, "INV-2")]


def test_takes_what_the_extracting_task_returned_and_lists(load, database, tmp_path):
    for number in range(3):
        write_extract(tmp_path / str(number), [invoice(1, number, str(number))])
    summary = {"resource": "invoices", "manifest": f"file://{tmp_path}/2/_manifest.json", "records": 1}
    result = load([f"file://{tmp_path}/0", [f"file://{tmp_path}/1"], summary])
    assert result["manifests"] == [
        f"file://{tmp_path}/0",
        f"file://{tmp_path}/1",
        f"file://{tmp_path}/2/_manifest.json",
    ]
    assert (result["inserted"], result["updated"]) == (1, 2)
    assert database.numbers() == [(1, "2")]


def test_what_does_not_fit_fails_without_a_retry_and_what_may_pass_does_not(load, database, tmp_path):
    write_extract(tmp_path / "a", [invoice(1)])
    load(f"file://{tmp_path}/a")
    with pytest.raises(AirflowFailException, match="no name of a table"):
        load(f"file://{tmp_path}/a", table="a.b.c")
    database.execute("ALTER TABLE coupa.invoices ALTER COLUMN number SET NOT NULL")
    write_extract(tmp_path / "b", [{"id": 2, "updated_at": None, "number": None}])
    with pytest.raises(LoadError, match="The tables are as they were"):
        load(f"file://{tmp_path}/b")


def test_neither_the_password_nor_data_is_logged(load, database, tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    write_extract(tmp_path / "a", [invoice(1, 0, "confidential")])
    load(f"file://{tmp_path}/a")
    written = caplog.text + "".join(capfd.readouterr())
    assert "coupa.invoices" in written
    assert "confidential" not in written
    assert "postgresql-secret" not in written
