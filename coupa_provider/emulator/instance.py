"""One emulated Coupa instance: its records, clients, settings and what it saw. No HTTP here."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from coupa_provider.emulator.attached import show_attachments
from coupa_provider.emulator.attributes import readable_attributes
from coupa_provider.emulator.clock import Clock
from coupa_provider.emulator.drift import Drifter, DriftLog
from coupa_provider.emulator.faults import FaultPlan
from coupa_provider.emulator.file_folders import FileFolders
from coupa_provider.emulator.file_load import FileLoad
from coupa_provider.emulator.oauth import Authority
from coupa_provider.emulator.observed import Observed
from coupa_provider.emulator.outages import Outages
from coupa_provider.emulator.payloads import Upload
from coupa_provider.emulator.profiles import PROFILES
from coupa_provider.emulator.rate_limit import RateLimiter
from coupa_provider.emulator.seed import Seeder
from coupa_provider.emulator.settings import Faults, SettingError, Settings
from coupa_provider.emulator.shape import without_nulls
from coupa_provider.emulator.stamps import DEFAULT_ZONE, render_instant
from coupa_provider.emulator.store import Row, Store, row_of
from coupa_provider.emulator.timed_changes import Change, TimedChanges
from coupa_provider.resources import Resource, find_resource, resource_paths

# Above the ids that seeded lines have.
_FIRST_LINE_ID = 1_000_000_000
_LOADED_AT_ONCE = 1000

Data = Mapping[str, Iterable[Mapping[str, Any]]]


class Instance:
    """One emulated instance.

    :param seed: decides the seeded data.
    :param scale: multiplies their number.
    :param sizes: number of records by catalog path; these are made at once, others on first use.
    :param profile: a bundle of settings, see :mod:`.profiles`.
    :param empty: start without seeded data.
    :param data: records of the user's own.
    :param client_id: client that has every scope.
    :param client_secret: its secret.
    :param zone: zone of the company, in which instants are printed.
    :param files: folder of this machine that is Coupa's file server; None for a temporary one.
    :param changes: settings, see :class:`.settings.Settings`.
    """

    def __init__(
        self,
        *,
        seed: int = 7,
        scale: float = 1.0,
        sizes: Mapping[str, int] | None = None,
        profile: str | None = None,
        empty: bool = False,
        data: Data | None = None,
        client_id: str = "emulator",
        client_secret: str = "emulator-secret",  # noqa: S107 - known to all, it protects nothing
        zone: str = DEFAULT_ZONE,
        files: Path | None = None,
        changes: Mapping[str, Any] | None = None,
    ) -> None:
        if profile is not None and profile not in PROFILES:
            raise SettingError(f"no profile {profile!r}; there are {', '.join(sorted(PROFILES))}")
        for path in sizes or {}:
            resource_at(path)
        bundle = PROFILES[profile].settings if profile else {}
        self._initial = Settings().with_changes(bundle).with_changes(changes or {})
        self.empty = empty
        self._data = data
        self._sizes = dict(sizes or {})
        self.seeder = Seeder(seed, scale, sizes, zone)
        self.store = Store(self._seeded)
        self.authority = Authority()
        self.authority.add_client(client_id, client_secret, None)
        self.client_id = client_id
        self.client_secret = client_secret
        self.observed = Observed()
        self.drift_log = DriftLog()
        self.timed_changes = TimedChanges(self._carry_out)
        self.outages = Outages()
        self.clock = Clock()
        self.limiter = RateLimiter()
        self.uploads: dict[tuple[str, int], Upload] = {}
        self.files = FileFolders(files)
        #: Files that were picked up, in the order in which they are loaded.
        self.loads: list[FileLoad] = []
        self.reset()

    def _seeded(self, path: str) -> tuple[Iterable[Row], set[str]]:
        if self.empty:
            return (), {"custom-fields"}
        return self.seeder.rows(path), self.seeder.maker(path).own_names

    def reset(self) -> None:
        """Go back to the state at the start: records, settings, clock, counts. Clients and tokens stay."""
        self.store.reset()
        self.clock.set(None)
        self.limiter = RateLimiter()
        self.observed.reset()
        self.drift_log.reset()
        self.timed_changes.reset()
        self.outages.reset()
        self.uploads.clear()
        self.loads.clear()
        self.files.close()
        self._lines = 0
        for path in self._sizes:
            self.store.collection(path)
        if self._data is not None:
            self.load(self._data)
        self._set(self._initial)

    def _set(self, settings: Settings) -> None:
        before: Settings | None = getattr(self, "settings", None)
        if before is None or before.faults != settings.faults:
            self.plan_faults(settings.faults)
        if before is None or before.drift != settings.drift:
            self.drifters = [
                Drifter(drift, self.store, self.seeder, self.drift_log) for drift in settings.drift
            ]
        if before is None or (before.rate_limit, before.burst) != (settings.rate_limit, settings.burst):
            self.limiter = RateLimiter()
        self.settings = settings

    def plan_faults(self, faults: Faults | None) -> None:
        """Begin a plan of faults anew.

        :param faults: what may go wrong; None for nothing.
        """
        self.fault_plan = FaultPlan(faults) if faults else None

    def choose_fault(self, method: str, path: str) -> tuple[str, Faults] | None:
        """Decide whether a request goes wrong; an outage comes before the plan of faults.

        :param method: its HTTP method.
        :param path: its path.
        :return: kind of fault and its settings, or None when all goes well.
        """
        found = self.outages.choose(method, path)
        if found is not None or self.fault_plan is None:
            return found
        kind = self.fault_plan.choose(method, path)
        return (kind, self.fault_plan.faults) if kind is not None else None

    def configure(self, changes: Mapping[str, Any]) -> None:
        """Change settings.

        :param changes: new values by name.
        :raises SettingError: when a name or value is not known; nothing is changed then.
        """
        settings = self.settings.with_changes(changes)
        for drift in settings.drift:
            resource_at(drift.resource)
        self._set(settings)
        if "faults" in changes:
            self.plan_faults(settings.faults)

    def ids(self, path: str) -> list[int]:
        """Return the ids now alive.

        :param path: catalog path.
        :return: sorted ids.
        """
        return self.store.ids(resource_at(path).path)

    def record(self, path: str, record_id: int) -> dict[str, Any] | None:
        """Return a record as a default GET answers it.

        :param path: catalog path.
        :param record_id: its id.
        :return: the record, or None when it is gone.
        """
        record = self.store.record(resource_at(path).path, record_id)
        if record is not None and self.settings.switches["U29"] == "omitted":
            record = without_nulls(record)
        return record

    def load(self, data: Data) -> dict[str, int]:
        """Take records of the user's own; one with the id of another replaces it.

        What a record leaves out is null, or an empty list, or now for its two times.

        :param data: records in Coupa's dashed form by path; that of a nested collection holds the id of
            the parent, as ``suppliers/7/addresses``.
        :return: number of records taken by path.
        :raises SettingError: when the data has another form.
        """
        if not isinstance(data, Mapping):
            raise SettingError("the data must be an object of resource to list of records")
        taken: dict[str, int] = {}
        for path, records in data.items():
            resource, parent_id = _resource_and_parent(path)
            listed = isinstance(records, Sequence) and all(isinstance(one, Mapping) for one in records)
            if isinstance(records, Mapping | str) or (isinstance(records, Sequence) and not listed):
                raise SettingError(f"{path}: the records must be a list of objects")
            taken[path] = self._load(resource, parent_id, records)
        return taken

    def _load(self, resource: Resource, parent_id: int | None, records: Iterable[Any]) -> int:
        collection = self.store.collection(resource.path)
        rows: list[Row] = []
        taken = 0
        for given in records:
            if not isinstance(given, Mapping):
                raise SettingError(f"{resource.path}: the records must be a list of objects")
            record = self.completed(resource, given)
            collection.own_names.update(record)
            rows.append(row_of(record, parent_id))
            # So that the next record without an id does not get this one's.
            collection.next_id = max(collection.next_id, rows[-1][0] + 1)
            taken += 1
            if len(rows) == _LOADED_AT_ONCE:
                self.store.put_rows(resource.path, rows)
                rows = []
        if rows:
            self.store.put_rows(resource.path, rows)
        if resource.type == "Attachment":
            show_attachments(self.store, resource.path, parent_id)
        return taken

    def plan(self, change: Change) -> int:
        """Change a record or let one appear, now or later; see :mod:`.timed_changes`.

        :param change: what and when.
        :return: id of the record.
        :raises SettingError: when there is no such resource, or no such record to change.
        """
        if change.is_new:
            resource, change.parent_id = _resource_and_parent(change.resource)
            change.resource = resource.path
            if change.record_id is None:
                change.record_id = self.store.new_id(resource.path)
            # No record that is created meanwhile gets this id.
            collection = self.store.collection(resource.path)
            collection.next_id = max(collection.next_id, change.record_id + 1)
        else:
            path = resource_at(change.resource).path
            record_id = change.record_id or 0
            is_known = self.store.body(path, record_id) is not None
            if not is_known and not self.timed_changes.will_add(path, record_id):
                raise SettingError(f"there is no record {record_id} of {path}; add it before it is changed")
        self.timed_changes.plan(change)
        return change.record_id or 0

    def _carry_out(self, change: Change) -> bool:
        path = change.resource
        if change.is_new:
            self._load(resource_at(path), change.parent_id, [{**change.attributes, "id": change.record_id}])
            return True
        record = self.store.record(path, change.record_id or 0)
        if record is None:
            return False
        record.update({"updated-at": self.stamp(), **change.attributes})
        self.store.collection(path).own_names.update(change.attributes)
        self.store.put(path, record)
        return True

    def completed(self, resource: Resource, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return a record with all documented attributes.

        :param resource: what kind of record.
        :param given: attributes that are known.
        :return: the record with an id.
        """
        now = self.stamp()
        record: dict[str, Any] = dict.fromkeys(("id", "created-at", "updated-at"))
        for name, attribute in readable_attributes(resource.type).items():
            record[name] = [] if attribute.base == "list" else None
        if "exported" in record:
            record["exported"] = False
        record.update({"created-at": now, "updated-at": now, "custom-fields": {}})
        record.update(given)
        if record["id"] is None:
            record["id"] = self.store.new_id(resource.path)
        return record

    def new_line_id(self) -> int:
        """Return an id for a line that lives inside its record only."""
        self._lines += 1
        return _FIRST_LINE_ID + self._lines

    def stamp(self) -> str:
        """Return the time now as Coupa prints it."""
        return render_instant(int(self.clock.now()), self.seeder.world.zone)

    def tick(self, seconds: float) -> None:
        """Carry out the timed changes that are due, and let drift go on, unless a test has set the clock.

        :param seconds: time since the last tick.
        """
        self.timed_changes.carry_out_due()
        if not self.clock.is_set:
            self._drift(seconds)

    def advance(self, seconds: float) -> None:
        """Move the clock, and let drift happen on the way, each change at its own time.

        :param seconds: how far.
        :raises SettingError: when the clock was not set before, or would go back.
        """
        while True:
            step = min([seconds, *(drifter.seconds_to_next() for drifter in self.drifters)])
            self.clock.advance(step)
            self._drift(step)
            seconds -= step
            if seconds <= 0:
                return

    def _drift(self, seconds: float) -> None:
        now = self.clock.now()
        for drifter in self.drifters:
            drifter.advance(seconds, now)

    def issue_refresh_token(self, client_id: str, scopes: Collection[str]) -> str:
        """Make a refresh token as if a user had consented.

        :param client_id: client that it is for.
        :param scopes: what the user consented to.
        :return: the token.
        """
        return self.authority.issue_refresh_token(client_id, scopes, time.monotonic())


