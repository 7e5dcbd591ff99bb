"""Acknowledge landed records: set the exported flag of each one, once.

The ids come from the manifest of the extract, never from a query with ``exported=false``: every mark takes a
record out of that query's result, and whoever pages through it by offset passes over others.

Each batch is looked up first. A record that is exported already is not marked again; one that was changed
after it was landed is not marked either, or the change would never come out. A mark whose answer was lost is
looked up too, before it is sent again. What became of each record goes to a journal beside the manifest, and
so does what is about to be marked: a try that follows a killed one goes on where that stopped, and knows the
killed one's marks from those of other consumers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Annotated

import msgspec
from pyroaring import BitMap64

from coupa_provider.client.blocking import BlockingClient, run_in_background
from coupa_provider.client.client import CoupaClient
from coupa_provider.client.errors import (
    CoupaNotFoundError,
    CoupaOutcomeUnknownError,
    CoupaUnavailableError,
    CoupaValidationError,
)
from coupa_provider.client.in_thread import in_thread
from coupa_provider.client.query import encode_arguments
from coupa_provider.client.spans import workers_for
from coupa_provider.client.together import for_each, for_each_read
from coupa_provider.client.walk import BATCH, Walk
from coupa_provider.extract.destination import Destination
from coupa_provider.extract.manifest_reader import ManifestReader
from coupa_provider.extract.progress import Progress, Reporter
from coupa_provider.push.doubt import delay_in_doubt
from coupa_provider.push.errors import PushError
from coupa_provider.push.journal import Journal
from coupa_provider.resources import find_resource

log = logging.getLogger(__name__)

#: Set by this task, in this try or an earlier one.
MARKED = "marked"
#: Exported before this task came to it: another consumer has it.
ALREADY = "already"
#: Changed in Coupa after it was landed, so not marked: the next extract brings the change.
CHANGED = "changed"
#: No longer in Coupa, or no longer shown to this client.
GONE = "gone"
OUTCOMES = (MARKED, ALREADY, CHANGED, GONE)
#: Notes that are no outcome: about to be marked, and refused by Coupa in one try.
_INTENDED = "intended"
_REFUSED = "refused"

#: Batches at work at a time: while one is looked up and another noted, one is marked.
_LANES = 3
#: Refusals after which it is not about single records.
_MOST_REFUSED = 100
_SAMPLE = 20


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What became of the records of an extract, over all tries.

    :param records: records in the extract.
    :param counts: number of records by outcome.
    :param samples: the first ids of each outcome but ``marked``.
    :param journal: URL of the folder that holds the outcome of every record.
    :param requests: HTTP requests sent by this try.
    :param throttled: answers with status 429 in this try.
    :param seconds: time this try took.
    """

    records: int
    counts: dict[str, int]
    samples: dict[str, list[int]]
    journal: str
    requests: int
    throttled: int
    seconds: float


def mark_exported(
    client: BlockingClient,
    extract: ManifestReader,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    progress_seconds: float = 5.0,
) -> Acknowledgement:
    """Set the exported flag of every record of an extract; call it again to go on after a failure.

    :param client: leads to the instance the extract came from.
    :param extract: the extract, with a column ``updated_at`` if changes are to be noticed.
    :param on_progress: called every ``progress_seconds`` from another thread.
    :param progress_seconds: seconds between reports.
    :return: what became of the records.
    :raises PushError: the resource has no exported flag, the extract is from another instance, or Coupa
        refused records; all others are marked then.
    :raises CoupaError: a request failed for good.
    :raises ExtractError: a file of the extract is not what the manifest describes.
    """
    started = time.monotonic()
    _check_extract(extract, client.config.instance)
    call = _marking_call(extract.manifest.resource)
    journal = Journal(_journal_folder(extract))
    counters = client.client.counters
    requests_before, throttled_before = counters.requests, counters.throttled
    with Reporter(counters, on_progress, progress_seconds) as reporter:
        marking = _Marking(client.client, extract, call, journal, reporter)
        run_in_background(marking.run())
    if marking.undated:
        log.warning(
            "%s of the records were landed without updated-at, so changes since could not be noticed. "
            "Name updated-at in the fields of the extract.",
            f"{marking.undated:,}",
        )
    if marking.refused:
        raise PushError(
            f"Coupa refused to mark {len(marking.refused):,} of {extract.manifest.records:,} "
            f"{extract.manifest.resource}: {marking.refusal}. The others are done. Records "
            f"{_listing(marking.refused)}; clear the task to try these again"
        )
    outcomes = {outcome: journal.ids(outcome) for outcome in OUTCOMES}
    return Acknowledgement(
        records=extract.manifest.records,
        counts={outcome: len(ids) for outcome, ids in outcomes.items()},
        samples={
            outcome: list(islice(ids, _SAMPLE)) for outcome, ids in outcomes.items() if outcome != MARKED
        },
        journal=journal.folder.url,
        requests=counters.requests - requests_before,
        throttled=counters.throttled - throttled_before,
        seconds=round(time.monotonic() - started, 3),
    )


