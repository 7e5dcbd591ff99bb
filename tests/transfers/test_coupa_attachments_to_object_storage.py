"""The operator that stores what is attached: arguments, result, logs, tries, and a DAG on a real Airflow."""

from __future__ import annotations

import inspect
import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from coupa_provider.client import pacing
from coupa_provider.client.token import forget_tokens
from coupa_provider.emulator import Emulator
from coupa_provider.extract.attachment_manifest import AttachmentReader
from coupa_provider.extract.destination import Destination
from coupa_provider.object_storage import open_folder
from coupa_provider.transfers.coupa_attachments_to_object_storage import (
    CoupaAttachmentsToObjectStorageOperator,
)
from coupa_provider.transfers.coupa_manifest_to_database import CoupaManifestToDatabaseOperator
from coupa_provider.transfers.coupa_to_object_storage import CoupaToObjectStorageOperator
from tests.extract.landed import land_records

NESTED = "invoices/:invoice_id/attachments"
KINDS = ["attachments", "image_scan", "legal_invoice_pdf"]


@pytest.fixture(scope="module")
def emulator():
    with Emulator(seed=7, sizes={"invoices": 60}, rate_limit=None) as emulator:
        yield emulator


@pytest.fixture
def coupa(emulator, monkeypatch):
    """The module's emulator in its first state, behind ``coupa_default``."""
    forget_tokens()
    pacing._pacers.clear()
    emulator.reset()
    emulator.add_client(emulator.client_id, emulator.client_secret)
    emulator.configure(switches={"U26": "binary"})
    connection = {
        "conn_type": "coupa",
        "host": emulator.url,
        "login": emulator.client_id,
        "password": emulator.client_secret,
        "extra": {"requests_per_second": 2000},
    }
    monkeypatch.setenv("AIRFLOW_CONN_COUPA_DEFAULT", json.dumps(connection))
    return emulator


@pytest.fixture
def extracted(coupa, tmp_path) -> dict[str, Any]:
    """What the task that extracted all invoices hands on."""
    from coupa_provider.hooks.coupa import CoupaHook

    folder = Destination(LocalFileSystem(), f"{tmp_path}/extract", f"file://{tmp_path}/extract")
    return {"manifest": land_records(folder, CoupaHook().get_conn()).folder.manifest_url}


def fetch(**arguments) -> CoupaAttachmentsToObjectStorageOperator:
    return CoupaAttachmentsToObjectStorageOperator(**{"task_id": "attachments", "kinds": KINDS} | arguments)


def run(operator, **context) -> dict[str, Any]:
    """Render and execute, as a worker does, and return the result as other tasks get it."""
    operator.render_template_fields(context)
    result = operator.execute(context)
    assert json.loads(json.dumps(result)) == result
    return result


def account(coupa, url: str) -> int:
    """Compare everything that a manifest lists with the truth and return how many files there are."""
    folder = open_folder(url)
    files = 0
    for entry in AttachmentReader(folder).entries():
        if entry.kind == "attachments":
            content = coupa.file(NESTED, entry.attachment_id)
        else:
            content = coupa.file("invoices", entry.record_id, entry.kind)
        held = folder.fs.cat_file(folder.path_of(entry.path)) if entry.path else None
        assert held == content
        files += entry.path is not None
    return files


def test_files_are_stored_and_counted(coupa, extracted, tmp_path, caplog, capsys):
    caplog.set_level(logging.INFO)
    operator = fetch(manifest=extracted, destination=f"file://{tmp_path}/{{{{ place }}}}")
    result = run(operator, place="files")
    assert result["manifest"] == f"file://{tmp_path}/files/_manifest.json"
    assert account(coupa, result["manifest"]) == result["stored"] > 50
    assert (result["records"], result["unchanged"], result["requests"] > 50) == (60, 0, True)
    again = run(operator, place="files")
    assert (again["stored"], again["unchanged"], again["bytes"]) == (0, result["stored"], 0)
    text = caplog.text + capsys.readouterr().out  # Airflow 3.3 logs past the standard library
    assert f"{result['stored']} stored" in text
    assert "emulator-secret" not in text


@pytest.mark.parametrize("file_format", ["parquet", "ndjson"])
def test_in_a_bucket(coupa, s3, file_format):
    coupa.load({"invoices": [{"id": 9000}]})
    shown = {"id": 1, "type": "file", "file-file-name": "Übersicht.bin", "file-file-size": "20000000"}
    coupa.load({"invoices/9000/attachments": [shown]})
    lake = "s3://aws_default@lake/coupa"
    extract = CoupaToObjectStorageOperator(
        task_id="extract",
        resource="invoices",
        fields=["id", "updated-at"],
        destination=f"{lake}/invoices",
        file_format=file_format,
    )
    extracted = run(extract)
    result = run(fetch(manifest=extracted, destination=f"{lake}/files"))
    assert account(coupa, result["manifest"]) == result["stored"]
    keys = {entry["Key"]: entry["Size"] for entry in s3.list_objects_v2(Bucket="lake")["Contents"]}
    assert keys["coupa/files/9000/1-Übersicht.bin"] == 20_000_000
    assert not any("_unfinished" in key for key in keys)
    again = run(fetch(manifest=extracted, destination=f"{lake}/files"))
    assert (again["stored"], again["unchanged"]) == (0, result["stored"])


