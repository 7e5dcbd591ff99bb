"""Rows of every kind of file, with the numbers by which people find them, and files that are wrong as a whole."""

from __future__ import annotations

import bz2
import datetime as dt
import gzip
import hashlib
import json
import lzma
import zipfile
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st

from coupa_provider.extract.destination import Destination
from coupa_provider.extract.manifest import File
from coupa_provider.push import source as module
from coupa_provider.push.errors import PushError
from coupa_provider.push.exact_json import read_json
from coupa_provider.push.source import FileSource, RowsSource
from tests.extract.landed import land_table

UTC = dt.UTC


@pytest.fixture
def opened(tmp_path):
    """Write a file and open it: ``opened(b"..", "rows.csv")``."""

    def opening(content: bytes | str, name: str, **options) -> FileSource:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return FileSource(LocalFileSystem(), [str(path)], f"file://{path}", **options)

    return opening


def read(source) -> list[tuple[int, object]]:
    """Number and values of each row, or what is wrong with it."""
    source.check()
    return [(row.number, row.values if row.problem is None else row.problem) for row in source.rows()]


# ---- CSV

PLAIN = [(1, {"number": "S-1", "name": "Ä"}), (2, {"number": "S-2", "name": "b"})]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("last", [True, False])
def test_csv_as_programs_write_it(opened, delimiter, end, start, last):
    lines = [delimiter.join(cells) for cells in [("number", " name "), ("S-1", "Ä"), ("S-2", "b")]]
    source = opened(start + end.join(lines) + (end if last else ""), "rows.csv")
    assert read(source) == PLAIN
    assert source.columns == ["number", "name"]


def test_cells_with_quotes_newlines_and_delimiters(opened):
    text = 'number,name\nS-1,"a ""big"" one, or two"\nS-2,"two\nlines"\nS-3,"crlf\r\ninside"\nS-4,\n,""\n'
    assert read(opened(text, "rows.csv")) == [
        (1, {"number": "S-1", "name": 'a "big" one, or two'}),
        (2, {"number": "S-2", "name": "two\nlines"}),
        (3, {"number": "S-3", "name": "crlf\r\ninside"}),
        (4, {"number": "S-4", "name": ""}),
        (5, {"number": "", "name": ""}),
    ]


def test_bad_rows_of_a_csv_file_do_not_hide_the_others(opened):
    lines = [
        b"number,name",
        b"S-1,a",
        b"S-2,b,c",
        b"S-3",
        b"",
        b"S-5,\xe4",
        b'"S-6" x,a',
        b"S-7,g,",
        b'S-8,it is 5" wide',
    ]
    assert read(opened(b"\n".join(lines), "rows.csv")) == [
        (1, {"number": "S-1", "name": "a"}),
        (2, "the row has 3 cells, the header 2"),
        (3, "the row has 1 cells, the header 2"),
        (5, "the row is not UTF-8"),
        (6, "the row is no CSV: ',' expected after '\"'"),
        (7, "the row has 3 cells, the header 2"),
        (8, {"number": "S-8", "name": 'it is 5" wide'}),
    ]


def test_rows_keep_how_they_stood(opened):
    source = opened('number,name\n"S-1" x,a\nS-2,a,b\n', "rows.csv")
    assert [row.raw for row in source.rows()] == [['"S-1" x,a'], ["S-2", "a", "b"]]
    alone = opened('number\n"S-1" x\n', "alone.csv")
    assert [row.raw for row in alone.rows()] == [['"S-1" x', ""]]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "is empty: there is not even a header"),
        ("\n\n", "is empty: there is not even a header"),
        ("number,,name\n1,2,3\n", "empty or repeated names: 'number', '', 'name'. Name each column once"),
        (",number\n0,S-1\n", "an index that pandas writes without a name is left out by index=False"),
        ("number,name,\n1,2,\n", "empty or repeated names"),
        ("number,number\n1,2\n", "empty or repeated names"),
        ('"number,name\n1,2\n', "header of .* is no CSV"),
        ('number,name\nS-1,a\nS-2,"b\nS-3,c\n', r"opened in row 2 \(line 3\) is not closed"),
        ('number,name\nS-1,"a\nS-2,b\nS-3,"c"\nS-4,d\n', r"opened in row 1 \(line 2\) is not closed"),
        ("number,näme\n1,2\n".encode("latin-1"), "header of .* is not UTF-8"),
        ("number,name\n1,2\n".encode("utf-16"), "no UTF-8 text, perhaps UTF-16"),
        ("number,name\n1,2\n".encode("utf-16-le"), "no UTF-8 text, perhaps UTF-16"),
    ],
)
def test_csv_files_that_are_wrong_as_a_whole(opened, content, told):
    with pytest.raises(PushError, match=told):
        opened(content, "rows.csv").check()


