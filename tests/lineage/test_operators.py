"""What the operators tell OpenLineage, and that they do without it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from airflow.providers.common.compat.sdk import Connection

from coupa_provider.emulator import Emulator
from coupa_provider.lineage.datasets import load_written, resource_read
from coupa_provider.load.run import Counts
from coupa_provider.load.table import Table
from coupa_provider.operators.coupa import CoupaGatherManifestsOperator, CoupaSweepDeletionsOperator
from coupa_provider.transfers.coupa_manifest_to_database import CoupaManifestToDatabaseOperator
from coupa_provider.transfers.coupa_to_object_storage import CoupaToObjectStorageOperator
from coupa_provider.transfers.object_storage_to_coupa import ObjectStorageToCoupaOperator
from tests.load.extracts import IDS, LINES, invoice, line, write_extract

DATABASE = Connection(
    conn_id="w", conn_type="adbc", extra='{"dialect": "duckdb", "db_kwargs": {"path": "/data/lake.duckdb"}}'
)


@pytest.fixture
def coupa(monkeypatch):
    with Emulator(seed=7, sizes={"suppliers": 30}) as emulator:
        connection = {
            "conn_type": "coupa",
            "host": emulator.url,
            "login": emulator.client_id,
            "password": emulator.client_secret,
        }
        monkeypatch.setenv("AIRFLOW_CONN_COUPA_DEFAULT", json.dumps(connection))
        yield emulator


def columns(dataset):
    return {field.name: field.type for field in dataset.facets["schema"].fields}


def extract(tmp_path, **arguments):
    return CoupaToObjectStorageOperator(
        **{"task_id": "extract", "resource": "suppliers", "destination": f"file://{tmp_path}/lake"}
        | arguments
    )


@pytest.mark.parametrize("file_format", ["parquet", "csv", "ndjson"])
def test_files_have_the_columns_of_their_format_and_coupa_its_own(coupa, tmp_path, file_format):
    task = extract(tmp_path, file_format=file_format, fields=["id", "name", "created-at"])
    result = task.execute({})
    told = task.get_openlineage_facets_on_complete(None)
    (read,), (written,) = told.inputs, told.outputs
    assert (read.namespace, read.name) == (f"coupa://{task.hook.config.instance}", "suppliers")
    assert columns(read) == {"id": "integer", "name": "string", "created-at": "datetime"}
    assert (written.namespace, written.name) == ("file", f"{tmp_path}/lake")
    if file_format == "ndjson":  # nobody looks into the records
        assert written.facets == {}
    else:
        time = "timestamp[us, tz=UTC]"
        assert columns(written) == {"id": "int64", "name": "string", "created_at": time, "_extra": "string"}
    statistics = written.outputFacets["outputStatistics"]
    assert (statistics.rowCount, statistics.size, statistics.fileCount) == (30, result["bytes"], 1)


def test_types_that_a_user_sets_are_told_where_the_documents_have_none():
    read = resource_read("acme.coupahost.com", "invoices", ["id", "our-rate"], {"our-rate": "decimal(9,2)"})
    assert columns(read) == {"id": "integer", "our-rate": "decimal"}


def test_before_and_after_a_failure_there_are_names_without_numbers(coupa, tmp_path):
    task = extract(tmp_path)
    begun, failed = task.get_openlineage_facets_on_start(), task.get_openlineage_facets_on_failure(None)
    assert [read.name for read in begun.inputs] == [read.name for read in failed.inputs] == ["suppliers"]
    assert [(each.name, each.facets) for each in begun.outputs] == [(f"{tmp_path}/lake", {})]
    assert failed.outputs == []


@pytest.mark.parametrize(
    "task",
    [
        CoupaManifestToDatabaseOperator(task_id="load", manifest="file:///a", table="t"),
        CoupaSweepDeletionsOperator(task_id="sweep", manifest="file:///a", destination="file:///b"),
        CoupaGatherManifestsOperator(task_id="gather", manifests=["file:///a/b"], destination="file:///a"),
        ObjectStorageToCoupaOperator(task_id="push", resource="suppliers", source="file:///a.csv"),
    ],
    ids=lambda task: task.task_id,
)
def test_others_tell_nothing_of_a_failure(task):
    assert task.get_openlineage_facets_on_complete(None) is None


def push(fails=False, **arguments):
    """Push suppliers that differ in three rows, and return what is told of it: input, output, and the numbers."""
    from airflow.providers.common.compat.sdk import AirflowFailException

    task = ObjectStorageToCoupaOperator(task_id="push", resource="suppliers", key=["name"], **arguments)
    if fails:
        with pytest.raises(AirflowFailException, match="rejected"):
            task.execute({})
        told = task.get_openlineage_facets_on_failure(None)
    else:
        task.execute({})
        told = task.get_openlineage_facets_on_complete(None)
    (written,) = told.outputs
    assert (written.namespace, written.name) == (f"coupa://{task.hook.config.instance}", "suppliers")
    assert written.facets == {}
    statistics = written.outputFacets["outputStatistics"]
    assert (statistics.size, statistics.fileCount) == (None, None)
    return told.inputs, statistics.rowCount


def rows_to_push(coupa):
    """Two that are new, one that is changed, and two that are as Coupa has them."""
    held = [coupa.record("suppliers", one) for one in coupa.ids("suppliers")[:3]]
    rows = [{"name": record["name"]} for record in held]
    rows[0]["website"] = "https://changed.example.com"
    return [*rows, {"name": "New"}, {"name": "Newer"}]


def test_a_push_leads_from_a_file_to_the_resource_with_the_rows_written(coupa, tmp_path):
    path = tmp_path / "suppliers.ndjson"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows_to_push(coupa)))
    (read,), rows = push(source=path.as_uri())
    assert (read.namespace, read.name, read.facets) == ("file", str(path), {})
    assert rows == 3


def test_a_push_with_rejected_rows_tells_what_it_wrote(coupa, tmp_path):
    path = tmp_path / "suppliers.ndjson"
    rows = [*rows_to_push(coupa), {"name": "Refused", "payment-term": {"code": "no such"}}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (read,), written = push(fails=True, source=path.as_uri())
    assert (read.name, written) == (str(path), 3)


def test_a_push_of_an_extract_reads_the_very_dataset_that_the_extract_wrote(coupa, tmp_path):
    task = extract(tmp_path, fields=["id", "name"], file_format="ndjson")
    result = task.execute({})
    (landed,) = task.get_openlineage_facets_on_complete(None).outputs
    (read,), rows = push(source=result)
    assert (read.namespace, read.name) == (landed.namespace, landed.name) == ("file", f"{tmp_path}/lake")
    assert rows == 0


def test_rows_of_a_task_are_no_dataset(coupa, tmp_path):
    inputs, rows = push(rows=rows_to_push(coupa), outcomes=f"file://{tmp_path}/pushed")
    assert (inputs, rows) == ([], 3)


def load(*readers, counts, **child_tables):
    written = load_written(DATABASE, readers, Table("coupa", "invoices"), child_tables, counts)
    assert {each.namespace for each in written} == {"duckdb:///data/lake.duckdb"}
    return {
        each.name: (
            list(columns(each)) if each.facets else None,
            each.outputFacets["outputStatistics"].rowCount,
        )
        for each in written
    }


def test_a_load_of_several_extracts_tells_the_columns_of_all(tmp_path):
    first = write_extract(tmp_path / "1", [invoice(1)])
    second = write_extract(tmp_path / "2", [invoice(2)], children={"invoice_lines": ([line(2, 0)], LINES)})
    gone = write_extract(tmp_path / "3", [{"id": 1}], IDS, kind="deletions")
    counts = Counts(inserted=1, updated=2, unchanged=4, older=8, lines={"coupa.invoices_invoice_lines": 16})
    assert load(first, second, gone, counts=counts) == {
        "lake.coupa.invoices": (["id", "updated_at", "number"], 3),
        "lake.coupa.invoices_invoice_lines": (["_parent_id", "_position", "description"], 16),
    }


def test_a_load_tells_no_table_of_lines_that_it_left_alone(tmp_path):
    reader = write_extract(tmp_path, [invoice(1)], children={"invoice_lines": ([line(1, 0)], LINES)})
    target = Table("other", "lines")
    assert list(load(reader, counts=Counts(), invoice_lines=target)) == ["lake.coupa.invoices"]
    counts = Counts(lines={"other.lines": 1})
    assert list(load(reader, counts=counts, invoice_lines=target)) == [
        "lake.coupa.invoices",
        "lake.other.lines",
    ]


def test_a_load_of_deletions_alone_writes_no_rows(tmp_path):
    gone = write_extract(tmp_path, [{"id": 1}], IDS, kind="deletions")
    assert load(gone, counts=Counts(deleted=1)) == {"lake.coupa.invoices": (None, 0)}


def test_extracts_and_pushes_work_where_openlineage_is_not_installed(coupa, tmp_path):
    script = (
        "import sys\n"
        "class Wall:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'openlineage' or name.startswith('airflow.providers.openlineage.extractors'):\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Wall())\n"
        "from coupa_provider.transfers.coupa_to_object_storage import CoupaToObjectStorageOperator\n"
        "task = CoupaToObjectStorageOperator(\n"
        f"    task_id='extract', resource='suppliers', destination='file://{tmp_path}/lake'\n"
        ")\n"
        "assert task.execute({})['records'] == 30\n"
        "from coupa_provider.transfers.object_storage_to_coupa import ObjectStorageToCoupaOperator\n"
        "task = ObjectStorageToCoupaOperator(\n"
        f"    task_id='push', resource='suppliers', rows=[{{'name': 'New'}}], outcomes='file://{tmp_path}/pushed',\n"
        "    key=['name'],\n"
        ")\n"
        "assert task.execute({})['created'] == 1\n"
        "assert not any(name.split('.')[0] == 'openlineage' for name in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
