"""Every documented type comes back as it was sent: from files, through the reader, as records and as lines.

What is the same is judged here on its own, not by the code that converts.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import fsspec
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coupa_provider.client.page import Counters
from coupa_provider.extract.destination import Destination
from coupa_provider.extract.manifest_reader import ManifestReader
from coupa_provider.extract.run import extract_pages
from coupa_provider.extract.schema import column_name
from coupa_provider.resources.catalog import Attribute, attributes_of_type, find_resource, resource_paths
from tests.extract.synthetic import page_of
from tests.extract.test_kinds import json_values, raw_values

PER_KIND = settings(max_examples=30, deadline=None)
_folders = itertools.count()


def one_of_each_kind(places: Iterable[tuple[Any, Attribute]]) -> list[Any]:
    """Return a place for each base, precision and scale, and the widest text."""
    found: dict[str, tuple[Any, Attribute]] = {}
    for place, attribute in places:
        if attribute.name in ("id", "custom-fields") or not attribute.readable:
            continue
        kind = f"{attribute.base}({attribute.size},{attribute.scale})"
        found.setdefault(kind if attribute.base == "decimal" else attribute.base, (place, attribute))
    return [pytest.param(*found[kind], id=kind) for kind in sorted(found)]


def attributes_of_records() -> Iterator[tuple[str, Attribute]]:
    for path in resource_paths():
        if ":" not in path:
            yield from ((path, attribute) for attribute in find_resource(path).attributes.values())


def attributes_of_lines() -> Iterator[tuple[tuple[str, str], Attribute]]:
    for path, attribute in attributes_of_records():
        if attribute.base == "list":
            for inner in attributes_of_type(attribute.target or "").values():
                yield (path, attribute.name), inner


# ---------------------------------------------------------------------------------------------- what is sent


def documented_values(attribute: Attribute) -> st.SearchStrategy[str]:
    """JSON texts as the documents and samples show them, and the same a little otherwise."""
    text = st.text(st.characters(codec="utf-8"), max_size=min(attribute.size or 30, 60))
    whole = st.integers(-(2**63), 2**63 - 1)
    match attribute.base:
        case "decimal":
            places = attribute.scale or 4
            most = 10 ** min((attribute.size or 32) - places, 38 - max(places, 10)) - 1
            number = st.decimals(-most, most, allow_nan=False, allow_infinity=False, places=places).map(
                lambda value: format(value, "f")
            )
            return number.map(json.dumps) | number
        case "integer":
            return whole.map(str) | whole.map(str).map(json.dumps)
        case "float":
            return st.floats(allow_nan=False, allow_infinity=False).map(json.dumps)
        case "boolean":
            return st.sampled_from(["true", "false", '"true"', '"false"'])
        case "datetime":
            zones = st.integers(-14 * 4, 14 * 4).map(
                lambda quarters: timezone(timedelta(minutes=15 * quarters))
            )
            times = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=zones)
            return times.map(lambda time: json.dumps(time.replace(microsecond=0).isoformat()))
        case "date":
            return st.dates().map(lambda day: json.dumps(day.isoformat()))
        case "string" | "text":
            return (text | st.sampled_from(["NA", "null", "NaN", "n/a", "", "-", "true", "007"])).map(
                json.dumps
            )
    return st.dictionaries(text, json_values, max_size=3).map(json.dumps) | st.lists(
        json_values, max_size=3
    ).map(lambda value: json.dumps(value, ensure_ascii=False, indent=1))


def values_of(attribute: Attribute) -> st.SearchStrategy[list[tuple[str, bool]]]:
    """JSON texts, and whether the documents promise that such a value has its place in the column."""
    documented = documented_values(attribute).map(lambda text: (text, True))
    odd = raw_values.map(lambda raw: (bytes(raw).decode(), False))
    return st.lists(documented | documented | odd | st.just(("null", True)), min_size=1, max_size=6)


# ---------------------------------------------------------------------------------------------- what comes back


def assert_the_same(
    attribute: Attribute, sent: str, row: dict[str, Any], *, promised: bool, decimals_as_text: bool = False
) -> None:
    """Compare a JSON text with what a row holds of it."""
    name = attribute.name.replace("-", "_").lower()
    held = row[name]
    kept = extra_of(row)
    if attribute.name in kept:
        assert not promised
        assert kept == {attribute.name: sent}
        assert held is None
        return
    assert kept == {}
    value = json.loads(sent, parse_float=Decimal, parse_int=Decimal)
    if value is None:
        assert held is None
        return
    assert held is not None
    match attribute.base:
        case "decimal" | "integer" | "float":
            assert Decimal(repr(held) if isinstance(held, float) else held) == Decimal(value)
            if decimals_as_text and attribute.base == "decimal":
                assert held == (value if isinstance(value, str) else sent)
        case "boolean":
            assert held is (str(value).lower() == "true")
        case "datetime":
            moment = moment_of(value)
            assert held == moment.astimezone(UTC)
            if name.endswith("_date"):
                assert row[f"{name}_day"] == date.fromisoformat(value[:10])
        case "date":
            assert held == date.fromisoformat(value)
        case "string" | "text":
            assert held == (value if isinstance(value, str) else sent)
        case _:
            assert held == sent


def moment_of(text: str) -> datetime:
    for form in ("%Y-%m-%d %H:%M:%S %z", "%Y-%m-%d %H:%M:%S UTC"):
        try:
            moment = datetime.strptime(text, form)
        except ValueError:
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return datetime.fromisoformat(text)


def extra_of(row: dict[str, Any]) -> dict[str, str]:
    """Return what stands in ``_extra``, as the text that was sent."""
    text = row["_extra"]
    if text is None:
        return {}
    ((name, _),) = json.loads(text).items()
    return {name: text.removeprefix("{" + json.dumps(name) + ":").removesuffix("}")}


def through_files(records: list[str], **options: Any) -> ManifestReader:
    destination = Destination(
        fsspec.filesystem("memory"), f"/round-trip/{next(_folders)}", "memory://round-trip"
    )
    page = page_of(*({"id": number} for number in range(1, len(records) + 1)))
    page = dataclasses.replace(page, records=[msgspec.Raw(record.encode()) for record in records])
    extract_pages([page], Counters(), destination, instance="acme", **options)
    return ManifestReader(destination)


def rows_of(reader: ManifestReader, child: str | None = None) -> list[dict[str, Any]]:
    return [row for batch in reader.batches(child=child) for row in batch.to_pylist()]


@pytest.mark.parametrize("file_format", ["parquet", "csv"])
@pytest.mark.parametrize(("resource", "attribute"), one_of_each_kind(attributes_of_records()))
@PER_KIND
@given(data=st.data())
def test_records(resource: str, attribute: Attribute, file_format: str, data: st.DataObject) -> None:
    sent = data.draw(values_of(attribute))
    records = [f'{{"id":{n},"{attribute.name}":{value}}}' for n, (value, _) in enumerate(sent, 1)]
    reader = through_files(records, resource=resource, file_format=file_format, fields=["id", attribute.name])
    rows = rows_of(reader)
    assert [row["id"] for row in rows] == list(range(1, len(sent) + 1))
    for (value, promised), row in zip(sent, rows, strict=True):
        assert_the_same(attribute, value, row, promised=promised, decimals_as_text=file_format == "csv")


@pytest.mark.parametrize(("place", "attribute"), one_of_each_kind(attributes_of_lines()))
@PER_KIND
@given(data=st.data())
def test_lines(place: tuple[str, str], attribute: Attribute, data: st.DataObject) -> None:
    resource, name = place
    sent = data.draw(st.lists(values_of(attribute), min_size=1, max_size=3))
    records = [
        f'{{"id":{n},"{name}":[' + ",".join(f'{{"{attribute.name}":{value}}}' for value, _ in lines) + "]}"
        for n, lines in enumerate(sent, 1)
    ]
    reader = through_files(records, resource=resource, explode={name: None})
    assert [row["_extra"] for row in rows_of(reader)] == [None] * len(sent)
    rows = rows_of(reader, child=column_name(name))
    places = [(n, k) for n, lines in enumerate(sent, 1) for k in range(len(lines))]
    assert [(row["_parent_id"], row["_position"]) for row in rows] == places
    for (n, k), row in zip(places, rows, strict=True):
        value, promised = sent[n - 1][k]
        assert_the_same(attribute, value, row, promised=promised)
