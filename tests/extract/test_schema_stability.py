"""The columns of a release stay as they are, unless someone says so.

``python -m tests.extract.test_schema_stability`` writes down the columns as they are now.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from coupa_provider.extract.lines import make_children
from coupa_provider.extract.schema import schema_of
from coupa_provider.resources.catalog import resource_paths

WRITTEN_DOWN = Path(__file__).with_name("schemas.json")
RESOURCES = ("invoices", "purchase_orders", "suppliers")
LISTS = {"invoices": "invoice-lines", "purchase_orders": "order-lines"}
CHANGED = (
    "Tables that users have made from extracts no longer fit. If that is meant, tell them in CHANGELOG.md which columns "
    "changed, and write the new ones down: python -m tests.extract.test_schema_stability"
)


def tables() -> dict[str, dict[str, str]]:
    """Columns and types of the tables that most people load."""
    found = {resource: schema_of(resource).types for resource in RESOURCES}
    for resource, attribute in LISTS.items():
        children = make_children(resource, {attribute: None}, "parquet", None)
        found |= {name: table.types for name, table in children.items()}
    return found


def checksum() -> str:
    """One checksum of the columns of all documented resources, in both forms."""
    types = [
        list(schema_of(resource, decimals_as_text=as_text).types.items())
        for resource in resource_paths()
        for as_text in (False, True)
    ]
    return hashlib.sha256(json.dumps(types).encode()).hexdigest()


@pytest.mark.parametrize("table", tables())
def test_columns(table: str) -> None:
    before = json.loads(WRITTEN_DOWN.read_text())["tables"][table]
    now = tables()[table]
    changes = sorted({*before.items()} ^ {*now.items()})
    assert not changes, f"{table}: {CHANGED}"
    assert list(now) == list(before), f"{table}, the order of the columns: {CHANGED}"


def test_columns_of_all_resources() -> None:
    assert checksum() == json.loads(WRITTEN_DOWN.read_text())["checksum of all resources"], CHANGED


if __name__ == "__main__":
    content = {"checksum of all resources": checksum(), "tables": tables()}
    WRITTEN_DOWN.write_text(json.dumps(content, indent=1) + "\n")
