"""Lines get a table of their own, and none is lost on the way there."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coupa_provider.extract.drift import Drift, Misfits
from coupa_provider.extract.errors import ExtractError
from coupa_provider.extract.explode import LineReader
from coupa_provider.extract.formats import make_format
from coupa_provider.extract.lines import make_children
from tests.extract.synthetic import page_of
from tests.extract.test_kinds import json_values

LINES = {"invoice-lines": None}


def write(
    folder: Path,
    *records: Any,
    resource: str = "invoices",
    explode: dict[str, list | None] = LINES,
    fields: list | None = None,
) -> tuple[dict[str, list[dict]], dict[str, Drift]]:
    """Write records and their lines, and return the rows and the drift of each table; the records' is ``""``."""
    tables = {"": make_format("parquet", resource, fields, explode=explode)}
    tables |= make_children(resource, explode, "parquet", fields)
    page = page_of(*records)
    rows, drift = {}, {}
    for name, table in tables.items():
        writer = table.open(folder / f"{name}.parquet")
        writer.write(page.records, page.ids, sum(map(len, page.records)))
        writer.finish()
        rows[name] = pq.read_table(folder / f"{name}.parquet").to_pylist()
        drift[name] = table.drift
        assert writer.rows == len(rows[name])
        owners = [row.get("_parent_id", row["id"]) for row in rows[name]]
        assert (writer.min_id, writer.max_id) == (min(owners, default=None), max(owners, default=None))
    return rows, drift


def test_lines_are_typed_as_records_are(tmp_path: Path) -> None:
    rows, drift = write(
        tmp_path,
        {
            "id": 33,
            "status": "approved",
            "invoice-lines": [
                {"id": 41, "price": "30.330", "created-at": "2024-05-03T08:00:00-07:00", "uom": {"id": 1}},
                {"id": 42, "price": "many", "plant-code": "X", "custom-fields": {"region": "EMEA"}},
            ],
        },
        {"id": 34, "status": "draft", "invoice-lines": [{"price": "1.5"}]},
    )
    assert [row["status"] for row in rows[""]] == ["approved", "draft"]
    assert "invoice_lines" not in rows[""][0]
    assert drift[""].unforeseen == drift[""].misfits == {}
    lines = [
        {name: value for name, value in row.items() if value is not None} for row in rows["invoice_lines"]
    ]
    assert lines == [
        {
            "_parent_id": 33,
            "_position": 0,
            "id": 41,
            "price": Decimal("30.330"),
            "created_at": datetime(2024, 5, 3, 15, tzinfo=UTC),
            "uom": '{"id": 1}',
        },
        {
            "_parent_id": 33,
            "_position": 1,
            "id": 42,
            "custom_fields": '{"region": "EMEA"}',
            "_extra": '{"plant-code":"X","price":"many"}',
        },
        {"_parent_id": 34, "_position": 0, "price": Decimal("1.5")},
    ]
    of_lines = drift["invoice_lines"]
    assert of_lines.rows == 3
    assert of_lines.unforeseen == {"plant-code": 1}
    assert of_lines.misfits == {"price": Misfits(1, [33])}
    assert set(of_lines.custom_fields) == {"plant-code", "custom-fields[region]"}


def test_the_first_columns_say_whose_line_it_is() -> None:
    types = make_children("invoices", LINES, "parquet", None)["invoice_lines"].types
    assert list(types)[:3] == ["_parent_id", "_position", "id"]
    assert [types[name] for name in list(types)[:3]] == ["int64"] * 3
    assert list(types)[-2:] == ["custom_fields", "_extra"]


@pytest.mark.parametrize("lines", ["", '"invoice-lines":null', '"invoice-lines":[]'])
def test_a_record_without_lines_has_none(lines: str, tmp_path: Path) -> None:
    rows, drift = write(tmp_path, "{" + ",".join(filter(None, ['"id":7', lines])) + "}")
    assert rows["invoice_lines"] == []
    assert rows[""][0]["_extra"] is None
    assert drift["invoice_lines"].rows == 0
    assert ("invoice-lines" in drift[""].never_seen) == (lines == "")


