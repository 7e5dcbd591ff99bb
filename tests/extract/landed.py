"""Extracts of what little a push or a sweep needs, without a run that makes them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from coupa_provider.client.blocking import BlockingClient
from coupa_provider.extract.destination import MANIFEST_NAME, Destination
from coupa_provider.extract.manifest import File, Manifest
from coupa_provider.extract.manifest_reader import ManifestReader


def land_ids(folder: Destination, ids: Sequence[int], **facts: Any) -> ManifestReader:
    """Write an extract that holds ids; see :func:`land_table`."""
    return land_table(folder, pa.table({"id": pa.array(ids, pa.int64())}), **facts)


def land_table(folder: Destination, table: pa.Table, **facts: Any) -> ManifestReader:
    """Write an extract.

    :param folder: a folder on this machine.
    :param table: its rows, with rising ids.
    :param facts: what the manifest says otherwise than usual.
    """
    root = Path(folder.root)
    root.mkdir(parents=True, exist_ok=True)
    part = root / "part-00000.parquet"
    pq.write_table(table, part, row_group_size=64 * 1024)
    content = part.read_bytes()
    rows = table.num_rows
    least, greatest = (table["id"][0].as_py(), table["id"][-1].as_py()) if rows else (None, None)
    file = File(part.name, rows, len(content), hashlib.sha256(content).hexdigest(), least, greatest)
    now = datetime.now(UTC)
    usual = {
        "resource": "invoices", "instance": "acme.coupahost.com", "query": {}, "window": (None, None),
        "id_range": (0, None), "file_format": "parquet", "records": rows, "min_id": least, "max_id": greatest,
        "files": [file], "columns": {field.name: str(field.type) for field in table.schema}, "drift": None,
        "reports": [], "started": now, "finished": now, "seconds": 0.0, "requests": 0, "throttled": 0, "retried": 0,
        "provider_version": "0",
    }  # fmt: skip
    (root / MANIFEST_NAME).write_bytes(Manifest(**{**usual, **facts}).to_json())
    return ManifestReader(folder)


def land_records(
    folder: Destination, client: BlockingClient, resource: str = "invoices", *,
    filters: Mapping[str, Any] | None = None, dated: bool = True,
) -> ManifestReader:  # fmt: skip
    """Write an extract of the ids that a client sees now.

    :param folder: a folder on this machine.
    :param client: leads to the instance.
    :param resource: path under ``/api``.
    :param filters: which records.
    :param dated: with ``updated_at``.
    """
    fields = ["id", "updated_at"] if dated else ["id"]
    rows = []
    for page in client.pages(resource, filters=filters, fields=fields):
        for record in map(msgspec.json.decode, page.records):
            stamp = datetime.fromisoformat(record["updated-at"]) if dated else None
            rows.append((record["id"], stamp))
    rows.sort()
    columns = {"id": pa.array([number for number, _ in rows], pa.int64())}
    if dated:
        columns["updated_at"] = pa.array([stamp for _, stamp in rows], pa.timestamp("us", "UTC"))
    return land_table(folder, pa.table(columns), resource=resource, instance=client.config.instance)
