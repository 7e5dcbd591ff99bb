"""What a load promises, on every database."""

from __future__ import annotations

import logging
import re
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from coupa_provider.extract.drift import Drift
from coupa_provider.extract.errors import ExtractError
from coupa_provider.load import staging
from coupa_provider.load.errors import LoadError, TableError
from coupa_provider.load.run import load_manifests
from tests.load.extracts import IDS, INVOICES, LINES, invoice, line, write_extract


def widened(**columns):
    """Return the columns of invoices with others behind them."""
    return pa.schema([*INVOICES, *(pa.field(name, kind) for name, kind in columns.items())])


def test_makes_schema_and_table_with_a_key(database, tmp_path):
    counts = database.load(write_extract(tmp_path / "a", [invoice(1), invoice(2)], parts=2))
    assert database.numbers() == [(1, "INV-1"), (2, "INV-2")]
    assert (counts.staged, counts.inserted, counts.updated) == (2, 2, 0)
    assert counts.columns_added == {}
    with pytest.raises(Exception, match=r"(?i)duplicate key"):
        database.execute("INSERT INTO coupa.invoices (id) VALUES (1)")


def test_a_table_without_a_schema_goes_where_the_connection_points(database, tmp_path):
    database.load(write_extract(tmp_path / "a", [invoice(1)]), table="invoices")
    database.load(write_extract(tmp_path / "b", [invoice(2)]), table="invoices")
    assert database.query("SELECT id FROM invoices ORDER BY id") == [(1,), (2,)]


def test_an_extract_without_rows_still_makes_the_table(database, tmp_path):
    counts = database.load(write_extract(tmp_path / "a", []))
    assert (counts.staged, database.numbers()) == (0, [])


def test_newer_rows_replace_and_new_ones_come_in(database, tmp_path):
    database.load(write_extract(tmp_path / "a", [invoice(1), invoice(2)]))
    counts = database.load(write_extract(tmp_path / "b", [invoice(2, 1, "changed"), invoice(3)]))
    assert database.numbers() == [(1, "INV-1"), (2, "changed"), (3, "INV-3")]
    assert (counts.inserted, counts.updated, counts.unchanged, counts.older) == (1, 1, 0, 0)


def test_an_older_extract_loaded_late_overwrites_nothing(database, tmp_path):
    early = write_extract(tmp_path / "a", [invoice(1, 0, "early"), invoice(2, 0, "early")])
    late = write_extract(tmp_path / "b", [invoice(1, 1, "late")])
    database.load(late)
    counts = database.load(early)
    assert database.numbers() == [(1, "late"), (2, "early")]
    assert (counts.inserted, counts.updated, counts.older) == (1, 0, 1)


def test_with_equal_stamps_the_loaded_row_wins(database, tmp_path):
    database.load(write_extract(tmp_path / "a", [invoice(1, 0, "first")]))
    counts = database.load(write_extract(tmp_path / "b", [invoice(1, 0, "second")]))
    assert database.numbers() == [(1, "second")]
    assert counts.updated == 1


@pytest.mark.parametrize(("before", "after"), [(None, 0), (0, None), (None, None)])
def test_without_a_stamp_on_either_side_the_loaded_row_wins(database, tmp_path, before, after):
    database.load(write_extract(tmp_path / "a", [invoice(1, before, "first")]))
    database.load(write_extract(tmp_path / "b", [invoice(1, after, "second")]))
    assert database.numbers() == [(1, "second")]


def test_without_a_column_of_stamps_the_loaded_row_wins(database, tmp_path):
    bare = pa.schema([("id", pa.int64()), ("number", pa.string())])
    database.load(write_extract(tmp_path / "a", [invoice(1, 5, "first")]))
    database.load(write_extract(tmp_path / "b", [{"id": 1, "number": "second"}], bare))
    assert database.numbers() == [(1, "second")]
    assert database.numbers(["updated_at"]) == [(invoice(1, 5)["updated_at"],)]


