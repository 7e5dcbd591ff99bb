"""Wait until a record, or the records that match a query, are as they should be."""

from __future__ import annotations

import asyncio
import copy
import importlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from coupa_provider.client.errors import CoupaQueryError
from coupa_provider.client.query import Condition, encode_fields
from coupa_provider.resources import find_resource
from coupa_provider.resources.end_statuses import end_statuses
from coupa_provider.watch.condition import (
    holds,
    in_words,
    parse_conditions,
    parse_query,
    shown,
    tree_of,
    unlisted,
)
from coupa_provider.watch.field_tree import Tree, read_tree, to_fields, union
from coupa_provider.watch.records import MOST_MATCHES, Matches, RecordsById, RecordWant
from coupa_provider.watch.verdict import State, Verdict

#: Records that a reason names.
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class RecordWait:
    """Records that are waited for.

    :param resource: path under ``/api``.
    :param record_id: the one record; None for those that match ``filters``.
    :param filters: the query, parsed.
    :param until: what each of the records has to satisfy.
    :param never: what, satisfied by one of them, ends the hope.
    :param min_records: so many there have to be.
    :param max_records: so many there may be; None for any number.
    :param predicate: dotted path of a function that has the last word; None for none.
    :param fields: encoded ``fields`` argument.
    """

    resource: str
    record_id: int | None
    filters: str
    until: tuple[Condition, ...]
    never: tuple[Condition, ...]
    min_records: int
    max_records: int | None
    predicate: str | None
    fields: str | None

    @classmethod
    def parse(
        cls,
        resource: str,
        *,
        record_id: int | str | None = None,
        filters: Mapping[str, Any] | None = None,
        until: Mapping[str, Any] | None = None,
        never: Mapping[str, Any] | None = None,
        min_records: int = 1,
        max_records: int | None = None,
        predicate: str | None = None,
        fields: Sequence[Any] | None = None,
    ) -> Self:
        """Check what a user wants to wait for.

        :param never: None for the resource's end statuses, where ``until`` speaks of its status.
        :param fields: attributes to return beside those that the conditions speak of; None for these, and the status,
            or with a predicate for Coupa's default.
        :raises CoupaQueryError: something of it is wrong.
        """
        resource = _checked_resource(resource)
        wanted = parse_conditions("until", until, resource)
        unwanted = (
            _dead_ends(resource, wanted) if never is None else parse_conditions("never", never, resource)
        )
        if record_id is None and filters is None:
            raise CoupaQueryError(
                "record_id and filters are both missing. Give the id of one record, or a query; a task that one of them "
                "comes from may have returned nothing."
            )
        if record_id is not None and filters is not None:
            raise CoupaQueryError(
                "record_id and filters are both given. Give one of them: one record, or those that match a query."
            )
        _check_counts(min_records, max_records, is_one=record_id is not None)
        if not min_records and max_records is None and not wanted and not unwanted and predicate is None:
            raise CoupaQueryError(
                "min_records=0 without max_records, until, never or predicate is nothing to wait for: any answer will do."
            )
        if predicate is not None:
            load_predicate(predicate)
        conditions, arguments = parse_query("filters", filters, resource)
        query = {**{condition.key: condition.text for condition in conditions}, **arguments}
        return cls(
            resource,
            None if record_id is None else _whole_id(record_id),
            json.dumps(query, separators=(",", ":")),
            wanted,
            unwanted,
            min_records,
            max_records,
            predicate,
            _fields(resource, [*wanted, *unwanted], fields, has_predicate=predicate is not None),
        )

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of :meth:`parse` that lead here, as JSON values."""
        return {
            "resource": self.resource,
            "record_id": self.record_id,
            "filters": json.loads(self.filters) if self.record_id is None else None,
            "until": {condition.key: condition.text for condition in self.until},
            "never": {condition.key: condition.text for condition in self.never},
            "min_records": self.min_records,
            "max_records": self.max_records,
            "predicate": self.predicate,
            "fields": None if self.fields is None else json.loads(self.fields),
        }

    @property
    def topic(self) -> RecordsById | Matches:
        """What has to be looked at."""
        if self.record_id is not None:
            return RecordsById(self.resource)
        return Matches(self.resource, self.filters, self.fields, self._enough)

    @property
    def want(self) -> RecordWant | None:
        """What to ask the topic for."""
        return None if self.record_id is None else RecordWant(self.record_id, self.fields)

    @property
    def _enough(self) -> int | None:
        if self.until or self.never or self.predicate:
            return None
        return self.min_records if self.max_records is None else self.max_records + 1

    async def judge(self, answer: list[dict[str, Any]]) -> Verdict:
        """Say how it stands.

        :param answer: the records that were found.
        """
        verdict = self.hold_against(answer)
        if verdict.state is State.MET and self.predicate is not None:
            try:
                # It may take its time, or ask somebody else: not on an event loop.
                # And what it does to the records is its own affair: others may be given the same.
                will_do = await asyncio.to_thread(load_predicate(self.predicate), copy.deepcopy(answer))
            except Exception as error:  # noqa: BLE001 - whatever a user's function raises
                return Verdict(
                    State.BROKEN, f"The predicate {self.predicate} raised {type(error).__name__}: {error}"
                )
            if not will_do:
                return Verdict(State.WAITING, f"{verdict.reason}, but {self.predicate} is not content")
        return verdict

    def hold_against(self, records: Sequence[Mapping[str, Any]]) -> Verdict:
        """Say how it stands but for the predicate. A pure decision."""
        for record in records:
            if any(holds(record, condition) for condition in self.never):
                return Verdict(
                    State.NEVER,
                    f"{self._named(record)}: {shown(record, self.never)}; by the argument never, that ends the wait"
                    f"{f'. Waited for: {in_words(self.until)}' if self.until else ''}",
                )
        count = len(records)
        if count < self.min_records or (self.max_records is not None and count > self.max_records):
            return Verdict(State.WAITING, self._count_reason(count))
        short = [
            record for record in records if not all(holds(record, condition) for condition in self.until)
        ]
        if short:
            seen = "; ".join(
                f"{self._named(record)}: {shown(record, self.until)}" for record in short[:_MOST_NAMED]
            )
            more = f"; and {len(short) - _MOST_NAMED} more" if len(short) > _MOST_NAMED else ""
            hint = unlisted(self.until, self.resource)
            return Verdict(
                State.WAITING,
                f"{seen}{more}. Waited for: {in_words(self.until)}{f'. {hint}' if hint else ''}",
            )
        if self.record_id is not None:
            reason = (
                f"{self._named(records[0])} is there{f': {shown(records[0], self.until)}' if self.until else ''}"
                if records
                else f"{self.resource} {self.record_id} is not there"
            )
            return Verdict(State.MET, reason, dict(records[0]) if records else None)
        every = f", and of each {in_words(self.until)}" if self.until and records else ""
        at_least = "At least " if self._enough is not None and self.max_records is None else ""
        found = [dict(record) for record in records]
        return Verdict(State.MET, f"{at_least}{count} of {self.resource} match{every}", found)

    def _count_reason(self, count: int) -> str:
        if self.record_id is not None:
            return (
                f"{self.resource} {self.record_id} is there, and should not be"
                if count
                else f"There is no record {self.record_id} in {self.resource}, or this connection may not see it"
            )
        if count < self.min_records:
            return f"{count} of {self.resource} match, at least {self.min_records} have to"
        if self._enough is not None:  # they were not all read
            return f"More than {self.max_records} of {self.resource} match"
        return f"{count} of {self.resource} match, at most {self.max_records} may"

    def _named(self, record: Mapping[str, Any]) -> str:
        return f"{self.resource} {record.get('id')}"


def load_predicate(path: str) -> Callable[[list[dict[str, Any]]], Any]:
    """Import a predicate.

    :param path: dotted path: ``"acme_checks.invoices.is_complete"``.
    :raises CoupaQueryError: there is no such function.
    """
    module, _, name = path.rpartition(".") if isinstance(path, str) else ("", "", "")
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:  # noqa: BLE001 - a module may raise anything while it is imported
        why = f"{type(error).__name__}: {error}" if module else "no module is named"
        raise CoupaQueryError(
            f"predicate: {path!r} cannot be imported ({why}). Give the dotted path of a function in a module that workers "
            "and triggerers can import, for instance 'acme_checks.is_complete'."
        ) from None
    if not callable(found):
        raise CoupaQueryError(f"predicate: {path!r} is no function but {type(found).__name__}.")
    if inspect.iscoroutinefunction(found):
        raise CoupaQueryError(
            f"predicate: {path!r} is a coroutine function. Give a plain one: it is called in a thread, so it may take its "
            "time."
        )
    result: Callable[[list[dict[str, Any]]], Any] = found
    return result


def _checked_resource(resource: str) -> str:
    path = resource.strip().strip("/") if isinstance(resource, str) else ""
    if not path:
        raise CoupaQueryError(
            f"resource: {resource!r} is no path under /api. Give one, for instance 'invoices'."
        )
    if path.rpartition("/")[2].isdecimal():
        raise CoupaQueryError(
            f"resource: {resource!r} is the path of one record. Name the resource here, and the record in record_id."
        )
    return path


def _check_counts(min_records: int, max_records: int | None, *, is_one: bool) -> None:
    for name, value in (("min_records", min_records), ("max_records", max_records)):
        if name == "max_records" and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise CoupaQueryError(f"{name} must be a whole number, 0 or more; got {value!r}.")
    if max_records is not None and max_records < min_records:
        raise CoupaQueryError(
            f"max_records={max_records} is less than min_records={min_records}: no number would do. To wait until "
            "there is none, set both to 0."
        )
    if is_one and min_records > 1:
        raise CoupaQueryError(
            f"min_records={min_records}, but there is only one record of a record_id. Give filters in its place."
        )
    if max(min_records, max_records or 0) > MOST_MATCHES:
        raise CoupaQueryError(
            f"min_records and max_records may not be more than {MOST_MATCHES:,}: so many are read at a time."
        )


def _dead_ends(resource: str, until: Sequence[Condition]) -> tuple[Condition, ...]:
    of_status = [condition for condition in until if condition.path == ("status",)]
    if not of_status:
        return ()
    dead = tuple(
        status
        for status in end_statuses(resource)
        if not all(holds({"status": status}, condition) for condition in of_status)
    )
    return (Condition(("status",), "in", dead, "string"),) if dead else ()


def _fields(
    resource: str, conditions: Sequence[Condition], given: Sequence[Any] | None, *, has_predicate: bool
) -> str | None:
    """Return the encoded ``fields`` argument: conditions can be held only against what is asked for."""
    if given is None and has_predicate:
        return None
    needed: list[Tree | None] = [tree_of(conditions)]
    known = find_resource(resource)
    if given is not None:
        needed.append(read_tree(encode_fields(given)))
    elif known and "status" in known.attributes:
        needed.append({"status": None})
    return encode_fields(to_fields(union(needed)))


def _whole_id(value: int | str) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not (text.isascii() and text.isdecimal()) or not int(text):
        raise CoupaQueryError(
            f"record_id: {value!r} is not the id of a record, a whole number above 0. If it comes from another task, "
            "check what that task returns."
        )
    return int(text)