class _Call(msgspec.Struct, frozen=True):
    """How a resource's records are marked.

    :param suffix: end of the path after the id.
    :param query: query string, encoded.
    """

    suffix: str
    query: str


class _State(msgspec.Struct, rename="kebab"):
    """What Coupa shows of a record."""

    id: int
    exported: bool | msgspec.UnsetType | None = msgspec.UNSET
    updated_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


_state = msgspec.json.Decoder(_State, strict=False)


class _Marking:
    """One try to mark the records of an extract."""

    def __init__(
        self, client: CoupaClient, extract: ManifestReader, call: _Call, journal: Journal, reporter: Reporter
    ) -> None:
        self.undated = 0
        self.refused = BitMap64()
        #: What Coupa said of the first record it refused.
        self.refusal = ""
        self._client = client
        self._extract = extract
        self._resource = extract.manifest.resource.strip("/")
        self._call = call
        self._journal = journal
        self._reporter = reporter
        self._writing = asyncio.Lock()

    async def run(self) -> None:
        """Mark all records that have no outcome yet."""
        await for_each_read(self._batches(), self._settle, _LANES)

    def _batches(self) -> Iterator[dict[int, datetime | None]]:
        """Yield the records without an outcome, each with the ``updated-at`` it was landed with."""
        settled = [self._journal.ids(outcome) for outcome in OUTCOMES]
        dated = "updated_at" in self._extract.arrow_schema().names
        batch: dict[int, datetime | None] = {}
        for rows in self._extract.batches(["id", "updated_at"] if dated else ["id"]):
            ids = rows.column(0).to_pylist()
            instants = rows.column(1).to_pylist() if dated else [None] * len(ids)
            for record_id, landed in zip(ids, instants, strict=True):
                if any(record_id in ids_of_outcome for ids_of_outcome in settled):
                    continue
                self.undated += landed is None
                batch[record_id] = landed
                if len(batch) == BATCH:
                    yield batch
                    batch = {}
        if batch:
            yield batch

    async def _settle(self, batch: Mapping[int, datetime | None]) -> None:
        """Look up, mark, and look up again what is in doubt, until each record of a batch has an outcome."""
        waiting = dict(batch)
        attempt = 0
        while waiting:
            outcomes, to_mark = self._judge(waiting, await self._look_up(list(waiting)))
            await self._note({**outcomes, _INTENDED: to_mark})
            marked, doubt = await self._mark_all(to_mark)
            await self._note(marked)
            for ids in (*outcomes.values(), *marked.values()):
                self._reporter.records += len(ids)
                for record_id in ids:
                    del waiting[record_id]
            if waiting:
                attempt += 1
                await self._pause(attempt, len(waiting), doubt)

    async def _look_up(self, ids: Sequence[int]) -> dict[int, _State]:
        """Return what Coupa shows now of some records; those that are gone are missing."""
        fields = ["id", "exported", "updated_at"]
        walk = Walk(self._client, self._resource, filters={"id[in]": ids}, fields=fields)
        states: dict[int, _State] = {}
        async for page in walk.pages():
            for record in page.records:
                try:
                    state = _state.decode(record)
                except msgspec.ValidationError as error:
                    raise PushError(f"A record of {self._resource!r} cannot be read: {error}") from None
                states[state.id] = state
        return states

    def _judge(
        self, waiting: Mapping[int, datetime | None], states: Mapping[int, _State]
    ) -> tuple[dict[str, list[int]], list[int]]:
        """Decide which records to mark, and the outcome of the others."""
        outcomes: dict[str, list[int]] = {outcome: [] for outcome in OUTCOMES}
        to_mark: list[int] = []
        intended = self._journal.ids(_INTENDED)
        for record_id, landed in waiting.items():
            state = states.get(record_id)
            if state is None:
                outcomes[GONE].append(record_id)
            elif state.exported is msgspec.UNSET:
                raise PushError(
                    f"Coupa does not show 'exported' of {self._resource!r} to this client, so nothing was marked "
                    f'in the dark. Look at record {record_id} with fields=["id","exported"]'
                )
            elif state.exported:
                outcomes[MARKED if record_id in intended else ALREADY].append(record_id)
            elif landed is not None and state.updated_at is not None and state.updated_at > landed:
                outcomes[CHANGED].append(record_id)
            else:
                to_mark.append(record_id)
        return outcomes, to_mark

    async def _mark_all(self, ids: Sequence[int]) -> tuple[dict[str, list[int]], Exception | None]:
        """Mark records, as many at a time as the pace needs.

        :return: ids by outcome, without those in doubt, and what put the last of these in doubt.
        """
        outcomes: dict[str, list[int]] = {MARKED: [], _REFUSED: []}
        doubt: Exception | None = None

        async def mark(record_id: int) -> None:
            nonlocal doubt
            try:
                if await self._mark(record_id):
                    outcomes[MARKED].append(record_id)
            except CoupaValidationError as error:
                outcomes[_REFUSED].append(record_id)
                self._count_refusal(record_id, error)
            except (CoupaOutcomeUnknownError, CoupaNotFoundError) as error:
                doubt = error

        await for_each(ids, mark, workers_for(self._client.pacer.rate, self._client.latency))
        return outcomes, doubt

    async def _mark(self, record_id: int) -> bool:
        """Mark one record; True if the answer shows that it is marked."""
        answer = await self._client.request(
            "PUT",
            f"{self._resource}/{record_id}{self._call.suffix}",
            query=self._call.query,
            repeatable=False,
        )
        try:
            return _state.decode(answer.body).exported is True
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False  # the look-up tells

    def _count_refusal(self, record_id: int, error: CoupaValidationError) -> None:
        self.refused.add(record_id)
        self.refusal = self.refusal or error.message
        log.warning("%s %s was not marked: %s", self._resource, record_id, error.message)
        if len(self.refused) >= _MOST_REFUSED:
            raise PushError(
                f"Coupa refused to mark {len(self.refused)} records of {self._resource!r}, so it is not about single "
                f"ones: {self.refusal}. Records {_listing(self.refused)}"
            )

    async def _note(self, outcomes: Mapping[str, Sequence[int]]) -> None:
        async with self._writing:
            await in_thread(self._journal.note, outcomes)

    async def _pause(self, attempt: int, records: int, doubt: Exception | None) -> None:
        """Wait before records in doubt are looked up again: a slow Coupa may still be at work on them."""
        delay = delay_in_doubt(self._client, attempt, doubt)
        if delay is None:
            raise CoupaUnavailableError(
                f"{records} records of {self._resource!r} were still not exported after {attempt} tries to mark them "
                f"({doubt or 'Coupa answered as if all were well'})"
            ) from doubt
        await asyncio.sleep(delay)