def test_the_same_extract_again_changes_nothing(database, tmp_path):
    lines = {"invoice_lines": ([line(1, 0), line(1, 1)], LINES)}
    extract = write_extract(tmp_path / "a", [invoice(1), invoice(2, None)], children=lines)
    database.load(extract)
    before = database.numbers(["*"]), database.query("SELECT * FROM coupa.invoices_invoice_lines")
    counts = database.load(extract)
    assert (counts.inserted, counts.updated, counts.unchanged) == (0, 0, 2)
    after = database.numbers(["*"]), database.query("SELECT * FROM coupa.invoices_invoice_lines")
    assert after == before


def test_only_ids_are_a_table_too(database, tmp_path):
    for expected in ((2, 0), (0, 2)):
        counts = database.load(write_extract(tmp_path / "a", [{"id": 1}, {"id": 2}], IDS))
        assert (counts.inserted, counts.unchanged) == expected


def test_new_columns_are_added_and_missing_ones_are_left(database, tmp_path):
    database.load(
        write_extract(tmp_path / "a", [invoice(1, paid=True), invoice(2)], widened(paid=pa.bool_()))
    )
    counts = database.load(
        write_extract(
            tmp_path / "b", [invoice(1, 1, total=Decimal("1.5"))], widened(total=pa.decimal128(38, 10))
        )
    )
    assert counts.columns_added == {"coupa.invoices": ["total"]}
    assert database.columns("invoices") == ["id", "updated_at", "number", "paid", "total"]
    assert [(row[0], Decimal(row[1] or 0), row[2]) for row in database.numbers(["id", "total", "paid"])] == [
        (1, Decimal("1.5"), True),
        (2, 0, None),
    ]


def test_columns_of_others_are_left_as_they_are(database, tmp_path):
    database.load(write_extract(tmp_path / "a", [invoice(1)]))
    database.execute(
        "ALTER TABLE coupa.invoices ADD COLUMN checked_by varchar(20)",
        "UPDATE coupa.invoices SET checked_by = 'me'",
    )
    database.load(write_extract(tmp_path / "b", [invoice(1, 1, "changed")]))
    assert database.numbers(["number", "checked_by"]) == [("changed", "me")]


def test_another_type_is_refused_by_name_and_nothing_is_retyped(database, tmp_path):
    database.load(write_extract(tmp_path / "a", [invoice(1)]))
    odd = pa.schema([("id", pa.int64()), ("number", pa.int64()), ("new", pa.int64())])
    with pytest.raises(TableError) as caught:
        database.load(write_extract(tmp_path / "b", [{"id": 1, "number": 7, "new": 1}], odd))
    message = str(caught.value)
    for part in ("number", "coupa.invoices", "int64", "bigint", "ALTER TABLE", "another table"):
        assert part in message
    assert "text" in message or "varchar" in message
    assert database.columns("invoices") == ["id", "updated_at", "number"]


def test_fewer_digits_after_the_point_are_refused(database, tmp_path):
    for name, scale in (("a", 10), ("b", 10), ("c", 9)):
        database.load(write_extract(tmp_path / name, [invoice(1)], widened(total=pa.decimal128(38, scale))))
    with pytest.raises(
        TableError, match=r"total of coupa.invoices is \w+\(38,10\), but .* decimal128\(38, 11\)"
    ):
        database.load(write_extract(tmp_path / "d", [invoice(1)], widened(total=pa.decimal128(38, 11))))


