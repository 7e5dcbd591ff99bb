"""What is measured, and what is demanded of it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from math import nan
from statistics import median

from answering import SHAPES, answers
from candidate import run
from emulating import RATE_LIMIT, Emulator, running_emulator
from importing import added_seconds
from loading import Seconds, postgresql_is_here, prepared
from pushing import RECEIPTS, SUPPLIERS, Outcome, Scenario, run_push
from waiting import run_wait

LATENCY_MS = 300.0
#: A write to an instance on the same continent.
PUSH_LATENCY_MS = 100.0
#: What ours may ask for where the emulator has no limit: little more than eight threads reach at that latency.
PUSH_PACE = 100.0
#: Share of the writes that get no answer.
LOST = 0.05
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
    :param pushed: pushed by ours without a rate limit, and where answers are lost.
    :param pushed_paced: created by ours at the rate limit: about 45 seconds.
    :param pushed_unchanged: pushed by ours though Coupa holds them already.
    :param pushed_peer: pushed by a loop; four times as many by its threads.
    :param kinds: so many of the formats, resources and states of affairs of a measure.
    :param pushed_many: for the higher memory; the lower is that of a tenth.
    :param answers: writes of each kind, operation and shape of the answer.
    :param waiting: records waited for, each by a trigger of its own.
    :param waiting_rounds: intervals for which they are.
    :param waiting_interval: its seconds.
    """

    paced: int = 60_000
    paced_peer: int = 2_000
    unpaced: int = 10_000
    rounds: int = 3
    few: int = 20_000
    many: int = 200_000
    imports: int = 15
    loaded: int = 50_000
    pushed: int = 2_000
    pushed_paced: int = 1_000
    pushed_unchanged: int = 10_000
    pushed_peer: int = 150
    kinds: int = 3
    pushed_many: int = 50_000
    answers: int = 150
    waiting: int = 200
    waiting_rounds: int = 4
    waiting_interval: float = 5.0


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
    for file_format in ("ndjson", "parquet")[: sizes.kinds]:
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


def pushing(emulator: Emulator, sizes: Sizes) -> Iterator[Line]:
    """Rows a second on the clock against an instance that is away, without and with Coupa's rate limit."""
    contests = (
        ("created", Scenario(SUPPLIERS, sizes.pushed), Scenario(SUPPLIERS, sizes.pushed_paced)),
        ("unchanged", Scenario(SUPPLIERS, sizes.pushed_unchanged, held=True), None),
        ("10 % changed", Scenario(SUPPLIERS, sizes.pushed, held=True, every=10), None),
    )
    with running_emulator(None) as emulator:
        for limit, pace, where in ((None, PUSH_PACE, "no limit"), (RATE_LIMIT, None, "25 requests/s")):
            place: dict[str, float | None] = {"rate_limit": limit, "latency_ms": PUSH_LATENCY_MS}
            for title, scenario, paced in contests[: sizes.kinds]:
                ours = run_push(
                    "push_ours", emulator, (limit and paced) or scenario, requests_per_second=pace, **place
                )
                if ours.doubles or ours.missing or ours.mistold:
                    raise RuntimeError(f"ours did not do its work: {ours}")
                what, mine = f"rows/s {title}, 100 ms, {where}", f"{ours.per_second:,.1f}"
                if limit and title == "created":
                    yield Line(what, mine, f"the limit: {limit:.0f}", ours.per_second / limit, ">= 0.9")
                for name, peer, times in (("push_loop", "loop", 1), ("push_threads", "8 threads", 4)):
                    theirs = run_push(
                        name, emulator, replace(scenario, rows=sizes.pushed_peer * times), **place
                    )
                    told = f"{peer}: {theirs.per_second:,.1f}"
                    yield Line(what, mine, told, ours.per_second / theirs.per_second)
                    if limit:
                        yield Line(
                            "answers 429 of those",
                            f"{ours.throttled}",
                            f"{peer}: {theirs.throttled}",
                            ours.throttled,
                            "<= 0",
                        )
                    elif name == "push_loop":
                        per_row = f"{ours.per_row:.2f}", f"{peer}: {theirs.per_row:.2f}"
                        yield Line("requests for a row of those", *per_row, ours.per_row / theirs.per_row)


