"""Make the extracts that are loaded: invoices as they were, the same changed, and a few to warm up."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from coupa_provider.extract.manifest import Manifest
from coupa_provider.extract.manifest_reader import checksum_of
from coupa_provider.transfers.coupa_to_object_storage import CoupaToObjectStorageOperator

PARQUET = "part-00000.parquet"
#: What a ledger would want of an invoice.
FIELDS = [
    "id", "invoice-number", "invoice-date", "status", "created-at", "updated-at", "date-received", "net-due-date",
    "document-type", "internal-note", "supplier-note", "comments", "canceled", "compliant", "exported", "paid",
    "line-level-taxation", "line-count", "lock-version-key", "exchange-rate", "gross-total", "supplier-total",
    "total-with-taxes", "tax-amount", "tax-rate", "discount-amount", "shipping-amount", "handling-amount",
    "misc-amount", "channel", "payment-term", "currency", "supplier", "ship-to-address", "custom-fields",
]  # fmt: skip


def main(folder: Path, last_id: int) -> None:
    extract = CoupaToObjectStorageOperator(
        task_id="invoices",
        resource="invoices",
        filters={"id[lt_or_eq]": last_id},
        fields=FIELDS,
        destination=f"file://{folder}/first",
    )
    summary = extract.execute({})
    manifest = Manifest.from_json((folder / "first" / "_manifest.json").read_bytes())
    invoices = pq.read_table(folder / "first" / PARQUET)
    assert len(manifest.files) == 1
    write(folder / "later", changed(invoices), manifest)
    write(folder / "few", invoices[:100], manifest)
    print(json.dumps(summary))


def changed(invoices: pa.Table) -> pa.Table:
    """Return the invoices an hour later."""
    for name, values in (
        ("updated_at", pc.add(invoices["updated_at"], pa.scalar(timedelta(hours=1), pa.duration("us")))),
        ("status", pa.array(["paid"] * len(invoices))),
        ("lock_version_key", pc.add(invoices["lock_version_key"], 1)),
    ):
        place = invoices.schema.get_field_index(name)
        invoices = invoices.set_column(place, invoices.schema.field(place), values)
    return invoices


def write(folder: Path, invoices: pa.Table, like: Manifest) -> None:
    """Write an extract of one file."""
    folder.mkdir()
    pq.write_table(invoices, folder / PARQUET, compression="zstd")
    with (folder / PARQUET).open("rb") as source:
        file = msgspec.structs.replace(like.files[0], rows=len(invoices), sha256=checksum_of(source))
    manifest = msgspec.structs.replace(like, records=len(invoices), files=[file])
    (folder / "_manifest.json").write_bytes(manifest.to_json())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
