"""``python tests/benchmarks``: this provider against other ways to use Coupa, as ratios in one run."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import chain
from math import isnan

from candidate import ROOT
from emulating import RATE_LIMIT, running_emulator
from measures import LOST, MEASURES, PUSH_PACE, Line, Sizes

TINY = Sizes(
    paced=300, paced_peer=100, unpaced=150, rounds=1, few=100, many=300, imports=1, loaded=200,
    pushed=50, pushed_paced=20, pushed_unchanged=100, pushed_peer=2, kinds=1, pushed_many=500, answers=20,
    waiting=20, waiting_rounds=1, waiting_interval=1,
)  # fmt: skip
PUSHES = ("push", "lost", "push-memory", "answers")
WAITS = ("wait",)
DOCUMENT = ROOT / "docs" / "benchmarks.md"
PACKAGES = (
    "apache-airflow",
    "adbc-driver-postgresql",
    "apache-airflow-providers-http",
    "apache-airflow-providers-postgres",
    "dlt",
    "httpx",
    "msgspec",
    "pyarrow",
    "requests",
)
HEADER = ("measure", "ours", "compared with", "ratio", "demanded", "holds")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/benchmarks", description=__doc__)
    parser.add_argument("measures", nargs="*", help=f"some of {', '.join(MEASURES)}; all by default")
    parser.add_argument("--tiny", action="store_true", help="only see that everything runs; judge nothing")
    parser.add_argument("--write", action="store_true", help=f"write {DOCUMENT.relative_to(ROOT)} as well")
    arguments = parser.parse_args()
    if unknown := set(arguments.measures) - set(MEASURES):
        parser.error(f"there is no measure {', '.join(sorted(unknown))}")
    sizes = TINY if arguments.tiny else Sizes()
    lines: dict[str, list[Line]] = {name: [] for name in MEASURES}
    print(render(HEADER), flush=True)
    with running_emulator(max(sizes.paced, sizes.many, sizes.loaded)) as emulator:
        for name in arguments.measures or MEASURES:
            for line in MEASURES[name](emulator, sizes):
                lines[name].append(line)
                print(render(cells(line)), flush=True)
    if arguments.write:
        DOCUMENT.write_text(document(lines, sizes))
    return 0 if arguments.tiny or all(line.holds is not False for line in chain(*lines.values())) else 1


def cells(line: Line) -> tuple[str, ...]:
    verdict = {True: "yes", False: "NO", None: ""}[line.holds]
    ratio = "" if isnan(line.ratio) else f"{line.ratio:.2f}"
    return line.measure, line.ours, line.peer, ratio, line.demand, verdict


def render(row: tuple[str, ...]) -> str:
    widths = (44, 10, 28, 7, 9, 5)
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def tabled(lines: Iterable[Line]) -> str:
    rows = [HEADER, ("---",) * len(HEADER), *(cells(line) for line in lines)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def document(lines: Mapping[str, Sequence[Line]], sizes: Sizes) -> str:
    pushed = tabled(chain(*(lines[name] for name in PUSHES)))
    waited = tabled(chain(*(lines[name] for name in WAITS)))
    others = tabled(chain(*(lines[name] for name in lines if name not in (*PUSHES, *WAITS))))
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"""# Benchmarks

Measured by `make benchmark` on {datetime.now(UTC):%Y-%m-%d}, against the emulator in a process of its own, on a
machine with {os.cpu_count()} cores and {memory:.0f} GB of memory, Python {platform.python_version()};
{versions}.

{others}

Every candidate runs in a fresh process, reads the same full invoices of about 13 kB, and reports on itself: CPU
time is user and system time of all its threads and children after one page was read to warm up, so imports
do not count; memory is the most that was resident, imports included. Figures of CPU and of imports are medians
of {sizes.rounds} and {sizes.imports} runs in turn, and their ratios medians of the ratios; the lower memory is the median of
as many runs as CPU. Of answers 429 and of imports the figure itself is judged: their number, and the
milliseconds. Ours is `execute` of
`CoupaToObjectStorageOperator` into a local folder, with checks, checksums and manifest.

- *requests loop*: offsets by 50, `response.json()`, a `json.dumps` line per record.
- *HttpOperator*: `pagination_function` likewise, all pages in memory, a `response_filter` that writes the lines.
- *dlt rest_api*: into its filesystem destination as Parquet with its defaults, which make a table of each kind
  of nested list; *nested as JSON* spares it that (`max_table_nesting=0`) and is nearer to what ours writes.

