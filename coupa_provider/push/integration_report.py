"""Tell Coupa what became of each record: errors that are mailed to people, history, and old reports resolved.

An integration error with an alert is a mail to the contacts of the integration, so each is created once. What is about
to be reported is noted in a journal beside the outcome file first. After a lost answer, or in a try that follows a
killed one, the reports of the run are looked through for those before they are created again: each carries the key of
its record as ``external-id`` and its row as ``response-code``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from coupa_provider.client.blocking import BlockingClient, run_in_background
from coupa_provider.client.client import CoupaClient
from coupa_provider.client.errors import (
    CoupaError,
    CoupaOutcomeUnknownError,
    CoupaUnavailableError,
    CoupaValidationError,
)
from coupa_provider.client.in_thread import in_thread
from coupa_provider.client.spans import workers_for
from coupa_provider.client.together import for_each, for_each_read
from coupa_provider.client.walk import BATCH
from coupa_provider.extract.destination import Destination
from coupa_provider.extract.manifest_reader import checksum_of
from coupa_provider.push.doubt import pause_in_doubt
from coupa_provider.push.errors import PushError
from coupa_provider.push.integration_alert import made_of
from coupa_provider.push.integration_reporting import BAD, ERRORS, HISTORY, Reporting, code_of, external_id_of
from coupa_provider.push.journal import Journal
from coupa_provider.push.keys import KeyPart, KeyValues
from coupa_provider.push.ledger import OUTCOMES, Settled
from coupa_provider.push.lookup import look_up

log = logging.getLogger(__name__)

_REPORT_FIELDS = ["id", "status", "document-type", "integration-run-id", {"integration": ["code"]}]
# Notes in the journal: rows that were, or are about to be, reported, and reports that were resolved.
_ALERTED, _RECORDED, _SETTLED, _INTENDED = "alerted", "recorded", "settled", "intended"
_RESOLVED = {ERRORS: "resolved_errors", HISTORY: "resolved_history"}
_LANES = 3
#: Refusals after which it is not about single records.
_MOST_REFUSED = 20


@dataclass(frozen=True, slots=True)
class Report:
    """What was told Coupa about an outcome file, over all tries.

    :param records: outcomes in the file.
    :param counts: number of them by outcome.
    :param alerts: integration errors created, each mailed to the contacts.
    :param recorded: history records created.
    :param resolved: errors and history records of earlier runs that were resolved.
    :param journal: URL of the folder that remembers it.
    :param requests: HTTP requests sent by this try.
    :param throttled: answers with status 429 in this try.
    :param seconds: time this try took.
    """

    records: int
    counts: dict[str, int]
    alerts: int
    recorded: int
    resolved: int
    journal: str
    requests: int
    throttled: int
    seconds: float


def report_outcomes(client: BlockingClient, folder: Destination, name: str, reporting: Reporting) -> Report:
    """Report every record of an outcome file, once; call it again to go on after a failure.

    A rejected record, or one of which nothing is known, gets an integration error with an alert. For all others what is
    still open from earlier runs of the integration is resolved, and with ``history`` they get a history record.

    :param client: leads to the instance.
    :param folder: folder of the outcome file; the journal goes there, too.
    :param name: name of the file: NDJSON, a line for each :class:`.ledger.Settled`.
    :param reporting: how.
    :raises PushError: the file is none of outcomes, or Coupa refused reports; all others are made then.
    :raises CoupaError: a request failed for good.
    """
    started = time.monotonic()
    try:
        with folder.fs.open(folder.path_of(name), "rb") as file:
            content = checksum_of(file)
    except FileNotFoundError:
        raise PushError(f"There is no outcome file {folder.url_of(name)}") from None
    kept = f"_reported/run-{reporting.run_id}-{content[:12]}"
    journal = Journal(Destination(folder.fs, folder.path_of(kept), folder.url_of(kept)))
    counters = client.client.counters
    requests_before, throttled_before = counters.requests, counters.throttled
    work = _Work(client.client, reporting, journal)
    run_in_background(work.run(_batches(folder, name)))
    if work.refused:
        raise PushError(
            f"Coupa refused to take the reports of {len(work.refused)} of {sum(work.counts.values()):,} "
            f"{reporting.resource}: {work.refusal}. The others are made. Rows "
            f"{', '.join(map(str, work.refused))}; clear the task to try these again"
        )
    return Report(
        records=sum(work.counts.values()),
        counts={outcome: work.counts[outcome] for outcome in OUTCOMES},
        alerts=len(journal.ids(_ALERTED)),
        recorded=len(journal.ids(_RECORDED)),
        resolved=sum(len(journal.ids(note)) for note in _RESOLVED.values()),
        journal=journal.folder.url,
        requests=counters.requests - requests_before,
        throttled=counters.throttled - throttled_before,
        seconds=round(time.monotonic() - started, 3),
    )


@dataclass(slots=True)
class _Work:
    """One try to report an outcome file."""

    client: CoupaClient
    reporting: Reporting
    journal: Journal
    counts: Counter[str] = field(default_factory=Counter)
    refused: list[int] = field(default_factory=list)
    #: What Coupa said of the first report that it refused.
    refusal: str = ""
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, batches: Iterator[list[Settled]]) -> None:
        """Report all rows that have not been."""
        await for_each_read(batches, self._settle, _LANES)

    async def _settle(self, batch: Sequence[Settled]) -> None:
        self.counts.update(outcome.outcome for outcome in batch)
        done = [self.journal.ids(note) for note in (_ALERTED, _RECORDED, _SETTLED)]
        left = [outcome for outcome in batch if not any(outcome.row in rows for rows in done)]
        good = [outcome for outcome in left if outcome.outcome not in BAD]
        await self._resolve(good)
        await self._report(ERRORS, [outcome for outcome in left if outcome.outcome in BAD])
        await self._report(HISTORY, good if self.reporting.history else [])
        if not self.reporting.history:
            await self._note({_SETTLED: [outcome.row for outcome in good]})

    # ---- new reports

    async def _report(self, path: str, outcomes: Sequence[Settled]) -> None:
        """Create a report for each, looking first wherever one may exist already."""
        note = _ALERTED if path == ERRORS else _RECORDED
        intended = self.journal.ids(_INTENDED)
        waiting = {outcome.row: outcome for outcome in outcomes}
        in_doubt = [outcome for outcome in outcomes if outcome.row in intended]
        attempt = 0
        while waiting:
            made = await self._made(path, in_doubt)
            await self._note({note: made, _INTENDED: [row for row in waiting if row not in intended]})
            for row in made:
                del waiting[row]
            created, doubt = await self._create(path, list(waiting.values()))
            await self._note({note: created})
            for row in [*created, *(row for row in self.refused if row in waiting)]:
                del waiting[row]
            if waiting:
                attempt += 1
                await pause_in_doubt(self.client, attempt, doubt)
            in_doubt = list(waiting.values())

    async def _made(self, path: str, outcomes: Sequence[Settled]) -> list[int]:
        """Return the rows that the run has a report of already."""
        marks = [(external_id_of(outcome), code_of(outcome)) for outcome in outcomes]
        made = await made_of(self.client, path, self.reporting.run_id, marks)
        return [outcome.row for outcome, mark in zip(outcomes, marks, strict=True) if mark in made]

    async def _create(self, path: str, outcomes: Sequence[Settled]) -> tuple[list[int], CoupaError]:
        """Create reports, as many at a time as the pace needs; return the rows, and what put others in doubt."""
        created: list[int] = []
        doubt: CoupaError = CoupaUnavailableError(f"Reports of run {self.reporting.run_id} were not created")
        target = f"{path}/create_alert" if path == ERRORS else path

        async def create(outcome: Settled) -> None:
            nonlocal doubt
            try:
                await self.client.create(target, self.reporting.body_of(outcome), fields=["id"])
                created.append(outcome.row)
            except CoupaValidationError as error:
                self._count_refusal(outcome, error)
            except CoupaOutcomeUnknownError as error:
                doubt = error

        await for_each(outcomes, create, workers_for(self.client.pacer.rate, self.client.latency))
        return created, doubt

    def _count_refusal(self, outcome: Settled, error: CoupaValidationError) -> None:
        self.refused.append(outcome.row)
        self.refusal = self.refusal or error.message
        log.warning("Row %s was not reported: %s", outcome.row, error.message)
        if len(self.refused) >= _MOST_REFUSED:
            raise PushError(
                f"Coupa refused to take the reports of {len(self.refused)} {self.reporting.resource}, so it is not about "
                f"single ones: {self.refusal}"
            )

    # ---- old reports

    async def _resolve(self, outcomes: Sequence[Settled]) -> None:
        """Resolve what is open, from earlier runs, about documents that are fine now."""
        for path in (ERRORS, HISTORY):
            stale = sorted(await self._open(path, outcomes))
            for report_id in stale:
                await self.client.call("PUT", f"{path}/{report_id}/resolve", repeatable=True)
            await self._note({_RESOLVED[path]: stale})

    async def _open(self, path: str, outcomes: Sequence[Settled]) -> set[int]:
        """Return the ids of open reports, of this integration or of none, about some documents."""
        shared = [KeyPart(("resolved",), "boolean", "false")]
        kind = self.reporting.document_type
        if kind is not None:
            shared.append(KeyPart(("document-type",), "string", kind))
        by_id = [KeyPart(("document-id",), "integer", it.id) for it in outcomes if it.id and kind]
        # One that was rejected as new had no document yet.
        by_key = [KeyPart(("external-id",), "string", external_id_of(it)) for it in outcomes if it.key]
        found: set[int] = set()
        for parts in (by_id, by_key if path == ERRORS else []):
            wanted: list[KeyValues] = [(part, *shared) for part in parts]
            for records in await look_up(self.client, path, wanted, _REPORT_FIELDS) if wanted else []:
                found |= {record["id"] for record in records if self._is_stale(record)}
        return found

    def _is_stale(self, record: Mapping[str, Any]) -> bool:
        of = (record.get("integration") or {}).get("code")
        return (
            of in (None, self.reporting.integration)
            and record.get("document-type") == self.reporting.document_type
            and record.get("integration-run-id") != self.reporting.run_id
            and str(record.get("status")).casefold() != "success"
        )

    async def _note(self, notes: Mapping[str, Sequence[int]]) -> None:
        async with self._writing:
            await in_thread(self.journal.note, notes)


def _batches(folder: Destination, name: str) -> Iterator[list[Settled]]:
    """Yield the outcomes of a file, a look-up's worth at a time."""
    decoder = msgspec.json.Decoder(Settled)
    batch: list[Settled] = []
    with folder.fs.open(folder.path_of(name), "rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                outcome = decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise PushError(f"{folder.url_of(name)}, line {number}, is no outcome: {error}") from None
            if outcome.outcome not in OUTCOMES:
                raise PushError(
                    f"{folder.url_of(name)}, line {number}: {outcome.outcome!r} is none of {', '.join(OUTCOMES)}"
                )
            batch.append(outcome)
            if len(batch) == BATCH:
                yield batch
                batch = []
    if batch:
        yield batch
