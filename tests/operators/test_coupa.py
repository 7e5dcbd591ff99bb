"""The operators: arguments, templates, results, logs and what a failure does to the task."""

from __future__ import annotations

import inspect
import json
import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from coupa_provider.client.token import forget_tokens
from coupa_provider.emulator import Emulator
from coupa_provider.extract.destination import Destination
from coupa_provider.extract.manifest import Manifest
from coupa_provider.operators.coupa import CoupaMarkExportedOperator, CoupaSweepDeletionsOperator
from coupa_provider.transfers.coupa_to_object_storage import CoupaToObjectStorageOperator
from tests.extract.landed import land_records

LANDED = {"updated-at": "2026-11-20T08:00:00-08:00", "created-at": "2026-11-20T08:00:00-08:00"}


@pytest.fixture(scope="module")
def emulator():
    with Emulator(seed=7, empty=True, rate_limit=None) as emulator:
        yield emulator


@pytest.fixture
def coupa(coupa):
    """The connected emulator, with invoices."""
    coupa.load({"invoices": [{"id": number, "exported": False, **LANDED} for number in range(1, 121)]})
    return coupa


@pytest.fixture
def extracted(coupa, tmp_path) -> dict[str, Any]:
    """What the task that extracted all invoices hands on."""
    from coupa_provider.hooks.coupa import CoupaHook

    folder = Destination(LocalFileSystem(), f"{tmp_path}/extract", f"file://{tmp_path}/extract")
    extract = land_records(folder, CoupaHook().get_conn())
    return {"manifest": extract.folder.manifest_url, "records": extract.manifest.records}


def mark(**arguments) -> CoupaMarkExportedOperator:
    return CoupaMarkExportedOperator(**{"task_id": "mark", "manifest": "file:///nowhere"} | arguments)


def sweep(**arguments) -> CoupaSweepDeletionsOperator:
    defaults = {"task_id": "sweep", "manifest": "file:///nowhere", "destination": "file:///tmp/gone"}
    return CoupaSweepDeletionsOperator(**defaults | arguments)


def run(operator, **context) -> dict[str, Any]:
    """Render and execute, as a worker does, and return the result as other tasks get it."""
    operator.render_template_fields(context)
    result = operator.execute(context)
    assert json.loads(json.dumps(result)) == result
    return result


@pytest.mark.parametrize("way", ["result", "url", "folder", "template", "path object"])
def test_an_extract_is_acknowledged(coupa, extracted, tmp_path, way):
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    given = {
        "result": extracted,
        "url": extracted["manifest"],
        "folder": f"file://{tmp_path}/extract",
        "template": "{{ result['manifest'] }}",
        "path object": ObjectStoragePath(extracted["manifest"]),
    }[way]
    coupa.load({"invoices": [{"id": 7, "exported": True}]})
    result = run(mark(manifest=given), result=extracted)
    assert result.pop("journal").startswith(f"file://{tmp_path}/extract/_exported/")
    assert 0 <= result.pop("seconds") < 60
    assert result == {
        "resource": "invoices",
        "manifest": extracted["manifest"],
        "records": 120,
        "marked": 119,
        "already": 1,
        "changed": 0,
        "gone": 0,
        "already_ids": [7],
        "changed_ids": [],
        "gone_ids": [],
        "requests": 122,
        "throttled": 0,
    }
    assert set(coupa.writes().values()) == {1}


def test_what_was_not_marked_is_logged(coupa, extracted, caplog, capsys):
    changes = [
        {"id": number, "exported": False, "updated-at": "2026-11-21T08:00:00Z"} for number in range(1, 31)
    ]
    coupa.load({"invoices": changes})
    with caplog.at_level(logging.INFO):
        run(mark(manifest=extracted))
    text = caplog.text + capsys.readouterr().out  # Airflow 3.3 logs past the standard library
    assert "invoices: marking the 120 records of file://" in text
    assert "invoices: 30 records were changed after they were landed and not marked" in text
    assert "19, 20, ..." in text
    assert "invoices: 90 of 120 records marked, 93 requests, 0 throttled" in text


