"""Lines and custom fields of a whole instance, out of Coupa and back from the files."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

from coupa_provider.extract.manifest_reader import ManifestReader
from coupa_provider.object_storage import open_folder
from coupa_provider.operators.coupa import CoupaSchemaDriftOperator
from tests.transfers.test_coupa_to_object_storage import emulated, operator

CONTEXT = {"ti": SimpleNamespace(dag_id="dag", run_id="run", task_id="extract", map_index=-1)}


def test_every_line_and_custom_field_of_an_instance(tmp_path: Path) -> None:
    with emulated(seed=7, sizes={"invoices": 230, "suppliers": 120}):
        plain = operator(
            resource="invoices", destination=f"file://{tmp_path}/plain", file_format="ndjson"
        ).execute(CONTEXT)
        exploded = operator(
            resource="invoices", destination=f"file://{tmp_path}/lines", explode={"invoice-lines": None}
        ).execute(CONTEXT)
        suppliers = operator(
            resource="suppliers",
            destination=f"file://{tmp_path}/suppliers",
            schema={"legacy-vendor-code": "string"},
        ).execute(CONTEXT)
    text = Path(tmp_path, "plain", "part-00000.ndjson").read_text()
    records = [json.loads(line) for line in text.splitlines()]
    sent = {
        (record["id"], place): (line["id"], line["description"])
        for record in records
        for place, line in enumerate(record["invoice-lines"])
    }
    assert len(sent) > 230
    reader = ManifestReader(open_folder(exploded["manifest"]))
    columns = ["_parent_id", "_position", "id", "description"]
    rows = [row for batch in reader.batches(columns, child="invoice_lines") for row in batch.to_pylist()]
    assert len(rows) == len(sent) == reader.manifest.children["invoice_lines"].records
    assert {(row["_parent_id"], row["_position"]): (row["id"], row["description"]) for row in rows} == sent
    found = {
        name: sum(record["custom-fields"].get(name) is not None for record in records)
        for record in records
        for name in record["custom-fields"]
    }
    assert found
    noted = reader.manifest.drift.custom_fields
    assert {name: noted[f"custom-fields[{name}]"].count for name in found} == found
    codes = ManifestReader(open_folder(suppliers["manifest"]))
    assert codes.manifest.drift.custom_fields["legacy-vendor-code"].kind == "string"
    assert any(row["legacy_vendor_code"] for batch in codes.batches() for row in batch.to_pylist())
    task = CoupaSchemaDriftOperator(task_id="drift", manifest=exploded, against=exploded)
    assert task.execute(CONTEXT)["changes"] == []
    assert plain["records"] == exploded["records"] == 230
