"""Bad files: each bad row has its outcome and its reason, each bad file fails before anything is sent."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coupa_provider.client.blocking import BlockingClient
from coupa_provider.client.config import CoupaConfig
from coupa_provider.emulator import Emulator
from coupa_provider.extract.destination import Destination
from coupa_provider.extract.manifest_reader import ManifestReader
from coupa_provider.extract.run import extract_pages
from coupa_provider.push.errors import PushError
from coupa_provider.push.run import Push, push_records
from coupa_provider.push.source import FileSource, RowsSource


@pytest.fixture
def coupa(coupa):
    """The module's emulator with a payment term and nothing else."""
    coupa.load({"payment_terms": [{"id": 1, "code": "Net 30"}], "currencies": [{"id": 1, "code": "EUR"}]})
    coupa.configure(faults=None)
    coupa.reset_seen()
    return coupa


@pytest.fixture
def push(tmp_path, client):
    """Push a file: ``push(b"..", "rows.csv")``."""

    def pushing(
        content, name="rows.csv", resource="suppliers", operation="upsert", *, key=None, run="", **options
    ):
        if isinstance(content, list):
            source = RowsSource(content)
        else:
            path = tmp_path / name
            path.write_bytes(content.encode() if isinstance(content, str) else content)
            source = FileSource(LocalFileSystem(), [str(path)], f"file://{path}")
        folder = Destination(LocalFileSystem(), str(tmp_path / "out"), f"file://{tmp_path}/out")
        return push_records(client, source, Push(resource, operation, key, **options), folder, run=run)

    return pushing


def told(account) -> dict[int, str]:
    """For each row its outcome, or why it was rejected."""
    lines = Path(account.outcomes.removeprefix("file://")).read_bytes().splitlines()
    found = [json.loads(line) for line in lines]
    assert account.records == len(found) == sum(account.counts.values())
    return {line["row"]: "; ".join(line["errors"]) or line["outcome"] for line in found}


def rejected(account) -> str:
    return Path(account.rejected_file.removeprefix("file://")).read_text(
        encoding="utf-8", errors="surrogateescape"
    )


def names(coupa) -> set[str]:
    return {coupa.record("suppliers", record_id)["name"] for record_id in coupa.ids("suppliers")}


# ---- rows


def test_a_csv_file_from_a_spreadsheet(push, coupa):
    lines = [
        "number;name;on_hold;savings_pct;payment_term.code;custom_fields.tier",
        "S-1;Café;Y;1.5;Net 30;A",
        "S-2;b;perhaps;;;",
        "S-3;c;;1,5;;",
        "S-4;d;;1.234,56;;",
        ";e;;;;",
        "S-1;again;;;;",
        "S-7;g;;12a;Net 30;",
        "S-8;#N/A;;;;",
        "1.23457E+11;i;;;;",
        "S-10;j;;;Net 99;",
        ";;;;;",
        "S-12;l;n;;;;",
        'S-13;"two\r\nlines";;;;',
    ]
    account = push("\ufeff" + "\r\n".join(lines) + "\r\n")
    found = told(account)
    assert found.pop(10).startswith("Unable to find valid PaymentTerm record for payment_term with keys")
    assert found == {
        1: "created",
        2: "on-hold: the value is neither true nor false",
        3: "savings-pct: the value is no number such as 1234.56",
        4: "savings-pct: the value is no number such as 1234.56",
        5: "number, a part of the key, is missing",
        6: "the same key as row 1",
        7: "savings-pct: the value is no number such as 1234.56",
        8: "name: '#N/A' stands for no value. Leave it empty",
        9: "number: the value is a number that a spreadsheet has shortened. Export it as text",
        11: "the row holds no value",
        12: "the row has 7 cells, the header 6",
        13: "created",
    }
    assert names(coupa) == {"Café", "two\nlines"} or names(coupa) == {"Café", "two\r\nlines"}
    assert coupa.record("suppliers", coupa.ids("suppliers")[0])["on-hold"] is True
    assert sum(coupa.writes().values()) == 2  # what Coupa refused is not counted as carried out


