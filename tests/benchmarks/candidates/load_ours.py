"""This provider, as a DAG uses it: ``execute`` of its operator."""

from __future__ import annotations

from pathlib import Path

from measuring_loads import measure

from coupa_provider.transfers.coupa_manifest_to_database import CoupaManifestToDatabaseOperator


def load(extract: Path, table: str) -> None:
    CoupaManifestToDatabaseOperator(task_id="load", manifest=f"file://{extract}", table=table).execute({})


if __name__ == "__main__":
    measure(load)
