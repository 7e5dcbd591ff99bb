"""The operator that attaches files: arguments, templates, result, tries."""

from __future__ import annotations

import inspect
import json
import re
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from coupa_provider.emulator import Emulator
from coupa_provider.operators.coupa import CoupaUploadAttachmentOperator

NESTED = "invoices/:invoice_id/attachments"
PDF = b"%PDF-1.7 scan %%EOF"


@pytest.fixture(scope="module")
def emulator():
    with Emulator(seed=7, empty=True, rate_limit=None) as emulator:
        yield emulator


@pytest.fixture
def coupa(coupa, tmp_path):
    """The connected emulator, with an invoice; and a file to attach."""
    coupa.load({"invoices": [{"id": 7}]})
    (tmp_path / "scan 7.pdf").write_bytes(PDF)
    coupa.reset_seen()
    return coupa


def run(operator, *, try_number=1, **context) -> Any:
    """Render and execute, as a worker does, and return the result as other tasks get it."""
    ti = SimpleNamespace(try_number=try_number, xcom_push=lambda key, value: None)
    context = {"ti": ti, "dag_run": SimpleNamespace(start_date=datetime.now(UTC)), **context}
    operator.render_template_fields(context)
    result = operator.execute(context)
    assert json.loads(json.dumps(result)) == result
    return result


def upload(**arguments) -> CoupaUploadAttachmentOperator:
    return CoupaUploadAttachmentOperator(
        **{"task_id": "upload", "resource": "invoices", "record_id": 7} | arguments
    )


def test_a_file_is_attached(coupa, tmp_path):
    operator = upload(
        record_id="{{ number }}", file="file://" + str(tmp_path) + "/scan {{ number }}.pdf", intent="Supplier"
    )
    result = run(operator, number="7")
    (shown,) = coupa.record("invoices", 7)["attachments"]
    assert result == {
        "resource": "invoices",
        "record_id": "7",
        "attachment_id": shown["id"],
        "name": "scan 7.pdf",
        "bytes": len(PDF),
        "created": True,
    }
    assert coupa.file(NESTED, shown["id"]) == PDF
    assert shown["intent"] == "Supplier"


def test_from_a_bucket_under_another_name(coupa, s3):
    s3.put_object(Bucket="lake", Key="scans/17.pdf", Body=PDF * 1000)
    result = run(upload(file="s3://aws_default@lake/scans/17.pdf", name="Scan 請求書.pdf"))
    (shown,) = coupa.record("invoices", 7)["attachments"]
    assert shown["file-file-name"] == result["name"] == "Scan 請求書.pdf"
    assert coupa.file(NESTED, shown["id"]) == PDF * 1000


def test_a_scan(coupa, tmp_path):
    result = run(upload(file=f"file://{tmp_path}/scan 7.pdf", kind="image_scan"))
    assert result["attachment_id"] is None
    assert coupa.file("invoices", 7, "image_scan") == PDF


def test_a_later_try_does_not_attach_a_second_one(coupa, tmp_path):
    first = run(upload(file=f"file://{tmp_path}/scan 7.pdf"))
    again = run(upload(file=f"file://{tmp_path}/scan 7.pdf"), try_number=2)
    assert again == first | {"created": False}
    assert len(coupa.record("invoices", 7)["attachments"]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"file": "file:///nowhere/scan.pdf"}, "There is no file file:///nowhere/scan.pdf"),
        ({"file": "/scan.pdf"}, "'/scan.pdf' is no URL"),
        ({"file": "{{ none }}"}, "file is empty"),
        ({"kind": "photo"}, "'photo' is neither 'attachment' nor 'image_scan'"),
        ({"kind": "image_scan", "resource": "suppliers"}, "Only invoices have a scan, not 'suppliers'"),
        ({"record_id": 999}, "no such record"),
        ({"intent": "All"}, "intent 'All' is not one of"),
    ],
)
def test_what_cannot_work_fails_without_retry(coupa, tmp_path, arguments, message):
    from airflow.providers.common.compat.sdk import AirflowFailException

    with pytest.raises(AirflowFailException, match=re.escape(message)):
        run(upload(**{"file": f"file://{tmp_path}/scan 7.pdf"} | arguments))
    assert coupa.writes() == {}


def test_its_arguments_are_documented_as_templated_or_not():
    documented = dict(
        re.findall(
            r":param (\w+):(?:(?!:param).)*?\((templated(?:: no)?)\)",
            CoupaUploadAttachmentOperator.__doc__,
            re.S,
        )
    )
    own = set(inspect.signature(CoupaUploadAttachmentOperator.__init__).parameters) - {"self", "kwargs"}
    assert set(documented) == own
    assert {name for name, told in documented.items() if told == "templated"} == set(
        CoupaUploadAttachmentOperator.template_fields
    )
