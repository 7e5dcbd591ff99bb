"""What the answer to a write costs, by how much of the record it shows: time of the client, and bytes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from emulating import CLIENT_ID, CLIENT_SECRET, Emulator

from coupa_provider.client.blocking import BlockingClient
from coupa_provider.client.config import CoupaConfig
from coupa_provider.client.query import encode_fields
from coupa_provider.push.run import _shape

#: The first is what the push asks for; pared, it would name what was sent of each line, too.
SHAPES = ("what was sent", "lines pared", "limited", "none", "full")
_BLOCK = 20
_LINES = 10


@dataclass
class Cost:
    """What a write cost on average.

    :param ms: milliseconds from call to decoded answer.
    :param size: bytes of the answer.
    """

    ms: float
    size: float


def answers(emulator: Emulator, times: int) -> dict[tuple[str, str], dict[str, Cost]]:
    """Create and update records, with each shape in turn.

    :param emulator: where to; it is emptied.
    :param times: writes of each kind, operation and shape.
    :return: by kind and operation, the cost by shape.
    """
    emulator.configure(rate_limit=None, latency_ms=0)
    emulator.refill({"suppliers": [{"id": 1, "name": "Supplier", "number": "S"}]})
    config = CoupaConfig.from_fields(
        "coupa_default", host=emulator.url, login=CLIENT_ID, password=CLIENT_SECRET,
        extra={"requests_per_second": 10_000},
    )  # fmt: skip
    blocks = max(1, times // _BLOCK)
    costs: dict[tuple[str, str], dict[str, Cost]] = {}
    with BlockingClient(config) as client:
        for kind, record in (("suppliers", _supplier), ("invoices", _invoice)):
            costs[kind, "create"] = {shape: Cost(0.0, 0.0) for shape in SHAPES}
            costs[kind, "update"] = {shape: Cost(0.0, 0.0) for shape in SHAPES}
            number = 0
            for block in range(blocks + 1):
                if block == 1:  # the first only warmed up
                    costs[kind, "create"] = {shape: Cost(0.0, 0.0) for shape in SHAPES}
                    costs[kind, "update"] = {shape: Cost(0.0, 0.0) for shape in SHAPES}
                for shape in SHAPES:
                    records = [record(number + each) for each in range(_BLOCK)]
                    number += _BLOCK
                    made = _block(
                        client,
                        emulator,
                        costs[kind, "create"][shape],
                        "POST",
                        [kind] * _BLOCK,
                        records,
                        shape,
                    )
                    ids = [one["id"] for one in made if one] or emulator.ids_of(kind)[-_BLOCK:]
                    changes = [_change(client, kind, record_id) for record_id in ids]
                    paths = [f"{kind}/{record_id}" for record_id in ids]
                    _block(client, emulator, costs[kind, "update"][shape], "PUT", paths, changes, shape)
    for figures in costs.values():
        for cost in figures.values():
            cost.ms, cost.size = cost.ms / blocks / _BLOCK, cost.size / blocks / _BLOCK
    return costs


def _block(
    client: BlockingClient,
    emulator: Emulator,
    cost: Cost,
    method: str,
    paths: list[str],
    bodies: list[dict[str, Any]],
    shape: str,
) -> list[Any]:
    emulator.reset_seen()
    started = time.perf_counter()
    made = [
        client.call(method, path, body, params=_asked(shape, body))
        for path, body in zip(paths, bodies, strict=True)
    ]
    cost.ms += (time.perf_counter() - started) * 1000
    cost.size += emulator.seen()["bytes"]
    return made


def _asked(shape: str, body: Mapping[str, Any]) -> dict[str, str]:
    if shape == "full":
        return {}
    if shape in ("limited", "none"):
        return {"return_object": shape}
    fields = _shape([body])
    if shape == "lines pared":
        fields = [
            {name: _shape(body[name]) for name in entry}
            if isinstance(entry, dict) and "invoice-lines" in entry
            else entry
            for entry in fields
        ]
    return {"fields": encode_fields(fields, always=["id"])}


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
