"""``python tests/benchmarks``: this provider against other ways to extract from Coupa, as ratios in one run."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version

from candidate import ROOT
from emulating import running_emulator
from measures import MEASURES, Line, Sizes

TINY = Sizes(paced=300, paced_peer=100, unpaced=150, rounds=1, few=100, many=300, imports=1, loaded=200)
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
    lines: list[Line] = []
    print(render(HEADER), flush=True)
    with running_emulator(max(sizes.paced, sizes.many, sizes.loaded)) as emulator:
        for name in arguments.measures or MEASURES:
            for line in MEASURES[name](emulator, sizes):
                lines.append(line)
                print(render(cells(line)), flush=True)
    if arguments.write:
        DOCUMENT.write_text(document(lines, sizes))
    return 0 if arguments.tiny or all(line.holds is not False for line in lines) else 1


def cells(line: Line) -> tuple[str, ...]:
    verdict = {True: "yes", False: "NO", None: ""}[line.holds]
    return line.measure, line.ours, line.peer, f"{line.ratio:.2f}", line.demand, verdict


def render(row: tuple[str, ...]) -> str:
    widths = (44, 10, 28, 7, 9, 5)
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def document(lines: list[Line], sizes: Sizes) -> str:
    table = [HEADER, ("---",) * len(HEADER), *(cells(line) for line in lines)]
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"""# Benchmarks

Measured by `make benchmark` on {datetime.now(UTC):%Y-%m-%d}, against the emulator in a process of its own, on a
machine with {os.cpu_count()} cores and {memory:.0f} GB of memory, Python {platform.python_version()};
{versions}.

{chr(10).join("| " + " | ".join(row) + " |" for row in table)}

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
"""


if __name__ == "__main__":
    sys.exit(main())
