"""Nothing a record holds is lost, whatever it holds."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coupa_provider.extract.drift import Drift, Misfits
from coupa_provider.extract.errors import ExtractError
from coupa_provider.extract.schema import EXTRA, column_name, schema_of
from coupa_provider.extract.split import RecordSplitter
from coupa_provider.extract.table import TableDecoder
from coupa_provider.resources.catalog import find_resource
from tests.extract.synthetic import page_of
from tests.extract.test_kinds import raw_values


def decode(*records: Any, resource: str = "invoices", fields: list | None = None) -> tuple[list[dict], Drift]:
    decoder = TableDecoder(schema_of(resource, fields))
    page = page_of(*records)
    batch = decoder.decode(page.records, page.ids)
    batch.validate(full=True)
    return batch.to_pylist(), decoder.drift


def test_a_record_becomes_a_typed_row() -> None:
    rows, drift = decode(
        {
            "id": 33,
            "invoice-date": "2024-05-01T00:00:00-07:00",
            "updated-at": "2024-05-03T08:00:01-07:00",
            "gross-total": "461.10",
            "exchange-rate": 1.25,
            "tax-rate": 8.25,
            "paid": False,
            "lock-version-key": "1",
            "supplier": {"id": 17, "name": "Fishy"},
            "invoice-lines": [{"id": 41, "price": "30.330"}],
            "custom-fields": {"a": 1},
            "payment-notes": "",
            "comments": None,
        }
    )
    (row,) = rows
    assert {name: value for name, value in row.items() if value is not None} == {
        "id": 33,
        "invoice_date": datetime(2024, 5, 1, 7, tzinfo=UTC),
        "invoice_date_day": date(2024, 5, 1),
        "updated_at": datetime(2024, 5, 3, 15, 0, 1, tzinfo=UTC),
        "gross_total": Decimal("461.10"),
        "exchange_rate": Decimal("1.25"),
        "tax_rate": 8.25,
        "paid": False,
        "lock_version_key": 1,
        "supplier": '{"id": 17, "name": "Fishy"}',
        "invoice_lines": '[{"id": 41, "price": "30.330"}]',
        "custom_fields": '{"a": 1}',
        "payment_notes": "",
    }
    assert drift.unforeseen == {}
    assert drift.misfits == {}
    assert "comments" not in drift.never_seen  # it was null, so it was seen
    assert "delivery-date" in drift.never_seen


def test_unforeseen_attributes_are_kept_as_sent() -> None:
    rows, drift = decode(
        '{"id": 1, "name": "A", "plant-code": "X1", "näme\\"": 1.50, "nothing": null}',
        '{"id": 2, "name": "B"}',
        '{"id": 3, "name": "C", "plant-code": {"id": 1.0}}',
        resource="suppliers",
    )
    assert [row[EXTRA] for row in rows] == [
        '{"plant-code":"X1","nothing":null,"näme\\"":1.50}',
        None,
        '{"plant-code":{"id": 1.0}}',
    ]
    assert drift.unforeseen == {"plant-code": 2, 'näme"': 1, "nothing": 1}


def test_values_that_do_not_fit_are_kept_and_counted() -> None:
    numbers = range(1, 6)
    rows, drift = decode(
        *({"id": n, "gross-total": "1.123456789012", "paid": n > 3, "comments": ["a"]} for n in numbers),
        {"id": 9, "gross-total": "2.50", "paid": "maybe", "invoice-date": "2024-05-01"},
    )
    assert [row["gross_total"] for row in rows] == [None] * 5 + [Decimal("2.50")]
    assert [row["paid"] for row in rows] == [False, False, False, True, True, None]
    assert rows[0][EXTRA] == '{"comments":["a"],"gross-total":"1.123456789012"}'
    assert rows[5][EXTRA] == '{"invoice-date":"2024-05-01","paid":"maybe"}'
    assert rows[5]["invoice_date"] is None
    assert rows[5]["invoice_date_day"] == date(2024, 5, 1)
    assert drift.misfits == {
        "gross-total": Misfits(5, [1, 2, 3]),
        "comments": Misfits(5, [1, 2, 3]),
        "paid": Misfits(1, [9]),
        "invoice-date": Misfits(1, [9]),
    }


def test_another_spelling_of_a_known_attribute_gets_its_column() -> None:
    rows, drift = decode(
        {"id": 1, "po_number": "7"},
        {"id": 2, "po-number": "8"},
        {"id": 3, "po-number": "9", "po_number": "10"},
        resource="purchase_orders",
    )
    assert [row["po_number"] for row in rows] == ["7", "8", "9"]
    assert [row[EXTRA] for row in rows] == [None, None, '{"po_number":"10"}']
    assert drift.unforeseen == {"po_number": 1}
    assert "po-number" not in drift.never_seen


def test_attributes_may_appear_and_vanish_between_batches() -> None:
    decoder = TableDecoder(schema_of("suppliers"))
    for number, record in enumerate([{"name": "A"}, {"new": 1}, {"name": "C", "newer": 2}, {"new": 3}], 1):
        page = page_of({"id": number, **record})
        (row,) = decoder.decode(page.records, page.ids).to_pylist()
        assert row["name"] == record.get("name")
        assert json.loads(row[EXTRA] or "{}") == {
            key: value for key, value in record.items() if key != "name"
        }
    assert decoder.drift.unforeseen == {"new": 2, "newer": 1}


def test_keys_that_are_data_cost_no_columns() -> None:
    splitter = RecordSplitter(["id"], limit=2)
    decoder = TableDecoder(schema_of("suppliers"))
    decoder._splitter = splitter
    splitter._names = [column.attribute for column in decoder.schema.columns]
    splitter._limit = len(splitter._names) + 2
    for start in (0, 5):
        page = page_of(*({"id": n, f"key-{n}": n, "name": str(n)} for n in range(start, start + 5)))
        rows = decoder.decode(page.records, page.ids).to_pylist()
        assert [row[EXTRA] for row in rows] == [f'{{"key-{n}":{n}}}' for n in page.ids]
        assert [row["name"] for row in rows] == [str(n) for n in page.ids]
    assert decoder.drift.unforeseen == {f"key-{n}": 1 for n in range(10)}


def test_a_manifest_does_not_grow_with_keys_that_are_data() -> None:
    drift = Drift()
    for number in range(3000):
        drift.add_unforeseen(f"key-{number}", 1)
    assert len(drift.unforeseen) == 1001
    assert drift.unforeseen["(others)"] == 2000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[1]", "Record 7 is not a JSON object"),
        (b'{"id":7,"name":"\xff"}', "'name' of record 7 is not text in UTF-8"),
        (b'{"id":7,"name":{"a":"\xff"}}', "Record 7 is not text in UTF-8"),
        (b'{"id":7,"parent":{"a":"\xff"}}', "'parent' of record 7 is not text in UTF-8"),
        (b'{"id":7,"other":"\xff"}', "Record 7 is not text in UTF-8"),
        (b'{"id":7,"\xff":1}', "Record 7 is not a JSON object"),
    ],
)
def test_what_is_not_json_in_utf8_stops_the_extract(text: bytes, message: str) -> None:
    decoder = TableDecoder(schema_of("suppliers"))
    with pytest.raises(ExtractError, match=message):
        decoder.decode([msgspec.Raw(text)], [7])


ATTRIBUTES = list(find_resource("invoices").attributes)
records = st.lists(
    st.dictionaries(
        st.sampled_from([name for name in ATTRIBUTES if name != "id"])
        | st.text(st.characters(codec="utf-8"), max_size=5),
        raw_values,
        max_size=8,
    ).map(lambda record: {key: value for key, value in record.items() if column_name(key) != "id"}),
    min_size=1,
    max_size=6,
)


@settings(max_examples=200, deadline=None)
@given(records)
def test_every_value_is_in_its_column_or_in_extra_as_sent(sent: list[dict[str, msgspec.Raw]]) -> None:
    texts = [
        b"{"
        + b",".join(
            [b'"id":%d' % n, *(msgspec.json.encode(key) + b":" + value for key, value in record.items())]
        )
        + b"}"
        for n, record in enumerate(sent)
    ]
    decoder = TableDecoder(schema_of("invoices"))
    batch = decoder.decode([msgspec.Raw(text) for text in texts], list(range(len(sent))))
    batch.validate(full=True)
    columns = {column.attribute: column for column in reversed(decoder.schema.columns)}
    for record, row in zip(sent, batch.to_pylist(), strict=True):
        extra = msgspec.json.decode(row[EXTRA] or b"{}", type=dict[str, msgspec.Raw])
        for key, value in record.items():
            if key in extra:
                assert bytes(extra[key]) == bytes(value)
            elif bytes(value) != b"null":
                column = columns.get(key) or next(
                    c for c in decoder.schema.columns if c.name == column_name(key)
                )
                held = row[column.name]
                assert held is not None
                match column.kind.name:
                    case "json":
                        assert held.encode() == bytes(value)
                    case "text":
                        text = bytes(value).decode()
                        assert held == (json.loads(text) if text.startswith('"') else text)
                    case "decimal" | "float" | "integer":
                        assert Decimal(str(held)) == Decimal(bytes(value).decode().strip('"'))
                    case "boolean":
                        assert json.dumps(held) == bytes(value).decode().strip('"')
                    case "time":
                        assert held.tzinfo is not None
        assert set(extra) <= set(record)
