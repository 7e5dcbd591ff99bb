"""Extracts of ids alone, made without a Coupa."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from coupa_provider.extract.destination import MANIFEST_NAME, Destination
from coupa_provider.extract.manifest import File, Manifest
from coupa_provider.extract.manifest_reader import ManifestReader


def land_ids(folder: Destination, ids: Sequence[int], **facts: Any) -> ManifestReader:
    """Write an extract that holds ids.

    :param folder: a folder on this machine.
    :param ids: rising ids.
    :param facts: what the manifest says otherwise than usual.
    """
    root = Path(folder.root)
    root.mkdir(parents=True, exist_ok=True)
    part = root / "part-00000.parquet"
    pq.write_table(pa.table({"id": pa.array(ids, pa.int64())}), part, row_group_size=64 * 1024)
    content = part.read_bytes()
    least, greatest = (ids[0], ids[-1]) if len(ids) else (None, None)
    file = File(part.name, len(ids), len(content), hashlib.sha256(content).hexdigest(), least, greatest)
    now = datetime.now(UTC)
    usual = {
        "resource": "invoices", "instance": "acme.coupahost.com", "query": {}, "window": (None, None),
        "id_range": (0, None), "file_format": "parquet", "records": len(ids), "min_id": least, "max_id": greatest,
        "files": [file], "columns": {"id": "int64"}, "drift": None, "reports": [], "started": now, "finished": now,
        "seconds": 0.0, "requests": 0, "throttled": 0, "retried": 0, "provider_version": "0",
    }  # fmt: skip
    (root / MANIFEST_NAME).write_bytes(Manifest(**{**usual, **facts}).to_json())
    return ManifestReader(folder)
