"""The same loop in a pool of eight threads, which know of no rate limit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from measuring_pushes import Push, measure
from push_loop import push_row, session_of


def work(push: Push) -> dict[str, bool]:
    session, rows = session_of(push), push.rows()
    with ThreadPoolExecutor(8) as threads:
        told = threads.map(lambda row: push_row(session, push, row), rows)
        return {row[push.key]: done for row, done in zip(rows, told, strict=True)}


if __name__ == "__main__":
    measure(work)