def resource_at(path: str) -> Resource:
    """Return a resource of the catalog.

    :param path: catalog path.
    :return: the resource.
    :raises SettingError: when there is none.
    """
    resource = find_resource(path)
    if resource is None or resource.path != path:
        near = [
            known
            for known in resource_paths()
            if known.replace("_", "").startswith(path.replace("-", "")[:4])
        ]
        raise SettingError(f"no resource {path!r} in the catalog; near are {', '.join(near[:8]) or 'none'}")
    return resource


def _resource_and_parent(path: str) -> tuple[Resource, int | None]:
    ids = [int(part) for part in path.split("/") if part.isdecimal()]
    resource = find_resource(path) if ids else resource_at(path)
    if resource is None or (":" in resource.path and not ids):
        raise SettingError(f"{path}: name the parent, as suppliers/7/addresses")
    return resource, ids[-1] if ids else None


def read_data_file(path: Path) -> dict[str, Any]:
    """Read a file of records of the user's own.

    :param path: file with one JSON object of resource to list.
    :return: the object.
    :raises SettingError: when the file holds something else.
    """
    try:
        data = msgspec.json.decode(path.read_bytes())
    except msgspec.DecodeError as error:
        raise SettingError(f"{path.name} is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise SettingError(f"{path.name} must hold one object of resource to list of records")
    return data