def test_a_quote_that_swallows_the_rest_of_a_large_file_is_found(opened, monkeypatch):
    """Also where the cell that it opens grows beyond what a row may have, so that its end is never seen."""
    monkeypatch.setattr(module, "_LONGEST_ROW_BYTES", 1000)
    text = 'number,name\nS-1,"a\n' + "S-2,b\n" * 1000 + 'S-3,"c"\n'
    with pytest.raises(PushError, match="opened in row 1"):
        opened(text, "rows.csv").check()


def test_a_header_alone_is_no_row(opened):
    assert read(opened("number,name\n", "rows.csv")) == []
    assert read(opened("number,name", "rows.csv")) == []


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)


@settings(deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS), max_size=8), st.sampled_from([",", ";", "\t", "|"]))
def test_what_python_writes_as_csv_is_read_back(tmp_path_factory, cells, delimiter):
    import csv

    path = tmp_path_factory.mktemp("csv") / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows([("number", "name"), *cells])
    source = FileSource(LocalFileSystem(), [str(path)], "it")
    expected = [{"number": number, "name": name} for number, name in cells]
    assert read(source) == list(enumerate(expected, 1))


# ---- NDJSON


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("start", ["", "\ufeff", "\n\n"])
def test_ndjson_counts_lines(opened, end, start):
    lines = [
        '{"a": 1}',
        "",
        '  {"a": 2}  ',
        '{"a": ',
        "[1]",
        "7",
        '{"a": NaN}',
        '{"a": 1, "a": 2}',
        '{"a": 3}',
    ]
    found = read(opened(start + end.join(lines), "rows.ndjson"))
    first = 1 + start.count("\n")
    assert [(number - first, value) for number, value in found if isinstance(value, dict)] == [
        (0, {"a": 1}), (2, {"a": 2}), (8, {"a": 3}),
    ]  # fmt: skip
    told = {number - first: value for number, value in found if isinstance(value, str)}
    assert told.keys() == {3, 4, 5, 6, 7}
    assert told[4] == told[5] == "the line is no JSON object"
    assert told[7] == "the line is no JSON: an object has 'a' twice"
    assert all(told[number].startswith("the line is no JSON: ") for number in (3, 6, 7))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.50", Decimal("1.50")),
        ("0.1000000000000000000000001", Decimal("0.1000000000000000000000001")),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("1e400", Decimal("1E+400")),
        ("-7", -7),
        ('"007"', "007"),
    ],
)
def test_digits_are_kept(text, value):
    found = read_json(f'{{"a": {text}}}')["a"]
    assert (found, str(found)) == (value, str(value))


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[1,]", "NaN", "Infinity", "{'a': 1}", b"\xff", '"\\ud800"', "9" * 5000, "[" * 100_000,
        '{"a": {"b": 1, "c": [{"d": 1, "d": 1}]}}', '{"a": 1, "\\u0061": 2}',
    ],
)  # fmt: skip
def test_what_json_does_not_say_clearly_is_refused(text):
    with pytest.raises(ValueError, match=r"\w"):
        read_json(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(JSON, st.booleans())
def test_all_json_is_read(value, is_ascii):
    try:
        text = json.dumps(value, ensure_ascii=is_ascii).encode()
    except UnicodeEncodeError:
        return  # half a letter
    if "\\ud" not in json.dumps(value) or not is_ascii:
        assert read_json(text) == value


def test_lines_are_cut_wherever_the_pieces_end(opened, monkeypatch):
    source = opened('{"a": 1}\n\n{"a": 22}\n{"a": "ä"}', "rows.ndjson")
    for size in range(1, 40):
        monkeypatch.setattr(module, "_CHUNK_BYTES", size)
        assert read(source) == [(1, {"a": 1}), (3, {"a": 22}), (4, {"a": "ä"})]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('[{"a": 1}]', "holds an array. Write one object a line"),
        ('\ufeff \n [\n{"a": 1}]', "holds an array"),
        ('{\n "a": 1\n}\n', "holds an object over several lines. Write one object a line"),
        ('{"a": 1}\n'.encode("utf-16"), "no UTF-8 text"),
    ],
)
@pytest.mark.parametrize("name", ["rows.ndjson", "rows.json", "rows.jsonl"])
def test_json_that_is_not_one_object_a_line(opened, content, told, name):
    with pytest.raises(PushError, match=told):
        opened(content, name).check()