def test_a_number_with_too_many_digits_for_the_table_is_refused_and_not_told(database, tmp_path):
    database.load(write_extract(tmp_path / "a", [invoice(1)], widened(total=pa.decimal128(38, 10))))
    secret = Decimal("98765432109876543210987654321")
    rows = [invoice(1, 1, total=secret)]
    with pytest.raises(LoadError) as caught:
        database.load(write_extract(tmp_path / "b", rows, widened(total=pa.decimal128(38, 9))))
    assert "98765" not in str(caught.value)
    assert "coupa.invoices" in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_table_without_an_id_is_refused(database, tmp_path):
    database.execute("CREATE SCHEMA coupa", "CREATE TABLE coupa.invoices (number varchar(20))")
    with pytest.raises(TableError, match="without a column id"):
        database.load(write_extract(tmp_path / "a", [invoice(1)]))
    assert database.columns("invoices") == ["number"]


def test_a_table_without_a_key_is_refused_until_it_has_one(database, tmp_path):
    database.execute(
        "CREATE SCHEMA coupa",
        "CREATE TABLE coupa.invoices (id bigint NOT NULL, number varchar, UNIQUE (number, id))",
        "INSERT INTO coupa.invoices VALUES (1, 'a'), (1, 'b')",
    )
    extract = write_extract(tmp_path / "a", [invoice(1), invoice(2)])
    with pytest.raises(TableError) as caught:
        database.load(extract)
    remedy = re.search(r"ALTER TABLE .*\(\"id\"\)", str(caught.value))[0]
    database.execute("DELETE FROM coupa.invoices WHERE number = 'b'")
    database.execute(remedy)
    assert database.load(extract).updated == 1
    assert database.numbers() == [(1, "INV-1"), (2, "INV-2")]


def test_lines_are_replaced_with_their_record(database, tmp_path):
    def lines(*rows):
        return {"invoice_lines": (rows, LINES)}

    first = write_extract(
        tmp_path / "a",
        [invoice(1), invoice(2), invoice(3), invoice(4)],
        children=lines(line(1, 0), line(1, 1), line(2, 0), line(3, 0), line(4, 0)),
    )
    # 1 has one line less, 2 has none any more, 3 comes too late, 4 is not in it.
    second = write_extract(
        tmp_path / "b",
        [invoice(1, 1), invoice(2, 1), invoice(3, -1)],
        children=lines(line(1, 0, "other"), line(3, 0, "too late")),
    )
    assert database.load(first).lines == {"coupa.invoices_invoice_lines": 5}
    assert database.load(second).lines == {"coupa.invoices_invoice_lines": 1}
    rows = database.query(
        "SELECT _parent_id, _position, description FROM coupa.invoices_invoice_lines ORDER BY 1, 2"
    )
    assert rows == [(1, 0, "other"), (3, 0, "3/0"), (4, 0, "4/0")]


def test_lines_change_with_a_record_that_did_not(database, tmp_path):
    for name, text in (("a", "before"), ("b", "after")):
        lines = {"invoice_lines": ([line(1, 0, text)], LINES)}
        counts = database.load(write_extract(tmp_path / name, [invoice(1)], children=lines))
    assert counts.unchanged == 1
    assert database.query("SELECT description FROM coupa.invoices_invoice_lines") == [("after",)]


def test_lines_that_coupa_no_longer_shows_are_left(database, tmp_path, caplog):
    lines = {"invoice_lines": ([line(1, 0)], LINES)}
    database.load(write_extract(tmp_path / "a", [invoice(1)], children=lines))
    hidden = write_extract(
        tmp_path / "b",
        [invoice(1, 1, "changed")],
        children={"invoice_lines": ([], LINES)},
        drift=Drift(rows=1, never_seen=["invoice-lines"]),
    )
    assert database.load(hidden).lines == {}
    assert database.query("SELECT _parent_id FROM coupa.invoices_invoice_lines") == [(1,)]
    assert database.numbers() == [(1, "changed")]
    assert "no record of the extract has invoice-lines" in caplog.text