@pytest.mark.parametrize("odd", ["5", '"none"', '{"invoice-line":[{"id":1}]}', '[{"id":1},[],{"id":3},null]'])
def test_what_is_no_line_stays_with_the_record(odd: str, tmp_path: Path) -> None:
    rows, drift = write(
        tmp_path, {"id": 6, "invoice-lines": [{"id": 0}]}, f'{{"id":7,"invoice-lines":{odd}}}'
    )
    assert [row["_extra"] for row in rows[""]] == [None, f'{{"invoice-lines":{odd}}}']
    assert drift[""].misfits == {"invoice-lines": Misfits(1, [7])}
    kept = [(row["_parent_id"], row["_position"], row["id"]) for row in rows["invoice_lines"]]
    assert kept == ([(6, 0, 0), (7, 0, 1), (7, 2, 3)] if odd.startswith("[") else [(6, 0, 0)])


def test_the_other_spelling_of_a_list_counts_where_the_usual_is_missing(tmp_path: Path) -> None:
    rows, drift = write(
        tmp_path,
        {"id": 1, "invoice_lines": [{"id": 11}]},
        {"id": 2, "invoice-lines": None, "invoice_lines": [{"id": 12}]},
        {"id": 3, "invoice-LINES": [{"id": 13}]},
    )
    assert [row["id"] for row in rows["invoice_lines"]] == [11]
    assert [row["_extra"] for row in rows[""]] == [
        None,
        '{"invoice_lines":[{"id": 12}]}',
        '{"invoice-LINES":[{"id": 13}]}',
    ]
    assert drift[""].unforeseen == {"invoice_lines": 1, "invoice-LINES": 1}


def test_only_the_columns_named(tmp_path: Path) -> None:
    rows, _ = write(
        tmp_path,
        {"id": 1, "invoice-lines": [{"id": 11, "line-num": 1, "total": "2.50"}]},
        explode={"invoice_lines": ["id", "line_num"]},
    )
    (line,) = rows["invoice_lines"]
    assert line == {"_parent_id": 1, "_position": 0, "id": 11, "line_num": 1, "_extra": '{"total":"2.50"}'}


def test_what_fields_ask_of_a_list_are_its_columns() -> None:
    fields = ["id", {"invoice_lines": ["id", "total"]}, {"payments": {}}, "taggings"]
    explode = {"invoice-lines": None, "payments": None, "taggings": ["id"]}
    children = make_children("invoices", explode, "parquet", fields)
    assert list(children["invoice_lines"].types) == ["_parent_id", "_position", "id", "total", "_extra"]
    assert len(children["payments"].types) > 10
    assert list(children["taggings"].types) == ["_parent_id", "_position", "id", "_extra"]
    assert list(make_format("parquet", "invoices", fields, explode=explode).types) == ["id", "_extra"]


def test_a_list_the_documents_do_not_know(tmp_path: Path) -> None:
    explode = {"my-lines": None, "others": ["code"]}
    rows, drift = write(
        tmp_path,
        {"id": 1, "my-lines": [{"id": "5", "a": 1}], "others": [{"id": "x", "code": 1.50}, {}]},
        explode=explode,
    )
    assert rows["my_lines"] == [{"_parent_id": 1, "_position": 0, "id": 5, "_extra": '{"a":1}'}]
    assert rows["others"] == [
        {"_parent_id": 1, "_position": 0, "id": None, "code": "1.5", "_extra": '{"id":"x"}'},
        {"_parent_id": 1, "_position": 1, "id": None, "code": None, "_extra": None},
    ]
    assert drift[""].custom_fields["my-lines"].kind == "list"


