"""Files hold what was sent, and readers other than ours agree."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coupa_provider.extract.destination import Destination
from coupa_provider.extract.drift import Drift
from coupa_provider.extract.formats import FileFormat, PartWriter, make_format
from coupa_provider.extract.manifest import Manifest
from tests.extract.synthetic import invoice_pages, page_of

Extract = Callable[..., Manifest]
per_example = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts, lambda inner: st.lists(inner, max_size=3), max_leaves=4
)


@per_example
@given(
    values=st.lists(json_values, min_size=1, max_size=5),
    indent=st.sampled_from([None, 2]),
    crlf=st.booleans(),
)
def test_ndjson_is_what_coupa_sent(values: list, indent: int | None, crlf: bool, tmp_path: Path) -> None:
    sent = [
        json.dumps({"id": n, "näme": value}, indent=indent, ensure_ascii=False)
        for n, value in enumerate(values)
    ]
    if crlf:
        sent = [text.replace("\n", "\r\n") for text in sent]
    page = page_of(*sent)
    path = tmp_path / "part.ndjson"
    writer = make_format("ndjson", "things", None).open(path)
    writer.write(page.records, page.ids, 0)
    writer.write(page.records, page.ids, 0)
    writer.finish()
    lines = path.read_bytes().split(b"\n")
    expected = [text.replace("\r", "").replace("\n", "").encode() for text in sent]
    assert lines == [*expected, *expected, b""]
    assert [json.loads(line) for line in lines[:-1]] == 2 * [
        {"id": n, "näme": v} for n, v in enumerate(values)
    ]


def test_parquet_as_others_read_it(extract: Extract, local: Destination) -> None:
    pages = list(invoice_pages(230))
    manifest = extract(pages, local, resource="invoices", file_format="parquet")
    (file,) = manifest.files
    table = pq.read_table(local.path_of(file.name))
    assert {field.name: str(field.type) for field in table.schema} == manifest.columns
    assert table.column("id").to_pylist() == list(range(1, 231))
    sent = [json.loads(bytes(record)) for page in pages for record in page.records]
    for record, row in zip(sent, table.to_pylist(), strict=True):
        gross = record["gross-total"]
        assert row["gross_total"] == (gross and Decimal(gross))
        shown = record["invoice-date"]
        assert row["invoice_date"] == (shown and datetime.fromisoformat(shown).astimezone(UTC))
        assert row["invoice_date_day"] == (shown and date.fromisoformat(shown[:10]))
        assert json.loads(row["invoice_lines"]) == record["invoice-lines"]
        assert json.loads(row["_extra"])["is-credit-note"] == record["is-credit-note"]
    statistics = pq.ParquetFile(local.path_of(file.name)).metadata.row_group(0).column(0).statistics
    assert (statistics.min, statistics.max) == (1, 230)


CSV_TEXTS = ["plain", "", 'a "quote"', "comma, here", "two\r\nlines", " spaced ", "=1+1", "ünïcode", "null"]


def test_csv_as_others_read_it(extract: Extract, local: Destination) -> None:
    records = [{"id": n, "name": text} for n, text in enumerate(CSV_TEXTS, 1)]
    records.append(
        {"id": 50, "name": None, "created-at": "2024-05-01T08:00:00-07:00", "parent": {"a": "b,c"}}
    )
    records.append(
        {"id": 51, "on-hold": True, "savings-pct": "1.50", "created-at": "2024-05-01T08:00:00.25Z"}
    )
    manifest = extract([page_of(*records)], local, file_format="csv")
    path = Path(local.path_of(manifest.files[0].name))
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, strict=True))
    assert list(rows[0]) == list(manifest.columns)
    assert [row["name"] for row in rows[: len(CSV_TEXTS)]] == CSV_TEXTS
    assert rows[-2]["created_at"] == "2024-05-01T15:00:00Z"
    assert json.loads(rows[-2]["parent"]) == {"a": "b,c"}
    assert rows[-1]["created_at"] == "2024-05-01T08:00:00.250000Z"
    assert rows[-1]["on_hold"] == "true"
    assert path.read_bytes().count(b"\r\n") == len(records) + 1 + 1  # one of them within a text
    nulls = pyarrow.csv.ConvertOptions(
        strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""]
    )
    parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
    names = pyarrow.csv.read_csv(path, convert_options=nulls, parse_options=parse).column("name").to_pylist()
    assert names == [*CSV_TEXTS, None, None]


@per_example
@given(values=st.lists(st.none() | texts, min_size=1, max_size=6))
def test_csv_keeps_every_text(values: list[str | None], tmp_path: Path) -> None:
    page = page_of(*({"id": n, "name": value} for n, value in enumerate(values)))
    path = tmp_path / "part.csv"
    writer = make_format("csv", "suppliers", ["name"]).open(path)
    writer.write(page.records, page.ids, 0)
    writer.finish()
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file, strict=True)
    assert header == ["id", "name", "_extra"]
    assert rows == [[str(n), value or "", ""] for n, value in enumerate(values)]


@given(value=st.decimals(allow_nan=False, allow_infinity=False))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_csv_keeps_decimals_as_sent(value: Decimal, tmp_path: Path) -> None:
    page = page_of({"id": 1, "gross-total": str(value)})
    path = tmp_path / "part.csv"
    fmt = make_format("csv", "invoices", ["gross-total"])
    writer = fmt.open(path)
    writer.write(page.records, page.ids, 0)
    writer.finish()
    with path.open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    if fmt.drift.misfits:  # exponents of five digits
        assert json.loads(row["_extra"]) == {"gross-total": str(value)}
    else:
        assert row["gross_total"] == str(value)


@pytest.mark.parametrize("file_format", ["parquet", "csv"])
def test_wide_and_many_records_are_written_in_bounded_batches(
    file_format: str, extract: Extract, local: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    from coupa_provider.extract import formats

    monkeypatch.setattr(formats, "_BATCH_CELLS", 60 * 180)
    monkeypatch.setattr(formats, "_ROW_GROUP_BYTES", 1_200_000)
    manifest = extract(invoice_pages(500, distinct=20), local, resource="invoices", file_format=file_format)
    path = local.path_of(manifest.files[0].name)
    if file_format == "parquet":
        assert pq.ParquetFile(path).metadata.num_row_groups == 3  # of two batches of 100, the last of one
        assert pq.read_table(path).num_rows == 500
    else:
        with Path(path).open(newline="") as file:
            assert [int(row["id"]) for row in csv.DictReader(file)] == list(range(1, 501))


@pytest.mark.parametrize("file_format", ["ndjson", "parquet", "csv"])
def test_another_process_goes_on_after_a_part(file_format: str, tmp_path: Path) -> None:
    first = [{"id": 5, "name": "A", "mine": 1}, {"id": 2, "name": ["odd"]}]
    second = [{"id": 9, "mine": "x", "status": None, "on-hold": "?"}]

    def write(format_: FileFormat, records: list[dict]) -> PartWriter:
        page = page_of(*records)
        writer = format_.open(tmp_path / "part")
        writer.write(page.records, page.ids, 0)
        writer.finish()
        return writer

    alone, killed, next_try = (make_format(file_format, "suppliers", None) for _ in range(3))
    for records in (first, second):
        write(alone, records)
    writer = write(killed, first)
    assert (writer.rows, writer.min_id, writer.max_id) == (2, 2, 5)
    if killed.drift is not None:
        next_try.resume(msgspec.json.decode(msgspec.json.encode(killed.drift), type=Drift))
    write(next_try, second)
    assert next_try.drift == alone.drift
    if file_format != "ndjson":
        assert next_try.drift.rows == 3
        assert next_try.drift.unforeseen == {"mine": 2}
        assert set(next_try.drift.misfits) == {"name", "on-hold"}
        assert not {"name", "status", "on-hold"} & set(next_try.drift.never_seen)


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="file_format 'xlsx' is not one of parquet, ndjson, csv"):
        make_format("xlsx", "invoices", None)