def test_a_line_without_end_is_found_before_a_row_is_given_out(opened, monkeypatch):
    monkeypatch.setattr(module, "_LONGEST_ROW_BYTES", 1000)
    monkeypatch.setattr(module, "_CHUNK_BYTES", 100)
    with pytest.raises(PushError, match="longer than 64 MB"):
        opened('{"a": 1}\n{"a": "' + "x" * 2000 + '"}\n', "rows.ndjson").check()


def test_an_empty_ndjson_file_has_no_rows(opened):
    assert read(opened("", "rows.ndjson")) == []
    assert read(opened("\n \n", "rows.ndjson")) == []
    assert opened("", "rows.ndjson").columns is None


# ---- compressed

PACKED = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


def packed(kind: str, text: bytes, tmp_path) -> bytes:
    if kind != "zip":
        return PACKED[kind](text)
    with zipfile.ZipFile(tmp_path / "one.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("rows", text)
    return (tmp_path / "one.zip").read_bytes()


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zip"])
@pytest.mark.parametrize(
    ("name", "text"), [("rows.csv", b"a\n" + b"1\n" * 3000), ("rows.ndjson", b'{"a": "1"}\n' * 3000)]
)
def test_compressed_files(opened, tmp_path, kind, name, text):
    whole = packed(kind, text, tmp_path)
    assert read(opened(whole, f"{name}.{kind}")) == [(n, {"a": "1"}) for n in range(1, 3001)]
    for place in range(0, len(whole) - 1, max(1, len(whole) // 40)):
        with pytest.raises(PushError, match=r"cannot be read to its end|is empty"):
            opened(whole[:place], f"{name}.{kind}").check() or pytest.fail(
                "nothing was read, and nothing said"
            )


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_a_damaged_byte_of_a_compressed_file(opened, tmp_path, kind):
    lines = "".join(f'{{"a": "{hashlib.md5(bytes([n])).hexdigest()}"}}\n' for n in range(200))
    whole = bytearray(packed(kind, lines.encode(), tmp_path))
    whole[len(whole) // 2] ^= 0xFF
    with pytest.raises(PushError, match="cannot be read to its end"):
        opened(bytes(whole), f"rows.ndjson.{kind}").check()


def test_a_connection_that_breaks_is_left_to_the_next_try(opened, monkeypatch):
    source = opened('{"a": 1}\n', "rows.ndjson")

    def breaking(*arguments, **options):
        raise ConnectionResetError("reset")

    monkeypatch.setattr(LocalFileSystem, "open", breaking)
    with pytest.raises(ConnectionResetError):
        source.check()


# ---- Parquet


@pytest.fixture
def parquet(tmp_path):
    """Write a table and open it."""

    def writing(table: pa.Table, **options) -> FileSource:
        pq.write_table(table, tmp_path / "rows.parquet", **options)
        return FileSource(LocalFileSystem(), [str(tmp_path / "rows.parquet")], "file://rows.parquet")

    return writing


def test_parquet_values_are_exact(parquet):
    eight = dt.datetime(2026, 11, 24, 8, tzinfo=UTC)
    table = pa.table(
        {
            "decimal": pa.array([Decimal("1.50"), None], pa.decimal128(38, 10)),
            "big": pa.array([Decimal("12345678901234567890123456789.1"), None], pa.decimal256(60, 1)),
            "instant": pa.array([eight, None], pa.timestamp("us", "UTC")),
            "elsewhere": pa.array([eight, None], pa.timestamp("ms", "America/Los_Angeles")),
            "pandas": pa.array([1_764_000_000_123_456_789, None], pa.timestamp("ns", "UTC")),
            "naive": pa.array([dt.datetime(2026, 11, 24), None], pa.timestamp("us")),
            "day": pa.array([dt.date(2026, 11, 24), None], pa.date32()),
            "day64": pa.array([dt.date(2026, 11, 24), None], pa.date64()),
            "hour": pa.array([8 * 3600 * 10**9, None], pa.time64("ns")),
            "small": pa.array([0.1, None], pa.float32()),
            "float": pa.array([0.1, None], pa.float64()),
            "unsigned": pa.array([2**64 - 1, None], pa.uint64()),
            "word": pa.array(["ä", None], pa.dictionary(pa.int8(), pa.string())),
            "large": pa.array(["ä", None], pa.large_string()),
            "nothing": pa.array([None, None], pa.null()),
            "supplier": pa.array([{"number": "S-1", "since": 1_764_000_000_000_000_001}, None],
                                 pa.struct([("number", pa.string()), ("since", pa.timestamp("ns", "UTC"))])),
            "lines": pa.array([[{"price": Decimal("2.50")}, None], []],
                              pa.list_(pa.struct([("price", pa.decimal128(10, 2))]))),
        }
    )  # fmt: skip
    (first, values), (second, nulls) = read(parquet(table))
    assert (first, second) == (1, 2)
    assert (str(values["decimal"]), str(values["big"])) == ("1.5000000000", "12345678901234567890123456789.1")
    assert values["instant"] == values["elsewhere"] == eight
    assert values["pandas"] == dt.datetime(2025, 11, 24, 16, 0, 0, 123456, tzinfo=UTC)
    assert values["naive"].tzinfo is None
    assert values["day"] == values["day64"] == dt.date(2026, 11, 24)
    assert values["hour"] == dt.time(8)
    assert repr(values["small"]) == repr(values["float"]) == "0.1"
    assert (values["unsigned"], values["word"], values["large"]) == (2**64 - 1, "ä", "ä")
    assert values["supplier"]["since"].microsecond == 0
    assert values["lines"] == [{"price": Decimal("2.50")}, None]
    assert {name for name, value in nulls.items() if value is not None} == {"lines"}


def test_parquet_rows_are_counted_over_row_groups(parquet):
    source = parquet(pa.table({"a": list(range(5000))}), row_group_size=700)
    assert read(source) == [(n + 1, {"a": n}) for n in range(5000)]
    assert source.columns == ["a"]
    assert read(parquet(pa.table({"a": pa.array([], pa.int64())}))) == []


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (pa.array([b"x"]), r"a \(binary\).*Write them as text"),
        (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), r"a \(map<string, int64"),
        (pa.array([dt.timedelta(1)]), r"a \(duration"),
        (pa.array([[{"b": b"x"}]]), r"a \(list<"),
        (pa.array([300_000_000_000], pa.timestamp("s")), "cannot be read to its end"),
    ],
)
def test_parquet_columns_that_cannot_be_sent(parquet, column, told):
    with pytest.raises(PushError, match=told):
        parquet(pa.table({"a": column})).check()


def test_a_repeated_column_of_parquet(parquet):
    with pytest.raises(PushError, match="columns of the same name: a, a"):
        parquet(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])).check()


