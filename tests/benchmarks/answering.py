"""What the answer to a write costs, by how much of the record it shows: time of the client, and bytes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from emulating import CLIENT_ID, CLIENT_SECRET, Emulator

from coupa_provider.client.blocking import BlockingClient
from coupa_provider.client.config import CoupaConfig
from coupa_provider.client.query import encode_fields
from coupa_provider.push.run import shape_of

#: The first is what the push asks for.
SHAPES = ("what was sent", "limited", "none", "full")
_LINES = 10


@dataclass(frozen=True)
class Cost:
    """What a write cost.

    :param ms: milliseconds from call to decoded answer.
    :param size: bytes of the answer.
    """

    ms: float
    size: float


def answers(emulator: Emulator, times: int) -> dict[tuple[str, str], dict[str, Cost]]:
    """Create and update records, with each shape in turn.

    :param emulator: where to; it is emptied.
    :param times: writes of each kind, operation and shape.
    :return: by kind and operation, the median cost by shape.
    """
    emulator.configure(rate_limit=None, latency_ms=0)
    emulator.refill({"suppliers": [{"id": 1, "name": "Supplier", "number": "S"}]})
    config = CoupaConfig.from_fields(
        "coupa_default", host=emulator.url, login=CLIENT_ID, password=CLIENT_SECRET,
        extra={"requests_per_second": 10_000},
    )  # fmt: skip
    seen: dict[tuple[str, str], dict[str, list[Cost]]] = {}
    with BlockingClient(config) as client:
        for kind, record in (("suppliers", _supplier), ("invoices", _invoice)):
            created, updated = seen[kind, "create"], seen[kind, "update"] = (
                {shape: [] for shape in SHAPES},
                {shape: [] for shape in SHAPES},
            )
            # The first round only warms up. Each write is beside its like, so a busy machine slows all alike.
            for number in range((times + 1) * len(SHAPES)):
                shape = SHAPES[number % len(SHAPES)]
                created[shape].append(_timed(client, emulator, "POST", kind, record(number), shape))
                record_id = emulator.ids_of(kind)[-1]
                change = _change(client, kind, record_id)
                updated[shape].append(_timed(client, emulator, "PUT", f"{kind}/{record_id}", change, shape))
    return {
        written: {
            shape: Cost(median(cost.ms for cost in costs[1:]), median(cost.size for cost in costs[1:]))
            for shape, costs in by_shape.items()
        }
        for written, by_shape in seen.items()
    }


def _timed(
    client: BlockingClient, emulator: Emulator, method: str, path: str, body: dict[str, Any], shape: str
) -> Cost:
    asked = _asked(shape, body)
    emulator.reset_seen()
    started = time.perf_counter()
    client.call(method, path, body, params=asked)
    seconds = time.perf_counter() - started
    return Cost(seconds * 1000, emulator.seen()["bytes"])


def _asked(shape: str, body: Mapping[str, Any]) -> dict[str, str]:
    if shape == "full":
        return {}
    if shape in ("limited", "none"):
        return {"return_object": shape}
    return {"fields": encode_fields(shape_of([body]), always=["id"])}


def _supplier(number: int) -> dict[str, Any]:
    return {"name": f"Supplier {number}", "number": f"S-{number}", "account-number": f"A-{number}"}


def _invoice(number: int) -> dict[str, Any]:
    lines = [
        {"line-num": line, "description": f"Line {line}", "quantity": "2.0", "price": "10.50"}
        for line in range(1, _LINES + 1)
    ]
    return {"invoice-number": f"I-{number}", "supplier": {"number": "S"}, "invoice-lines": lines}


def _change(client: BlockingClient, kind: str, record_id: int) -> dict[str, Any]:
    if kind == "suppliers":
        return {"account-number": "changed"}
    shown = client.call("GET", f"{kind}/{record_id}", params={"fields": '[{"invoice_lines":["id"]}]'})
    return {
        "invoice-lines": [{"id": line["id"], "description": "changed"} for line in shown["invoice-lines"]]
    }