def test_a_failed_file_fails_the_task_for_a_retry(coupa, extracted, tmp_path, monkeypatch):
    from coupa_provider.client import client
    from coupa_provider.client.retry import RetryPolicy
    from coupa_provider.extract.errors import ExtractError

    monkeypatch.setattr(client, "RetryPolicy", lambda: RetryPolicy(attempts=2, first_delay=0.01))
    number = next(n for n in coupa.ids("invoices") if coupa.file("invoices", n, "image_scan"))
    coupa.configure(
        faults={"always": True, "kinds": ["500"], "paths": [f"invoices/{number}/retrieve_image_scan"]}
    )
    operator = fetch(manifest=extracted, destination=f"file://{tmp_path}/files")
    with pytest.raises(ExtractError, match=f"1 files of invoices failed.*{number} image_scan"):
        run(operator)
    coupa.configure(faults=None)
    result = run(operator)
    assert account(coupa, result["manifest"]) == result["stored"]


def test_its_manifest_is_not_loaded_as_records(coupa, extracted, tmp_path, monkeypatch):
    from coupa_provider.extract.errors import ExtractError

    result = run(fetch(manifest=extracted, destination=f"file://{tmp_path}/files"))
    monkeypatch.setenv("AIRFLOW_CONN_ADBC_DEFAULT", "adbc://")
    load = CoupaManifestToDatabaseOperator(task_id="load", manifest=result, table="coupa.invoices")
    with pytest.raises(ExtractError, match="lists attachments, not records"):
        load.execute({})
    with pytest.raises(ExtractError, match="lists attachments, not records"):
        run(fetch(manifest=result, destination=f"file://{tmp_path}/more"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"destination": "{{ none }}"}, "destination is empty"),
        ({"destination": "/data"}, "'/data' is no URL"),
        ({"manifest": {}}, "manifest is a dict without 'manifest'"),
    ],
)
def test_what_cannot_work_fails_without_retry(coupa, extracted, tmp_path, arguments, message):
    from airflow.providers.common.compat.sdk import AirflowFailException

    with pytest.raises(AirflowFailException, match=re.escape(message)):
        run(fetch(**{"manifest": extracted, "destination": f"file://{tmp_path}/files"} | arguments))


def test_its_arguments_are_documented_as_templated_or_not():
    operator = CoupaAttachmentsToObjectStorageOperator
    documented = dict(
        re.findall(r":param (\w+):(?:(?!:param).)*?\((templated(?:: no)?)\)", operator.__doc__, re.S)
    )
    own = set(inspect.signature(operator.__init__).parameters) - {"self", "kwargs"}
    assert set(documented) == own
    assert {name for name, told in documented.items() if told == "templated"} == set(operator.template_fields)


def test_the_module_is_light():
    """Airflow reads DAG files again and again: nothing heavy is imported before a task runs."""
    code = (
        "import sys\n"
        "from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator\n"
        "BaseOperator, AirflowFailException\n"
        "before = set(sys.modules)\n"
        "import coupa_provider.transfers.coupa_attachments_to_object_storage\n"
        "print(sorted(set(sys.modules) - before))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = re.findall(r"'([^']+)'", done.stdout.splitlines()[-1])
    assert [name for name in loaded if not name.startswith("coupa_provider")] == []
    assert not re.search(r"client|hooks|extract|push", " ".join(loaded))


DAG_FILE = """
from datetime import UTC, datetime

from airflow.providers.common.compat.sdk import DAG

from coupa_provider.operators.coupa import CoupaUploadAttachmentOperator
from coupa_provider.transfers.coupa_attachments_to_object_storage import CoupaAttachmentsToObjectStorageOperator
from coupa_provider.transfers.coupa_to_object_storage import CoupaToObjectStorageOperator

with DAG(dag_id="files", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
    upload = CoupaUploadAttachmentOperator(
        task_id="upload", resource="invoices", record_id=9000, file="LAKE/scan.pdf", kind="image_scan"
    )
    extract = CoupaToObjectStorageOperator(
        task_id="extract", resource="invoices", fields=["id", "updated-at"], destination="LAKE/invoices"
    )
    files = CoupaAttachmentsToObjectStorageOperator(
        task_id="files",
        manifest=extract.output,
        destination="LAKE/files",
        kinds=["attachments", "image_scan", "legal_invoice_pdf"],
    )
    upload >> extract >> files
"""
SCRIPT = """
import os
from airflow.utils import db

db.initdb()
from airflow.models.dagbag import DagBag
try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    pass
bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
assert not bag.import_errors, bag.import_errors
print("ended as", bag.dags["files"].test().state)
"""


def test_in_a_dag(coupa, tmp_path):
    coupa.load({"invoices": [{"id": 9000}]})
    (tmp_path / "scan.pdf").write_bytes(b"%PDF-1.7 uploaded %%EOF")
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "files.py").write_text(DAG_FILE.replace("LAKE", f"file://{tmp_path}"))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={
            **os.environ,
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
            "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
        },
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert re.search(r"ended as .*success", done.stdout, re.I), done.stdout[-3000:] + done.stderr[-3000:]
    assert account(coupa, f"file://{tmp_path}/files") > 50
    assert (tmp_path / "files" / "9000" / "image_scan-scan.pdf").read_bytes() == b"%PDF-1.7 uploaded %%EOF"
    assert "emulator-secret" not in done.stdout + done.stderr