@pytest.mark.parametrize("tables", [{"own": "coupa.invoices"}, {"own": "coupa.invoices_invoice_lines"}])
def test_a_table_takes_one_kind_of_rows(database, tmp_path, tables):
    lines = {"own": ([line(1, 0)], LINES), "invoice_lines": ([line(1, 0)], LINES)}
    with pytest.raises(TableError, match=r"coupa\.invoices\w* is to take two kinds of rows"):
        database.load(write_extract(tmp_path / "a", [invoice(1)], children=lines), child_tables=tables)
    assert database.tables() == []


def test_tables_of_lines_can_be_named_and_get_new_columns(database, tmp_path):
    tables = {"invoice_lines": "lines.of_invoices"}
    lines = {"invoice_lines": ([line(1, 0)], LINES), "tax_lines": ([line(1, 0)], LINES)}
    database.load(write_extract(tmp_path / "a", [invoice(1)], children=lines), child_tables=tables)
    wider = pa.schema([*LINES, pa.field("price", pa.int64())])
    lines = {"invoice_lines": ([line(1, 0) | {"price": 7}], wider)}
    counts = database.load(write_extract(tmp_path / "b", [invoice(1)], children=lines), child_tables=tables)
    assert counts.columns_added == {"lines.of_invoices": ["price"]}
    assert database.query("SELECT price FROM lines.of_invoices") == [(7,)]
    assert database.tables() == ["invoices", "invoices_tax_lines", "of_invoices"]


def test_deletions_delete_records_and_their_lines(database, tmp_path):
    lines = {"invoice_lines": ([line(1, 0), line(2, 0)], LINES), "own": ([line(1, 0), line(2, 0)], LINES)}
    tables = {"own": "coupa.own_lines"}
    database.load(
        write_extract(tmp_path / "a", [invoice(1), invoice(2)], children=lines), child_tables=tables
    )
    # By its name this could hold lines; by its columns it does not.
    database.execute("CREATE TABLE coupa.invoices_payments (id bigint)")
    gone = write_extract(tmp_path / "b", [{"id": 1}, {"id": 9}], IDS, kind="deletions")
    counts = database.load(gone, child_tables=tables)
    assert (counts.staged, counts.deleted) == (2, 1)
    assert database.numbers() == [(2, "INV-2")]
    for table in ("invoices_invoice_lines", "own_lines"):
        assert database.query(f"SELECT _parent_id FROM coupa.{table}") == [(2,)]
    assert database.load(gone, child_tables=tables).deleted == 0


def test_deletions_from_a_table_that_does_not_exist_delete_nothing(database, tmp_path):
    gone = write_extract(tmp_path / "a", [{"id": 1}], IDS, kind="deletions")
    assert database.load(gone).deleted == 0
    assert database.tables() == []


def test_several_extracts_are_loaded_in_their_order(database, tmp_path):
    lines = {"invoice_lines": ([line(1, 0)], LINES)}
    counts = database.load(
        write_extract(tmp_path / "a", [invoice(1, 0, "first"), invoice(2)], children=lines),
        write_extract(tmp_path / "b", [{"id": 1}], IDS, kind="deletions"),
        write_extract(tmp_path / "c", [invoice(1, 0, "again"), invoice(2, 1, "changed")], children=lines),
        write_extract(tmp_path / "d", [invoice(1, 0, "last")], widened(paid=pa.bool_()), children=lines),
    )
    assert database.numbers() == [(1, "last"), (2, "changed")]
    assert (counts.staged, counts.inserted, counts.updated, counts.deleted) == (6, 3, 2, 1)
    assert database.query("SELECT _parent_id FROM coupa.invoices_invoice_lines") == [(1,)]


def test_a_table_takes_one_resource(database, tmp_path):
    with pytest.raises(TableError, match="invoices, suppliers"):
        database.load(
            write_extract(tmp_path / "a", [invoice(1)]),
            write_extract(tmp_path / "b", [invoice(1)], resource="suppliers"),
        )
    with pytest.raises(TableError, match="none"):
        database.load()


