"""The operator: sources, arguments, results, tries, logs and what rejected rows do to the task."""

from __future__ import annotations

import inspect
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem

from coupa_provider.client import pacing
from coupa_provider.client.errors import CoupaUnavailableError
from coupa_provider.client.retry import RetryPolicy
from coupa_provider.client.token import forget_tokens
from coupa_provider.emulator import Emulator
from coupa_provider.extract.destination import Destination
from coupa_provider.transfers.coupa_to_object_storage import CoupaToObjectStorageOperator
from coupa_provider.transfers.object_storage_to_coupa import ObjectStorageToCoupaOperator
from tests.extract.landed import land_ids

LAKE = "s3://aws_default@lake"
NONE = {"created": 0, "updated": 0, "unchanged": 0, "rejected": 0, "unknown": 0}


@pytest.fixture(scope="module")
def emulator():
    with Emulator(seed=7, empty=True, rate_limit=None) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def company():
    """Another instance, which has suppliers."""
    with Emulator(seed=7, sizes={"suppliers": 60}, rate_limit=None) as emulator:
        yield emulator


def connection_to(emulator: Emulator) -> str:
    return json.dumps(
        {
            "conn_type": "coupa",
            "host": emulator.url,
            "login": emulator.client_id,
            "password": emulator.client_secret,
            "extra": {"requests_per_second": 2000},
        }
    )


@pytest.fixture
def coupa(emulator, monkeypatch):
    """The module's emulator in its first state, with two payment terms, behind ``coupa_default``."""
    forget_tokens()
    pacing._pacers.clear()
    emulator.reset()
    emulator.add_client(emulator.client_id, emulator.client_secret)  # with all scopes again
    emulator.load({"payment_terms": [{"id": 1, "code": "Net 30"}, {"id": 2, "code": "Net 45"}]})
    emulator.reset_seen()
    monkeypatch.setenv("AIRFLOW_CONN_COUPA_DEFAULT", connection_to(emulator))
    return emulator


class TaskInstance(SimpleNamespace):
    """What the operator uses of a task instance."""

    def __init__(self, run_id: str = "run", map_index: int = -1) -> None:
        super().__init__(dag_id="dag", run_id=run_id, task_id="push", map_index=map_index, pushed={})

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = json.loads(json.dumps(value))


def push(**arguments: Any) -> ObjectStorageToCoupaOperator:
    defaults = {"task_id": "push", "resource": "suppliers", "key": ["number"]}
    return ObjectStorageToCoupaOperator(**defaults | arguments)


def run(operator: ObjectStorageToCoupaOperator, ti: TaskInstance | None = None, **context: Any) -> dict:
    """Render and execute, as a worker does, and return the result as other tasks get it."""
    context = {"ti": ti or TaskInstance(), **context}
    operator.render_template_fields(context)
    result = operator.execute(context)
    assert json.loads(json.dumps(result)) == result
    return result


def run_failing(
    operator: ObjectStorageToCoupaOperator, ti: TaskInstance | None = None, **context: Any
) -> tuple[str, dict | None]:
    """Do the same where the task fails for good; return what it says, and the result that is there all the same."""
    from airflow.providers.common.compat.sdk import AirflowFailException

    ti = ti or TaskInstance()
    with pytest.raises(AirflowFailException) as caught:
        run(operator, ti, **context)
    return str(caught.value), ti.pushed.get("return_value")


def supplier(number: int, **attributes: Any) -> dict[str, Any]:
    return {
        "name": f"Supplier {number}",
        "number": f"S-{number}",
        "account-number": f"A-{number}",
    } | attributes