def test_broken_lines_of_ndjson(push, coupa):
    lines = [
        '{"number": "S-1", "name": "a"}',
        "",
        '{"number": "S-2", "name": ',
        '["S-3"]',
        '{"number": "S-4", "name": "d", "nmae": "x", "on-hold": 2}',
        '{"number": "S-5", "name": "e", "name": "f"}',
        '{"number": {"a": 1}, "name": "g"}',
        '{"number": null, "name": "h"}',
        '{"name": "i"}',
        '{"number": "s-1 ", "name": "j"}',
        '{"number": 11.0, "name": "k"}',
        '{"number": "S-12", "payment-term": 17}',
        '{"number": "S-13", "payment-term": {"id": "12a"}}',
        '{"number": "' + "9" * 600 + '", "name": "n"}',
        "{}",
        '{"number": "S-16", "payment-term": {"co de": "x"}, "name": "p"}',
        '{"number": "S-17", "name": "NULL"}',
        '{"number": "S-18", "name": "r", "website": 7, "scf_configs": 1.50}',
    ]
    found = told(push("\n".join(lines), "rows.ndjson"))
    assert found.pop(3).startswith("the line is no JSON: ")
    assert found == {
        1: "created",
        4: "the line is no JSON object",
        5: "unknown attribute 'nmae' (did you mean 'name'?); on-hold: the value is neither true nor false",
        6: "the line is no JSON: an object has 'name' twice",
        7: "number: an object or list cannot be a string",
        8: "number, a part of the key, is missing",
        9: "number, a part of the key, is missing",
        10: "the same key as row 1",
        11: "created",
        12: 'payment-term: an object is needed, such as {"id": 7}',
        13: "payment-term: id: the value is no number such as 1234.56",
        14: "number, a part of the key, has 600 characters, too many to be looked up",
        15: "the row holds no value",
        16: "payment-term: 'co de' is no name of an attribute",
        17: "name: 'NULL' stands for no value. Leave it empty",
        18: "created",
    }
    assert sum(coupa.writes().values()) == 3
    assert {coupa.record("suppliers", record_id)["number"] for record_id in coupa.ids("suppliers")} == {
        "S-1",
        "11",
        "S-18",
    }


def test_parquet_from_pandas(push, coupa, tmp_path):
    table = pa.table(
        {
            "number": pa.array([4711.0, None, float("nan"), 2.0**60, 4711.0]),
            "name": ["a", "b", "c", "d", "e"],
            "savings_pct": pa.array([0.1, 0.2, 0.3, 0.4, 0.5], pa.float32()),
        }
    )
    pq.write_table(table, tmp_path / "rows.parquet")
    account = push((tmp_path / "rows.parquet").read_bytes(), "rows.parquet")
    assert told(account) == {
        1: "created",
        2: "number, a part of the key, is missing",
        3: "number: the value is no number that can be sent",
        4: "number: the value is a float so large that it has lost digits. Write it as text or whole number",
        5: "the same key as row 1",
    }
    record = coupa.record("suppliers", coupa.ids("suppliers")[0])
    assert (record["number"], record["savings-pct"]) == ("4711", "0.1")
    assert [json.loads(line)["number"] for line in rejected(account).splitlines()] == [
        None,
        "nan",
        2.0**60,
        4711.0,
    ]


def test_days_without_a_zone_are_refused(push, coupa):
    rows = [
        {"from-currency": {"code": "EUR"}, "to-currency": {"code": "EUR"}, "rate": "1.1", "rate-date": day}
        for day in ("2026-11-24", "11/24/2026", "2026-11-24 00:00:00", 45985)
    ]
    found = told(push(rows, resource="exchange_rates"))
    assert found[1] == "created"
    assert (
        found[2]
        == "rate-date: the value is no date such as 2026-11-24, and no time such as 2026-11-24T08:00:00Z"
    )
    assert "has no time zone. Add one, such as a final Z, or give the day alone" in found[3]
    assert found[4].startswith("rate-date: the value is no date such as")


@pytest.mark.parametrize("file_format", ["ndjson", "csv", "parquet"])
@pytest.mark.parametrize("resource", ["suppliers", "invoices", "exchange_rates", "accounts", "users"])
def test_an_extract_pushed_back_changes_nothing(tmp_path, resource, file_format):
    """Also what the documents do not know, and values that had no place in a column."""
    with Emulator(seed=7, scale=0.02, rate_limit=None) as emulator:
        config = CoupaConfig.from_fields(
            "coupa_test", host=emulator.url, login=emulator.client_id, password=emulator.client_secret,
            extra={"requests_per_second": 2000},
        )  # fmt: skip
        lake = Destination(LocalFileSystem(), str(tmp_path / "lake"), f"file://{tmp_path}/lake")
        out = Destination(LocalFileSystem(), str(tmp_path / "out"), f"file://{tmp_path}/out")
        with BlockingClient(config) as client:
            extract_pages(
                client.pages(resource), client.client.counters, lake, resource=resource, instance="acme",
                file_format=file_format,
            )  # fmt: skip
            shown = emulator.record(resource, emulator.ids(resource)[0])
            asked = Push(resource, "update", ["id"], undocumented=shown.keys())
            account = push_records(client, FileSource.of_extract(ManifestReader(lake)), asked, out)
        assert set(told(account).values()) == {"unchanged"}
        assert account.records == len(emulator.ids(resource))
        assert not emulator.writes()