def test_a_failure_in_the_middle_leaves_everything_as_it_was(database, tmp_path):
    lines = {"invoice_lines": ([line(1, 0)], LINES)}
    database.load(write_extract(tmp_path / "a", [invoice(1)], children=lines))
    tables = database.tables()
    good = write_extract(
        tmp_path / "b", [invoice(1, 1, "changed"), invoice(2)], widened(paid=pa.bool_()), children=lines
    )
    gone = write_extract(tmp_path / "c", [{"id": 1}], IDS, kind="deletions")
    broken = write_extract(tmp_path / "d", [invoice(number) for number in range(5, 9)], parts=2)
    (tmp_path / "d" / "part-00001.parquet").write_bytes(b"another file")
    with database.connect() as connection:
        with pytest.raises(ExtractError, match=r"part-00001\.parquet is not the file"):
            load_manifests(connection, [good, gone, broken], "coupa.invoices")
        # The stage is gone for the connection that made it, too.
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM information_schema.tables WHERE table_name LIKE 'coupa_stage%'"
            )
            assert cursor.fetchall() == [(0,)]
    assert database.numbers(["*"]) == [tuple(invoice(1).values())]
    assert database.columns("invoices") == ["id", "updated_at", "number"]
    assert database.query("SELECT _parent_id FROM coupa.invoices_invoice_lines") == [(1,)]
    assert database.tables() == tables


def test_a_first_load_that_fails_leaves_no_table_behind(database, tmp_path):
    with pytest.raises(LoadError, match=r"^Filling coupa.invoices failed: .*(?i:duplicate key)"):
        database.load(write_extract(tmp_path / "a", [invoice(1), invoice(1)]))
    assert database.tables() == []


@pytest.mark.parametrize("id", [1, 2])
def test_several_rows_of_one_id_are_refused(database, tmp_path, id):
    database.load(write_extract(tmp_path / "a", [invoice(1)]))
    with pytest.raises(LoadError, match=rf"several rows of id {id}\."):
        database.load(write_extract(tmp_path / "b", [invoice(id, 1, "one"), invoice(id, 1, "other")]))
    assert database.numbers() == [(1, "INV-1")]


def test_the_stage_is_gone_after_the_load(database, tmp_path):
    lines = {"invoice_lines": ([line(1, 0)], LINES)}
    with database.connect() as connection:
        load_manifests(
            connection, [write_extract(tmp_path / "a", [invoice(1)], children=lines)], "coupa.invoices"
        )
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM information_schema.tables WHERE table_name LIKE 'coupa_stage%'"
            )
            assert cursor.fetchall() == [(0,)]


def test_a_commit_that_fails_says_that_nobody_knows(database, tmp_path, monkeypatch):
    with database.connect() as connection:

        def commit(self):
            raise connection.OperationalError("gone", status_code=10)

        monkeypatch.setattr(type(connection), "commit", commit)
        with pytest.raises(LoadError, match=r"^Committing failed: .* not known; load again\."):
            load_manifests(connection, [write_extract(tmp_path / "a", [invoice(1)])], "coupa.invoices")


def test_fewer_rows_than_promised_are_no_load(database, tmp_path):
    extract = write_extract(tmp_path / "a", [invoice(1)])
    text = (tmp_path / "a" / "_manifest.json").read_text()
    assert text.count('"records": 1') == 1
    (tmp_path / "a" / "_manifest.json").write_text(text.replace('"records": 1', '"records": 2'))
    with pytest.raises(LoadError, match=r"promises 2 rows for coupa\.invoices, its files hold 1"):
        database.load(type(extract)(extract.folder))
    assert database.tables() == []


