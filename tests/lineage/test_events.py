"""The events that a real Airflow sends: names, columns and numbers as the manifests have them, and no secret."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote_plus, urlsplit

import pytest

from coupa_provider.emulator import Emulator
from coupa_provider.extract.manifest import Manifest
from coupa_provider.resources.catalog import find_resource
from tests.parallel.running_airflow import running_airflow

pytestmark = [pytest.mark.postgresql, pytest.mark.slow]

DAG_FILE = Path(__file__).parent / "dags" / "lineage.py"
CLIENT_SECRET = "canary-client-secret-5d20"
WRONG_SECRET = "canary-wrong-secret-08fe"
INVOICES, SUPPLIERS = 120, 1100
FAILING = ("refused", "push_some")


class Events:
    """What was sent.

    :param folder: where the file transport wrote.
    """

    def __init__(self, folder: Path) -> None:
        self.texts = [path.read_text() for path in sorted(folder.iterdir())]
        self.all = [json.loads(text) for text in self.texts]

    def of(self, task_id: str, state: str) -> list[dict]:
        """Return the events of a task."""
        wanted = (f"lineage.{task_id}", state)
        return [event for event in self.all if (event["job"]["name"], event["eventType"]) == wanted]

    def one(self, task_id: str, state: str) -> tuple[dict, dict]:
        """Return inputs and outputs of the one event of a task, by namespace and name."""
        (event,) = self.of(task_id, state)
        sides = [
            {(each["namespace"], each["name"]): each for each in event[side]}
            for side in ("inputs", "outputs")
        ]
        assert [len(side) for side in sides] == [len(event[side]) for side in ("inputs", "outputs")]
        return sides[0], sides[1]


def columns(dataset):
    return {field["name"]: field["type"] for field in dataset["facets"]["schema"]["fields"]}


def statistics(dataset):
    facet = dataset["outputFacets"]["outputStatistics"]
    return tuple(facet.get(name) for name in ("rowCount", "size", "fileCount"))


def counted(table):
    return table.records, sum(file.bytes for file in table.files), len(table.files)


def manifest_in(folder):
    return Manifest.from_json((folder / "_manifest.json").read_bytes())


@pytest.fixture(scope="module")
def coupa():
    sizes = {"invoices": INVOICES, "suppliers": SUPPLIERS}
    with Emulator(seed=7, sizes=sizes, client_secret=CLIENT_SECRET) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def warehouse(postgresql):
    return postgresql.fresh_database()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("lineage")


@pytest.fixture(scope="module")
def events(postgresql, warehouse, coupa, folder, tmp_path_factory):
    """Run the DAG once."""
    told = folder / "told"
    told.mkdir()
    settings = {
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "file", "log_file_path": str(told / "event")}),
        "AIRFLOW__OPENLINEAGE__NAMESPACE": "tests",
    }
    lake = folder / "lake"
    lake.mkdir()
    (lake / "departments.csv").write_text("name,active\nDyes,true\nWaxes,true\n")
    rows = [{"name": "Salts"}, {"name": "Oils", "active": "perhaps"}]
    (lake / "some.ndjson").write_text("\n".join(map(json.dumps, rows)))
    home = tmp_path_factory.mktemp("lineage-airflow")
    with running_airflow(postgresql.fresh_database(), home, settings) as airflow:
        for name, secret in (("coupa_default", CLIENT_SECRET), ("coupa_refused", WRONG_SECRET)):
            airflow.add_connection(name, "coupa", host=coupa.url, login=coupa.client_id, password=secret)
        airflow.add_connection(
            "postgresql",
            "adbc",
            host=warehouse.host,
            port=warehouse.port,
            schema=warehouse.dbname,
            login=warehouse.user,
            password=warehouse.password,
            extra={"dialect": "postgresql"},
        )
        db_kwargs = {"uri": str(folder / "warehouse.duckdb")}
        airflow.add_connection("duckdb", "adbc", extra={"dialect": "duckdb", "db_kwargs": db_kwargs})
        airflow.add_dags(DAG_FILE, "lineage")
        run = airflow.run("lineage", {"lake": f"file://{folder}/lake"}, timeout=240)
        states = {task.task_id: task.state for task in run.tasks}
        failed = [name for name, state in states.items() if state != "success" and name not in FAILING]
        assert failed == [], [airflow.log(run, name) for name in failed][:1]
        assert [states[name] for name in FAILING] == ["failed"] * len(FAILING)
    return Events(told)


def test_an_extract_tells_columns_and_numbers_of_records_and_lines(events, coupa, folder):
    inputs, outputs = events.one("extract", "COMPLETE")
    manifest = manifest_in(folder / "lake" / "invoices")
    assert manifest.records == INVOICES
    (attributes,) = [columns(dataset) for dataset in inputs.values()]
    assert list(inputs) == [(f"coupa://{urlsplit(coupa.url).netloc}", "invoices")]
    assert attributes["invoice-number"] == "string"
    assert attributes["invoice-lines"] == "list"
    assert attributes["custom-fields"] == "json"
    assert attributes.keys() - {"custom-fields"} <= find_resource("invoices").attributes.keys()
    records = outputs.pop(("file", f"{folder}/lake/invoices"))
    assert columns(records) == manifest.columns
    assert statistics(records) == counted(manifest)
    lines = outputs.pop(("file", f"{folder}/lake/invoices/invoice_lines"))
    assert columns(lines) == manifest.children["invoice_lines"].columns
    assert statistics(lines) == counted(manifest.children["invoice_lines"])
    assert statistics(lines)[0] > INVOICES
    assert outputs == {}


def test_the_begin_of_an_extract_names_both_ends(events, coupa, folder):
    """And not the asset that keeps the watermark, which would make Coupa an output."""
    inputs, outputs = events.one("extract", "START")
    assert list(inputs) == [(f"coupa://{urlsplit(coupa.url).netloc}", "invoices")]
    assert list(outputs) == [("file", f"{folder}/lake/invoices")]


def test_a_failure_names_what_was_read_and_nothing_written(events, coupa):
    inputs, outputs = events.one("refused", "FAIL")
    assert list(inputs) == [(f"coupa://{urlsplit(coupa.url).netloc}", "invoices")]
    assert outputs == {}


@pytest.mark.parametrize("database", ["postgresql", "duckdb"])
def test_a_load_leads_from_the_files_to_the_tables(events, warehouse, folder, database):
    inputs, outputs = events.one(f"load_{database}", "COMPLETE")
    manifest = manifest_in(folder / "lake" / "invoices")
    lines = manifest.children["invoice_lines"]
    lake = f"{folder}/lake/invoices"
    assert list(inputs) == [("file", lake), ("file", f"{lake}/invoice_lines")]
    assert inputs.keys() == events.one("extract", "COMPLETE")[1].keys()
    assert [columns(read) for read in inputs.values()] == [manifest.columns, lines.columns]
    if database == "postgresql":
        namespace = f"postgres://{warehouse.host}:{warehouse.port}"
        tables = [f"{warehouse.dbname}.coupa.invoices", f"{warehouse.dbname}.public.lines"]
    else:
        namespace, tables = (
            f"duckdb://{folder}/warehouse.duckdb",
            ["warehouse.main.invoices", "warehouse.main.lines"],
        )
    assert list(outputs) == [(namespace, table) for table in tables]
    assert [columns(table) for table in outputs.values()] == [manifest.columns, lines.columns]
    assert [statistics(table) for table in outputs.values()] == [
        (INVOICES, None, None),
        (lines.records, None, None),
    ]


def test_a_sweep_leads_from_coupa_and_the_extracts_to_the_list(events, coupa, folder):
    inputs, outputs = events.one("sweep", "COMPLETE")
    lake = f"{folder}/lake"
    resource = (f"coupa://{urlsplit(coupa.url).netloc}", "invoices")
    assert list(inputs) == [
        resource,
        ("file", f"{lake}/invoices"),
        ("file", f"{lake}/invoices/invoice_lines"),
    ]
    assert columns(inputs[resource]) == {"id": "integer"}
    ((name, deletions),) = outputs.items()
    assert name == ("file", f"{lake}/deletions")
    assert columns(deletions) == {"id": "int64"}
    assert statistics(deletions) == counted(manifest_in(folder / "lake" / "deletions"))


def test_partitions_become_one_extract(events, folder):
    inputs, outputs = events.one("gather", "COMPLETE")
    lake = f"{folder}/lake/suppliers"
    assert list(inputs) == [("file", f"{lake}/partition-00000"), ("file", f"{lake}/partition-00001")]
    mapped = events.of("partition", "COMPLETE")
    assert {each["name"] for event in mapped for each in event["outputs"]} == {name for _, name in inputs}
    assert [columns({"facets": event["inputs"][0]["facets"]}) for event in mapped] == [
        {"id": "integer", "name": "string"}
    ] * 2
    ((name, whole),) = outputs.items()
    assert name == ("file", lake)
    assert statistics(whole) == counted(manifest_in(folder / "lake" / "suppliers"))
    parts = [statistics(event["outputs"][0]) for event in mapped]
    assert statistics(whole) == tuple(map(sum, zip(*parts, strict=True)))
    assert statistics(whole)[0] == SUPPLIERS


@pytest.mark.parametrize(
    ("task_id", "state", "file", "rows"),
    [("push", "COMPLETE", "departments.csv", 2), ("push_some", "FAIL", "some.ndjson", 1)],
)
def test_a_push_leads_from_the_file_to_the_resource(events, coupa, folder, task_id, state, file, rows):
    """Also if it fails for rows that were rejected: the others are in Coupa."""
    inputs, outputs = events.one(task_id, state)
    assert list(inputs) == [("file", f"{folder}/lake/{file}")]
    ((name, resource),) = outputs.items()
    assert name == (f"coupa://{urlsplit(coupa.url).netloc}", "departments")
    assert statistics(resource) == (rows, None, None)


def test_an_extract_that_goes_back_joins_both_resources(events, coupa, folder):
    inputs, outputs = events.one("push_back", "COMPLETE")
    assert inputs.keys() == events.one("names", "COMPLETE")[1].keys() == {("file", f"{folder}/lake/names")}
    ((name, resource),) = outputs.items()
    assert name == (f"coupa://{urlsplit(coupa.url).netloc}", "suppliers")
    assert statistics(resource) == (0, None, None)  # all was there as it was sent


def test_no_secret_stands_in_an_event(events, coupa, warehouse):
    secrets = {CLIENT_SECRET, WRONG_SECRET, warehouse.password, *coupa.issued_tokens()}
    assert len(secrets) > 3
    spellings = {spelling for secret in secrets for spelling in (secret, quote_plus(secret))}
    assert len(events.texts) >= 20
    assert [spelling for spelling in spellings for text in events.texts if spelling in text] == []