def test_deletions_are_swept(coupa, extracted, tmp_path, caplog, capsys):
    from coupa_provider.hooks.coupa import CoupaHook

    for number in range(31, 61):
        CoupaHook().call("DELETE", f"invoices/{number}")
    with caplog.at_level(logging.INFO):
        result = run(
            sweep(
                manifest=[extracted, "{{ second }}"],
                destination="{{ root }}/gone/{{ ds }}",
                filters={"id[gt]": "{{ least }}"},
            ),
            second=extracted["manifest"], root=f"file://{tmp_path}", ds="2026-11-23", least=0,
        )  # fmt: skip
    assert 0 <= result.pop("seconds") < 60
    assert result.pop("requests") < 10
    assert result == {
        "resource": "invoices",
        "manifest": f"file://{tmp_path}/gone/2026-11-23/_manifest.json",
        "compared": 120,
        "deleted": 30,
        "deleted_ids": list(range(31, 51)),
        "throttled": 0,
    }
    manifest = Manifest.from_json((tmp_path / "gone" / "2026-11-23" / "_manifest.json").read_bytes())
    assert (manifest.kind, manifest.records) == ("deletions", 30)
    text = caplog.text + capsys.readouterr().out
    assert "invoices: 30 of 120 ids are gone" in text
    # The list of deletions counts in the next sweep.
    both = [extracted, result]
    assert run(sweep(manifest=both, destination=f"file://{tmp_path}/gone/next"))["deleted"] == 0


@pytest.mark.parametrize("make", [mark, sweep])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "manifest is empty"),
        ("None", "manifest is empty"),
        (None, "manifest is empty"),
        ("/data/extract", "manifest '/data/extract' is no URL"),
        ({"files": []}, "manifest is a dict without 'manifest'"),
        ("{'manifest': 'file:///x'}", "manifest is the text of a dict"),
    ],
)
def test_a_wrong_manifest_fails_the_task_without_retries(make, value, message):
    from airflow.providers.common.compat.sdk import AirflowFailException

    with pytest.raises(AirflowFailException, match=message):
        make(manifest=value).execute({})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"manifest": []}, "manifest is an empty list"),
        ({"manifest": ["file:///x", ""]}, "manifest is empty"),
        ({"destination": " "}, "destination is empty"),
        ({"destination": "gone"}, "destination 'gone' is no URL"),
    ],
)
def test_wrong_arguments_of_a_sweep_fail_it_without_retries(arguments, message):
    from airflow.providers.common.compat.sdk import AirflowFailException

    with pytest.raises(AirflowFailException, match=message):
        sweep(**arguments).execute({})


def test_filters_have_to_be_a_dict(extracted):
    from airflow.providers.common.compat.sdk import AirflowFailException

    with pytest.raises(AirflowFailException, match=r"filters must be a dict.*render_template_as_native_obj"):
        sweep(manifest=extracted, filters="{'a': 1}").execute({})


def test_what_a_retry_cannot_mend_is_not_retried(coupa, extracted, tmp_path):
    from airflow.providers.common.compat.sdk import AirflowFailException

    with pytest.raises(AirflowFailException, match="no record of 'invoices' at all"):
        sweep(manifest=extracted, destination=f"file://{tmp_path}/gone", filters={"status": "paid"}).execute(
            {}
        )
    coupa.add_client(coupa.client_id, coupa.client_secret, ["core.invoice.read"])
    forget_tokens()
    with pytest.raises(AirflowFailException, match=r"core\.invoice\.write") as caught:
        mark(manifest=extracted).execute({})
    assert coupa.client_secret not in str(caught.value)
    assert coupa.writes() == {}


def test_what_a_retry_can_mend_is_retried(coupa, extracted, monkeypatch):
    from coupa_provider.client.errors import CoupaUnavailableError
    from coupa_provider.client.retry import RetryPolicy
    from coupa_provider.hooks.coupa import CoupaHook

    coupa.configure(faults={"always": True, "kinds": ["503"], "methods": ["PUT"]})
    task = mark(manifest=extracted)
    task.hook = CoupaHook(retry=RetryPolicy(attempts=2, first_delay=0.01))
    with pytest.raises(CoupaUnavailableError):
        task.execute({})


