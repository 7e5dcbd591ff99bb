"""Records that appear, change and vanish while clients read."""

from __future__ import annotations

import math
import random
import threading
from typing import Any

from coupa_provider.emulator.seed import Seeder
from coupa_provider.emulator.settings import Drift
from coupa_provider.emulator.stamps import render_instant
from coupa_provider.emulator.store import Store

TICK_S = 0.05
# Most changes that one tick makes up for after a pause; a server that was busy does not explode.
_MOST_AT_ONCE = 200
_EVENTS = ("inserted", "updated", "deleted", "exported", "silently_updated")


class DriftLog:
    """What drift did, so that a test knows which records were there all along."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: dict[str, list[dict[str, Any]]] = {name: [] for name in _EVENTS}

    def note(self, event: str, resource: str, record_id: int, at: float) -> None:
        """Keep one event.

        :param event: what happened.
        :param resource: catalog path.
        :param record_id: id of the record.
        :param at: seconds since 1970.
        """
        with self._lock:
            self._events[event].append({"resource": resource, "id": record_id, "at": at})

    def report(self) -> dict[str, list[dict[str, Any]]]:
        """Return all events by kind, oldest first."""
        with self._lock:
            return {name: list(events) for name, events in self._events.items()}

    def reset(self) -> None:
        """Forget all events."""
        with self._lock:
            for events in self._events.values():
                events.clear()


class Drifter:
    """Carries out the drift of one collection.

    :param drift: how fast what happens.
    :param store: the records.
    :param seeder: makes new ones.
    :param log: takes notes.
    """

    def __init__(self, drift: Drift, store: Store, seeder: Seeder, log: DriftLog) -> None:
        self.drift = drift
        self._store = store
        self._seeder = seeder
        self._log = log
        self._random = random.Random(drift.seed)  # noqa: S311 - a repeatable choice is wanted
        self._owed = dict.fromkeys(_EVENTS, 0.0)
        self._rates = {
            "inserted": drift.inserts_per_s,
            "updated": drift.updates_per_s,
            "deleted": drift.deletes_per_s,
            "exported": drift.exports_per_s,
            "silently_updated": drift.silent_updates_per_s,
        }
        self._ids = store.ids(drift.resource)

    def seconds_to_next(self) -> float:
        """Return how long nothing will be due; at least a second, since times have whole seconds."""
        waits = [(1 - self._owed[event]) / rate for event, rate in self._rates.items() if rate]
        return max(1.0, min(waits, default=math.inf))

    def advance(self, seconds: float, now: float) -> None:
        """Do what is due.

        :param seconds: time since the last call.
        :param now: seconds since 1970.
        """
        for event, rate in self._rates.items():
            self._owed[event] = min(self._owed[event] + rate * seconds, _MOST_AT_ONCE)
            while self._owed[event] >= 1:
                self._owed[event] -= 1
                record_id = self._insert(now) if event == "inserted" else self._change(event, now)
                if record_id is not None:
                    self._log.note(event, self.drift.resource, record_id, now)

    def _insert(self, now: float) -> int:
        path = self.drift.resource
        record_id = self._store.new_id(path)
        self._store.put_rows(path, [self._seeder.another(path, self._random, record_id, int(now))])
        self._ids.append(record_id)
        return record_id

    def _change(self, event: str, now: float) -> int | None:
        path = self.drift.resource
        while self._ids:
            place = self._random.randrange(len(self._ids))
            record_id = self._ids[place]
            record = self._store.record(path, record_id)
            if record is not None:
                break
            # Somebody else deleted it.
            self._drop(place)
        else:
            return None
        if event == "deleted":
            self._drop(place)
            self._store.delete(path, record_id)
            return record_id
        stamp = render_instant(int(now), self._seeder.world.zone)
        if event == "exported":
            if record.get("exported") is not False:
                return None
            record.update({"exported": True, "last-exported-at": stamp, "updated-at": stamp})
        elif event == "updated":
            _touch(record, f"changed {self._random.randrange(1_000_000)}")
            record["updated-at"] = stamp
        elif not _touch_line(record, f"changed {self._random.randrange(1_000_000)}"):
            return None
        self._store.put(path, record)
        return record_id

    def _drop(self, place: int) -> None:
        self._ids[place] = self._ids[-1]
        self._ids.pop()


def _touch(record: dict[str, Any], text: str) -> None:
    for name in ("internal-note", "comments", "description", "notes", "note", "title"):
        if name in record and (record[name] is None or isinstance(record[name], str)):
            record[name] = text
            return
    fields = record.setdefault("custom-fields", {})
    if isinstance(fields, dict):
        fields["touched"] = text


def _touch_line(record: dict[str, Any], text: str) -> bool:
    for name, value in record.items():
        if name.endswith("-lines") and isinstance(value, list) and value and isinstance(value[0], dict):
            value[0]["description"] = text
            return True
    return False