# ---- files as a whole


@pytest.mark.parametrize(
    ("content", "name", "why"),
    [
        (b"", "rows.csv", "is empty: there is not even a header"),
        (b"number,nmae\nS-1,a\n", "rows.csv", r"unknown attribute 'nmae' \(did you mean 'name'\?\)\. Rename or leave out"),
        (b"number,supplier[id]\nS-1,7\n", "rows.csv", r"did you mean 'supplier\.id'"),
        (b"account-number,account_number\n1,2\n", "rows.csv", "are the same attribute"),
        (b"number,name\nS-1,a\nS-2,\"b\nS-3,c\n", "rows.csv", r"a quote that is opened in row 2 \(line 3\)"),
        ("number,näme\n".encode("latin-1"), "rows.csv", "not UTF-8"),
        ("number,name\nS-1,a\n".encode("utf-16"), "rows.csv", "perhaps UTF-16"),
        (b'[{"number": "S-1"}]', "rows.json", "holds an array"),
        (b'{\n  "number": "S-1"\n}', "rows.json", "over several lines"),
        (gzip.compress(b"number,name\nS-1,a\n" * 100, mtime=0)[:-9], "rows.csv.gz", "cannot be read to its end"),
        (b"", "rows.ndjson.gz", "cannot be read to its end"),
        (b"PAR1", "rows.parquet", "cannot be read to its end"),
        (b"number,name\nS-1,a\n", "rows.xls", "does not tell its format"),
    ],
)  # fmt: skip
def test_nothing_is_sent_of_a_file_that_is_wrong_as_a_whole(push, coupa, tmp_path, content, name, why):
    with pytest.raises(PushError, match=why):
        push(content, name)
    assert coupa.seen()["requests"] == 0
    assert not coupa.writes()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "name"), [(b"number,name\n", "rows.csv"), (b"", "rows.ndjson"), ([], "")]
)
def test_no_rows_are_no_failure(push, coupa, content, name):
    account = push(content, name)
    assert told(account) == {}
    assert coupa.seen()["requests"] == 0


@pytest.mark.parametrize("operation", ["create", "upsert"])
def test_an_id_is_no_key_of_what_is_not_there(push, coupa, operation):
    with pytest.raises(PushError, match=rf"finds only what is there.*{operation} needs another key"):
        push([{"id": 7, "name": "a"}], key=["id"], operation=operation)
    assert told(push([{"id": 7, "name": "a"}], key=["id"], operation="update")) == {
        1: "there is no record with this key"
    }


# ---- back again


def test_every_bad_row_comes_back_as_it_stood(push, coupa):
    text = (
        "number,name,savings-pct\n"
        'S-1,"a ""b""\nc, d",12a\n'
        'S-2,x,y,z\n'
        '"S-3" q,x,1\n'
        "S-4,é,2\n"
        " 007 ,NULL,1.50\n"
    )  # fmt: skip
    back = rejected(push(text.encode()))
    assert list(csv.reader(io.StringIO(back))) == [
        ["number", "name", "savings-pct", "_row", "_errors"],
        ["S-1", 'a "b"\nc, d', "12a", "1", "savings-pct: the value is no number such as 1234.56"],
        ["S-2", "x", "y", "z", "2", "the row has 4 cells, the header 3"],
        ['"S-3" q,x,1', "3", "the row is no CSV: ',' expected after '\"'"],
        [" 007 ", "NULL", "1.50", "5", "name: 'NULL' stands for no value. Leave it empty"],
    ]
    # Pushed as it is, it is rejected again; mended, it is taken.
    assert push(back, "rejected.csv").counts["rejected"] == 4
    mended = back.replace("12a", "12").replace("NULL", "Bond").replace("S-2,x,y,z", "S-2,x,5")
    mended = mended.replace('"""S-3"" q,x,1"', "S-3,q,1")
    assert set(told(push(mended, "mended.csv")).values()) == {"created"}
    assert names(coupa) == {'a "b"\nc, d', "x", "q", "é", "Bond"}


