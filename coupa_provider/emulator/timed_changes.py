"""Changes of single records that are set beforehand: for a time, or for after a number of reads."""

from __future__ import annotations

import heapq
import itertools
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from coupa_provider.emulator.settings import SettingError, check_seconds
from coupa_provider.emulator.store import decode, encode, row_of

_OF_CHANGE = frozenset(("resource", "id", "attributes", "after_seconds", "after_reads"))
_OF_ADDITION = frozenset(("resource", "record", "after_seconds"))


@dataclass(slots=True)
class Change:
    """What will happen to one record, and when.

    :param resource: catalog path.
    :param record_id: id of the record; None for a new one that gets any.
    :param attributes: their new values in Coupa's dashed form; those of a new record.
    :param is_new: the record appears.
    :param after_seconds: seconds of the real clock from when the change is planned.
    :param after_reads: number of answers that still show the old record; None to go by the time.
    :param parent_id: id of the record that a new record of a nested collection belongs to.
    """

    resource: str
    record_id: int | None
    attributes: Mapping[str, Any]
    is_new: bool = False
    after_seconds: float = 0
    after_reads: int | None = None
    parent_id: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.resource, str):
            raise SettingError(f"resource is a catalog path, as invoices, not {self.resource!r}")
        if not _is_whole(self.record_id) and not (self.is_new and self.record_id is None):
            raise SettingError(
                f"{self.resource}: the id of a record is a whole number, not {self.record_id!r}"
            )
        if not isinstance(self.attributes, Mapping):
            raise SettingError(f"{self.resource}: attributes is an object of new values by name")
        if not self.is_new and "id" in self.attributes:
            raise SettingError(f"{self.resource} {self.record_id}: the id of a record cannot change")
        if self.after_seconds and self.after_reads is not None:
            raise SettingError(f"{self.resource}: give after_seconds or after_reads, not both")
        check_seconds("after_seconds", self.after_seconds)
        if self.after_reads is not None and not (_is_whole(self.after_reads) and self.after_reads > 0):
            raise SettingError(f"after_reads is a whole number from 1 on, not {self.after_reads!r}")
        try:
            # What the store would not take is refused now, and the caller may use its object again.
            self.attributes = decode(encode(self.attributes))
            row_of({**self.attributes, "id": 0})
        except (TypeError, ValueError) as error:
            raise SettingError(f"{self.resource} {self.record_id or ''}: {error}") from None

    def shown(self) -> dict[str, Any]:
        """Return the change as the control endpoint tells it."""
        name = "record" if self.is_new else "attributes"
        return {"resource": self.resource, "id": self.record_id, name: self.attributes}


def read_change(given: Mapping[str, Any]) -> Change:
    """Read a change from a body of the control endpoint.

    :param given: ``resource``, ``id``, ``attributes`` and when; or ``resource``, ``record`` and when.
    :return: the change.
    :raises SettingError: when it is something else.
    """
    is_new = "record" in given
    known = _OF_ADDITION if is_new else _OF_CHANGE
    needed = {"resource", "record"} if is_new else {"resource", "id", "attributes"}
    if given.keys() - known:
        raise SettingError(
            f"a change has no {', '.join(sorted(given.keys() - known))}; it has {_listed(known)}"
        )
    if needed - given.keys():
        raise SettingError(f"a change needs {_listed(needed)}; {_listed(needed - given.keys())} is missing")
    when = {name: given[name] for name in ("after_seconds", "after_reads") if name in given}
    if is_new:
        return addition(given["resource"], given["record"], **when)
    return Change(given["resource"], given["id"], given["attributes"], **when)


def addition(resource: str, record: Mapping[str, Any], after_seconds: float = 0) -> Change:
    """Return the change by which a record appears.

    :param resource: catalog path; that of a nested collection holds the id of the parent.
    :param record: its attributes in Coupa's dashed form, with or without an id.
    :param after_seconds: seconds of the real clock from when it is planned.
    :return: the change.
    :raises SettingError: when the record has another form.
    """
    if not isinstance(record, Mapping):
        raise SettingError(f"{resource}: record is an object of values by name")
    return Change(resource, record.get("id"), record, True, after_seconds)


