"""Every kind of column keeps each value exactly, or refuses it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coupa_provider.extract import kinds
from coupa_provider.extract.kinds import Kind, MisfitError
from coupa_provider.extract.table import _UNUSUAL

DECIMAL = kinds.decimal_kind(10)
ASKED_FOR = [kinds.decimal_kind(scale, precision) for scale, precision in [(2, 18), (4, 4), (0, 5), (38, 38)]]
ALL_KINDS = [
    *ASKED_FOR,
    kinds.TEXT,
    kinds.JSON,
    kinds.NUMBER_TEXT,
    DECIMAL,
    kinds.decimal_kind(20),
    kinds.INTEGER,
    kinds.FLOAT,
    kinds.BOOLEAN,
    kinds.TIME,
    kinds.DAY,
    kinds.DATE,
    kinds.SHOWN_DATE,
]

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=6,
)
number_texts = st.from_regex(r"\A-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?\Z")
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=offsets)
odd_texts = st.sampled_from(
    [
        "",
        "null",
        "None",
        "NaN",
        "inf",
        "-",
        "0x1F",
        "007",
        "1_0",
        " 1",
        "1,5",
        "1.0",
        "1e3",
        "-0",
        "0e400",
        "true",
        "True",
        "yes",
        "0000-01-01",
        "20240501",
        "+5",
        "2024-05-01",
        "2024-05-01T00:00:00",
        "2024-02-30",
        "2024-05-01T25:00:00Z",
        "2024-05-01 06:59:46 -0700",
        "2024-05-01 06:59:46 UTC",
        "2024-05-01T06:59:46.1234567Z",
        "2024-05-01T06Z",
        "2024-05-01T06:59:460Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:00:00-05:00",
        "9223372036854775808",
        "1.00000000001",
        "99999999999999999999999999999",
        "१२",
    ]
)
raw_values = st.one_of(
    json_values.map(lambda value: json.dumps(value, ensure_ascii=False)),
    number_texts,
    number_texts.map(json.dumps),
    odd_texts.map(json.dumps),
    instants.map(lambda instant: json.dumps(instant.isoformat())),
).map(lambda text: msgspec.Raw(text.encode()))


def one(kind: Kind, text: str) -> Any:
    """Read one JSON text the careful way and return what the column then holds."""
    return pa.array([kind.read(text.encode())], kind.arrow)[0].as_py()


def column(kind: Kind, *texts: str) -> list[Any]:
    """Convert a column the quick way."""
    return kind.convert([msgspec.Raw(text.encode()) for text in texts]).to_pylist()


@pytest.mark.parametrize("kind", ALL_KINDS, ids=lambda kind: f"{kind.name} {kind.arrow}")
@given(raw=raw_values)
def test_the_quick_and_the_careful_way_agree(kind: Kind, raw: msgspec.Raw) -> None:
    if raw == msgspec.Raw(b"null"):
        assert kind.convert([raw]).to_pylist() == [None]
        return
    try:
        quick = kind.convert([raw])
    except _UNUSUAL:
        return
    careful = pa.array([kind.read(bytes(raw))], kind.arrow)
    assert quick.equals(careful)
    quick.validate(full=True)


@pytest.mark.parametrize("kind", [DECIMAL, *ASKED_FOR], ids=lambda kind: str(kind.arrow))
@given(
    texts=st.lists(
        number_texts | st.from_regex(r"\A-?[0-9]{1,6}(\.[0-9]{1,6})?\Z") | odd_texts, min_size=1, max_size=5
    ),
    quoted=st.booleans(),
)
@example(texts=["1e-11"], quoted=True)
@example(texts=["9999999999999999999999999999.9999999999"], quoted=True)
@example(texts=["0.9999", "9.9999", "99999", "100000", "99999.0", "0.10000"], quoted=False)
def test_a_decimal_is_exact_or_does_not_fit(kind: Kind, texts: list[str], quoted: bool) -> None:
    for text in texts:
        try:
            value = one(kind, json.dumps(text) if quoted else text)
        except (MisfitError, UnicodeDecodeError):
            continue
        assert value == Decimal(text)
        if quoted:
            assert one(kinds.NUMBER_TEXT, json.dumps(text)) == text


@given(
    value=st.decimals(allow_nan=False, allow_infinity=False, places=10, min_value=-(10**27), max_value=10**27)
)
def test_decimals_as_coupa_sends_them_go_the_quick_way(value: Decimal) -> None:
    text = format(value, "f")
    assert column(DECIMAL, json.dumps(text), "null") == [value, None]
    assert column(DECIMAL, text, "null") == [value, None]
    assert column(kinds.NUMBER_TEXT, json.dumps(text), "null") == [text, None]


@pytest.mark.parametrize(
    "text",
    # pyarrow 26 casts these to other numbers without an error
    ["147069427001937979153296277580123", "-1" + "0" * 31, "0.11E30", "1." + "0" * 28 + "1" * 20, "1e29"],
)
def test_arrow_is_not_trusted_with_too_many_digits(text: str) -> None:
    with pytest.raises(_UNUSUAL):
        column(DECIMAL, json.dumps(text), '"1.00"')


@pytest.mark.parametrize(
    "text", ["1.00000000001", "9" * 29, "1e28", '"NaN"', '"1,5"', '""', "true", "[1]", '{"a":1}']
)
def test_a_decimal_that_does_not_fit_is_refused(text: str) -> None:
    with pytest.raises(MisfitError):
        one(DECIMAL, text)
    with pytest.raises(_UNUSUAL):
        column(DECIMAL, text)


@given(instant=instants)
def test_an_instant_is_kept_in_utc_and_its_day_as_shown(instant: datetime) -> None:
    text = json.dumps(instant.isoformat())
    assert column(kinds.TIME, text) == [instant.astimezone(UTC)] == [one(kinds.TIME, text)]
    assert column(kinds.DAY, text) == [instant.date()] == [one(kinds.DAY, text)]


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2016-10-07T06:59:46-07:00", datetime(2016, 10, 7, 13, 59, 46, tzinfo=UTC)),
        ("2016-10-07 06:59:46 -0700", datetime(2016, 10, 7, 13, 59, 46, tzinfo=UTC)),
        ("2016-10-07 06:59:46 UTC", datetime(2016, 10, 7, 6, 59, 46, tzinfo=UTC)),
        ("2016-10-07T06:59:46.123Z", datetime(2016, 10, 7, 6, 59, 46, 123000, tzinfo=UTC)),
        ("2016-10-07T06:59:46.1234560Z", datetime(2016, 10, 7, 6, 59, 46, 123456, tzinfo=UTC)),
    ],
)
def test_other_spellings_of_an_instant_are_read(text: str, instant: datetime) -> None:
    assert one(kinds.TIME, json.dumps(text)) == instant


@pytest.mark.parametrize(
    "text",
    [
        "2016-10-07",
        "2016-10-07T06:59:46",
        "2016-10-07T06:59:46.1234567Z",
        "2016-10-07T06:59:460Z",
        "2016-02-30T00:00Z",
    ],
)
def test_a_time_that_names_no_exact_instant_is_refused(text: str) -> None:
    with pytest.raises(MisfitError):
        one(kinds.TIME, json.dumps(text))


def test_the_day_is_known_without_an_instant() -> None:
    assert one(kinds.DAY, '"2016-10-07"') == date(2016, 10, 7)
    assert one(kinds.DAY, '"2016-10-07T00:00:00"') == date(2016, 10, 7)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (kinds.INTEGER, '"776"', 776),
        (kinds.INTEGER, "3.0", 3),
        (kinds.INTEGER, "-9223372036854775808", -(2**63)),
        (kinds.BOOLEAN, '"true"', True),
        (kinds.BOOLEAN, '"false"', False),
        (kinds.TEXT, "12.50", "12.50"),
        (kinds.TEXT, "true", "true"),
        (kinds.TEXT, '"a\\u00e9\\n\\"b"', 'aé\n"b'),
        (kinds.FLOAT, '"8.25"', 8.25),
        (kinds.JSON, '{"a": 1.50}', '{"a": 1.50}'),
        (kinds.JSON, '"text"', '"text"'),
        (kinds.DATE, '"2000-07-01"', date(2000, 7, 1)),
        (kinds.SHOWN_DATE, '"2000-07-01"', date(2000, 7, 1)),
        (kinds.SHOWN_DATE, '"2000-07-01T00:00:00-07:00"', date(2000, 7, 1)),
        (kinds.SHOWN_DATE, '"2000-07-01 00:00:00 UTC"', date(2000, 7, 1)),
    ],
)
def test_what_can_be_put_right_without_loss_is(kind: Kind, text: str, value: object) -> None:
    assert one(kind, text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (kinds.INTEGER, '"007"'),
        (kinds.INTEGER, "1.5"),
        (kinds.INTEGER, "9223372036854775808"),
        (kinds.INTEGER, "true"),
        (kinds.BOOLEAN, "1"),
        (kinds.BOOLEAN, '"yes"'),
        (kinds.TEXT, "[1]"),
        (kinds.FLOAT, "0.12345678901234567890"),
        (kinds.FLOAT, "1e999"),
        (kinds.DATE, '"2000-07-01T00:00:00Z"'),
        (kinds.DATE, "20000701"),
        (kinds.SHOWN_DATE, '"2000-07-01T01:00:00Z"'),
        (kinds.SHOWN_DATE, '"2000-02-30T00:00:00Z"'),
    ],
)
def test_what_would_lose_something_is_refused(kind: Kind, text: str) -> None:
    with pytest.raises(MisfitError):
        one(kind, text)
    with pytest.raises(_UNUSUAL):
        column(kind, text)


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_what_was_written(value: float) -> None:
    assert one(kinds.FLOAT, json.dumps(value)) == value