@pytest.mark.parametrize("module", ["mark_exported", "sweep_deletions"])
def test_the_module_is_light(module) -> None:
    """Airflow reads DAG files again and again: nothing heavy is imported before a task runs."""
    code = (
        "import sys\n"
        "from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator\n"
        "BaseOperator, AirflowFailException\n"
        "before = set(sys.modules)\n"
        f"import coupa_provider.operators.{module}\n"
        "print(sorted(name for name in set(sys.modules) - before if not name.startswith('coupa_provider')))\n"
        "print(sorted(name for name in set(sys.modules) - before if name.startswith('coupa_provider')))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    others, own = done.stdout.strip().splitlines()[-2:]
    assert others == "[]"
    assert not re.search(r"client|hooks|extract|push", own)


def test_they_take_the_result_of_the_task_before(coupa, extracted, tmp_path):
    """``extract.output`` makes the dependency and, rendered, is the result."""
    from datetime import UTC, datetime

    from airflow.providers.common.compat.sdk import DAG

    class TaskInstance:
        map_index = -1

        def get_relevant_upstream_map_indexes(self, *args, **rest):
            """Airflow 2.11 asks."""

        def xcom_pull(self, task_ids, **rest):
            assert task_ids == "extract"
            return extracted

    with DAG(dag_id="export", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
        extract = CoupaToObjectStorageOperator(
            task_id="extract", resource="invoices", destination="file:///nowhere"
        )
        acknowledge = mark(manifest=extract.output)
        compare = sweep(manifest=[extract.output], destination=f"file://{tmp_path}/gone")
    assert acknowledge.upstream_task_ids == compare.upstream_task_ids == {"extract"}
    assert run(acknowledge, ti=TaskInstance(), expanded_ti_count=None)["marked"] == 120
    assert run(compare, ti=TaskInstance(), expanded_ti_count=None)["compared"] == 120


@pytest.mark.parametrize(
    ("name", "operator"),
    [("exported", CoupaMarkExportedOperator), ("deletions", CoupaSweepDeletionsOperator)],
)
def test_the_arguments_are_those_described(name, operator):
    page = (Path(__file__).parents[2] / "docs" / f"{name}.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| (yes|no) \|", page.split("## Arguments")[1], re.M)
    parameters = inspect.signature(operator.__init__).parameters
    own = {key: it.default for key, it in parameters.items() if key not in ("self", "kwargs")}
    assert {key for key, _, _ in rows} == set(own)
    for key, default, templated in rows:
        told = default.strip().strip("`")
        assert told == (
            "required" if own[key] is inspect.Parameter.empty else repr(own[key]).replace("'", '"')
        )
        assert (templated == "yes") == (key in operator.template_fields)


def test_all_of_it_on_s3(coupa, extracted, tmp_path, s3):
    """A try that fails half-way and one that goes on, with files and journal in a bucket."""
    from coupa_provider.client.errors import CoupaUnavailableError
    from coupa_provider.client.retry import RetryPolicy
    from coupa_provider.hooks.coupa import CoupaHook

    root = "s3://aws_default@lake/coupa"
    for file in (tmp_path / "extract").iterdir():
        s3.upload_file(str(file), "lake", f"coupa/invoices/{file.name}")
    landed = f"{root}/invoices"
    coupa.configure(faults={"always": True, "kinds": ["503"], "methods": ["PUT"], "after": 70})
    task = mark(manifest=landed)
    task.hook = CoupaHook(retry=RetryPolicy(attempts=2, first_delay=0.01))
    with pytest.raises(CoupaUnavailableError):
        task.execute({})
    assert 0 < len(coupa.writes()) <= 70
    coupa.configure(faults=None)
    result = run(mark(manifest=landed))
    assert (result["marked"], result["already"]) == (120, 0)
    assert result["journal"].startswith(f"{root}/invoices/_exported/")
    assert set(coupa.writes().values()) == {1}
    assert len(coupa.writes()) == 120
    assert run(sweep(manifest=landed, destination=f"{root}/gone"))["deleted"] == 0
