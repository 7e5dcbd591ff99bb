"""What was written is read back, and only if it is what the manifest describes."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest

from coupa_provider.extract.destination import Destination
from coupa_provider.extract.errors import ExtractError
from coupa_provider.extract.manifest import Manifest
from coupa_provider.extract.manifest_reader import ManifestReader
from tests.extract.synthetic import page_of

Extract = Callable[..., Manifest]
FORMATS = pytest.mark.parametrize("file_format", ["ndjson", "parquet", "csv"])
RECORDS = [
    {"id": 1, "invoice-number": "A,\n1", "gross-total": "12.50", "paid": True, "updated-at": "2026-01-02T03:04:05-08:00"},
    {"id": 2, "invoice-number": "", "gross-total": None, "my-own": {"a": 1}},
    {"id": 3, "supplier": {"id": 7, "name": 'Ac"me'}, "invoice-date": "2026-03-01T00:00:00-08:00"},
]  # fmt: skip


@FORMATS
def test_reads_back_what_was_written(file_format: str, extract: Extract, destination: Destination) -> None:
    extract(
        [page_of(*RECORDS[:2]), page_of(*RECORDS[2:])],
        destination,
        resource="invoices",
        file_format=file_format,
        part_bytes=1,
    )
    reader = ManifestReader(destination)
    table = pa.Table.from_batches(reader.batches())
    assert table.schema.equals(reader.arrow_schema())
    rows = table.to_pylist()
    assert [row["id"] for row in rows] == [1, 2, 3]
    assert [row["invoice_number"] for row in rows] == ["A,\n1", "", None]
    assert [str(row["gross_total"] or "").rstrip("0") for row in rows] == ["12.5", "", ""]
    assert rows[0]["updated_at"].isoformat() == "2026-01-02T11:04:05+00:00"
    assert rows[1]["_extra"] == '{"my-own":{"a": 1}}'
    assert rows[2]["supplier"] == '{"id": 7, "name": "Ac\\"me"}'
    assert str(rows[2]["invoice_date_day"]) == "2026-03-01"


@FORMATS
def test_reads_only_the_columns_asked_for(
    file_format: str, extract: Extract, destination: Destination
) -> None:
    extract([page_of(*RECORDS)], destination, resource="invoices", file_format=file_format)
    reader = ManifestReader(destination)
    assert [batch.schema.names for batch in reader.batches(["updated_at", "id"])] == [["updated_at", "id"]]
    with pytest.raises(ExtractError, match="no column colour"):
        list(reader.batches(["id", "colour"]))


@FORMATS
def test_an_empty_extract_has_no_rows(file_format: str, extract: Extract, destination: Destination) -> None:
    extract([], destination, resource="invoices", file_format=file_format)
    assert sum(batch.num_rows for batch in ManifestReader(destination).batches()) == 0


def test_no_manifest(local: Destination) -> None:
    with pytest.raises(ExtractError, match=r"There is no .*_manifest\.json"):
        ManifestReader(local)


def test_another_file_under_the_name(extract: Extract, destination: Destination) -> None:
    extract([page_of(*RECORDS)], destination, resource="invoices", file_format="parquet")
    destination.fs.pipe_file(destination.path_of("part-00000.parquet"), b"something else")
    with pytest.raises(ExtractError, match="checksum"):
        list(ManifestReader(destination).batches())
    destination.fs.rm_file(destination.path_of("part-00000.parquet"))
    with pytest.raises(ExtractError, match="gone"):
        list(ManifestReader(destination).batches())
