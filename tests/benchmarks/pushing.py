"""Pushing into the emulator: rows, what it holds of them before, and runs of candidates that are checked afterwards."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from candidate import CANDIDATES
from emulating import CLIENT_ID, CLIENT_SECRET, Emulator
from loading import run_script

_STAMP = "2026-11-20T08:00:00-08:00"
_WARM_UP_ROWS = 3


@dataclass(frozen=True)
class Kind:
    """A kind of records to push.

    :param resource: path under ``/api``.
    :param key: attribute by which one is recognised.
    :param value: attribute that is changed where rows differ.
    :param scope: what its scopes begin with.
    """

    resource: str
    key: str
    value: str
    scope: str

    def row(self, number: int, value: str = "as it was") -> dict[str, Any]:
        """Return one, as it stands in a source."""
        own = {self.key: f"B-{number}", self.value: value}
        if self.resource == "suppliers":
            website = f"https://{number}.example"
            return {**own, "name": f"Supplier {number}", "website": website, "tax-id": f"{number:08}"}
        return {**own, "type": "ReceivingQuantityConsumption", "quantity": "3.0", "price": "12.50"}


#: A second one with the same name is refused.
SUPPLIERS = Kind("suppliers", "number", "account-number", "core.supplier")
#: The same one is taken twice: no document says otherwise.
RECEIPTS = Kind("receiving_transactions", "match-reference", "barcode", "core.inventory.receiving")


@dataclass(frozen=True)
class Scenario:
    """What is pushed, and what Coupa holds already.

    :param kind: kind of the records.
    :param rows: rows of the source.
    :param held: whether Coupa holds them already.
    :param every: one of how many rows differs from what Coupa holds; 0 for none.
    """

    kind: Kind
    rows: int
    held: bool = False
    every: int = 0

    def source(self) -> list[dict[str, Any]]:
        """Return the rows."""
        return [
            self.kind.row(number, "new" if self.every and number % self.every == 0 else "as it was")
            for number in range(self.rows)
        ]

    def before(self) -> list[dict[str, Any]]:
        """Return the records that Coupa holds."""
        if not self.held:
            return []
        stamps = {"created-at": _STAMP, "updated-at": _STAMP}
        return [self.kind.row(number) | {"id": number + 1} | stamps for number in range(self.rows)]


@dataclass(frozen=True)
class Outcome:
    """What a push came to.

    :param rows: rows of the source.
    :param seconds: time on the clock.
    :param peak_bytes: most memory resident at a time, imports included.
    :param requests: requests to ``/api``.
    :param throttled: answers 429.
    :param doubles: records beyond one for a row.
    :param missing: rows that Coupa does not hold, or not as they stand in the source.
    :param mistold: rows of which the candidate tells the contrary of what Coupa holds.
    """

    rows: int
    seconds: float
    peak_bytes: int
    requests: int
    throttled: int
    doubles: int
    missing: int
    mistold: int

    @property
    def per_second(self) -> float:
        """Rows a second on the clock."""
        return self.rows / self.seconds

    @property
    def per_row(self) -> float:
        """Requests for a row."""
        return self.requests / self.rows


def run_push(
    name: str,
    emulator: Emulator,
    scenario: Scenario,
    *,
    rate_limit: float | None = None,
    latency_ms: float = 0,
    lost_writes: float = 0,
    requests_per_second: float | None = None,
    repeats: bool = True,
) -> Outcome:
    """Have a candidate push, and see what became of it.

    :param name: a file in ``candidates/``.
    :param emulator: where to; it is emptied first.
    :param scenario: what to push.
    :param rate_limit: requests a second that it lets through; None for any number.
    :param latency_ms: what each answer takes.
    :param lost_writes: share of the writes that get no answer; half of them are carried out.
    :param requests_per_second: pace to set for ours; None leaves the product's default.
    :param repeats: whether a peer repeats a create whose answer was lost.
    """
    kind = scenario.kind
    emulator.configure(rate_limit=None, latency_ms=0)
    warm_up = [kind.row(10_000_000 + number) for number in range(_WARM_UP_ROWS)]
    emulator.refill({kind.resource: scenario.before()})
    scopes = f"{kind.scope}.read {kind.scope}.write"
    extra = {"requests_per_second": requests_per_second} if requests_per_second else {}
    coupa = {
        "conn_type": "coupa",
        "host": emulator.url,
        "login": CLIENT_ID,
        "password": CLIENT_SECRET,
        "extra": {"scopes": scopes.split(), **extra},
    }
    task = {
        "url": emulator.url,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "scopes": scopes,
        "resource": kind.resource,
        "key": kind.key,
        "repeats": repeats,
    }
    with tempfile.TemporaryDirectory(prefix="coupa-benchmark-") as folder:
        _write(Path(folder, "warm_up.ndjson"), warm_up)
        _write(Path(folder, "rows.ndjson"), scenario.source())
        emulator.configure(rate_limit=rate_limit, latency_ms=latency_ms, lost_writes=lost_writes)
        report = run_script(
            CANDIDATES / f"{name}.py",
            Path(folder),
            json.dumps(task),
            AIRFLOW_CONN_COUPA_DEFAULT=json.dumps(coupa),
        )
    seen = emulator.seen()
    emulator.configure(rate_limit=None, latency_ms=0)
    return Outcome(
        rows=scenario.rows,
        seconds=report["wall_seconds"],
        peak_bytes=report["peak_bytes"],
        requests=seen["requests"],
        throttled=seen["throttled"],
        **_judged(emulator, scenario, report["told"]),
    )


def _judged(emulator: Emulator, scenario: Scenario, told: Mapping[str, bool]) -> dict[str, int]:
    kind = scenario.kind
    held: dict[str, list[str]] = {}
    for record in emulator.records(kind.resource, [kind.key, kind.value], f"{kind.scope}.read"):
        held.setdefault(record[kind.key], []).append(record[kind.value])
    there = {row[kind.key]: held.get(row[kind.key], [])[:1] == [row[kind.value]] for row in scenario.source()}
    return {
        "doubles": sum(len(held.get(key, ())) - 1 for key in there if key in held),
        "missing": sum(not is_there for is_there in there.values()),
        "mistold": sum(told.get(key) is not is_there for key, is_there in there.items()),
    }


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