def test_damaged_parquet(opened, parquet, tmp_path):
    parquet(pa.table({"a": [str(n) for n in range(5000)]}))
    whole = (tmp_path / "rows.parquet").read_bytes()
    for content in (
        b"",
        b"PAR1",
        whole[: len(whole) // 2],
        whole[:-1],
        b"number,name\n",
        whole[:4] + b"\xff" * 3000 + whole[3004:],
    ):
        with pytest.raises(PushError, match=r"rows\.parquet cannot be read to its end"):
            opened(content, "rows.parquet").check()


# ---- what and where


def test_formats_are_told_by_the_ending_or_said(opened):
    for name in ("a.CSV", "a.csv.gz"):
        assert FileSource(LocalFileSystem(), [name], name).file_format == "csv"
    assert opened("a\n1\n", "rows.txt", file_format="csv").file_format == "csv"
    with pytest.raises(
        PushError, match=r"'.*rows\.xlsx' does not tell its format by \.ndjson, .*Set file_format"
    ):
        opened("", "rows.xlsx")
    with pytest.raises(PushError, match='file_format must be "ndjson", "csv" or "parquet"; got \'excel\''):
        opened("", "rows.xlsx", file_format="excel")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(
        PushError, match=r"There is no file://gone\.csv\. Look at the task that should have written it"
    ):
        FileSource(LocalFileSystem(), [str(tmp_path / "gone.csv")], "file://gone.csv").check()


@pytest.mark.parametrize("file_format", ["ndjson", "csv", "parquet"])
def test_the_files_of_an_extract_are_one_source(tmp_path, file_format):
    folder = Destination(LocalFileSystem(), str(tmp_path), f"file://{tmp_path}")
    files = []
    for part in range(3):
        path = tmp_path / f"part-{part}.{file_format}"
        ids = [part * 10 + n for n in range(3)]
        if file_format == "parquet":
            pq.write_table(pa.table({"id": ids}), path)
        elif file_format == "csv":
            path.write_text("id\n" + "".join(f"{n}\n" for n in ids))
        else:
            path.write_text("".join(f'{{"id": {n}}}\n' for n in ids))
        content = path.read_bytes()
        files.append(File(path.name, 3, len(content), hashlib.sha256(content).hexdigest(), ids[0], ids[-1]))
    extract = land_table(folder, pa.table({"id": [1]}), files=files, file_format=file_format, records=9)
    source = FileSource.of_extract(extract)
    found = read(source)
    assert [number for number, _ in found] == list(range(1, 10))
    assert [int(values["id"]) for _, values in found] == [0, 1, 2, 10, 11, 12, 20, 21, 22]
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(
        PushError, match=rf"describes another file than part-2\.{file_format}: the checksum|cannot be read"
    ):
        source.check()


def test_an_extract_without_files_has_no_rows(tmp_path):
    folder = Destination(LocalFileSystem(), str(tmp_path), f"file://{tmp_path}")
    source = FileSource.of_extract(land_table(folder, pa.table({"id": [1]}), files=[], records=0))
    assert read(source) == []
    assert source.columns is None


def test_the_checksum_is_that_of_the_content(opened):
    one = opened('{"a": 1}\n', "one.ndjson").check()
    assert opened('{"a": 1}\n', "two.ndjson").check() == one
    assert opened('{"a": 2}\n', "two.ndjson").check() != one
    assert opened(gzip.compress(b'{"a": 1}\n', mtime=1), "one.ndjson.gz").check() == one


def test_rows_in_memory():
    source = RowsSource([{"a": 1}, [2], None, {"a": Decimal("1.50")}])
    assert read(source) == [
        (1, {"a": 1}),
        (2, "the row is a list, not a dict"),
        (3, "the row is a NoneType, not a dict"),
        (4, {"a": Decimal("1.50")}),
    ]
    assert read(RowsSource(row for row in [{"a": 1}])) == [(1, {"a": 1})]
    assert RowsSource([{"a": 1}]).check() != RowsSource([{"a": 2}]).check()


@pytest.mark.parametrize("rows", ["[{}]", b"[]", {"a": 1}, 7, None])
def test_rows_that_are_none(rows):
    with pytest.raises(PushError, match="rows must be a list of dicts, not"):
        RowsSource(rows)


@pytest.mark.parametrize("value", [object(), "\ud800", {1j}])
def test_rows_without_a_json_form(value):
    with pytest.raises(PushError, match="cannot be sent as JSON"):
        RowsSource([{"a": value}]).check()