def test_every_type_comes_out_as_it_went_in(database, tmp_path):
    digits = Decimal("1234567890123456789012345678.0123456789")
    schema = pa.schema(
        [
            ("id", pa.int64()),
            ("amount", pa.decimal128(38, 10)),
            ("text", pa.string()),
            ("at", pa.timestamp("us", "UTC")),
            ("day", pa.date32()),
            ("rate", pa.float64()),
            ("paid", pa.bool_()),
        ]
    )
    values = [
        (digits, "O'Brien \"&\" Söhne\r\n\t\\N \\. ", datetime(2026, 3, 29, 1, 59, 59, 999999, UTC), date(2026, 2, 28), 0.1, True),
        (digits.copy_negate(), "😀 \u202e 日本", datetime(1, 1, 1, tzinfo=UTC), date(1, 1, 1), -1e-300, False),
        (Decimal("1E-10"), "", datetime(9999, 12, 31, 23, 59, 59, 999999, UTC), date(9999, 12, 31), 1e300, None),
        (Decimal("0E-10"), "x" * 100_000, None, None, None, None),
        (None, None, None, None, None, None),
        (Decimal("9999999999999999999999999999.9999999999"), "'); DROP TABLE x; --", None, None, float("inf"), None),
    ]  # fmt: skip
    rows = [
        dict(zip(schema.names, (id, *row), strict=True)) for id, row in enumerate((*values, values[0]), -3)
    ]
    rows[-1]["id"] = 2**63 - 1
    extract = write_extract(tmp_path / "a", rows, schema)
    for _ in range(2):
        counts = database.load(extract, table="typed")
        got = [
            tuple(
                None if value is None else Decimal(value) if place == 1 else value
                for place, value in enumerate(row)
            )
            for row in database.query("SELECT * FROM typed ORDER BY id")
        ]
        assert got == [tuple(row.values()) for row in rows]
    assert counts.unchanged == len(rows)


def test_names_that_need_quotes_mean_themselves(database, tmp_path):
    schema = pa.schema(
        [("id", pa.int64()), ("order", pa.string()), ('odd"name', pa.string()), ("a b", pa.string())]
    )
    row = {"id": 1, "order": "1", 'odd"name': "2", "a b": "3"}
    extract = write_extract(tmp_path / "a", [row], schema)
    for _ in range(2):
        database.load(extract, table='my-schema.select"; drop')
    assert database.query('SELECT * FROM "my-schema"."select""; drop"') == [(1, "1", "2", "3")]


@pytest.mark.parametrize("name", ["", "a.b.c", "coupa.", ".invoices", "coupa. "])
def test_what_is_no_name_of_a_table_is_refused(database, tmp_path, name):
    with pytest.raises(TableError, match="no name of a table"):
        database.load(write_extract(tmp_path / "a", [invoice(1)]), table=name)


def test_progress_is_logged_without_data(database, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(staging, "PROGRESS_SECONDS", 0.0)
    caplog.set_level(logging.INFO)
    database.load(write_extract(tmp_path / "a", [invoice(1, 0, "confidential"), invoice(2)], parts=2))
    messages = [record.getMessage() for record in caplog.records]
    assert "coupa.invoices: 1 of 2 rows staged" in messages
    assert "coupa.invoices: 2 inserted, 0 updated, 0 unchanged, 0 older" in messages
    assert "confidential" not in caplog.text


def test_what_the_database_says_is_told_without_data(database, tmp_path):
    database.load(write_extract(tmp_path / "a", [invoice(1)]))
    database.execute("ALTER TABLE coupa.invoices ALTER COLUMN number SET NOT NULL")
    bare = pa.schema([("id", pa.int64()), ("remark", pa.string())])
    with pytest.raises(LoadError) as caught:
        database.load(write_extract(tmp_path / "b", [{"id": 2, "remark": "confidential"}], bare))
    message = str(caught.value)
    assert message.startswith("Merging rows into coupa.invoices failed: ")
    assert "number" in message
    assert "The tables are as they were." in message
    assert "confidential" not in message
    assert caught.value.__suppress_context__
    assert database.columns("invoices") == ["id", "updated_at", "number"]
