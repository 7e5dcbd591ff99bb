"""From an answer's body to a checked page. Decodes only what the checks need."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from coupa_provider.client.answer import Answer, not_json
from coupa_provider.client.conditions import satisfies
from coupa_provider.client.errors import CoupaIncompleteError, CoupaUnavailableError
from coupa_provider.client.id_ranges import LAST_ID
from coupa_provider.client.page import Page
from coupa_provider.client.query import Condition

_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True, slots=True)
class PageContent:
    """A page as it came.

    :param page: its records.
    :param received: records on it, repeats included.
    :param full: as many came as were asked for, so there may be more.
    :param rising: False if Coupa did not sort by id as asked.
    """

    page: Page
    received: int
    full: bool
    rising: bool

    def in_order(self) -> Page:
        """Return the records sorted by id, each once."""
        if self.rising:
            return self.page
        first = dict(reversed(list(zip(self.page.ids, self.page.records, strict=True))))
        ids = sorted(first)
        return Page([first[record_id] for record_id in ids], ids, self.page.after, self.page.upto)


class PageReader:
    """Reads the pages of one walk.

    :param resource: path of the resource, for messages.
    :param conditions: what each record has to satisfy.
    """

    def __init__(self, resource: str, conditions: Sequence[Condition]) -> None:
        self.resource = resource
        self.conditions = list(conditions)
        names = dict.fromkeys(_wire_name(condition) for condition in conditions)
        names.pop("id", None)
        self._slots = {name: f"attribute_{index}" for index, name in enumerate(names)}
        row = msgspec.defstruct(
            "Row",
            [("id", int), *((slot, Any, msgspec.UNSET) for slot in self._slots.values())],
            rename={slot: name for name, slot in self._slots.items()},
        )
        # Coupa has been seen to send an id as text: lax decoding takes both.
        self._decoder: msgspec.json.Decoder[list[Any]] = msgspec.json.Decoder(list[row], strict=False)  # type: ignore[valid-type]

    def read(self, answer: Answer, *, after: int | None, upto: int | None, limit: int) -> PageContent:
        """Check a page and keep its records as sent.

        :param answer: a successful answer.
        :param after: ids must be above this one.
        :param upto: ids must not be above this one.
        :param limit: records asked for.
        :raises CoupaUnavailableError: the body is no whole JSON array; asking again may help.
        :raises CoupaIncompleteError: Coupa ignored a part of the query.
        """
        try:
            rows = self._decoder.decode(answer.body)
        except msgspec.ValidationError as error:
            raise self._misshapen(answer, error) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise not_json(answer) from None
        ids: list[int] = [row.id for row in rows]
        if len(ids) > limit:
            raise self._ignored(f"limit={limit}", f"it sent {len(ids)} records")
        for record_id in ids:
            if after is not None and record_id <= after:
                raise self._ignored(f"id[gt]={after}", f"it sent id {record_id}")
            if upto is not None and record_id > upto:
                raise self._ignored(f"id[lt_or_eq]={upto}", f"it sent id {record_id}")
        if self.conditions:
            self._check_conditions(rows)
        records = _RAW_LIST.decode(answer.body)
        full = len(ids) >= limit
        low, high = -1 if after is None else after, LAST_ID if upto is None else upto
        rising = all(one <= next_one for one, next_one in itertools.pairwise(ids))
        if full and rising and ids:
            high = ids[-1]  # what comes after the last record is on the next page
        if rising and len(set(ids)) < len(ids):
            # A condition on lines may bring a header once per line (U17): the repeats are neighbours.
            kept = [index for index, record_id in enumerate(ids) if not index or ids[index - 1] != record_id]
            page = Page([records[index] for index in kept], [ids[index] for index in kept], low, high)
            return PageContent(page, len(ids), full, True)
        return PageContent(Page(records, ids, low, high), len(ids), full, rising)

    def undecided(self, page: Page) -> list[Condition]:
        """Return the conditions that no record of a page shows anything of."""
        rows = self._decoder.decode(b"[" + b",".join(page.records) + b"]")
        return [
            condition
            for condition in self.conditions
            if all(satisfies(self._visible(row), condition) is None for row in rows)
        ]

    def _check_conditions(self, rows: Sequence[Any]) -> None:
        for row in rows:
            visible = self._visible(row)
            for condition in self.conditions:
                if satisfies(visible, condition) is False:
                    raise self._ignored(
                        f"{condition.key}={condition.text}",
                        f"record {row.id} does not satisfy it. Check the attribute's name, and whether Coupa can "
                        "filter by it",
                    )

    def _visible(self, row: Any) -> dict[str, Any]:
        values: Iterator[tuple[str, Any]] = ((name, getattr(row, slot)) for name, slot in self._slots.items())
        return {"id": row.id, **{name: value for name, value in values if value is not msgspec.UNSET}}

    def _ignored(self, part: str, evidence: str) -> CoupaIncompleteError:
        return CoupaIncompleteError(
            f"Coupa ignored a part of the query for {self.resource!r}: {part}, yet {evidence}. "
            "The answer cannot be trusted, so nothing is taken from it"
        )

    def _misshapen(
        self, answer: Answer, error: msgspec.ValidationError
    ) -> CoupaUnavailableError | CoupaIncompleteError:
        if str(error).startswith("Expected `array`") and "$[" not in str(error):
            return CoupaUnavailableError(
                "Coupa answered with something else than a list",
                method=answer.method,
                path=answer.path,
                status=answer.status,
            )
        return CoupaIncompleteError(
            f"A record of {self.resource!r} cannot be recognised ({error}). Every record needs a numeric id: if an API "
            "filter shapes this resource's answers, add id to it, or use the parameter fields",
            method=answer.method,
            path=answer.path,
        )


def _wire_name(condition: Condition) -> str:
    return condition.path[0].replace("_", "-")
