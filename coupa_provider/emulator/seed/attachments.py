"""Attachments and scans of the seeded invoices, some with names and types that break careless code."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping

from coupa_provider.emulator.seed.template import Template, fragment
from coupa_provider.emulator.seed.world import World
from coupa_provider.emulator.store import Row

PATH = "invoices/:invoice_id/attachments"

_FILES = (
    ("invoice.pdf", "application/pdf"),
    ("Lieferschein Müller & Söhne.pdf", "application/pdf"),
    ("請求書 2026.pdf", "application/pdf"),
    ("../../etc/passwd", "text/plain"),
    ("C:\\scans\\page 1.tif", "image/tiff"),
    ("einvoice.xml", "application/xml"),
    ("data.json", "application/json"),
    ("terms.html", "text/html"),
    ("delivery note", "application/octet-stream"),
    ('"quoted"; and #odd?.PDF', "application/pdf"),
)
_template = Template(
    "Attachment",
    ("id", "created-at", "updated-at", "type", "intent", "file", "file-file-name", "file-content-type",
     "file-file-size", "file-url"),
)  # fmt: skip


def throw(world: World, purpose: str, number: int) -> int:
    """Return a number that looks like chance and follows from its arguments."""
    return zlib.crc32(f"{world.seed} {purpose} {number}".encode())


def attachments_of(world: World, invoice_id: int, created: str) -> list[tuple[int, str]]:
    """Make the attachments of an invoice: most have none.

    :param world: the frame.
    :param invoice_id: id of the invoice.
    :param created: when it was made, as JSON text.
    :return: id and JSON text of each.
    """
    count = (0, 0, 0, 0, 0, 1, 1, 3)[throw(world, "attachments", invoice_id) % 8]
    return [_attachment(world, invoice_id, invoice_id * 10 + place, created) for place in range(count)]


def _attachment(world: World, invoice_id: int, record_id: int, created: str) -> tuple[int, str]:
    chance = throw(world, "attachment", record_id)
    values: dict[str, object] = dict.fromkeys(
        ("file", "file-file-name", "file-content-type", "file-file-size", "file-url")
    )
    kind = ("url", "text", *("file",) * 10)[chance % 12]
    if kind == "file":
        name, content_type = _FILES[chance // 12 % len(_FILES)]
        values |= {
            "file": name,
            "file-file-name": name,
            "file-content-type": content_type,
            "file-file-size": str(200 + chance // 120 % 60_000),
            "file-url": f"/api/invoices/{invoice_id}/attachments/{record_id}/file",
        }
    elif kind == "url":
        values["file-url"] = f"https://example.com/orders/{record_id}"
    texts = {name: fragment(value) for name, value in values.items()}
    return record_id, _template.render(
        texts
        | {
            "id": str(record_id),
            "created-at": created,
            "updated-at": created,
            "type": f'"{kind}"',
            "intent": ('"Internal"', '"Supplier"')[chance % 2],
        }
    )


def scan_of(world: World, invoice_id: int) -> Mapping[str, str]:
    """Return what an invoice shows of its scan, as JSON text by name; a third have one."""
    chance = throw(world, "scan", invoice_id)
    name = f"scan {invoice_id}.pdf"
    shown: dict[str, object] = {
        "image-scan": name,
        "image-scan-file-name": name,
        "image-scan-content-type": "application/pdf",
        "image-scan-file-size": str(300 + chance // 3 % 80_000),
        "image-scan-url": f"/invoices/{invoice_id}/image_scan",
    }
    return {name: fragment(value if chance % 3 == 0 else None) for name, value in shown.items()}


def rows(world: World) -> Iterator[Row]:
    """Make the rows of the attachments that the seeded invoices show."""
    ids = world.ids("invoices")
    for number, invoice_id in enumerate(ids):
        created = world.created(number, len(ids))
        for record_id, body in attachments_of(world, invoice_id, world.instant(created)):
            yield record_id, created, created, None, None, invoice_id, body
