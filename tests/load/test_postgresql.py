"""What only PostgreSQL does, or only there can be tested: locks, lengths, characters, rights."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from coupa_provider.load import run
from coupa_provider.load.errors import LoadError, TableError
from tests.load.extracts import INVOICES, LINES, invoice, line, write_extract

pytestmark = pytest.mark.postgresql


def test_loads_at_once_into_a_table_that_does_not_exist_yet(server, tmp_path):
    """All make schema, table and columns; the newest row of each id stays, whoever comes last."""
    extracts = []
    for number in range(8):
        wider = pa.schema([*INVOICES, pa.field(f"own_{number}", pa.int64())])
        rows = [invoice(id, hours=(id * 7 + number * 3) % 8, number=str(number)) for id in range(200)]
        lines = {"invoice_lines": ([line(id, 0, str(number)) for id in range(200)], LINES)}
        extracts.append(write_extract(tmp_path / str(number), rows, wider, children=lines))
    start = threading.Barrier(8)

    def load(extract):
        start.wait()
        return server.load(extract)

    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(load, extracts))
    assert sum(each.inserted for each in counts) == 200
    newest = {id: max(range(8), key=lambda number: (id * 7 + number * 3) % 8) for id in range(200)}
    assert server.numbers() == [(id, str(newest[id])) for id in range(200)]
    lines = server.query("SELECT _parent_id, description FROM coupa.invoices_invoice_lines ORDER BY 1")
    assert lines == [(id, str(newest[id])) for id in range(200)]
    assert len(server.columns("invoices")) == len(INVOICES) + 8


def test_loads_at_once_into_tables_of_a_schema_that_does_not_exist_yet(server, tmp_path):
    extracts = [write_extract(tmp_path / str(number), [invoice(1)]) for number in range(6)]
    start = threading.Barrier(6)

    def load(number):
        start.wait()
        return server.load(extracts[number], table=f"coupa.t{number}")

    with ThreadPoolExecutor(6) as pool:
        assert [each.inserted for each in pool.map(load, range(6))] == [1] * 6


def test_others_read_while_a_load_runs_and_see_nothing_of_it(server, tmp_path, monkeypatch):
    server.load(write_extract(tmp_path / "a", [invoice(1)]))
    seen = []
    merge = run.merge_records

    def look(*arguments):
        merged = merge(*arguments)
        seen.append(server.numbers())
        return merged

    monkeypatch.setattr(run, "merge_records", look)
    server.load(write_extract(tmp_path / "b", [invoice(1, 1, "changed"), invoice(2)]))
    assert seen == [[(1, "INV-1")]]
    assert server.numbers() == [(1, "changed"), (2, "INV-2")]


def test_others_do_not_write_while_a_load_runs(server, tmp_path, monkeypatch):
    server.load(write_extract(tmp_path / "a", [invoice(1)]))
    refused = []
    merge = run.merge_records

    def write(*arguments):
        with pytest.raises(Exception, match="lock timeout") as caught:
            server.execute("SET lock_timeout = '100ms'", "INSERT INTO coupa.invoices (id) VALUES (2)")
        refused.append(caught)
        return merge(*arguments)

    monkeypatch.setattr(run, "merge_records", write)
    server.load(write_extract(tmp_path / "b", [invoice(2)]))
    assert len(refused) == 1
    assert server.numbers() == [(1, "INV-1"), (2, "INV-2")]


@pytest.mark.parametrize("first", [True, False])
def test_a_text_with_nul_is_refused_by_column_and_id(server, tmp_path, first):
    if not first:
        server.load(write_extract(tmp_path / "a", []))
    rows = [invoice(1), invoice(7, 0, "confi\0dential"), invoice(8)]
    with pytest.raises(TableError, match=r"U\+0000, which is in number of id 7\.") as caught:
        server.load(write_extract(tmp_path / "b", rows))
    assert "dential" not in str(caught.value)


def test_a_name_that_would_be_cut_is_refused(server, tmp_path):
    long = "ä" * 32
    wider = pa.schema([*INVOICES, pa.field(long, pa.int64())])
    with pytest.raises(TableError, match=rf"The name {long} has more than the 63 bytes"):
        server.load(write_extract(tmp_path / "a", [], wider))
    server.load(write_extract(tmp_path / "b", [invoice(1)]), table="t" * 63)
    with pytest.raises(TableError, match="63 bytes"):
        server.load(write_extract(tmp_path / "c", [invoice(1)]), table="t" * 64)


def test_types_that_hold_the_same_are_taken(server, tmp_path):
    server.execute(
        "CREATE SCHEMA coupa",
        "CREATE TABLE coupa.invoices (id bigint, updated_at timestamptz(6), number varchar, total numeric)",
        "CREATE UNIQUE INDEX own ON coupa.invoices (id)",
    )
    wider = pa.schema([*INVOICES, pa.field("total", pa.decimal128(38, 12))])
    with pytest.raises(TableError, match=r"updated_at of coupa\.invoices is timestamp\(6\) with time zone"):
        server.load(write_extract(tmp_path / "a", [invoice(1)], wider))
    server.execute("ALTER TABLE coupa.invoices ALTER COLUMN updated_at TYPE timestamptz")
    server.load(write_extract(tmp_path / "b", [invoice(1)], wider))
    server.execute("ALTER TABLE coupa.invoices ALTER COLUMN number TYPE varchar(40)")
    with pytest.raises(TableError, match=r"number of coupa\.invoices is character varying\(40\)"):
        server.load(write_extract(tmp_path / "c", [invoice(1)], wider))


def test_a_schema_that_exists_needs_no_right_to_make_one(server, tmp_path):
    role = f"loader_{server.place.dbname}"
    server.execute(
        "CREATE SCHEMA coupa",
        f"CREATE ROLE {role} LOGIN PASSWORD 'loader-secret'",
        f"GRANT USAGE, CREATE ON SCHEMA coupa TO {role}",
    )
    server.place = dataclasses.replace(server.place, user=role, password="loader-secret")
    extract = write_extract(tmp_path / "a", [invoice(1)])
    assert server.load(extract).inserted == 1
    with pytest.raises(LoadError, match=r"^Making room in other\.invoices failed: permission denied"):
        server.load(extract, table="other.invoices")


def test_an_index_of_others_is_heeded_and_its_values_are_not_told(server, tmp_path):
    server.load(write_extract(tmp_path / "a", [invoice(1, 0, "confidential")]))
    server.execute("CREATE UNIQUE INDEX own ON coupa.invoices (number)")
    with pytest.raises(LoadError, match=r"violates unique constraint \"own\" \(SQLSTATE 23505\)") as caught:
        server.load(write_extract(tmp_path / "b", [invoice(2, 0, "confidential")]))
    assert "confidential" not in str(caught.value)
    assert server.numbers() == [(1, "confidential")]


def test_a_server_that_goes_away_is_told(server, tmp_path, monkeypatch):
    server.load(write_extract(tmp_path / "a", [invoice(1)]))
    merge = run.merge_records

    def cut(*arguments):
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return merge(*arguments)

    monkeypatch.setattr(run, "merge_records", cut)
    with pytest.raises(LoadError, match=r"^Merging rows into coupa\.invoices failed: "):
        server.load(write_extract(tmp_path / "b", [invoice(1, 1, "changed")]))
    assert server.numbers() == [(1, "INV-1")]
