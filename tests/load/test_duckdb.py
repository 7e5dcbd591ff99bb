"""What only DuckDB does."""

from __future__ import annotations

import pytest

from coupa_provider.load import run
from coupa_provider.load.errors import LoadError
from tests.load.extracts import invoice, write_extract


def test_names_do_not_heed_capitals(duckdb, tmp_path):
    duckdb.execute(
        "CREATE SCHEMA Coupa", "CREATE TABLE Coupa.Invoices (ID bigint PRIMARY KEY, Number varchar)"
    )
    counts = duckdb.load(write_extract(tmp_path / "a", [invoice(1)]))
    assert counts.columns_added == {"coupa.invoices": ["updated_at"]}
    assert duckdb.numbers() == [(1, "INV-1")]


def test_nul_is_a_character_like_others(duckdb, tmp_path):
    extract = write_extract(tmp_path / "a", [invoice(1, 0, "a\0b")])
    for unchanged in (0, 1):
        assert duckdb.load(extract).unchanged == unchanged
    assert duckdb.numbers() == [(1, "a\0b")]


def test_of_two_loads_at_once_one_fails_and_can_be_repeated(duckdb, tmp_path, monkeypatch):
    import adbc_driver_duckdb.dbapi

    duckdb.load(write_extract(tmp_path / "a", [invoice(1)]))
    late = write_extract(tmp_path / "b", [invoice(1, 1, "late")])
    early = write_extract(tmp_path / "c", [invoice(1, 2, "later")])
    with adbc_driver_duckdb.dbapi.connect(str(duckdb.path)) as one, one.adbc_clone() as other:
        merge = run.merge_records

        def meanwhile(*arguments):
            monkeypatch.setattr(run, "merge_records", merge)
            run.load_manifests(other, [early], "coupa.invoices")
            return merge(*arguments)

        monkeypatch.setattr(run, "merge_records", meanwhile)
        with pytest.raises(
            LoadError, match=r"^Merging rows into coupa\.invoices failed: TransactionContext Error"
        ):
            run.load_manifests(one, [late], "coupa.invoices")
        assert run.load_manifests(one, [late], "coupa.invoices").older == 1
    assert duckdb.numbers() == [(1, "later")]


def test_an_index_of_others_is_heeded_and_its_values_are_not_told(duckdb, tmp_path):
    duckdb.load(write_extract(tmp_path / "a", [invoice(1, 0, "confidential")]))
    duckdb.execute("CREATE UNIQUE INDEX own ON coupa.invoices (number)")
    with pytest.raises(LoadError, match=r"(?i)duplicate key") as caught:
        duckdb.load(write_extract(tmp_path / "b", [invoice(2, 0, "confidential")]))
    assert "confidential" not in str(caught.value)
    assert duckdb.numbers() == [(1, "confidential")]
