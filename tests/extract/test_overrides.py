"""A user's types make columns, and what does not fit them is kept."""

from __future__ import annotations

import csv
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coupa_provider.extract.drift import Drift, Misfits
from coupa_provider.extract.formats import make_format
from coupa_provider.extract.overrides import WORDS
from coupa_provider.extract.schema import schema_of
from coupa_provider.extract.table import TableDecoder
from tests.extract.synthetic import page_of
from tests.extract.test_kinds import raw_values


def write(
    path: Path,
    schema: dict[str, str],
    *records: Any,
    file_format: str = "parquet",
    fields: list | None = None,
) -> tuple[list[dict], Drift]:
    layout = make_format(file_format, "invoices", fields, schema=schema)
    page = page_of(*records)
    writer = layout.open(path / "part")
    writer.write(page.records, page.ids, 0)
    writer.finish()
    if file_format == "csv":
        with (path / "part").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file, strict=True)), layout.drift
    return pq.read_table(path / "part").to_pylist(), layout.drift


def test_every_word_makes_its_type() -> None:
    words = [word for word in WORDS if word != "decimal(p,s)"]
    schema = {f"my-{word}": word for word in words} | {
        f"my-{p}-{s}": f"decimal({p},{s})" for p, s in [(18, 2), (38, 38), (5, 0)]
    }
    types = schema_of("invoices", overrides=schema).types
    assert {name: types[name] for name in types if name.startswith("my_")} == {
        "my_string": "string",
        "my_integer": "int64",
        "my_decimal": "decimal128(38, 10)",
        "my_float": "double",
        "my_boolean": "bool",
        "my_datetime": "timestamp[us, tz=UTC]",
        "my_date": "date32[day]",
        "my_json": "string",
        "my_18_2": "decimal128(18, 2)",
        "my_38_38": "decimal128(38, 38)",
        "my_5_0": "decimal128(5, 0)",
    }
    assert list(types)[-1] == "_extra"


def test_a_documented_column_keeps_its_place_under_another_type() -> None:
    plain = list(schema_of("invoices").types)
    schema = schema_of("invoices", overrides={"invoice-date": "date", "gross_total": "decimal(18,2)"})
    assert schema.types["invoice_date"] == "date32[day]"
    assert schema.types["gross_total"] == "decimal128(18, 2)"
    assert list(schema.types) == [name for name in plain if name != "invoice_date_day"]


def test_a_time_of_ones_own_gets_its_day_too() -> None:
    types = schema_of(
        "invoices", overrides={"ship-date": "datetime", "custom-fields[due_date]": "datetime"}
    ).types
    assert list(types)[-5:-1] == [
        "ship_date",
        "ship_date_day",
        "custom_fields_due_date",
        "custom_fields_due_date_day",
    ]


def test_values_of_ones_own_attributes_and_custom_fields(tmp_path: Path) -> None:
    rows, drift = write(
        tmp_path,
        {
            "plant-code": "string",
            "custom-fields[budget]": "decimal(8,2)",
            "custom_fields[due-date]": "datetime",
            "custom-fields[cost-center]": "json",
            "invoice-date": "date",
        },
        {
            "id": 1,
            "plant_code": "P1",
            "invoice-date": "2024-05-01T00:00:00-07:00",
            "custom-fields": {
                "budget": "12.50",
                "due-date": "2024-05-01T23:00:00-07:00",
                "cost-center": {"id": 7},
            },
        },
        {"id": 2, "plant-code": {"id": 1}, "custom-fields": {"budget": "1.005", "other": 1}},
        {"id": 3, "invoice-date": "2024-05-01T10:00:00-07:00", "custom-fields": None},
        {"id": 4, "invoice-date": "2024-05-01", "custom-fields": []},
    )
    first, second, third, fourth = rows
    assert first["plant_code"] == "P1"
    assert first["invoice_date"] == fourth["invoice_date"] == date(2024, 5, 1)
    assert first["custom_fields_budget"] == Decimal("12.50")
    assert first["custom_fields_due_date"] == datetime(2024, 5, 2, 6, tzinfo=UTC)
    assert first["custom_fields_due_date_day"] == date(2024, 5, 1)
    assert json.loads(first["custom_fields_cost_center"]) == {"id": 7}
    assert json.loads(first["custom_fields"])["budget"] == "12.50"
    assert first["_extra"] is None
    assert json.loads(second["custom_fields"]) == {"budget": "1.005", "other": 1}
    assert [json.loads(row["_extra"] or "{}") for row in rows[1:]] == [
        {"plant-code": {"id": 1}, "custom-fields[budget]": "1.005"},
        {"invoice-date": "2024-05-01T10:00:00-07:00"},
        {},
    ]
    assert drift.misfits == {
        "plant-code": Misfits(1, [2]),
        "custom-fields[budget]": Misfits(1, [2]),
        "invoice-date": Misfits(1, [3]),
    }
    assert third["custom_fields_budget"] is None
    assert fourth["custom_fields"] == "[]"


