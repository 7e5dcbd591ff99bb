"""The operator: arguments, result, progress, counters and what a failure does to the task."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from coupa_provider.client import errors
from coupa_provider.client.page import Counters, Page
from coupa_provider.extract.manifest import Manifest
from coupa_provider.transfers.coupa_to_object_storage import CoupaToObjectStorageOperator
from tests.extract.synthetic import page_of

SINCE = datetime(2026, 11, 22, tzinfo=UTC)
CONTEXT = {"ti": SimpleNamespace(dag_id="dag", run_id="run", task_id="extract", map_index=-1)}


class FakeWalk:
    """A walk over given pages; an exception among them is raised."""

    instance = "acme.coupahost.com"
    id_range = None

    def __init__(self, pages: list[Page | Exception]) -> None:
        self.pages = pages
        self.counters = Counters()
        self.query = {"name": "Fishy"}
        self.reports = ["sort ignored by Coupa: walked by bisection"]
        self.left = False

    def __enter__(self) -> FakeWalk:
        return self

    def __exit__(self, *error: object) -> None:
        self.left = True

    def __iter__(self) -> Iterator[Page]:
        for page in self.pages:
            self.counters.requests += 1
            if isinstance(page, Exception):
                raise page
            yield page


def lies_in(covered: dict[int, int], page: Page) -> bool:
    return any(after <= page.after and page.upto <= upto for after, upto in covered.items())


class FakeHook:
    """A hook that remembers what it was asked."""

    config = SimpleNamespace(instance="acme.coupahost.com")

    def __init__(self, *pages: Page | Exception) -> None:
        self.walk = FakeWalk(list(pages))
        self.asked: list[tuple[Any, ...]] = []
        self.closed = False

    def pages(self, resource: str, **query: Any) -> FakeWalk:
        covered = dict(query.pop("covered"))
        self.walk.pages = [
            page for page in self.walk.pages if isinstance(page, Exception) or not lies_in(covered, page)
        ]
        self.asked.append((resource, query))
        return self.walk

    def close(self) -> None:
        self.closed = True


def operator(hook: Any = None, **arguments: Any) -> CoupaToObjectStorageOperator:
    task = CoupaToObjectStorageOperator(
        **{"task_id": "extract", "resource": "suppliers", "destination": "file:///nowhere"} | arguments
    )
    if hook is not None:
        task.hook = hook
    return task


@pytest.fixture
def pages() -> list[Page]:
    return [page_of({"id": 1, "name": "Fishy"}, {"id": 2, "name": "Crab", "plant-code": "X"})]


def test_the_result_is_a_summary(tmp_path: Path, pages: list[Page]) -> None:
    hook = FakeHook(*pages)
    task = operator(
        hook,
        destination=f"file://{tmp_path}/lake",
        filters={"status[in]": ["active"]},
        fields=["id", "name"],
        updated_since="2026-11-22T00:00:00Z",
        updated_until="",
    )
    result = task.execute(CONTEXT)
    assert json.loads(json.dumps(result)) == result
    seconds, size = result.pop("seconds"), result.pop("bytes")
    assert 0 <= seconds < 60
    assert size == (tmp_path / "lake" / "part-00000.parquet").stat().st_size
    assert result == {
        "resource": "suppliers",
        "manifest": f"file://{tmp_path}/lake/_manifest.json",
        "files": [f"file://{tmp_path}/lake/part-00000.parquet"],
        "records": 2,
        "tries": 1,
        "window": ["2026-11-22T00:00:00+00:00", None],
        "requests": 1,
        "throttled": 0,
    }
    assert hook.asked == [
        (
            "suppliers",
            {
                "filters": {"status[in]": ["active"]},
                "fields": ["id", "name"],
                "updated_since": SINCE,
                "updated_until": None,
            },
        )
    ]
    assert hook.closed
    assert hook.walk.left
    manifest = Manifest.from_json((tmp_path / "lake" / "_manifest.json").read_bytes())
    assert manifest.query == {"name": "Fishy"}
    assert manifest.reports == ["sort ignored by Coupa: walked by bisection"]
    assert list(manifest.columns) == ["id", "name", "_extra"]


def test_lines_and_types_of_ones_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    page = page_of(
        {"id": 1, "plant-code": "P", "invoice-lines": [{"id": 5, "total": "1.50"}, {"id": 6, "total": "?"}]},
        {"id": 2, "custom-fields": {"budget": "2.25"}},
    )
    task = operator(
        FakeHook(page),
        resource="invoices",
        destination=f"file://{tmp_path}/lake",
        explode={"invoice-lines": ["id", "total"], "payments": None},
        schema={"plant-code": "string", "custom-fields[budget]": "decimal(18,2)"},
    )
    with caplog.at_level(logging.INFO):
        result = task.execute(CONTEXT)
    text = caplog.text + capsys.readouterr().out
    manifest = Manifest.from_json((tmp_path / "lake" / "_manifest.json").read_bytes())
    assert {name: child.records for name, child in manifest.children.items()} == {
        "invoice_lines": 2,
        "payments": 0,
    }
    (file,) = manifest.children["invoice_lines"].files
    assert file.name == "invoice_lines/part-00000.parquet"
    lines = pq.read_table(tmp_path / "lake" / file.name)
    assert lines.column("total").to_pylist() == [Decimal("1.5"), None]
    rows = pq.read_table(tmp_path / "lake" / "part-00000.parquet").to_pylist()
    assert [(row["plant_code"], row["custom_fields_budget"]) for row in rows] == [
        ("P", None),
        (None, Decimal("2.25")),
    ]
    assert result["bytes"] == sum(path.stat().st_size for path in (tmp_path / "lake").rglob("*.parquet"))
    assert manifest.drift.custom_fields["custom-fields[budget]"].count == 1
    assert "invoice_lines: values with no fit for the column of total (1)" in text
    assert "invoices: no record had payments" in text
    assert "no record had invoice-lines" not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"explode": {"supplier": None}}, "no list but a reference"),
        ({"explode": {"invoice-lines": None}, "file_format": "csv"}, "as Parquet only"),
        ({"explode": "invoice-lines"}, "explode must be a dict, not str"),
        ({"schema": {"status": "number"}}, "is not one of string, integer"),
    ],
)
def test_columns_that_cannot_be_fail_at_once(arguments: dict, message: str) -> None:
    hook = FakeHook()
    with pytest.raises(AirflowFailException, match=message):
        operator(hook, resource="invoices", **arguments).execute(CONTEXT)
    assert hook.asked == []


def test_destination_may_be_a_path_object(tmp_path: Path, pages: list[Page]) -> None:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    result = operator(FakeHook(*pages), destination=ObjectStoragePath(f"file://{tmp_path}/lake/")).execute(
        CONTEXT
    )
    assert result["manifest"] == f"file://{tmp_path}/lake/_manifest.json"


def test_what_happened_is_logged(
    tmp_path: Path, pages: list[Page], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = page_of({"id": 3, "name": ["a list"]})
    task = operator(FakeHook(*pages, odd), destination=f"file://{tmp_path}")
    with caplog.at_level(logging.INFO):
        task.execute(CONTEXT)
    text = caplog.text + capsys.readouterr().out  # Airflow 3.3 logs past the standard library
    assert "suppliers: sort ignored by Coupa: walked by bisection" in text
    assert "no column for plant-code, kept in _extra" in text
    assert "no fit for the column of name (1), kept in _extra" in text
    assert "suppliers: 3 records, 1 file(s), 2 requests, 0 throttled" in text
    assert "Fishy" not in text


def test_templates_are_rendered(tmp_path: Path, pages: list[Page]) -> None:
    task = operator(
        FakeHook(*pages),
        resource="{{ name }}",
        destination=f"file://{tmp_path}/{{{{ ds }}}}",
        filters={"status[in]": ["{{ name }}"]},
        fields=["id", {"{{ name }}": ["id"]}],
        updated_since="{{ start }}",
        updated_until="{{ end or '' }}",
    )
    context = CONTEXT | {"name": "suppliers", "ds": "2026-11-22", "start": SINCE, "end": None}
    task.render_template_fields(context)
    result = task.execute(context)
    assert result["manifest"] == f"file://{tmp_path}/2026-11-22/_manifest.json"
    assert result["window"] == ["2026-11-22T00:00:00+00:00", None]
    assert task.hook.asked[0][1]["filters"] == {"status[in]": ["suppliers"]}


def test_an_unknown_format_is_refused_when_the_dag_is_read() -> None:
    with pytest.raises(ValueError, match="file_format 'xlsx' is not one of parquet, ndjson, csv"):
        operator(file_format="xlsx")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resource": " "}, "resource is empty"),
        ({"destination": ""}, "destination is empty"),
        ({"filters": "{'a': 1}"}, "filters must be a dict.*render_template_as_native_obj"),
        ({"fields": "id,name"}, "fields must be a list"),
        ({"fields": []}, "fields must be a list.*leave it out"),
        ({"fields": [1]}, "fields must be a list"),
        ({"updated_since": "2026-11-22"}, "updated_since .* has no time zone"),
        ({"updated_until": "None"}, "updated_until is the text 'None'"),
        ({"updated_since": SINCE, "updated_until": SINCE}, "is empty: updated_since must be before"),
    ],
)
def test_wrong_values_fail_the_task_without_retries(arguments: dict[str, Any], message: str) -> None:
    from airflow.providers.common.compat.sdk import AirflowFailException

    hook = FakeHook()
    with pytest.raises(AirflowFailException, match=message):
        operator(hook, **arguments).execute(CONTEXT)
    assert hook.asked == []


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (errors.CoupaCredentialsError("mend the connection"), True),
        (errors.CoupaDataError("mend the query"), True),
        (errors.CoupaGiveUpError("a person has to look"), True),
        (errors.CoupaRetryableError("later"), False),
        (RuntimeError("anything else"), False),
    ],
    ids=lambda value: str(value),
)
def test_only_what_a_retry_can_mend_is_retried(
    error: Exception, final: bool, tmp_path: Path, pages: list[Page]
) -> None:
    from airflow.providers.common.compat.sdk import AirflowFailException

    hook = FakeHook(*pages, error)
    with pytest.raises(AirflowFailException if final else type(error), match=str(error)):
        operator(hook, destination=f"file://{tmp_path}/lake").execute(CONTEXT)
    assert hook.closed
    # What may pass is kept for the next try, where nobody takes it for an extract.
    kept = isinstance(error, (errors.CoupaRetryableError, errors.CoupaCredentialsError, RuntimeError))
    assert [path.name for path in (tmp_path / "lake").glob("*")] == (["_unfinished"] if kept else [])


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    from airflow.providers.common.compat.sdk import Stats

    counts: dict[str, int] = {}

    def incr(stat: str, count: int = 1, rate: float = 1, *, tags: dict[str, str] | None = None) -> None:
        assert tags == {"resource": "suppliers"}
        counts[stat] = counts.get(stat, 0) + count

    monkeypatch.setattr(Stats, "incr", incr, raising=False)
    return counts


def test_what_was_done_is_counted(counted: dict[str, int], tmp_path: Path, pages: list[Page]) -> None:
    hook = FakeHook(*pages)
    hook.walk.counters = Counters(records=2, requests=3, throttled=1)
    operator(hook, destination=f"file://{tmp_path}").execute(CONTEXT)
    assert counted == {"coupa.records": 2, "coupa.requests": 4, "coupa.throttled": 1}


def test_a_failed_try_is_counted_too(counted: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        operator(FakeHook(RuntimeError()), destination=f"file://{tmp_path}").execute(CONTEXT)
    assert counted == {"coupa.records": 0, "coupa.requests": 1, "coupa.throttled": 0}


def test_the_module_is_light() -> None:
    """Airflow reads DAG files again and again: nothing heavy is imported before a task runs."""
    code = (
        "import sys\n"
        "from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator\n"
        "BaseOperator, AirflowFailException\n"
        "before = set(sys.modules)\n"
        "import coupa_provider.transfers.coupa_to_object_storage\n"
        "print(sorted(name for name in set(sys.modules) - before if not name.startswith('coupa_provider')))\n"
        "print(sorted(name for name in set(sys.modules) - before if name.startswith('coupa_provider')))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    others, own = run.stdout.strip().splitlines()[-2:]
    assert others == "[]"
    assert not re.search(r"client|hooks|extract\.", own)


# ------------------------------------------------------------------------- with a real hook and S3


@contextmanager
def emulated(**arguments: Any) -> Iterator[Any]:
    pytest.importorskip("starlette")
    from coupa_provider.emulator import Emulator

    with Emulator(**arguments) as coupa:
        connection = {
            "conn_type": "coupa",
            "host": coupa.url,
            "login": coupa.client_id,
            "password": coupa.client_secret,
        }
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AIRFLOW_CONN_COUPA_DEFAULT", json.dumps(connection))
            yield coupa


def test_an_extract_from_the_emulator_is_complete(tmp_path: Path) -> None:
    with emulated(seed=7, sizes={"invoices": 230}) as coupa:
        results = {
            file_format: operator(
                resource="invoices", destination=f"file://{tmp_path}/{file_format}", file_format=file_format
            ).execute(CONTEXT)
            for file_format in ("parquet", "ndjson", "csv")
        }
        assert coupa.client_secret not in json.dumps(results)
    for result in results.values():
        assert result["records"] == 230
    table = pq.read_table(f"{tmp_path}/parquet/part-00000.parquet")
    lines = Path(tmp_path, "ndjson", "part-00000.ndjson").read_bytes().splitlines()
    sent = {record["id"]: record for record in map(json.loads, lines)}
    assert len(sent) == 230
    for row in table.to_pylist():
        record = sent.pop(row["id"])
        assert row["invoice_number"] == record["invoice-number"]
        advance = record["amount-of-advance-payment"]
        if advance and len(advance) > 40:  # 46 digits, as documented, are more than Parquet's 38
            assert row["amount_of_advance_payment"] is None
            assert json.loads(row["_extra"])["amount-of-advance-payment"] == advance
        else:
            assert row["amount_of_advance_payment"] == (advance and Decimal(advance))
        assert row["updated_at"] == datetime.fromisoformat(record["updated-at"]).astimezone(UTC)
        assert json.loads(row["invoice_lines"] or "null") == record["invoice-lines"]
    assert sent == {}
    manifest = Manifest.from_json(Path(tmp_path, "parquet", "_manifest.json").read_bytes())
    assert set(manifest.drift.misfits) == {"amount-of-advance-payment"}


def test_wrong_credentials_fail_the_task_and_show_no_secret(tmp_path: Path) -> None:
    from airflow.providers.common.compat.sdk import AirflowFailException

    with emulated(seed=7, sizes={"invoices": 5}) as coupa:
        coupa.add_client(coupa.client_id, "another-secret")
        with pytest.raises(AirflowFailException) as caught:
            operator(resource="invoices", destination=f"file://{tmp_path}/lake").execute(CONTEXT)
    assert coupa.client_secret not in str(caught.value)
    assert not (tmp_path / "lake" / "_manifest.json").exists()


def keys_of(client: Any, prefix: str) -> list[str]:
    listing = client.list_objects_v2(Bucket="lake", Prefix=prefix)
    return sorted(entry["Key"].removeprefix(prefix) for entry in listing.get("Contents", []))


def test_an_extract_to_s3(s3: Any) -> None:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    url = "s3://aws_default@lake/coupa/invoices"
    with emulated(seed=7, sizes={"invoices": 120}):
        result = operator(resource="invoices", destination=url).execute(CONTEXT)
        assert result["manifest"] == f"{url}/_manifest.json"
        assert keys_of(s3, "coupa/invoices/") == ["_manifest.json", "part-00000.parquet"]
        manifest = Manifest.from_json(ObjectStoragePath(result["manifest"]).read_bytes())
        with ObjectStoragePath(result["files"][0]).open("rb") as file:
            assert pq.read_table(file).num_rows == 120 == manifest.records
        # The next run brings fewer parts in another format: nothing of the first is left.
        operator(resource="suppliers", destination=url, file_format="ndjson").execute(CONTEXT)
        assert keys_of(s3, "coupa/invoices/") == ["_manifest.json", "part-00000.ndjson"]


def test_a_failed_extract_to_s3_is_gone_on_with(s3: Any) -> None:
    url = "s3://aws_default@lake/coupa/broken"
    pages = [page_of({"id": n, "name": "x" * 50}) for n in range(4)]
    with pytest.raises(RuntimeError):
        operator(FakeHook(*pages[:3], RuntimeError("boom")), destination=url, part_bytes=50).execute(CONTEXT)
    assert {key.partition("/")[0] for key in keys_of(s3, "coupa/broken/")} == {"_unfinished"}
    assert s3.list_multipart_uploads(Bucket="lake").get("Uploads", []) == []
    result = operator(FakeHook(*pages), destination=url, part_bytes=50).execute(CONTEXT)
    assert (result["tries"], result["records"]) == (2, 4)
    assert keys_of(s3, "coupa/broken/") == ["_manifest.json", *(f"part-0000{n}.parquet" for n in range(4))]


def test_a_run_without_records_leaves_an_empty_part_on_s3(s3: Any) -> None:
    result = operator(FakeHook(), destination="s3://aws_default@lake/empty", file_format="ndjson").execute(
        CONTEXT
    )
    assert result["records"] == result["bytes"] == 0
    assert keys_of(s3, "empty/") == ["_manifest.json", "part-00000.ndjson"]
