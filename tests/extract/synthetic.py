"""Invoices as wide and as large as Coupa sends them, made up."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import msgspec

from coupa_provider.client.page import Page
from coupa_provider.resources.catalog import Attribute, find_resource

_AS_PAGE = msgspec.json.Decoder(list[msgspec.Raw])
_PLACEHOLDER = 8_000_000_000


def page_of(*records: str | bytes | dict) -> Page:
    """Make a page of records given as JSON text or as dicts with a whole number as id."""
    texts = [
        json.dumps(record, ensure_ascii=False).encode()
        if isinstance(record, dict)
        else (record.encode() if isinstance(record, str) else record)
        for record in records
    ]
    raws = _AS_PAGE.decode(b"[" + b",".join(texts) + b"]")
    ids = [int(msgspec.json.decode(raw)["id"]) for raw in raws]
    return Page(raws, ids, min(ids) - 1, max(ids))


def invoice(number: int, rng: random.Random, lines: int = 8) -> bytes:
    """Return the JSON of an invoice with all documented attributes, of about 9 kB."""
    record: dict[str, object] = {}
    for name, attribute in find_resource("invoices").attributes.items():
        if name == "id":
            record[name] = number
        elif name == "invoice-lines":
            record[name] = [_line(number * 100 + place, place, rng) for place in range(lines)]
        elif rng.random() < 0.35:
            record[name] = None
        else:
            record[name] = _value(attribute, rng)
    record["custom-fields"] = {"cost-centre": {"id": 4, "external-ref-num": "77"}, "region": "EMEA"}
    return json.dumps(record, separators=(",", ":")).encode()


NARROW = ["id", "invoice-number", "status", "gross-total", "invoice-date", "updated-at", "supplier"]


def narrow_pages(count: int) -> Iterator[Page]:
    """Yield pages of 50 invoices with the few attributes that somebody named, about 200 bytes each."""
    text = (
        b'{"id":%d,"invoice-number":"INV-%d","status":"approved","gross-total":"%d.50",'
        b'"invoice-date":"2024-05-01T00:00:00-07:00","updated-at":"2024-05-03T08:00:01-07:00",'
        b'"supplier":{"id":17,"name":"Fishy"}}'
    )
    for first in range(1, count + 1, 50):
        ids = list(range(first, min(first + 50, count + 1)))
        yield Page(
            _AS_PAGE.decode(b"[" + b",".join(text % (i, i, i) for i in ids) + b"]"), ids, first - 1, ids[-1]
        )


def invoice_pages(count: int, *, distinct: int = 1000, seed: int = 7) -> Iterator[Page]:
    """Yield pages of 50 invoices with ids from 1; their bytes are fresh, their content repeats."""
    rng = random.Random(seed)
    heads, tails = [], []
    for _ in range(min(count, distinct)):
        head, tail = invoice(_PLACEHOLDER, rng).split(b'"id":%d,' % _PLACEHOLDER, 1)
        heads.append(head)
        tails.append(tail)
    for first in range(1, count + 1, 50):
        ids = list(range(first, min(first + 50, count + 1)))
        texts = [b'%b"id":%d,%b' % (heads[i % len(heads)], i, tails[i % len(heads)]) for i in ids]
        yield Page(_AS_PAGE.decode(b"[" + b",".join(texts) + b"]"), ids, first - 1, ids[-1])


def _value(attribute: Attribute, rng: random.Random) -> object:
    match attribute.base:
        case "integer":
            return rng.randrange(10**6)
        case "decimal":
            return f"{rng.randrange(10**5)}.{rng.randrange(100):02d}"
        case "float":
            return 8.25
        case "boolean":
            return rng.random() < 0.5
        case "datetime":
            return f"2024-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}T{rng.randrange(24):02d}:00:00-07:00"
        case "date":
            return "2000-07-01"
        case "reference":
            return {"id": rng.randrange(1000), "name": f"Name {rng.randrange(1000)}", "number": None}
        case "list" | "unknown":
            return []
    return f"{attribute.name[:12]} {rng.randrange(10**6)}"


def _line(number: int, place: int, rng: random.Random) -> dict[str, object]:
    return {
        "id": number,
        "line-num": place,
        "type": "InvoiceQuantityLine",
        "description": f"Bulbs {rng.randrange(10**6)}",
        "quantity": "2.0",
        "price": "30.33",
        "total": "60.66",
        "account-allocations": [],
        "tax-lines": [],
        "created-at": "2024-05-03T08:00:00-07:00",
        "uom": {"id": 1, "code": "EA"},
        "commodity": {"id": 3, "name": "Lighting"},
        "account": {"id": 14, "code": f"SF-{rng.randrange(1000)}", "account-type": {"id": 1, "name": "Ace"}},
    }


def id_pages(count: int, step: int = 1) -> Iterator[Page]:
    """Yield pages of 50 records of which only the id was asked for, ids from 1 to ``count``."""
    ids = range(1, count + 1, step)
    for first in range(0, len(ids), 50):
        part = ids[first : first + 50]
        yield page_of(*[{"id": number} for number in part])