@settings(max_examples=200, deadline=None)
@given(
    word=st.sampled_from([*WORDS[:3], "decimal(9,2)", *WORDS[4:]]), values=st.lists(raw_values, min_size=1)
)
def test_any_value_is_in_its_column_or_in_extra_as_sent(word: str, values: list[msgspec.Raw]) -> None:
    schema = schema_of("invoices", overrides={"mine": word, "custom-fields[mine]": word})
    decoder = TableDecoder(schema)
    records = [
        msgspec.Raw(
            b'{"id":%d,"mine":%b,"custom-fields":{"other":1,"mine":%b}}' % (n, bytes(value), bytes(value))
        )
        for n, value in enumerate(values)
    ]
    rows = decoder.decode(records, range(len(records))).to_pylist()
    kind = next(column.kind for column in schema.columns if column.name == "mine")
    for value, row in zip(values, rows, strict=True):
        assert row["mine"] == row["custom_fields_mine"]
        extra = msgspec.json.decode(row["_extra"] or b"{}", type=dict[str, msgspec.Raw])
        if bytes(value) == b"null":
            assert (row["mine"], extra) == (None, {})
        elif extra:
            assert row["mine"] is None
            assert extra == {"mine": value, "custom-fields[mine]": value}
        else:
            assert row["mine"] == pa.array([kind.read(bytes(value))], kind.arrow)[0].as_py()
    misfits = decoder.drift.misfits
    assert ("mine" in misfits) == ("custom-fields[mine]" in misfits) == any(row["_extra"] for row in rows)


def test_a_custom_field_that_nobody_has_is_told(tmp_path: Path) -> None:
    _, drift = write(tmp_path, {"custom-fields[cost-center]": "string"}, {"id": 1, "custom-fields": {"a": 1}})
    assert "custom-fields[cost-center]" in drift.never_seen
    assert list(drift.custom_fields) == ["custom-fields[a]"]


def test_many_records_keep_their_custom_fields(tmp_path: Path) -> None:
    """More than are looked at together, with fields that come late and go."""
    sent = [{"n": n} if n % 3 else {"n": n, f"f-{n // 400}": "x"} for n in range(1300)]
    rows, drift = write(
        tmp_path,
        {"custom-fields[n]": "integer"},
        *({"id": n, "custom-fields": fields} for n, fields in enumerate(sent)),
        fields=["id", "custom-fields"],
    )
    assert [row["custom_fields_n"] for row in rows] == list(range(1300))
    assert {name: found.count for name, found in drift.custom_fields.items()} == {
        "custom-fields[n]": 1300,
        "custom-fields[f-0]": 134,
        "custom-fields[f-1]": 133,
        "custom-fields[f-2]": 133,
        "custom-fields[f-3]": 34,
    }


def test_csv_has_the_same_columns(tmp_path: Path) -> None:
    rows, drift = write(
        tmp_path,
        {"custom-fields[budget]": "decimal(8,2)", "invoice-date": "date"},
        {"id": 1, "invoice-date": "2024-05-01T00:00:00Z", "custom-fields": {"budget": "12.50"}},
        {"id": 2, "invoice-date": "soon", "custom-fields": {"budget": "a lot"}},
        file_format="csv",
        fields=["id", "invoice-date", "custom-fields"],
    )
    assert [(row["invoice_date"], row["custom_fields_budget"]) for row in rows] == [
        ("2024-05-01", "12.50"),
        ("", ""),
    ]
    assert json.loads(rows[1]["_extra"]) == {"invoice-date": "soon", "custom-fields[budget]": "a lot"}
    assert set(drift.misfits) == {"invoice-date", "custom-fields[budget]"}


@pytest.mark.parametrize(
    "word", ["text", "Decimal", "decimal(p,s)", "decimal(39,2)", "decimal(2,3)", "decimal(0,0)", "string(10)", "", None]
)  # fmt: skip
def test_a_wrong_word_is_answered_with_the_right_ones(word: str) -> None:
    with pytest.raises(
        ValueError, match=r"is not one of string, integer, decimal, decimal\(p,s\), float, boolean"
    ):
        schema_of("invoices", overrides={"status": word})


@pytest.mark.parametrize(
    ("schema", "fields", "exploded", "message"),
    [
        (
            {"my-field": "string", "my_field": "date"},
            None,
            (),
            "'my-field' and 'my-field', which make one column",
        ),
        ({"custom-fields[a-b]": "string", "custom-fields[a_b]": "string"}, None, (), "'custom_fields_a_b'"),
        ({"custom-fields-a": "string", "custom-fields[a]": "string"}, None, (), "'custom_fields_a'"),
        ({"custom-fields[a]": "date"}, ["custom-fields", "custom-fields-a"], (), "make one column"),
        ({"supplier[name]": "string"}, None, (), "no columns for parts of other objects"),
        ({"id": "string"}, None, (), "a whole number always"),
        ({"行": "string"}, None, (), "no letter or digit"),
        ({"gross-total": "float"}, ["id"], (), "fields does not ask for 'gross-total'"),
        ({"custom-fields[a]": "float"}, ["id"], (), "fields does not ask for 'custom-fields'"),
        ({"invoice-lines": "json"}, None, ("invoice-lines",), "which explode takes out"),
    ],
)
def test_what_makes_no_column_is_refused(
    schema: dict[str, str], fields: list | None, exploded: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        schema_of("invoices", fields, overrides=schema, exploded=exploded)


def test_ndjson_has_no_columns_to_type() -> None:
    with pytest.raises(ValueError, match="'ndjson' has none"):
        make_format("ndjson", "invoices", None, schema={"status": "string"})
