"""The same told to keep nested values as JSON in one table, as this provider does: less work for dlt."""

from __future__ import annotations

from dlt_rest_api import load
from measuring import Task, measure


def work(task: Task) -> int:
    return load(task, max_table_nesting=0)


if __name__ == "__main__":
    measure(work)
