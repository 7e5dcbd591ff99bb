"""What is measured, and what is demanded of it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import nan
from statistics import median

from candidate import run
from emulating import RATE_LIMIT, Emulator
from importing import added_seconds
from loading import Seconds, postgresql_is_here, prepared

LATENCY_MS = 300.0
#: Coupa gives 50 records for a request: the most that its rate limit lets through in a second.
RECORDS_AT_LIMIT = RATE_LIMIT * 50
#: So fast that only the work counts; the product allows it on loopback only.
UNPACED = 10_000.0


@dataclass(frozen=True)
class Sizes:
    """How much is read, in records, and how often.

    :param paced: by ours at the rate limit: about 50 seconds.
    :param paced_peer: by each peer there; its rate is the same however long it runs.
    :param unpaced: by each where CPU is measured.
    :param rounds: rounds of those; the median counts.
    :param few: for the lower memory.
    :param many: for the higher memory.
    :param imports: fresh processes that import.
    :param loaded: loaded into a database.
    """

    paced: int = 60_000
    paced_peer: int = 2_000
    unpaced: int = 10_000
    rounds: int = 3
    few: int = 20_000
    many: int = 200_000
    imports: int = 15
    loaded: int = 50_000


@dataclass(frozen=True)
class Line:
    """A line of the result.

    :param measure: what was measured.
    :param ours: figure of this provider, as text.
    :param peer: whom it is compared with, and its figure.
    :param ratio: ours to theirs.
    :param demand: bound on it, such as ``>= 2``; empty where it is only shown.
    """

    measure: str
    ours: str
    peer: str
    ratio: float
    demand: str = ""
    holds: bool | None = field(init=False)

    def __post_init__(self) -> None:
        compare, bound = self.demand.split() if self.demand else ("", "0")
        held = {">=": operator.ge, "<=": operator.le}[compare](self.ratio, float(bound)) if compare else None
        object.__setattr__(self, "holds", held)


Measure = Callable[[Emulator, Sizes], Iterator[Line]]


def at_the_limit(emulator: Emulator, sizes: Sizes) -> Iterator[Line]:
    """Records a second against an instance that is far away and limits requests, as Coupa does."""
    emulator.configure(rate_limit=RATE_LIMIT, latency_ms=LATENCY_MS)
    emulator.reset_seen()
    ours = run("ours", emulator, sizes.paced)
    throttled = emulator.throttled()
    what = f"records/s at {LATENCY_MS:.0f} ms and {RATE_LIMIT:.0f} requests/s"
    mine = f"{ours.per_second:,.0f}"
    yield Line(
        what, mine, f"the limit: {RECORDS_AT_LIMIT:,.0f}", ours.per_second / RECORDS_AT_LIMIT, ">= 0.9"
    )
    yield Line("answers 429 of those", f"{throttled}", "none", throttled, "<= 0")
    for name, title in (("plain_loop", "requests loop"), ("http_operator", "HttpOperator")):
        peer = run(name, emulator, sizes.paced_peer)
        yield Line(what, mine, f"{title}: {peer.per_second:,.0f}", ours.per_second / peer.per_second)


def per_cpu_second(emulator: Emulator, sizes: Sizes) -> Iterator[Line]:
    """Records a second of CPU, where nothing is waited for."""
    emulator.configure(rate_limit=None, latency_ms=0)
    contests = (
        ("ndjson", "plain_loop", "requests loop", ">= 2"),
        ("ndjson", "http_operator", "HttpOperator", ""),
        ("parquet", "dlt_rest_api", "dlt rest_api", ">= 4"),
        ("parquet", "dlt_flat", "dlt, nested as JSON", ""),
    )
    figures: dict[tuple[str, str], list[float]] = {}
    for _ in range(sizes.rounds):
        for file_format in ("ndjson", "parquet"):
            for name in ("ours", *(peer for form, peer, *_ in contests if form == file_format)):
                pace = UNPACED if name == "ours" else None
                report = run(name, emulator, sizes.unpaced, file_format=file_format, requests_per_second=pace)
                figures.setdefault((file_format, name), []).append(report.per_cpu_second)
    for file_format, name, title, demand in contests:
        ours, peer = figures[file_format, "ours"], figures[file_format, name]
        yield Line(
            f"records per CPU second, {file_format}",
            f"{median(ours):,.0f}",
            f"{title}: {median(peer):,.0f}",
            median(mine / theirs for mine, theirs in zip(ours, peer, strict=True)),
            demand,
        )


def peak_memory(emulator: Emulator, sizes: Sizes) -> Iterator[Line]:
    """Most memory at many records against that at few."""
    emulator.configure(rate_limit=None, latency_ms=0)
    for file_format in ("ndjson", "parquet"):
        few, many = (
            median(
                run("ours", emulator, size, file_format=file_format, requests_per_second=UNPACED).peak_bytes
                for _ in range(times)
            )
            for size, times in ((sizes.few, sizes.rounds), (sizes.many, 1))
        )
        yield Line(
            f"peak memory at {sizes.many:,} records, {file_format}",
            _megabytes(many),
            f"at {sizes.few:,}: {_megabytes(few)}",
            many / few,
            "<= 1.2",
        )


def import_time(emulator: Emulator, sizes: Sizes) -> Iterator[Line]:
    """What the DAG processor pays for each file, in milliseconds."""
    added = median(added_seconds() for _ in range(sizes.imports)) * 1000
    yield Line(
        "importing every operator module adds", f"{added:.1f} ms", "BaseOperator: 0 ms", added, "<= 50"
    )


def loading(emulator: Emulator, sizes: Sizes) -> Iterator[Line]:
    """Rows a second into PostgreSQL, on the clock."""
    contests = (
        ("first", "into an empty table"),
        ("update", "over a full table"),
    )
    if not postgresql_is_here():
        yield Line("loading", "not measured", "no PostgreSQL server: apt-get install postgresql", nan)
        return
    ours: list[Seconds] = []
    peers: list[Seconds] = []
    with prepared(emulator, sizes.loaded) as loads:
        for _ in range(sizes.rounds):
            ours.append(loads.run("load_ours"))
            peers.append(loads.run("load_insert_rows"))
    for name, title in contests:
        mine, theirs = ([getattr(each, name) for each in runs] for runs in (ours, peers))
        yield Line(
            f"rows/s loaded {title}",
            f"{sizes.loaded / median(mine):,.0f}",
            f"insert_rows: {sizes.loaded / median(theirs):,.0f}",
            median(slow / quick for quick, slow in zip(mine, theirs, strict=True)),
            ">= 4",
        )


MEASURES: dict[str, Measure] = {
    "limit": at_the_limit,
    "cpu": per_cpu_second,
    "memory": peak_memory,
    "imports": import_time,
    "load": loading,
}


def _megabytes(size: float) -> str:
    return f"{size / 1e6:,.0f} MB"
