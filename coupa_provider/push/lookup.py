"""Find records by their keys, many with one request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import msgspec

from coupa_provider.client.client import CoupaClient
from coupa_provider.client.conditions import parse_instant
from coupa_provider.client.query import IMPOSSIBLE
from coupa_provider.client.walk import BATCH, Walk
from coupa_provider.push.keys import KeyPart, KeyValues

_MOST_CHARACTERS = 1500
_TIMES = ("datetime", "date")
_decoder = msgspec.json.Decoder(float_hook=Decimal)


async def look_up(
    client: CoupaClient, resource: str, wanted: Sequence[KeyValues], fields: Sequence[Any]
) -> list[list[dict[str, Any]]]:
    """Return the records that have the keys, as Coupa shows them.

    :param client: an entered client.
    :param resource: path under ``/api``.
    :param wanted: keys with their values, all of the same attributes.
    :param fields: attributes to return, dashed; what the keys need is added.
    :return: for each key the records that have it: none, one, or several where Coupa holds doubles.
    :raises CoupaIncompleteError: the answers cannot be trusted to hold every record.
    :raises CoupaError: a request failed for good.
    """
    found: list[list[dict[str, Any]]] = [[] for _ in wanted]
    for filters, places in plan(resource, wanted):
        shape = with_keys(fields, [wanted[place] for place in places])
        walk = Walk(client, resource, filters=filters, fields=shape)
        # All these keys are of the same attributes. Days have no text that decides.
        parts = [part for part in wanted[places[0]] if part.base not in _TIMES]
        alike: dict[tuple[str | None, ...], list[int]] = {}
        for place in places:
            texts = tuple(part.text for part in wanted[place] if part.base not in _TIMES)
            alike.setdefault(texts, []).append(place)
        async for page in walk.pages():
            for raw in page.records:
                record = _decoder.decode(raw)
                for place in alike.get(tuple(part.text_in(record) for part in parts), ()):
                    if all(part.is_in(record) for part in wanted[place]):
                        found[place].append(record)
    return found


def plan(resource: str, wanted: Sequence[KeyValues]) -> Iterator[tuple[dict[str, Any], list[int]]]:
    """Yield queries that together find all keys, each with the places of its keys in ``wanted``.

    One attribute goes into ``[in]``; those with one value alone, and ranges of days, narrow the query further.
    What it still brings too much is sorted out by the caller.

    :param resource: path under ``/api``.
    :param wanted: keys with their values, all of the same attributes.
    """
    alike: dict[tuple[Any, ...], list[int]] = {}
    for place, values in enumerate(wanted):
        # Coupa documents no escape for a comma within [in]: such a value is asked for alone.
        alone = any("," in str(part.value) for part in values if part.base not in _TIMES)
        alike.setdefault((place if alone else None, *(part.path for part in values)), []).append(place)
    for places in alike.values():
        for batch in _batches(wanted, places):
            yield _filters(resource, [wanted[place] for place in batch]), batch


def _batches(wanted: Sequence[KeyValues], places: Sequence[int]) -> Iterator[list[int]]:
    batch: list[int] = []
    characters = 0
    for place in places:
        length = sum(len(quote(str(part.value))) + 1 for part in wanted[place])
        if batch and (len(batch) == BATCH or characters + length > _MOST_CHARACTERS):
            yield batch
            batch, characters = [], 0
        batch.append(place)
        characters += length
    yield batch


def with_keys(fields: Sequence[Any], keys: Sequence[KeyValues]) -> list[Any]:
    """Return a ``fields`` list that also shows the keys.

    :param fields: names, and one-key dicts for associations.
    :param keys: keys with their values.
    """
    shape = ["id", *(item for item in fields if item != "id")]
    whole = {item for item in shape if isinstance(item, str)}
    below = {name: names for item in shape if isinstance(item, dict) for name, names in item.items()}
    for values in keys:
        for part in values:
            if len(part.path) == 1:
                if part.path[0] not in whole | set(below):
                    shape.append(part.path[0])
                    whole.add(part.path[0])
            elif part.path[0] not in below:
                below[part.path[0]] = ["id"]
                shape.append({part.path[0]: below[part.path[0]]})
            if len(part.path) > 1 and below[part.path[0]] and part.path[1] not in below[part.path[0]]:
                below[part.path[0]].append(part.path[1])
    return shape


def _filters(resource: str, wanted: Sequence[KeyValues]) -> dict[str, Any]:
    columns = list(zip(*wanted, strict=True))
    # Of the attributes, the one with the most values goes into [in].
    spread = max(
        (parts for parts in columns if parts[0].base not in _TIMES),
        key=lambda parts: len({part.text for part in parts}),
        default=None,
    )
    together = IMPOSSIBLE.get(resource.strip("/"), ())
    filters: dict[str, Any] = {}
    for parts in columns:
        name = _query_key(parts[0].path)
        texts = list(dict.fromkeys(_wire(part) for part in parts))
        if parts[0].base in _TIMES:
            filters.update(_days(name, parts))
        elif parts is spread and len(texts) > 1:
            filters[f"{name}[in]"] = texts
        elif parts is spread or (len(texts) == 1 and name.partition("[")[0] not in together):
            filters[name] = texts[0]
    return filters


def _days(name: str, parts: Sequence[KeyPart]) -> Mapping[str, Any]:
    """A range that holds all days, whatever the zone of the company."""
    instants = [_instant(part.value) for part in parts]
    return {
        f"{name}[gt_or_eq]": min(instants) - timedelta(days=1),
        f"{name}[lt]": max(instants) + timedelta(days=2),
    }


def _query_key(path: Sequence[str]) -> str:
    first, *below = (name.replace("-", "_") for name in path)
    return first + "".join(f"[{name}]" for name in below)


def _instant(value: Any) -> datetime:
    """Return an instant near a day; the key has been checked to hold one."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    instant = parse_instant(value)
    assert instant is not None  # noqa: S101
    return instant


def _wire(part: KeyPart) -> str:
    value = part.value
    if isinstance(value, bool):
        return str(value).lower()
    return format(value, "f") if isinstance(value, Decimal) else str(value).strip()
