"""Databases to load into: each test that asks for ``database`` runs on all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.load.databases import Database, DuckDBFile, PostgreSQLServer


@pytest.fixture(params=["duckdb", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """An empty database."""
    if request.param == "duckdb":
        return DuckDBFile(tmp_path / "warehouse.duckdb")
    return PostgreSQLServer(request.getfixturevalue("postgresql"))


@pytest.fixture
def server(postgresql) -> PostgreSQLServer:
    """An empty database on PostgreSQL, for what only it does."""
    return PostgreSQLServer(postgresql)


@pytest.fixture
def duckdb(tmp_path: Path) -> DuckDBFile:
    """An empty database of DuckDB, for what only it does."""
    return DuckDBFile(tmp_path / "warehouse.duckdb")
