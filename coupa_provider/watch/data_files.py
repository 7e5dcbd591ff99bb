"""Wait until Coupa has loaded a file.

Coupa takes files from its SFTP folders every few minutes, and shows each as a data file source from then on. Nothing in
Coupa tells of a file that has not been picked up.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Self

import msgspec

from coupa_provider.client.client import CoupaClient
from coupa_provider.client.conditions import parse_instant
from coupa_provider.client.errors import CoupaIncompleteError, CoupaQueryError
from coupa_provider.client.query import encode_fields
from coupa_provider.client.walk import Walk
from coupa_provider.watch.records import RecordsById, RecordWant
from coupa_provider.watch.verdict import State, Verdict

RESOURCE = "data_file_sources"

#: What a look asks for: what all releases document, without the errors of single rows.
_FIELDS = ("id", "created_at", "source_for", "status", "file_file_name", "progress")
_DONE = "done"
_FAILED = ("failed", "stopped")
_UNDER_WAY = ("pending", "uploading", "submitted to resque", "loading", "retrying", "paused")

#: What Coupa does not leave in the name of a file: it writes an underscore instead.
_FLATTENED = str.maketrans(dict.fromkeys("/\\&$+,:;=?@<>[]{}|^~%# ", "_"))
#: What it puts before the name: the path. No folder that is documented has an underscore in its name.
_FOLDER = r"(?:.*_)?(?i:Incoming)_[^_]+_"

_EVER = datetime.min.replace(tzinfo=UTC)


def same_file(wanted: str, shown: str) -> bool:
    """Tell whether a data file source is about a file.

    :param wanted: the file's name, ``"rates.csv"``, or its path, ``"./Incoming/LookupValues/rates.csv"``.
    :param shown: ``file-file-name``: ``"_Incoming_LookupValues_rates.csv"``, or the name alone.
    """
    name, found = _flat(wanted), _flat(shown)
    if name == found or not found.endswith(name):
        return name == found
    if "/" in wanted.removeprefix("./").strip("/"):
        return found.endswith(f"_{name}")
    # An underscore before the name may be a part of another name: users.csv is not active_users.csv.
    return re.fullmatch(_FOLDER + re.escape(name), found, re.DOTALL) is not None


@lru_cache(4096)  # each load is held against each that is waited for
def _flat(name: str) -> str:
    return name.strip().removeprefix("./").lstrip("/").translate(_FLATTENED)


@dataclass(frozen=True, slots=True)
class LoadWant:
    """One load.

    :param data_file_source_id: its id; None to tell it by the rest.
    :param file_name: name or path of the file.
    :param source_for: kind of records; None for any.
    :param since: first instant of ``created-at`` that counts.
    """

    data_file_source_id: int | None
    file_name: str = ""
    source_for: str | None = None
    since: datetime = _EVER

    def matches(self, record: Mapping[str, Any]) -> bool:
        """Tell whether a data file source is the one, but for a newer one."""
        kind = str(record.get("source-for"))
        return (
            same_file(self.file_name, str(record.get("file-file-name") or ""))
            and (self.source_for is None or self.source_for.casefold() == kind.casefold())
            and (parse_instant(record.get("created-at")) or _EVER) >= self.since
        )


@dataclass(frozen=True, slots=True)
class DataFileSources:
    """The loads of an instance. The answer for each want: the data file source, or None while there is none.

    All who wait for loads of a connection share these looks.
    """

    async def read(
        self, client: CoupaClient, wants: Sequence[LoadWant]
    ) -> Mapping[LoadWant, dict[str, Any] | None]:
        """Ask for those known by their ids, and for all that were created since the oldest time that is wanted.

        :raises CoupaIncompleteError: the answers do not show what loads are told by.
        """
        fields = encode_fields(_FIELDS)
        ids = {
            want: RecordWant(want.data_file_source_id, fields)
            for want in wants
            if want.data_file_source_id is not None
        }
        by_id = await RecordsById(RESOURCE).read(client, list(ids.values()))
        named = [want for want in wants if want not in ids]
        recent = await self._since(client, min(want.since for want in named)) if named else []
        _check_shown(recent, "created-at", "file-file-name", "status")
        _check_shown([record for found in by_id.values() for record in found], "status")
        answers: dict[LoadWant, dict[str, Any] | None] = {}
        for want in wants:
            found = by_id[ids[want]] if want in ids else filter(want.matches, recent)
            answers[want] = max(found, key=lambda record: int(record["id"]), default=None)
            await asyncio.sleep(0)  # many against many: others on the event loop come in between
        return answers

    async def _since(self, client: CoupaClient, since: datetime) -> list[dict[str, Any]]:
        walk = Walk(client, RESOURCE, filters={"created-at[gt_or_eq]": since}, fields=_FIELDS)
        return [msgspec.json.decode(record) async for page in walk.pages() for record in page.records]


@dataclass(frozen=True, slots=True)
class DataFileWait:
    """A load that is waited for.

    :param load: which one.
    :param started_at: since when it is waited for, in seconds since 1970.
    :param pick_up_timeout: after so many seconds it should have been picked up.
    """

    load: LoadWant
    started_at: float
    pick_up_timeout: float

    @classmethod
    def parse(
        cls,
        *,
        started_at: float,
        pick_up_timeout: float,
        file_name: str | None = None,
        source_for: str | None = None,
        since: str | datetime | None = None,
        data_file_source_id: int | str | None = None,
    ) -> Self:
        """Check what a user wants to wait for.

        :raises CoupaQueryError: something of it is wrong.
        """
        file_name, source_for = _text(file_name), _text(source_for)
        if isinstance(data_file_source_id, str):
            data_file_source_id = _text(data_file_source_id)
        if (file_name is None) == (data_file_source_id is None):
            raise CoupaQueryError(
                "Give either file_name, the name of the file as it was put into Coupa's folder, or data_file_source_id; "
                "look at the templates and at the values of this run."
            )
        if data_file_source_id is not None:
            load = LoadWant(_whole_id(data_file_source_id))
        else:
            load = LoadWant(None, file_name or "", source_for, _instant(since))
        return cls(load, started_at, pick_up_timeout)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of :meth:`parse` that lead here, as JSON values."""
        times = {"started_at": self.started_at, "pick_up_timeout": self.pick_up_timeout}
        if self.load.data_file_source_id is not None:
            return {**times, "data_file_source_id": self.load.data_file_source_id}
        return {
            **times,
            "file_name": self.load.file_name,
            "source_for": self.load.source_for,
            "since": self.load.since.isoformat(),
        }

    @property
    def topic(self) -> DataFileSources:
        """What has to be looked at."""
        return DataFileSources()

    @property
    def want(self) -> LoadWant:
        """What to ask the topic for."""
        return self.load

    async def judge(self, answer: dict[str, Any] | None) -> Verdict:
        """Say how it stands; the result of a load that came to an end is its ``id``."""
        return self.hold_against(answer, time.time())

    def hold_against(self, record: Mapping[str, Any] | None, now: float) -> Verdict:
        """Say how it stands at a time. A pure decision.

        :param record: the data file source, None while there is none.
        :param now: seconds since 1970.
        :return: the verdict: ``MET`` when the load is done, be it with errors, ``NEVER`` when it failed, was stopped or
            was never picked up.
        """
        if record is None:
            if now <= self.started_at + self.pick_up_timeout:
                return Verdict(State.WAITING, self._not_yet())
            return Verdict(State.NEVER, self._never_picked_up())
        name, result = named(record), {"id": record["id"]}
        shown = str(record.get("status"))
        status = shown.casefold().replace("_", " ").strip()
        if status == _DONE:
            return Verdict(State.MET, f"{name} is done", result)
        if status in _FAILED:
            return Verdict(State.NEVER, f"{name} is {status}", result)
        progress = "" if record.get("progress") is None else f", progress {record['progress']}"
        odd = "" if status in _UNDER_WAY else ", which is no status that is documented"
        return Verdict(State.WAITING, f"{name} is {shown!r}{progress}{odd}")

    def _not_yet(self) -> str:
        if self.load.data_file_source_id is not None:
            return f"There is no data file source {self.load.data_file_source_id}, or this connection may not see it"
        return f"{self.load.file_name} is not yet picked up; Coupa does so every 3 to 6 minutes"

    def _never_picked_up(self) -> str:
        waited = f"in {self.pick_up_timeout:,.0f} seconds"
        if self.load.data_file_source_id is not None:
            return f"{self._not_yet()}: it did not appear {waited}"
        kind = f" for {self.load.source_for}" if self.load.source_for else ""
        return (
            f"{self.load.file_name} was never picked up {waited}: Coupa shows no data file source{kind} of that name "
            f"created since {self.load.since.isoformat()}. Check the name of the folder under Incoming and the ending of "
            "the file, and whether the file is in that folder still. If it is gone from there, Coupa has taken it: check "
            "file_name and source_for, and whether since is later than the upload"
        )