def rejected(number: int) -> dict[str, Any]:
    return supplier(number, **{"payment-term": {"code": "Net 99"}})


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    """Write rows in the format that the name tells, and return the URL."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".csv":
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path.as_uri()


def lines_of(url: str) -> list[dict[str, Any]]:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    return [json.loads(line) for line in ObjectStoragePath(url).read_text().splitlines()]


def counts_of(result: dict[str, Any]) -> dict[str, int]:
    """Return the numbers that are not zero."""
    return {name: result[name] for name in NONE if result[name]}


# ------------------------------------------------------------------------------------------------- sources


@pytest.mark.parametrize("name", ["suppliers.ndjson", "suppliers.csv", "suppliers.parquet"])
def test_the_rows_of_a_file_are_pushed(coupa, tmp_path, name):
    url = write(tmp_path / name, [supplier(n) for n in range(1, 61)])
    result = run(push(source=url))
    folder = result["outcomes"].rpartition("/")[0]
    assert folder.startswith(f"{url}.outcomes/dag_run_push_-1-")
    assert 0 <= result.pop("seconds") < 60
    assert result == {
        "resource": "suppliers",
        "operation": "upsert",
        "source": url,
        "outcomes": f"{folder}/outcomes.ndjson",
        "rejected_file": None,
        "records": 60,
        **NONE,
        "created": 60,
        "not_taken": {},
        "samples": [],
        "requests": 63,  # a token, and two look-ups
        "throttled": 0,
    }
    told = lines_of(result["outcomes"])
    assert [line["row"] for line in told] == list(range(1, 61))
    assert coupa.writes() == {"POST /api/suppliers": 60}
    for line in told:
        assert coupa.record("suppliers", line["id"])["account-number"] == f"A-{line['row']}"
    assert counts_of(run(push(source=url), TaskInstance("tomorrow"))) == {"unchanged": 60}


@pytest.mark.parametrize("way", ["template", "path object", "format given"])
def test_a_file_may_be_named_in_several_ways(coupa, tmp_path, way):
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    url = write(tmp_path / "2026-11-24.ndjson", [supplier(1)])
    if way == "template":
        operator = push(source=f"{tmp_path.as_uri()}/{{{{ ds }}}}.ndjson")
    elif way == "path object":
        operator = push(source=ObjectStoragePath(url))
    else:
        (tmp_path / "2026-11-24.ndjson").rename(tmp_path / "suppliers")
        operator = push(source=f"{tmp_path.as_uri()}/suppliers", file_format="ndjson")
    assert counts_of(run(operator, ds="2026-11-24")) == {"created": 1}


def test_all_that_is_templated_is_rendered(coupa, tmp_path):
    url = write(tmp_path / "a.csv", [supplier(1)])
    operator = push(
        resource="{{ name }}", source={"manifest": "{{ url }}"}, outcomes=f"{tmp_path.as_uri()}/{{{{ ds }}}}"
    )
    result = run(operator, name="suppliers", url=url, ds="2026-11-24")
    assert result["resource"] == "suppliers"
    assert result["outcomes"].startswith(f"{tmp_path.as_uri()}/2026-11-24/")


@pytest.fixture
def extracted(company, monkeypatch, tmp_path) -> Callable[..., dict[str, Any]]:
    """Extract suppliers that have a number from the other instance, as ``CoupaToObjectStorageOperator`` does."""
    monkeypatch.setenv("AIRFLOW_CONN_COUPA_COMPANY", connection_to(company))

    def extract(file_format: str = "ndjson", **arguments: Any) -> dict[str, Any]:
        return CoupaToObjectStorageOperator(
            task_id="extract",
            resource="suppliers",
            destination=f"{tmp_path.as_uri()}/{file_format}",
            file_format=file_format,
            coupa_conn_id="coupa_company",
            **arguments,
        ).execute({})

    return extract


#: Of what a supplier has, what needs no other record in the instance it goes to.
PLAIN = ["id", "name", "number", "account-number", "tax-id", "website", "po-method", "on-hold"]
#: What the documents do not know and this emulator has.
OWN = ["legacy-vendor-code"]


@pytest.mark.parametrize(
    ("way", "file_format"),
    [
        ("result", "ndjson"),
        ("result", "parquet"),
        ("result", "csv"),
        ("manifest", "parquet"),
        ("folder", "csv"),
        ("template", "ndjson"),
    ],
)
def test_an_extract_goes_into_another_instance(coupa, company, extracted, tmp_path, way, file_format):
    result = extracted(file_format, fields=PLAIN)
    given = {
        "result": result,
        "manifest": result["manifest"],
        "folder": f"{tmp_path.as_uri()}/{file_format}",
        "template": "{{ result['manifest'] }}",
    }[way]
    pushed = run(push(source=given, key=["name"]), result=result)
    assert pushed["source"] == result["manifest"]
    assert pushed["outcomes"].startswith(f"{tmp_path.as_uri()}/{file_format}/_outcomes/")
    assert counts_of(pushed) == {"created": result["records"]}
    there = {
        record["name"]: record
        for record in (company.record("suppliers", one) for one in company.ids("suppliers"))
    }
    for one in coupa.ids("suppliers"):
        record = coupa.record("suppliers", one)
        theirs = there.pop(record["name"])
        assert {name: record[name] for name in PLAIN[1:]} == {name: theirs[name] for name in PLAIN[1:]}
    assert there == {}


@pytest.mark.parametrize("file_format", ["ndjson", "parquet", "csv"])
def test_an_extract_that_is_pushed_back_changes_nothing(coupa, company, extracted, file_format):
    """All attributes of all suppliers, addresses, contacts and custom fields among them."""
    result = extracted(file_format)
    company.reset_seen()
    operator = push(
        source=result, operation="update", key=["id"], undocumented=OWN, coupa_conn_id="coupa_company"
    )
    assert counts_of(run(operator)) == {"unchanged": 60}
    assert company.writes() == {}


def test_what_was_changed_in_an_extract_is_the_only_change(coupa, company, extracted, tmp_path):
    result = extracted(fields=PLAIN)
    rows = [json.loads(line) for line in (tmp_path / "ndjson" / "part-00000.ndjson").read_text().splitlines()]
    rows[7]["website"] = "https://changed.example.com"
    company.reset_seen()
    url = write(tmp_path / "changed.ndjson", rows)
    changed = run(push(source=url, operation="update", key=["id"], coupa_conn_id="coupa_company"))
    assert counts_of(changed) == {"unchanged": result["records"] - 1, "updated": 1}
    assert company.writes() == {f"PUT /api/suppliers/{rows[7]['id']}": 1}
    assert company.record("suppliers", rows[7]["id"])["website"] == "https://changed.example.com"


def test_rows_of_another_task_are_pushed(coupa, tmp_path):
    from airflow.providers.common.compat.sdk import DAG, task

    with DAG("of_rows", schedule=None):

        @task
        def prepare() -> list[dict[str, Any]]:
            return []

        bound = push(rows=prepare(), outcomes=f"{tmp_path.as_uri()}/pushed")
    assert bound.upstream_task_ids == {"prepare"}
    result = run(
        push(rows=[supplier(1), rejected(2)], outcomes=f"{tmp_path.as_uri()}/pushed", fail_on="all"),
    )
    assert (result["source"], counts_of(result)) == ("the rows", {"created": 1, "rejected": 1})
    assert result["outcomes"].startswith(f"{tmp_path.as_uri()}/pushed/")
    [mend] = lines_of(result["rejected_file"])
    assert (mend["_row"], mend["number"]) == (2, "S-2")


def test_outcomes_go_where_they_are_wanted(coupa, extracted, tmp_path):
    file = write(tmp_path / "in" / "suppliers.ndjson", [supplier(1)])
    for source in (file, extracted(fields=PLAIN)):
        result = run(push(source=source, key=["name"], outcomes=f"{tmp_path.as_uri()}/pushed"))
        assert result["outcomes"].startswith(f"{tmp_path.as_uri()}/pushed/")
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == ["suppliers.ndjson"]
    assert not list(tmp_path.glob("ndjson/_outcomes"))


def test_a_file_on_s3_is_pushed_and_gone_on_with(coupa, s3):
    rows = [supplier(n) for n in range(1, 120)] + [rejected(120)]
    s3.put_object(Bucket="lake", Key="erp/suppliers.ndjson", Body="\n".join(map(json.dumps, rows)).encode())
    url = f"{LAKE}/erp/suppliers.ndjson"
    with_outage(coupa, lambda: run(impatient(push(source=url))))
    told, result = run_failing(push(source=url))
    assert counts_of(result) == {"created": 119, "rejected": 1}
    assert coupa.writes() == {"POST /api/suppliers": 119}
    assert result["outcomes"].startswith(f"{url}.outcomes/")
    assert result["rejected_file"] in told
    assert [line["row"] for line in lines_of(result["outcomes"])] == list(range(1, 121))
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket="lake")["Contents"]]
    assert {key.rpartition("/")[2] for key in keys} == {
        "suppliers.ndjson",
        "outcomes.ndjson",
        "rejected.ndjson",
    }


def test_an_extract_on_s3_is_pushed(coupa, company, s3, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_COUPA_COMPANY", connection_to(company))
    result = CoupaToObjectStorageOperator(
        task_id="extract",
        resource="suppliers",
        destination=f"{LAKE}/coupa/suppliers",
        file_format="ndjson",
        fields=PLAIN,
        coupa_conn_id="coupa_company",
    ).execute({})
    for source, outcome in ((result, "created"), (f"{LAKE}/coupa/suppliers", "unchanged")):
        pushed = run(push(source=source, key=["name"]), TaskInstance(outcome))
        assert counts_of(pushed) == {outcome: result["records"]}
        assert pushed["outcomes"].startswith(f"{LAKE}/coupa/suppliers/_outcomes/")


# --------------------------------------------------------------------------------- when the task fails


@pytest.mark.parametrize(
    ("fail_on", "bad", "fails"),
    [
        ("any", 0, False),
        ("any", 1, True),
        ("all", 9, False),
        ("all", 10, True),
        (0, 1, True),
        (0.3, 3, False),
        (0.3, 4, True),
        (1.0, 10, False),
    ],
)
def test_rejected_rows_fail_the_task_as_asked(coupa, tmp_path, fail_on, bad, fails):
    rows = [rejected(n) if n <= bad else supplier(n) for n in range(1, 11)]
    operator = push(source=write(tmp_path / "rows.ndjson", rows), fail_on=fail_on)
    if fails:
        told, result = run_failing(operator)
        assert result["rejected_file"].endswith("/rejected.ndjson")
        assert told.startswith(f"{bad} of 10 rows were rejected and 0 are unknown ({10 - bad} created, ")
        assert told.endswith(f"stands in {result['outcomes']}. Mend {result['rejected_file']} and push it.")
    else:
        result = run(operator)
    assert (result["created"], result["rejected"]) == (10 - bad, bad)
    assert coupa.writes() == ({"POST /api/suppliers": 10 - bad} if bad < 10 else {})
    # The whole of the result is there in either case.
    assert result.keys() >= {"outcomes", "records", "not_taken", "samples", "requests", "seconds", "source"}
    assert [sample["row"] for sample in result["samples"]] == list(range(1, bad + 1))
    assert all("PaymentTerm" in " ".join(sample["errors"]) for sample in result["samples"])


def test_unknown_rows_count_as_well(coupa, tmp_path):
    coupa.configure(faults={"always": True, "kinds": ["lost_write"], "methods": ["POST"], "times": 1})
    url = write(tmp_path / "rows.ndjson", [{"name": "Nameless"}, {"name": "Another"}])
    told, result = run_failing(push(source=url, operation="create", key=None))
    assert counts_of(result) == {"created": 1, "unknown": 1}
    assert "1 are unknown" in told
    assert "Mend" not in told


def test_who_wants_no_result_gets_none(coupa, tmp_path):
    url = write(tmp_path / "rows.ndjson", [rejected(1)])
    told, result = run_failing(push(source=url, do_xcom_push=False))
    assert "1 of 1 rows" in told
    assert result is None


def test_mended_rows_are_pushed_by_the_same_task(coupa, tmp_path):
    """As a person does it: take the file that the failed task names, mend it, push it."""
    rows = [supplier(1), {**supplier(2), "payment-term.code": "Net 99"}]
    rows[0]["payment-term.code"] = "Net 30"
    _, result = run_failing(push(source=write(tmp_path / "rows.csv", rows)))
    path = Path(result["rejected_file"].removeprefix("file://"))
    path.write_text(path.read_text().replace("Net 99", "Net 45"))
    assert counts_of(run(push(source=result["rejected_file"]))) == {"created": 1}
    assert coupa.writes() == {"POST /api/suppliers": 2}


def test_a_cleared_task_tries_the_rejected_rows_again(coupa, tmp_path):
    url = write(tmp_path / "rows.ndjson", [supplier(1), rejected(2), supplier(3)])
    _, result = run_failing(push(source=url))
    assert counts_of(result) == {"created": 2, "rejected": 1}
    coupa.load({"payment_terms": [{"id": 3, "code": "Net 99"}]})
    coupa.reset_seen()
    again = run(push(source=url))
    assert counts_of(again) == {"created": 3}
    assert (again["outcomes"], again["rejected_file"], again["samples"]) == (result["outcomes"], None, [])
    assert coupa.writes() == {"POST /api/suppliers": 1}
    assert run(push(source=url))["requests"] == 0


def impatient(operator: ObjectStorageToCoupaOperator) -> ObjectStorageToCoupaOperator:
    """Let a try give up soon."""
    from coupa_provider.hooks.coupa import CoupaHook

    operator.__dict__["hook"] = CoupaHook(retry=RetryPolicy(attempts=2, first_delay=0.01))
    return operator


def with_outage(coupa: Emulator, work: Callable[[], Any], after: int = 40) -> None:
    """Let Coupa go away in the middle, and see that this is left to Airflow's retries."""
    coupa.configure(faults={"always": True, "kinds": ["503"], "methods": ["POST"], "after": after})
    with pytest.raises(CoupaUnavailableError):
        work()
    coupa.configure(faults=None)