def test_numbers_of_rejected_ndjson_keep_their_digits(push, coupa):
    line = '{ "number": "S-1", "name": "NULL", "savings-pct": 1.50, "custom-fields": {"x": 0.10000000000000000001} }'
    back = rejected(push(line, "rows.ndjson"))
    assert back.startswith('{"_row":1,"_errors":["name: \'NULL\'')
    assert back.endswith(line[1:] + "\n")
    twice = rejected(push(back, "rejected.ndjson"))
    for text in ("1.50", "0.10000000000000000001"):
        assert f": {text}" in back
        assert f":{text}" in twice
    assert json.loads(twice)["_row"] == 1
    assert told(push(twice.replace("NULL", "Bond"), "mended.ndjson")) == {1: "created"}


def test_lines_that_are_no_json_come_back_as_text(push, coupa):
    back = rejected(push(b'{"number": "S-1", "name": "\xe4"}\n[1]\n', "rows.ndjson"))
    first, second = map(json.loads, back.splitlines())
    assert first["_line"] == '{"number": "S-1", "name": "\ufffd"}'
    assert second["_line"] == "[1]"
    assert set(told(push(back, "rejected.ndjson")).values()) == {
        "the row still holds the line that could not be read: mend it and take its place"
    }


@pytest.mark.parametrize("ending", ["csv", "ndjson", "parquet"])
def test_mended_rows_of_every_format_are_taken(push, coupa, tmp_path, ending):
    rows = [
        {"number": f"S-{n}", "name": "NULL" if n % 2 else f"N {n}", "savings-pct": "1.50"}
        for n in range(1, 7)
    ]
    if ending == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
        content = (tmp_path / "rows.parquet").read_bytes()
    elif ending == "csv":
        content = "number,name,savings-pct\n" + "".join(",".join(row.values()) + "\n" for row in rows)
    else:
        content = "".join(json.dumps(row) + "\n" for row in rows)
    first = push(content, f"rows.{ending}")
    assert (first.counts["created"], first.counts["rejected"]) == (3, 3)
    back = rejected(first)
    for n in (1, 3, 5):
        back = back.replace("NULL", f"N {n}", 2 if "'NULL'" in back else 1).replace(f"'N {n}'", "'x'")
    again = push(back, "mended." + ("csv" if ending == "csv" else "ndjson"))
    assert again.counts["created"] == 3, told(again)
    assert names(coupa) == {f"N {n}" for n in range(1, 7)}
    assert {coupa.record("suppliers", n)["savings-pct"] for n in coupa.ids("suppliers")} == {"1.50"}


# ---- whatever may come

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8"), max_size=6)
    | st.sampled_from(["S-1", "12a", "2026-11-24", '{"id": 1}', "a,b", "\x00", "Net 30"]),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(st.sampled_from(["id", "code", "name", "a b", "", "_x", "custom-fields", "ü"]), inner, max_size=2),
    max_leaves=5,
)  # fmt: skip
NAMES = st.sampled_from(
    ["number", "name", "id", "on-hold", "savings-pct", "payment-term", "payment_term.code", "business-groups", "tags",
     "custom-fields", "custom_fields.x", "primary-address", "invoice-emails", "nonsense", "status", "_cancel", "", "a b"]
)  # fmt: skip
ROWS = st.dictionaries(NAMES, JSON, max_size=4) | JSON


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(ROWS, max_size=12),
    st.sampled_from([None, ["name"], []]),
    st.sampled_from(["create", "upsert", "update"]),
)
def test_no_row_whatever_it_holds_stops_the_others(push, coupa, rows, key, operation):
    if key == [] and operation != "create":
        key = ["number"]
    lines = "".join(json.dumps(row, ensure_ascii=False).replace("\n", " ") + "\n" for row in rows)
    lines = '{"number": "first", "name": "first"}\n' + lines + '{"number": "last", "name": "last"}\n'
    account = push(lines, "rows.ndjson", operation=operation, key=key)
    found = told(account)
    assert found.keys() == set(range(1, len(rows) + 3))
    if operation != "update":
        assert {found[1], found[len(rows) + 2]} <= {
            "created",
            "unchanged",
            "updated",
            "the same key as row 1",
        } | {text for text in found.values() if "exists" in text or "taken" in text or "several" in text}