def named(record: Mapping[str, Any]) -> str:
    """Return how messages name a load."""
    file = record.get("file-file-name")
    return f"Data file source {record['id']}{f' ({file})' if file else ''}"


def _check_shown(records: Sequence[Mapping[str, Any]], *names: str) -> None:
    for name in names:
        if records and not any(name in record for record in records):
            raise CoupaIncompleteError(
                f"Coupa shows {name} of none of the {len(records):,} data file sources, so how loads stand cannot be told. "
                "Let this connection see it"
            )


def _text(value: Any) -> str | None:
    """An argument without what a template leaves of nothing."""
    if value is not None and not isinstance(value, str):
        raise CoupaQueryError(f"file_name and source_for are texts, not {type(value).__name__}.")
    text = (value or "").strip()
    return None if text in ("", "None") else text


def _whole_id(value: int | str) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not text.isdecimal() or not int(text):
        raise CoupaQueryError(
            f"data_file_source_id: {value!r} is not the id of a record, a whole number above 0. If it comes from another "
            "task, check what that task returns."
        )
    return int(text)


def _instant(value: str | datetime | None) -> datetime:
    try:
        instant = datetime.fromisoformat(value.strip()) if isinstance(value, str) else value
    except ValueError:
        instant = None
    if not isinstance(instant, datetime) or instant.utcoffset() is None:
        raise CoupaQueryError(
            f"since: {value!r} is no instant with its zone in ISO 8601, such as '2026-11-23T06:00:00Z' or "
            "'{{ data_interval_end }}'."
        )
    # A plain one, whatever class of datetime Airflow handed over, and of whole seconds, as Coupa keeps created-at.
    return datetime(*instant.astimezone(UTC).timetuple()[:6], tzinfo=UTC)