def lost_answers(emulator: Emulator, sizes: Sizes) -> Iterator[Line]:
    """Rows that Coupa holds twice, does not hold, or of which a candidate tells the contrary."""
    peers = (
        ("push_loop", "loop, repeats", True),
        ("push_loop", "loop, repeats no POST", False),
        ("push_threads", "8 threads, repeat", True),
    )
    with running_emulator(None) as emulator:
        for kind, title in ((RECEIPTS, "receipts"), (SUPPLIERS, "suppliers"))[: sizes.kinds]:
            scenario = Scenario(kind, sizes.pushed)
            ours = run_push("push_ours", emulator, scenario, lost_writes=LOST, requests_per_second=UNPACED)
            what = f"{sizes.pushed:,} {title}: twice / missing / told wrong"
            wrong = ours.doubles + ours.missing + ours.mistold
            for name, peer, repeats in peers:
                theirs = run_push(name, emulator, scenario, lost_writes=LOST, repeats=repeats)
                yield Line(what, _wrongs(ours), f"{peer}: {_wrongs(theirs)}", wrong, "<= 0")
                seconds = f"{ours.seconds:.1f}", f"{peer}: {theirs.seconds:.1f}"
                yield Line("seconds for those", *seconds, ours.seconds / theirs.seconds)


def push_memory(emulator: Emulator, sizes: Sizes) -> Iterator[Line]:
    """Most memory at many rows against that at few."""
    with running_emulator(None) as emulator:
        few, many = (
            run_push(
                "push_ours", emulator, Scenario(SUPPLIERS, rows, held=True), requests_per_second=UNPACED
            ).peak_bytes
            for rows in (sizes.pushed_many // 10, sizes.pushed_many)
        )
    yield Line(
        f"peak memory at {sizes.pushed_many:,} rows pushed",
        _megabytes(many),
        f"at {sizes.pushed_many // 10:,}: {_megabytes(few)}",
        many / few,
        "<= 1.2",
    )


def answer_shapes(emulator: Emulator, sizes: Sizes) -> Iterator[Line]:
    """What the answer to a write costs, by how much of the record it shows."""
    with running_emulator(None) as emulator:
        for (kind, operation), figures in answers(emulator, sizes.answers).items():
            ours = figures[SHAPES[0]]
            for shape in SHAPES[1:]:
                theirs = figures[shape]
                yield Line(
                    f"ms to {operation} {kind}, answer shows what was sent",
                    f"{ours.ms:.2f} ({ours.size:,.0f} B)",
                    f"{shape}: {theirs.ms:.2f} ({theirs.size:,.0f} B)",
                    ours.ms / theirs.ms,
                )


def waiting(emulator: Emulator, sizes: Sizes) -> Iterator[Line]:
    """What hundreds that wait cost one event loop and Coupa, in each interval."""
    emulator.configure(rate_limit=None, latency_ms=0)
    extent = (sizes.waiting, sizes.waiting_rounds, sizes.waiting_interval)
    ours = run_wait("wait_ours", emulator, *extent)
    who = f"{sizes.waiting} who wait, an interval"
    for name, title in (("wait_http_sensor", "HttpSensor"), ("wait_loop", "own trigger")):
        peer = run_wait(name, emulator, *extent)
        fewer = ours.requests / peer.requests
        yield Line(
            f"requests for {who}", f"{ours.requests:,.1f}", f"{title}: {peer.requests:,.0f}", fewer, "<= 0.05"
        )
        yield Line(
            f"CPU ms for {who}",
            f"{ours.cpu_seconds * 1000:,.0f}",
            f"{title}: {peer.cpu_seconds * 1000:,.0f}",
            ours.cpu_seconds / peer.cpu_seconds,
            "<= 0.5",
        )


MEASURES: dict[str, Measure] = {
    "limit": at_the_limit,
    "cpu": per_cpu_second,
    "memory": peak_memory,
    "imports": import_time,
    "load": loading,
    "push": pushing,
    "lost": lost_answers,
    "push-memory": push_memory,
    "answers": answer_shapes,
    "wait": waiting,
}


def _megabytes(size: float) -> str:
    return f"{size / 1e6:,.0f} MB"


def _wrongs(outcome: Outcome) -> str:
    return f"{outcome.doubles} / {outcome.missing} / {outcome.mistold}"