@pytest.mark.parametrize(
    ("explode", "fields", "message"),
    [
        ({"supplier": None}, None, "'supplier', which is no list but a reference. Lists of invoices: .*invoice-lines"),
        ({"gross-total": None}, None, "no list but a decimal"),
        ({"invoice-lines": None}, ["id", "payments"], "fields does not ask for it"),
        ({"invoice-lines": None, "invoice_lines": None}, None, "twice"),
        ({"invoice-lines": "id"}, None, "write a list of names"),
        ({"行": None}, None, "cannot be the name of a table"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_table_is_refused(explode: dict, fields: list | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_children("invoices", explode, "parquet", fields)


@pytest.mark.parametrize("file_format", ["csv", "ndjson"])
def test_lines_are_parquet_only(file_format: str) -> None:
    for make in (
        lambda: make_children("invoices", LINES, file_format, None),
        lambda: make_format(file_format, "invoices", None, explode=LINES),
    ):
        with pytest.raises(ValueError, match=f"as Parquet only, not with file_format '{file_format}'"):
            make()
    assert make_children("invoices", {}, file_format, None) == {}


def test_a_record_that_is_none_stops_the_extract() -> None:
    with pytest.raises(ExtractError, match="Record 7 is not a JSON object"):
        LineReader("lines").read([msgspec.Raw(b"[1]")], [7])


def test_very_many_lines_of_one_page_are_written_in_bounded_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from coupa_provider.extract import formats

    monkeypatch.setattr(formats, "_BATCH_CELLS", 75 * 10)
    sizes: list[int] = []
    write_batch = formats.ParquetPart.write_batch
    monkeypatch.setattr(
        formats.ParquetPart,
        "write_batch",
        lambda part, batch: (sizes.append(len(batch)), write_batch(part, batch))[1],
    )
    rows, _ = write(tmp_path, *({"id": n, "invoice-lines": [{"id": k} for k in range(95)]} for n in (1, 2)))
    assert [(row["_parent_id"], row["_position"]) for row in rows["invoice_lines"]] == [
        (n, k) for n in (1, 2) for k in range(95)
    ]
    assert sizes == [2] + [20] * 9 + [10]


def test_another_process_goes_on(tmp_path: Path) -> None:
    page = page_of({"id": 1, "invoice-lines": [{"id": 2, "price": "?", "mine": 1}]})
    tables = [make_children("invoices", LINES, "parquet", None)["invoice_lines"] for _ in range(3)]
    alone, killed, next_try = tables
    for table in (alone, alone, killed, next_try):
        if table is next_try:
            table.resume(msgspec.json.decode(msgspec.json.encode(killed.drift), type=Drift))
        writer = table.open(tmp_path / "part")
        writer.write(page.records, page.ids, 0)
        writer.finish()
    assert next_try.drift == alone.drift
    assert next_try.drift.misfits == {"price": Misfits(2, [1, 1])}


lists = st.lists(
    st.dictionaries(st.sampled_from(["id", "price", "mine", "line-num", "type"]), json_values, max_size=4)
    | json_values,
    max_size=4,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(lists | json_values, min_size=1, max_size=5))
def test_every_entry_is_a_line_or_stays_with_the_record(sent: list[Any]) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        rows, _ = write(Path(folder), *({"id": n, "invoice-lines": value} for n, value in enumerate(sent)))
    lines = {(row["_parent_id"], row["_position"]) for row in rows["invoice_lines"]}
    assert len(lines) == len(rows["invoice_lines"])
    expected = Counter()
    for number, value in enumerate(sent):
        entries = value if isinstance(value, list) else []
        expected += Counter((number, k) for k, entry in enumerate(entries) if isinstance(entry, dict))
        whole = value is None or (
            isinstance(value, list) and all(isinstance(entry, dict) for entry in entries)
        )
        extra = json.loads(rows[""][number]["_extra"] or "{}")
        assert extra == ({} if whole else {"invoice-lines": value})
    assert lines == set(expected)
