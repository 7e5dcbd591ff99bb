"""Airflow's own PostgresHook: the Parquet file as rows of Python, through ``insert_rows`` with ``replace``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from airflow.providers.postgres.hooks.postgres import PostgresHook
from measuring_loads import measure

from coupa_provider.load.postgresql import PostgreSQL


def load(extract: Path, table: str) -> None:
    file = pq.ParquetFile(extract / "part-00000.parquet")
    names = file.schema_arrow.names
    hook = PostgresHook()
    columns = ", ".join(f'"{field.name}" {PostgreSQL().sql_type(field.type)}' for field in file.schema_arrow)
    hook.run(f"CREATE TABLE IF NOT EXISTS {table} ({columns}, PRIMARY KEY (id))")
    hook.insert_rows(table, rows_of(file), target_fields=names, replace=True, replace_index="id")


def rows_of(file: pq.ParquetFile) -> Iterator[tuple[Any, ...]]:
    for batch in file.iter_batches(10_000):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


if __name__ == "__main__":
    measure(load)
