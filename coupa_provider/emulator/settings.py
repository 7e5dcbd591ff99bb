"""What can be set while the emulator runs: switches, limits, latency, faults, drift."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from coupa_provider.emulator.switches import Switches

FAULT_KINDS = (
    "500",
    "502",
    "503",
    "429",
    "429_seconds",
    "429_date",
    "drop_before",
    "drop_middle",
    "truncated",
    "stall",
    "login_redirect",
    "revoke_token",
    "lost_write",
)
#: The kind of outage in which no connection can be opened.
REFUSED = "refused"
OUTAGE_KINDS = (*FAULT_KINDS, REFUSED)


class SettingError(ValueError):
    """A setting that does not exist or cannot have that value."""


def check_seconds(name: str, value: Any) -> None:
    """Refuse what is no length of time.

    :param name: of the setting.
    :param value: what was given.
    :raises SettingError: when it is not a number of seconds from 0 on.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise SettingError(f"{name} is a number of seconds from 0 on, not {value!r}")


class _Checked:
    """Reads a dataclass from a mapping and names what it does not know."""

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        known = {entry.name for entry in dataclasses.fields(cls)}  # type: ignore[arg-type]
        unknown = sorted(set(values) - known)
        if unknown:
            raise SettingError(
                f"{cls.__name__.lower()} has no {', '.join(unknown)}; it has {', '.join(sorted(known))}"
            )
        plain = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        return cls(**plain)


@dataclass(frozen=True, slots=True)
class Latency(_Checked):
    """Time that an answer of ``/api`` takes.

    :param fixed_ms: for every request.
    :param jitter_ms: up to this much more, evenly spread.
    :param per_1000_offset_ms: more for each thousand rows of offset.
    :param seed: of the jitter.
    """

    fixed_ms: float = 0
    jitter_ms: float = 0
    per_1000_offset_ms: float = 0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Faults(_Checked):
    """Which requests go wrong, and how.

    :param rate: share of the requests, from 0 to 1.
    :param kinds: the kinds to choose from, see :data:`FAULT_KINDS`.
    :param seed: of the choice.
    :param paths: only for paths that begin with one of these, as ``"invoices"`` or ``"/oauth2/token"``;
        empty means all of ``/api``.
    :param methods: only for these methods; empty means all.
    :param after: this many requests go well first.
    :param times: at most this many faults; None is no end.
    :param always: every request, whatever the rate.
    :param stall_s: how long a stall lasts before the connection is closed.
    :param retry_after_s: what the kinds ``429_seconds`` and ``429_date`` ask to wait.
    """

    rate: float = 0
    kinds: tuple[str, ...] = ("500", "502", "503", "429", "drop_before", "drop_middle", "truncated")
    seed: int = 0
    paths: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    after: int = 0
    times: int | None = None
    always: bool = False
    stall_s: float = 5
    retry_after_s: int = 1

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in FAULT_KINDS]
        if unknown or not self.kinds:
            raise SettingError(f"no fault kind {unknown}; kinds are {', '.join(FAULT_KINDS)}")
        if not 0 <= self.rate <= 1:
            raise SettingError("the rate of faults is a share between 0 and 1")


@dataclass(frozen=True, slots=True)
class Outage(_Checked):
    """A time during which every request concerned goes wrong in one way.

    :param kind: how, one of :data:`OUTAGE_KINDS`.
    :param seconds: how long it lasts, by the real clock.
    :param after_seconds: when it begins, from now on.
    :param paths: only for paths that begin with one of these, as in :class:`Faults`; empty means all of ``/api``.
    :param methods: only for these methods; empty means all.
    """

    kind: str = ""
    seconds: float = 0
    after_seconds: float = 0
    paths: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in OUTAGE_KINDS:
            raise SettingError(f"no outage kind {self.kind!r}; kinds are {', '.join(OUTAGE_KINDS)}")
        check_seconds("seconds", self.seconds)
        check_seconds("after_seconds", self.after_seconds)
        if not self.seconds:
            raise SettingError("an outage lasts a number of seconds above 0")
        for names in (self.paths, self.methods):
            if isinstance(names, str) or not all(isinstance(name, str) for name in names):
                raise SettingError("paths and methods are lists of texts, as ['invoices'] and ['GET']")
        if self.kind == REFUSED and (self.paths or self.methods):
            raise SettingError(
                "a refused connection has no path and no method yet; leave paths and methods out"
            )