At the rate limit the clock runs over the whole of `execute`, and peers read
{sizes.paced_peer:,} records to our {sizes.paced:,}: theirs is one request after another, at the same pace however long it
lasts. Ours asks for 24 requests a second by default, one less than Coupa allows, so 0.96 is the most.

## Loading

{sizes.loaded:,} invoices of 38 columns go from one Parquet file on this machine into a PostgreSQL on this machine, which
writes nothing through to its disk: first into a table that is empty, then the same invoices with every row changed.
Ours is `execute` of `CoupaManifestToDatabaseOperator`, with checksums, one transaction and the comparison of stamps;
it makes the table itself. *insert_rows* is `PostgresHook.insert_rows(..., replace=True, replace_index="id")` with
the rows of the same file as Python values, committed by the thousand, into a table made with the same types and key.
Figures are medians of {sizes.rounds} runs in turn, each in a fresh process and database after a hundred rows to warm up.

## Pushing

`python tests/benchmarks {" ".join(PUSHES)}` measures these alone. Its figures are of
one run, those of milliseconds medians of {sizes.answers}.

{pushed}

Rows of five attributes go from an NDJSON file into Coupa: {sizes.pushed:,} suppliers that it does not hold,
{sizes.pushed_unchanged:,} that it holds as they are, {sizes.pushed:,} of which one in ten differs; at the rate limit
{sizes.pushed_paced:,} are created. Ours is `execute` of `ObjectStorageToCoupaOperator` (`upsert`) with journal and file of
outcomes on this machine. The emulator lies in a process of its own; afterwards its records are held against the rows
and against what the candidate tells. Where there is no limit ours asks for {PUSH_PACE:.0f} requests a second; Coupa itself
never lets through more than {RATE_LIMIT:.0f}, and ours asks it for 24. Many more are no gain: with a pace of 10,000 ours has
96 requests under way, which cost httpx 7 ms of CPU each instead of 1, and created 58 rows a second on a busy machine.
Of the memory most is Airflow; the loop, which needs none, took 33 MB for 100 rows.

- *loop*: for each row a GET by its key, then a PUT or a POST, one row after another in one `requests` session with
  one token and urllib3's `Retry(total=5, backoff_factor=1)` for 429 and 5xx, as the tutorials show. A row that fails
  all the same is noted as failed, and the loop goes on. One that compares before it sends would spare the PUT of
  rows that are unchanged: half of its requests there.
- *8 threads*: the same in a pool of threads that knows of no rate limit. It pushes {sizes.pushed_peer * 4:,} rows, the loop
  {sizes.pushed_peer:,}: their pace is the same however long they last. Eight requests at a time stand in Coupa's queue of
  20 without a 429, but nothing is left of the limit for anybody else.

With {LOST:.0%} of the writes unanswered, half of which Coupa carried out, three numbers tell what became of
{sizes.pushed:,} creates, without latency: records that are there twice; rows that are missing; rows of which the candidate
tells that they are there though they are not, or the contrary. The name of a supplier is unique, so a repeated create
looks like a failure there; of a receipt the emulator takes a second one, as no document says otherwise. *Repeats*
has urllib3 repeat POST as well (`allowed_methods=None`). *Repeats no POST* is its default: half of what it calls failed
is there all the same, and its next run finds out which half, if there is one. Ours waits up to a second before it
looks such rows up.

The last lines compare what the answer to a write may show, as time from the call to the decoded answer, one at a time and
without latency, with its size: the attributes that were sent (`fields`, as the push asks for, which holds the answer
against them), the same with of each line only what was sent of it, `return_object=limited`, `none`, or neither. Time is
the emulator's and the client's: what Coupa itself saves with less to show is not known.

## Waiting

`python tests/benchmarks {" ".join(WAITS)}` measures this alone.

{waited}

{sizes.waiting:,} invoices are waited for, each by a trigger of its own, on one event loop in a fresh process, as a triggerer has
it. After the first look, {sizes.waiting_rounds} intervals of {sizes.waiting_interval:.0f} seconds are measured; the figures are those of one. CPU time is that of
the whole process, the emulator lies in another. A minute as interval changes the figures of neither, but what they
come to: 200 requests a minute are 13 % of all that Coupa lets through. An instance is reached by TLS, for which ours
takes another 15 ms of CPU an interval.

- *HttpSensor*: `HttpSensorTrigger` of Airflow's HTTP provider, with a token in its headers. It cannot look into an answer,
  so it waits for invoices that do not come; ours and the next read the status of invoices that are there.
- *own trigger*: a client, a GET of one invoice with its `id` and `status`, a sleep. All share a token that was minted
  before; one that mints its own asks twice as often.
"""


if __name__ == "__main__":
    sys.exit(main())