def test_a_retry_after_an_outage_goes_on(coupa, tmp_path):
    url = write(tmp_path / "rows.ndjson", [supplier(n) for n in range(1, 151)])
    ti = TaskInstance()
    with_outage(coupa, lambda: run(impatient(push(source=url)), ti))
    assert ti.pushed == {}
    assert 20 <= coupa.writes()["POST /api/suppliers"] <= 40
    result = run(push(source=url), ti)
    assert counts_of(result) == {"created": 150}
    assert coupa.writes() == {"POST /api/suppliers": 150}
    assert result["requests"] < 140


@pytest.mark.parametrize("map_index", [0, 1])
def test_a_mapped_task_goes_on_from_its_own_tries_only(coupa, tmp_path, map_index):
    """Two files of the same content, and one folder for the outcomes of both."""
    url = write(tmp_path / "rows.ndjson", [supplier(1), rejected(2)])
    arguments = {"source": url, "outcomes": f"{tmp_path.as_uri()}/pushed", "fail_on": "all"}
    first = run(push(**arguments), TaskInstance(map_index=0))
    result = run(push(**arguments), TaskInstance(map_index=map_index))
    assert (result["outcomes"] == first["outcomes"]) == (map_index == 0)
    assert counts_of(result) == {("created", "unchanged")[map_index]: 1, "rejected": 1}