@dataclass(frozen=True, slots=True)
class Drift(_Checked):
    """How records change while clients read.

    :param resource: catalog path of the collection.
    :param inserts_per_s: new records with higher ids.
    :param updates_per_s: records with another attribute and ``updated-at``.
    :param deletes_per_s: records that vanish.
    :param exports_per_s: records that another consumer marks exported.
    :param silent_updates_per_s: lines that change without moving the ``updated-at`` of their record.
    :param seed: of the choice of records.
    """

    resource: str = "invoices"
    inserts_per_s: float = 0
    updates_per_s: float = 0
    deletes_per_s: float = 0
    exports_per_s: float = 0
    silent_updates_per_s: float = 0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set at run time; replaced as a whole, never changed.

    :param switches: the open questions.
    :param rate_limit: requests per second, None for no limit.
    :param burst: requests above the rate that are queued before the rest gets 429.
    :param latency: time that answers take.
    :param faults: what goes wrong; None for nothing.
    :param drift: what changes meanwhile, one entry for each resource.
    :param token_ttl_s: life of an access token.
    :param activation_delay_s: what switch U2 waits for.
    :param request_time_limit_s: what switch U13 allows.
    :param slow_offset_ms_per_1000: what switch U14 adds in mode ``slow``.
    :param max_offset: where switch U14 draws its line.
    :param retry_after_s: what switch U11 tells.
    :param token_length: least length of an access token; Coupa's grow with the scopes.
    :param api_filters: attributes that each saved API filter answers, by its name.
    :param default_filters: name of the saved API filter that a resource has by default.
    :param file_pick_up_s: time between two looks into the folders of the file server.
    :param file_rows_per_s: rows of a file that are loaded in a second.
    :param warnings: what successful writes to a resource answer under ``warnings`` within ``errors``.
    """

    switches: Switches = field(default_factory=Switches)
    rate_limit: float | None = 25.0
    burst: int = 20
    latency: Latency = field(default_factory=Latency)
    faults: Faults | None = None
    drift: tuple[Drift, ...] = ()
    token_ttl_s: float = 86399
    activation_delay_s: float = 5
    request_time_limit_s: float = 60
    slow_offset_ms_per_1000: float = 200
    max_offset: int = 10_000
    retry_after_s: int = 1
    token_length: int = 0
    file_pick_up_s: float = 240
    file_rows_per_s: float = 1000
    api_filters: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    default_filters: Mapping[str, str] = field(default_factory=dict)
    warnings: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def with_changes(self, changes: Mapping[str, Any]) -> Settings:
        """Return a copy with some settings changed.

        Switches are merged with those set before; every other setting is replaced. None turns latency,
        faults, drift and the rate limit off.

        :param changes: new values by name, as in a body of the control endpoint.
        :return: new settings.
        :raises SettingError: when a name or value is not known.
        """
        known = {entry.name for entry in dataclasses.fields(self)}
        read: dict[str, Any] = {}
        for name, value in changes.items():
            if name not in known:
                raise SettingError(f"no setting {name!r}; there are {', '.join(sorted(known))}")
            read[name] = self._read(name, value)
        return dataclasses.replace(self, **read)

    def _read(self, name: str, value: Any) -> Any:
        if name == "switches":
            try:
                return self.switches.with_changes(value or {})
            except ValueError as error:
                raise SettingError(str(error)) from None
        if name == "latency":
            return value if isinstance(value, Latency) else Latency.read(value or {})
        if name == "faults":
            return value if value is None or isinstance(value, Faults) else Faults.read(value)
        if name == "drift":
            entries = [value] if isinstance(value, Mapping | Drift) else value or ()
            return tuple(entry if isinstance(entry, Drift) else Drift.read(entry) for entry in entries)
        if name in ("api_filters", "default_filters", "warnings"):
            return dict(value or {})
        if name == "rate_limit":
            if value is not None and not (isinstance(value, int | float) and value > 0):
                raise SettingError("rate_limit is a number of requests per second, or null for none")
            return value
        if not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
            raise SettingError(f"{name} is a number that is not negative")
        return value