def _check_extract(extract: ManifestReader, instance: str) -> None:
    manifest = extract.manifest
    if manifest.kind != "records":
        raise PushError(
            f"{extract.folder.manifest_url} lists {manifest.kind}: there is nothing to mark exported"
        )
    if manifest.instance != instance:
        raise PushError(
            f"{extract.folder.manifest_url} was extracted from {manifest.instance}, but the connection leads to "
            f"{instance}. The same ids are other records there: use the connection of the extract"
        )


def _marking_call(resource: str) -> _Call:
    """Return how the records of a resource are marked.

    :raises PushError: the documents know the resource, and no exported flag or no call that sets it.
    """
    known = find_resource(resource)
    fields = {"fields": '["id","exported"]'}
    if known is not None and "exported" not in known.attributes:
        raise PushError(
            f"{resource!r} has no exported flag (article {known.article}). Extract it by windows of updated-at"
        )
    actions = known.actions if known is not None else {}
    if actions.get("export", "").startswith("PUT "):
        return _Call("/export", encode_arguments(fields))
    return _Call("", encode_arguments({"exported": True, **fields}))


def _journal_folder(extract: ManifestReader) -> Destination:
    """Return the folder of an extract's journal: one made anew into the same folder gets another."""
    folder = extract.folder
    name = f"_exported/{extract.manifest.finished:%Y%m%dT%H%M%S.%fZ}"
    return Destination(folder.fs, folder.path_of(name), folder.url_of(name))


def _listing(ids: BitMap64) -> str:
    return ", ".join(map(str, islice(ids, _SAMPLE))) + (" ..." if len(ids) > _SAMPLE else "")