def test_what_only_a_person_can_mend_fails_without_a_retry(coupa, tmp_path):
    coupa.add_client(coupa.client_id, coupa.client_secret, ["core.supplier.read"])
    url = write(tmp_path / "rows.ndjson", [supplier(1)])
    told, result = run_failing(push(source=url))
    assert told.startswith("CoupaScopeError: ")
    assert "core.supplier.write" in told
    assert (result, coupa.writes()) == (None, {})


# ---------------------------------------------------------------------------------------- wrong arguments


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"resource": ""}, "resource is empty; look at its template"),
        ({"resource": " "}, "resource is empty"),
        ({"resource": None}, "resource is empty"),
        ({"source": None}, r"Give either source, .*or rows, .* If the task before was skipped, it has given none"),
        ({"rows": []}, "Give either source"),
        ({"source": None, "rows": [{"number": "S-1"}]}, "rows need outcomes: the URL of a folder"),
        ({"source": None, "rows": [{"number": "S-1"}], "outcomes": "{{ nothing }}"}, "rows need outcomes"),
        ({"outcomes": "/lake/pushed"}, "outcomes '/lake/pushed' is no URL"),
        ({"source": ""}, "source is empty; look at its template"),
        ({"source": "{{ nothing }}"}, "source is empty"),
        ({"source": "None"}, "source is empty"),  # what the template of a skipped task's result renders to
        ({"source": "/lake/suppliers.csv"}, "source '/lake/suppliers.csv' is no URL"),
        ({"source": {"files": []}}, "source is a dict without 'manifest'"),
        ({"source": "{{ {'manifest': 1} }}"}, r"source is the text of a dict.*\['manifest'\]"),
        ({"source": None, "rows": "[{}]", "outcomes": "file:///x"}, "rows must be a list of dicts, not str"),
        ({"source": None, "rows": {"number": "S-1"}, "outcomes": "file:///x"}, "rows must be a list of dicts, not dict"),
        ({"source": None, "rows": [{"number": object()}], "outcomes": "file:///x"}, "cannot be sent as JSON"),
        ({"fail_on": "some"}, 'fail_on must be "any", "all" or a share from 0 to 1, not \'some\''),
        ({"fail_on": None}, "fail_on must be"),
        ({"fail_on": True}, "fail_on must be"),
        ({"fail_on": 5}, "fail_on must be"),
        ({"fail_on": -0.1}, "fail_on must be"),
        ({"fail_on": float("nan")}, "fail_on must be"),
        ({"operation": "delete"}, "operation must be one of create, update, upsert; got 'delete'"),
        ({"key": "number"}, "key must be a list of attributes"),
        ({"key": ["nmber"]}, "key names 'nmber', which the documents do not know of 'suppliers'"),
        ({"resource": "budget_lines", "key": None}, "upsert needs a key"),
        ({"empty": "null"}, 'empty must be "keep" or "clear", not \'null\''),
        ({"file_format": "xlsx"}, 'file_format must be "ndjson", "csv" or "parquet"; got \'xlsx\''),
        ({"undocumented": "legacy"}, "undocumented must be a list of attributes"),
    ],
)  # fmt: skip
def test_wrong_arguments_fail_before_anything_is_sent(coupa, tmp_path, arguments, told):
    url = write(tmp_path / "rows.ndjson", [supplier(1)])
    message, result = run_failing(push(**{"source": url} | arguments), nothing="")
    assert re.search(told, message)
    assert result is None
    assert coupa.seen()["requests"] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["rows.ndjson"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("missing.csv", None, r"There is no file://.*/missing.csv. Look at the task that should have written it"),
        ("missing/_manifest.json", None, r"There is no file://.*/missing/_manifest.json: the extract"),
        ("empty.csv", b"", "is empty: there is not even a header"),
        ("empty.parquet", b"", "cannot be read to its end"),
        ("rows.json", b'[{"number": "S-1"}]', r"holds .*array\. Write one object a line"),
        ("rows.csv", b"nmber,name\nS-1,A\n", r"unknown attribute 'nmber' \(did you mean 'number'\?\). Rename"),
        ("rows.csv", b'number,name\nS-1,"A\n', "a quote that is opened in row 1"),
        ("rows.csv.gz", b"number,name\n", "cannot be read to its end"),
        ("rows.txt", b"number\n", "does not tell its format by .*Set file_format"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_pushed_fails_before_anything_is_sent(coupa, tmp_path, name, content, told):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    message, result = run_failing(push(source=f"{tmp_path.as_uri()}/{name}"))
    assert re.search(told, message)
    assert result is None
    assert coupa.seen()["requests"] == 0


def test_a_file_that_is_missing_on_s3_is_named(coupa, s3):
    message, _ = run_failing(push(source=f"{LAKE}/erp/nothing.csv"))
    assert f"There is no {LAKE}/erp/nothing.csv" in message
    assert coupa.seen()["requests"] == 0


@pytest.mark.parametrize(
    ("name", "content"), [("empty.ndjson", b""), ("blank.ndjson", b"\n\n"), ("empty.csv", b"number,name\n")]
)
def test_a_file_without_rows_is_no_failure(coupa, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    for fail_on in ("any", "all", 0):
        result = run(push(source=f"{tmp_path.as_uri()}/{name}", fail_on=fail_on))
        assert (result["records"], counts_of(result)) == (0, {})
        assert lines_of(result["outcomes"]) == []
    assert coupa.seen()["requests"] == 0


def test_an_extract_without_records_is_no_failure(coupa, extracted):
    source = extracted(filters={"name": "nobody"})
    assert (source["records"], run(push(source=source))["records"]) == (0, 0)


def test_deletions_are_no_records(coupa, tmp_path):
    folder = Destination(LocalFileSystem(), f"{tmp_path}/gone", f"file://{tmp_path}/gone")
    land_ids(folder, [1, 2], resource="suppliers", kind="deletions")
    message, _ = run_failing(push(source=folder.url, key=["id"]))
    assert "/gone/_manifest.json lists deletions, not records" in message
    assert coupa.seen()["requests"] == 0


# --------------------------------------------------------------------------------------------------- logs


def test_what_happened_is_logged_and_no_record(coupa, tmp_path, caplog, capsys, monkeypatch):
    from coupa_provider.push import run as module

    reporter = module.Reporter
    monkeypatch.setattr(
        module, "Reporter", lambda counters, tell, seconds: reporter(counters, tell, seconds / 100)
    )
    coupa.configure(switches={"U20": "ignored"}, latency={"fixed_ms": 30})
    hidden = {"website": "payload-website", "account-number": "payload-account", "tax-id": "payload-tax"}
    rows = [supplier(n, name=f"payload {n}", **hidden) for n in range(1, 61)]
    rows[3]["payment-term"] = {"code": "payload-term"}
    rows.append(supplier(61, name="payload 1"))  # Coupa's own message names it
    rows.append({**supplier(62), "nmae": "payload"})
    url = write(tmp_path / "rows.ndjson", rows)
    with caplog.at_level(logging.DEBUG):
        message, result = run_failing(push(source=url))
    text = caplog.text + capsys.readouterr().out  # Airflow 3.3 logs past the standard library
    assert f"suppliers: upsert from {url}; outcomes go to {url}.outcomes" in text
    assert re.search(r"suppliers: \d+ records, [\d,]+/s, \d+ requests, 0 throttled, \d+ s", text)
    summary = "60 created, 0 updated, 0 unchanged, 2 rejected, 0 unknown"
    assert f"suppliers: 62 rows: {summary}; {result['requests']} requests, 0 throttled, " in text
    assert f"outcomes in {result['outcomes']}" in text
    assert "suppliers: Coupa did not take over as sent: payment-term (1 rows). It computes or ignores" in text
    assert "suppliers: row 61 rejected: " in text
    assert "suppliers: row 62 rejected: unknown attribute 'nmae' (did you mean 'name'?)" in text
    assert f"2 of 62 rows were rejected and 0 are unknown ({summary})" in message
    assert result["not_taken"] == {"payment-term": 1}
    kept = json.dumps(result)
    for told in (text, message, kept):
        assert "payload" not in told
        assert coupa.client_secret not in told
        assert not [token for token in coupa.issued_tokens() if token in told]


def test_only_the_first_rejected_rows_are_shown(coupa, tmp_path, caplog, capsys):
    url = write(tmp_path / "rows.ndjson", [rejected(n) for n in range(1, 101)])
    with caplog.at_level(logging.WARNING):
        _, result = run_failing(push(source=url))
    text = caplog.text + capsys.readouterr().out
    assert [sample["row"] for sample in result["samples"]] == list(range(1, 21))
    assert "row 20 rejected" in text
    assert "row 21 rejected" not in text
    assert len(lines_of(result["outcomes"])) == 100


# ---------------------------------------------------------------------------------------- shape, and Airflow


def test_every_argument_is_kept_described_and_templated_ones_exist():
    """Airflow reads templated fields by the names of the arguments, and copies tasks by them."""
    operator = ObjectStorageToCoupaOperator
    given = inspect.signature(operator.__init__).parameters.keys() - {"self", "kwargs"}
    values = {name: [name] for name in given}
    task = operator(task_id="push", **values)
    assert {name: getattr(task, name) for name in given} == values
    assert set(operator.template_fields) <= given
    assert set(operator.template_fields_renderers) <= set(operator.template_fields)
    page = (Path(__file__).parents[2] / "docs" / "push.md").read_text(encoding="utf-8")
    described = dict(re.findall(r"^\| `(\w+)` \|[^|]*\| (yes|no) \|", page, re.M))
    assert described == {name: "yes" if name in operator.template_fields else "no" for name in given}
    for name in given:
        text = operator.__doc__.split(f":param {name}:")[1].split(":param")[0]
        assert ("(templated)" in text) == (name in operator.template_fields)


def test_the_module_is_light():
    """Airflow reads DAG files again and again: nothing heavy is imported before a task runs."""
    code = (
        "import sys\n"
        "from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator\n"
        "BaseOperator, AirflowFailException\n"
        "before = set(sys.modules)\n"
        "import coupa_provider.transfers.object_storage_to_coupa\n"
        "print(sorted(name for name in set(sys.modules) - before if not name.startswith('coupa_provider')))\n"
        "print(sorted(name for name in set(sys.modules) - before if name.startswith('coupa_provider')))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    others, own = done.stdout.strip().splitlines()[-2:]
    assert others == "[]"
    assert not re.search(r"client|hooks|extract\.|push\.", own)


DAG_FILE = """
import json, os
from datetime import datetime, timedelta, timezone

from airflow.providers.common.compat.sdk import DAG, AirflowSkipException, task

from coupa_provider.transfers.object_storage_to_coupa import ObjectStorageToCoupaOperator

LAKE = os.environ["LAKE"]
RETRIES = {"retries": 2, "retry_delay": timedelta(0)}

with DAG(
    "pushing", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), default_args=RETRIES
) as dag:

    @task
    def list_files():
        return [f"{LAKE}/{name}.ndjson" for name in ("good", "bad", "better")]

    @task
    def make_rows():
        return [{"name": "Of rows", "number": "R-1"}]

    @task
    def skip():
        raise AirflowSkipException("nothing to do")

    @task(trigger_rule="all_done")
    def report(ti=None):
        found = ti.xcom_pull(task_ids="files", map_indexes=[0, 1, 2])
        return sorted([one["source"].rpartition("/")[2], one["created"], one["rejected"]] for one in found)

    files = ObjectStorageToCoupaOperator.partial(
        task_id="files", resource="suppliers", outcomes=f"{LAKE}/pushed"
    ).expand(source=list_files())
    files >> report()
    ObjectStorageToCoupaOperator(
        task_id="rows", resource="suppliers", rows=make_rows(), outcomes=f"{LAKE}/pushed"
    )
    ObjectStorageToCoupaOperator(
        task_id="nothing", resource="suppliers", source=skip(), trigger_rule="all_done"
    )
"""

SCRIPT = """
import json, os, sqlite3
from airflow.utils import db

db.initdb()
from airflow.models.dagbag import DagBag
try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    pass
run = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags["pushing"].test()
tasks = [[ti.task_id, ti.map_index, str(ti.state), ti.try_number] for ti in run.get_task_instances()]
with sqlite3.connect(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].removeprefix("sqlite:///")) as known:
    (value,) = known.execute("SELECT value FROM xcom WHERE task_id = 'report' AND key = 'return_value'").fetchone()
found = json.loads(value)
print("shown", json.dumps([sorted(tasks), json.loads(found) if isinstance(found, str) else found]))
"""


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_it_is_at_home_in_a_dag(coupa, tmp_path):
    """Mapped over files, fed by tasks, after a skipped one; the result of a failed task is there for the next."""
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "pushing.py").write_text(DAG_FILE)
    write(tmp_path / "good.ndjson", [supplier(1), supplier(2)])
    write(tmp_path / "bad.ndjson", [supplier(3), rejected(4)])
    write(tmp_path / "better.ndjson", [supplier(5)])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={
            **os.environ,
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
            "LAKE": tmp_path.as_uri(),
        },
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    [shown] = [line for line in done.stdout.splitlines() if line.startswith("shown ")]
    tasks, reported = json.loads(shown.removeprefix("shown "))
    states = {(task_id, index): state.lower().rpartition(".")[2] for task_id, index, state, _ in tasks}
    assert states == {
        ("list_files", -1): "success",
        ("make_rows", -1): "success",
        ("skip", -1): "skipped",
        ("files", 0): "success",
        ("files", 1): "failed",
        ("files", 2): "success",
        ("report", -1): "success",
        ("rows", -1): "success",
        ("nothing", -1): "failed",
    }
    assert reported == [["bad.ndjson", 1, 1], ["better.ndjson", 1, 0], ["good.ndjson", 2, 0]]
    assert "Give either source" in done.stdout + done.stderr
    assert coupa.writes() == {"POST /api/suppliers": 5}
