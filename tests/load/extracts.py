"""Extracts made by hand, as ``CoupaToObjectStorageOperator`` would have written them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from coupa_provider.extract.destination import Destination
from coupa_provider.extract.drift import Drift
from coupa_provider.extract.manifest import ChildTable, File, Manifest
from coupa_provider.extract.manifest_reader import ManifestReader, checksum_of

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
INSTANT = pa.timestamp("us", "UTC")
INVOICES = pa.schema([("id", pa.int64()), ("updated_at", INSTANT), ("number", pa.string())])
LINES = pa.schema([("_parent_id", pa.int64()), ("_position", pa.int64()), ("description", pa.string())])
IDS = pa.schema([("id", pa.int64())])

Rows = Sequence[dict[str, Any]]


def invoice(id: int, hours: int | None = 0, number: str = "", **more: Any) -> dict[str, Any]:
    """Return a record that was updated so many hours after noon."""
    stamp = None if hours is None else NOON + timedelta(hours=hours)
    return {"id": id, "updated_at": stamp, "number": number or f"INV-{id}", **more}


def line(parent: int, position: int, description: str = "") -> dict[str, Any]:
    """Return a line of a record."""
    return {"_parent_id": parent, "_position": position, "description": description or f"{parent}/{position}"}


def write_extract(
    folder: Path,
    rows: Rows,
    schema: pa.Schema = INVOICES,
    *,
    kind: str = "records",
    resource: str = "invoices",
    children: dict[str, tuple[Rows, pa.Schema]] | None = None,
    parts: int = 1,
    drift: Drift | None = None,
) -> ManifestReader:
    """Write an extract to a folder and return a reader of it.

    :param children: rows and columns of tables of lines, by name.
    :param parts: into how many files.
    :param drift: how the records differ from the columns.
    """
    size = -(-len(rows) // parts) or 1
    chunks = [rows[start : start + size] for start in range(0, len(rows), size)] or [rows]
    lines = {
        name: ChildTable(
            attribute=name.replace("_", "-"),
            parent_column="_parent_id",
            position_column="_position",
            records=len(its_rows),
            files=[_write(folder, f"{name}/part-00000.parquet", its_rows, its_schema)],
            columns=_types(its_schema),
            drift=None,
        )
        for name, (its_rows, its_schema) in (children or {}).items()
    }
    ids = [row["id"] for row in rows]
    manifest = Manifest(
        kind=kind,
        resource=resource,
        instance="acme.coupahost.com",
        query={},
        window=(None, None),
        id_range=(0, None),
        file_format="parquet",
        records=len(rows),
        min_id=min(ids, default=None),
        max_id=max(ids, default=None),
        files=[_write(folder, f"part-{i:05}.parquet", chunk, schema) for i, chunk in enumerate(chunks)],
        columns=_types(schema),
        children=lines,
        drift=drift,
        reports=[],
        started=NOON,
        finished=NOON,
        seconds=0.0,
        requests=1,
        throttled=0,
        retried=0,
        provider_version="0",
    )
    (folder / "_manifest.json").write_bytes(manifest.to_json())
    return ManifestReader(Destination(fsspec.filesystem("file"), str(folder), f"file://{folder}"))


def _types(schema: pa.Schema) -> dict[str, str]:
    return {field.name: str(field.type) for field in schema}


def _write(folder: Path, name: str, rows: Rows, schema: pa.Schema) -> File:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([*rows], schema), path)
    ids = [row.get("_parent_id", row.get("id")) for row in rows]
    with path.open("rb") as source:
        checksum = checksum_of(source)
    return File(
        name=name,
        rows=len(rows),
        bytes=path.stat().st_size,
        sha256=checksum,
        min_id=min(ids, default=None),
        max_id=max(ids, default=None),
    )
