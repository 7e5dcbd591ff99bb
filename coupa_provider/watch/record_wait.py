"""Wait until a record, or the records that match a query, are as they should be."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from coupa_provider.client.conditions import satisfies
from coupa_provider.client.errors import CoupaQueryError
from coupa_provider.client.query import Condition, encode_fields, parse_filters
from coupa_provider.resources import find_resource
from coupa_provider.resources.end_statuses import end_statuses
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
        :param fields: attributes to return; None for those that the conditions speak of, and the status.
        :raises CoupaQueryError: something of it is wrong.
        """
        resource = resource.strip("/")
        known = find_resource(resource)
        wanted = _conditions("until", until, resource)
        unwanted = _dead_ends(resource, wanted) if never is None else _conditions("never", never, resource)
        if (record_id is None) == (filters is None):
            raise CoupaQueryError(
                "Give either record_id or filters: one record, or those that match a query."
            )
        for name, value in (("min_records", min_records), ("max_records", max_records)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
                raise CoupaQueryError(f"{name} must be a whole number, 0 or more; got {value!r}.")
        if max_records is not None and max_records < min_records:
            raise CoupaQueryError(
                f"max_records={max_records} is less than min_records={min_records}: no number would do. To wait until "
                "there is none, set both to 0."
            )
        if max(min_records, max_records or 0) > MOST_MATCHES:
            raise CoupaQueryError(
                f"min_records and max_records may not be more than {MOST_MATCHES:,}: so many are read at a time."
            )
        if predicate is not None:
            load_predicate(predicate)
        conditions, arguments = parse_filters(filters, known)
        query = {**{condition.key: condition.text for condition in conditions}, **arguments}
        if fields is None and predicate is None:
            fields = _fields_of([*wanted, *unwanted], bool(known and "status" in known.attributes))
        return cls(
            resource,
            None if record_id is None else _whole_id(record_id),
            json.dumps(query, separators=(",", ":")),
            wanted,
            unwanted,
            min_records,
            max_records,
            predicate,
            encode_fields(fields, always=["id"]),
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
                holds = await asyncio.to_thread(load_predicate(self.predicate), answer)
            except Exception as error:  # noqa: BLE001 - whatever a user's function raises
                return Verdict(
                    State.BROKEN, f"The predicate {self.predicate} raised {type(error).__name__}: {error}"
                )
            if not holds:
                return Verdict(State.WAITING, f"{verdict.reason}, but {self.predicate} is not content")
        return verdict

    def hold_against(self, records: Sequence[Mapping[str, Any]]) -> Verdict:
        """Say how it stands but for the predicate. A pure decision."""
        for record in records:
            if any(satisfies(record, condition) for condition in self.never):
                return Verdict(
                    State.NEVER,
                    f"{self._named(record)}: {self._shown(record, self.never)}. From there it can not come to "
                    f"{_words(self.until) or 'what is waited for'} any more",
                )
        count = len(records)
        if count < self.min_records or (self.max_records is not None and count > self.max_records):
            return Verdict(State.WAITING, self._count_reason(count))
        short = [
            record for record in records if not all(satisfies(record, condition) for condition in self.until)
        ]
        if short:
            shown = "; ".join(
                f"{self._named(record)}: {self._shown(record, self.until)}" for record in short[:_MOST_NAMED]
            )
            more = f"; and {len(short) - _MOST_NAMED} more" if len(short) > _MOST_NAMED else ""
            return Verdict(State.WAITING, f"{shown}{more}. Waiting for {_words(self.until)}")
        if self.record_id is not None:
            reason = (
                f"{self._named(records[0])} is there{f', {_words(self.until)}' if self.until else ''}"
                if records
                else f"{self.resource} {self.record_id} is not there"
            )
            return Verdict(State.MET, reason, dict(records[0]) if records else None)
        every = f", each of them {_words(self.until)}" if self.until and records else ""
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
        over = "more than" if self._enough is not None else f"{count}, more than"
        return f"{over} {self.max_records} of {self.resource} match"

    def _named(self, record: Mapping[str, Any]) -> str:
        return f"{self.resource} {record.get('id')}"

    def _shown(self, record: Mapping[str, Any], conditions: Sequence[Condition]) -> str:
        """What a record shows of the attributes that conditions speak of."""
        return ", ".join(
            f"{_dotted(path)} is {_value_at(record, path)}"
            for path in dict.fromkeys(condition.path for condition in conditions)
        )


def load_predicate(path: str) -> Callable[[list[dict[str, Any]]], Any]:
    """Import a predicate.

    :param path: dotted path: ``"acme_checks.invoices.is_complete"``.
    :raises CoupaQueryError: there is no such function.
    """
    module, _, name = path.rpartition(".") if isinstance(path, str) else ("", "", "")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise CoupaQueryError(
            f"predicate: {path!r} cannot be imported ({error or 'no module is named'}). Give the dotted path of a function "
            "in a module that workers and triggerers can import, for instance 'acme_checks.is_complete'."
        ) from None
    if not callable(found):
        raise CoupaQueryError(f"predicate: {path!r} is no function.")
    result: Callable[[list[dict[str, Any]]], Any] = found
    return result


def _conditions(name: str, given: Mapping[str, Any] | None, resource: str) -> tuple[Condition, ...]:
    try:
        conditions, arguments = parse_filters(given, find_resource(resource))
    except CoupaQueryError as error:
        raise CoupaQueryError(error.message.replace("filters", name, 1)) from None
    if arguments:
        raise CoupaQueryError(f"{name}: {next(iter(arguments))!r} is no attribute of a record.")
    return tuple(conditions)


def _dead_ends(resource: str, until: Sequence[Condition]) -> tuple[Condition, ...]:
    of_status = [condition for condition in until if condition.path == ("status",)]
    if not of_status:
        return ()
    dead = tuple(
        status
        for status in end_statuses(resource)
        if not all(satisfies({"status": status}, condition) for condition in of_status)
    )
    return (Condition(("status",), "in", dead, "string"),) if dead else ()


def _fields_of(conditions: Sequence[Condition], has_status: bool) -> list[Any]:
    """The attributes that conditions speak of, as a ``fields`` list."""
    names: dict[str, dict[str, Any] | None] = {"id": None}
    if has_status:
        names["status"] = None
    for first, *below in dict.fromkeys(condition.path for condition in conditions):
        # A path of one name may lead to a value; a longer one leads through an association.
        names[first] = {} if below or names.get(first) is not None else None
    return [name if below is None else {name: below} for name, below in names.items()]


def _whole_id(value: int | str) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not text.isdigit() or not int(text):
        raise CoupaQueryError(
            f"record_id: {value!r} is not the id of a record, a whole number above 0. If it comes from another task, "
            "check what that task returns."
        )
    return int(text)


def _words(conditions: Sequence[Condition]) -> str:
    return " and ".join(f"{condition.key} = {condition.text}" for condition in conditions)


def _dotted(path: Sequence[str]) -> str:
    return ".".join(path)


def _value_at(record: Mapping[str, Any], path: Sequence[str]) -> str:
    value: Any = record
    for part in path:
        if isinstance(value, Mapping):
            name = part.replace("_", "-")
            if name not in value and part not in value:
                return "not shown"
            value = value.get(name, value.get(part))
        else:
            break
    return "an object" if isinstance(value, Mapping | list) else repr(value)
