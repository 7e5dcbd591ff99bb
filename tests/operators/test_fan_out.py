"""Planning and gathering as tasks: arguments, results, logs, and the transfers between the two."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import UTC, datetime
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, ObjectStoragePath

from coupa_provider.emulator import Emulator
from coupa_provider.extract.errors import ExtractError
from coupa_provider.operators.coupa import CoupaGatherManifestsOperator, CoupaPlanPartitionsOperator
from coupa_provider.transfers.coupa_to_object_storage import CoupaToObjectStorageOperator

RECORDS = 6_000


@pytest.fixture(scope="module")
def emulator():
    with Emulator(seed=7, sizes={"exchange_rates": RECORDS}, rate_limit=None) as emulator:
        yield emulator


def plan(context=None, **arguments):
    return CoupaPlanPartitionsOperator(
        **{"task_id": "plan", "resource": "exchange_rates", "partitions": 4, **arguments}
    ).execute(context or {})


def extract(partition, **arguments):
    """Do what one of the mapped tasks does."""
    task_instance = SimpleNamespace(dag_id="d", run_id="r", task_id="extract", map_index=partition["number"])
    task = CoupaToObjectStorageOperator(
        **{"task_id": "extract", "resource": "exchange_rates", "fields": ["id", "rate"], **arguments},
        partition=partition,
    )
    return task.execute({"ti": task_instance})


def gather(manifests, destination, **arguments):
    task = CoupaGatherManifestsOperator(
        task_id="gather", manifests=manifests, destination=destination, **arguments
    )
    return task.execute({})


def ids_in(files):
    return sorted(
        number for file in files for number in pq.read_table(file.removeprefix("file://"), columns=["id"])["id"].to_pylist()
    )  # fmt: skip


def logged(caplog, capsys):
    return caplog.text + capsys.readouterr().out  # Airflow 3.3 logs past the standard library


def test_plan_extract_and_gather(coupa, tmp_path, caplog, capsys):
    lake = f"file://{tmp_path}/lake"
    with caplog.at_level(logging.INFO):
        partitions = plan()
    assert len(partitions) == 4
    assert json.loads(json.dumps(partitions)) == partitions
    assert [set(part) for part in partitions] == [{"number", "after", "upto"}] * 4
    assert coupa.seen()["requests"] <= 35
    text = logged(caplog, capsys)
    assert "records, 4 partition(s), " in text
    assert "exchange_rates: partition 0, ids 1 to " in text
    assert " and above" in text
    summaries = [extract(part, destination=lake) for part in partitions]
    assert all(0.8 < summary["records"] / (RECORDS / 4) < 1.2 for summary in summaries)
    result = gather(summaries, lake)
    assert json.loads(json.dumps(result)) == result
    assert result["manifest"] == f"{lake}/_manifest.json"
    assert set(result) == set(summaries[0])
    for name in ("records", "bytes", "requests", "throttled"):
        assert result[name] == sum(summary[name] for summary in summaries)
    assert ids_in(result["files"]) == coupa.ids("exchange_rates")


def test_a_window_is_planned_and_read_alike(coupa, tmp_path):
    lake = f"file://{tmp_path}/lake"
    everything = extract(
        {"number": 0, "after": 0, "upto": None},
        destination=f"file://{tmp_path}/all",
        fields=["id", "updated-at"],
    )
    table = pq.read_table(everything["files"][0].removeprefix("file://"))
    stamps = sorted(table["updated_at"].to_pylist())
    since, until = stamps[500].astimezone(UTC), stamps[-500].astimezone(UTC)
    wanted = sorted(row["id"] for row in table.to_pylist() if since <= row["updated_at"] < until)
    query = {"updated_since": since.isoformat(), "updated_until": until.isoformat()}
    partitions = plan(**query)
    assert len(partitions) == 4
    result = gather([extract(part, destination=lake, **query) for part in partitions], lake)
    assert result["window"] == list(query.values())
    assert ids_in(result["files"]) == wanted


def test_the_interval_of_the_run_is_planned(coupa):
    interval = {
        "data_interval_start": datetime(2000, 1, 1, tzinfo=UTC),
        "data_interval_end": datetime(2000, 1, 2, tzinfo=UTC),
    }
    assert plan(interval, window="data_interval") == [{"number": 0, "after": 0, "upto": None}]
    assert "updated_at%5Blt%5D" in coupa.seen()["recent"][0]["query"]
    with pytest.raises(AirflowFailException, match="no data interval"):
        plan({}, window="data_interval")


def test_bounds_on_id_are_kept_and_need_the_plan(coupa, tmp_path):
    lake = f"file://{tmp_path}/lake"
    ids = coupa.ids("exchange_rates")
    low, high = ids[1_000], ids[4_000]
    filters = {"id[gt]": low, "id[lt_or_eq]": high}
    partitions = plan(filters=filters)
    assert len(partitions) == 4
    assert partitions[0]["after"] == low
    summaries = [extract(part, destination=lake, filters=filters) for part in partitions]
    with pytest.raises(ExtractError, match=r"partitions=plan\.output"):
        gather(summaries, lake)
    result = gather(summaries, lake, partitions=partitions)
    assert ids_in(result["files"]) == ids[1_001:4_001]
    with pytest.raises(ExtractError, match="4 partitions were planned, 3 were given"):
        gather(summaries[:3], lake, partitions=partitions)


def test_a_smaller_plan_replaces_a_larger_one(coupa, tmp_path):
    lake = f"file://{tmp_path}/lake"
    for count in (4, 2):
        summaries = [extract(part, destination=lake) for part in plan(partitions=count)]
        result = gather(summaries, lake)
    assert sorted(path.name for path in (tmp_path / "lake").iterdir()) == [
        "_manifest.json", "partition-00000", "partition-00001",
    ]  # fmt: skip
    assert ids_in(result["files"]) == coupa.ids("exchange_rates")


def test_a_small_resource_is_one_partition(coupa):
    assert plan(resource="currencies") == [{"number": 0, "after": 0, "upto": None}]
    assert coupa.seen()["requests"] <= 4


def test_in_a_bucket(coupa, s3):
    lake = "s3://aws_default@lake/coupa/exchange_rates"
    for count in (3, 2):
        summaries = [extract(part, destination=lake) for part in plan(partitions=count)]
        result = gather(summaries, lake)
    assert result["manifest"] == f"{lake}/_manifest.json"
    assert result["records"] == RECORDS
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket="lake")["Contents"]]
    assert sorted(key.removeprefix("coupa/exchange_rates/") for key in keys) == [
        "_manifest.json",
        *(f"partition-0000{number}/{name}" for number in (0, 1) for name in ("_manifest.json", "part-00000.parquet")),
    ]  # fmt: skip
    with ObjectStoragePath(result["files"][1]).open("rb") as file:
        assert pq.read_table(file).num_rows == summaries[1]["records"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"partitions": 0}, "partitions must be 1 or more, not 0"),
        ({"window": "watermark"}, "window='watermark' does not work with partitions"),
        ({"window": "yesterday"}, "window 'yesterday' is not"),
        ({"window": "data_interval", "updated_since": "2026-01-01T00:00:00Z"}, "leave out updated_since"),
    ],
)
def test_a_wrong_plan_is_refused_when_the_dag_is_read(arguments, message):
    with pytest.raises(ValueError, match=message):
        CoupaPlanPartitionsOperator(**{"task_id": "plan", "resource": "invoices", **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": "{'status': 'x'}"}, "filters must be a dict"),
        ({"updated_since": "2026-01-01"}, "no time zone"),
        ({"filters": {"id[gt]": "x"}}, "needs a whole number"),
    ],
)
def test_what_renders_to_nonsense_fails_at_once(coupa, arguments, message):
    with pytest.raises(AirflowFailException, match=message):
        plan(**arguments)


@pytest.mark.parametrize("manifests", [None, "file:///lake", {"manifest": "file:///lake"}])
def test_one_manifest_is_not_a_list(manifests, tmp_path):
    with pytest.raises(AirflowFailException, match="manifests must be a list"):
        gather(manifests, f"file://{tmp_path}")


def test_a_strange_plan_is_refused(tmp_path):
    with pytest.raises(AirflowFailException, match=r"partitions=plan\.output"):
        gather([], f"file://{tmp_path}", partitions=[{"from": 3}])


def test_templates():
    assert set(CoupaPlanPartitionsOperator.template_fields) == {
        "resource",
        "filters",
        "updated_since",
        "updated_until",
    }
    assert set(CoupaGatherManifestsOperator.template_fields) == {"manifests", "destination", "partitions"}


def test_importing_them_loads_nothing_heavy():
    code = (
        "import sys, airflow.providers.common.compat.sdk; before = set(sys.modules); import coupa_provider.operators.coupa; "
        "print(sorted({'pyarrow', 'httpx', 'msgspec', 'pyroaring'} & (set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