@dataclass(slots=True)
class _Awaited:
    """A change that waits until its record was read.

    :param change: the change.
    :param reads_left: answers that still show the old record.
    """

    change: Change
    reads_left: int


class TimedChanges:
    """The changes that are to come, and those that happened; safe to use from several threads.

    :param make: carries out one change; False when its record is gone.
    """

    def __init__(self, make: Callable[[Change], bool]) -> None:
        self._make = make
        self._lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        """Drop what is to come and forget what happened."""
        with self._lock:
            self._timed: list[tuple[float, int, Change]] = []
            self._numbers = itertools.count()
            self._awaited: dict[str, dict[int, list[_Awaited]]] = {}
            self._done: list[dict[str, Any]] = []
            self._missed: list[dict[str, Any]] = []

    def plan(self, change: Change) -> None:
        """Keep a change until its time, or carry it out at once when no time is given.

        :param change: the change; its record has an id.
        """
        with self._lock:
            self.carry_out_due()
            if change.after_reads is not None:
                of_resource = self._awaited.setdefault(change.resource, {})
                of_record = of_resource.setdefault(change.record_id or 0, [])
                of_record.append(_Awaited(change, change.after_reads))
            elif change.after_seconds:
                due = time.monotonic() + change.after_seconds
                heapq.heappush(self._timed, (due, next(self._numbers), change))
            else:
                self._carry_out(change)

    def will_add(self, path: str, record_id: int) -> bool:
        """Tell whether a record is to appear.

        :param path: catalog path.
        :param record_id: its id.
        """
        with self._lock:
            return any(
                change.is_new and (change.resource, change.record_id) == (path, record_id)
                for _, _, change in self._timed
            )

    def seconds_to_next(self) -> float:
        """Return how long nothing will be due by the time."""
        with self._lock:
            return max(0.0, self._timed[0][0] - time.monotonic()) if self._timed else math.inf

    def carry_out_due(self) -> None:
        """Carry out what is due by the time, the oldest first."""
        if not self._timed:
            return
        with self._lock:
            now = time.monotonic()
            while self._timed and self._timed[0][0] <= now:
                self._carry_out(heapq.heappop(self._timed)[2])

    def count_read(self, path: str, bodies: Sequence[bytes]) -> None:
        """Note an answer that shows records, and carry out what waited for it.

        :param path: catalog path.
        :param bodies: the records as stored.
        """
        if path not in self._awaited:
            return
        with self._lock:
            of_resource = self._awaited.get(path, {})
            for record_id in {_identified.decode(body).id for body in bodies} & of_resource.keys():
                of_record = of_resource[record_id]
                for awaited in of_record:
                    awaited.reads_left -= 1
                    if not awaited.reads_left:
                        self._carry_out(awaited.change)
                of_resource[record_id] = [awaited for awaited in of_record if awaited.reads_left]
                if not of_resource[record_id]:
                    del of_resource[record_id]
            if not of_resource:
                self._awaited.pop(path, None)

    def _carry_out(self, change: Change) -> None:
        happened = self._make(change)
        (self._done if happened else self._missed).append({**change.shown(), "at": time.time()})

    def report(self) -> dict[str, list[dict[str, Any]]]:
        """Return what is ``pending``, what is ``done``, and what was ``missed`` because its record was gone.

        :return: lists of changes; ``due`` and ``at`` are seconds since 1970 by the real clock.
        """
        with self._lock:
            ahead = time.time() - time.monotonic()
            timed = [
                {**change.shown(), "due": due + ahead} for due, _, change in sorted(self._timed, key=_order)
            ]
            awaited = [
                {**one.change.shown(), "reads_left": one.reads_left}
                for of_resource in self._awaited.values()
                for of_record in of_resource.values()
                for one in of_record
            ]
            return {"pending": timed + awaited, "done": list(self._done), "missed": list(self._missed)}


class _Identified(msgspec.Struct):
    id: int


_identified = msgspec.json.Decoder(_Identified)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _listed(names: frozenset[str] | set[str]) -> str:
    return ", ".join(sorted(names))


def _order(timed: tuple[float, int, Change]) -> tuple[float, int]:
    return timed[:2]
