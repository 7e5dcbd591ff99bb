"""Push the rows of a source into Coupa, once, with an account of each.

Coupa takes one record a request and has no upsert and no idempotency key (article 0006). So rows are looked up by
their keys first, 49 with one request. What is there already and equal is not sent. What is about to be sent is noted,
then sent, then its outcome is noted. After a lost answer, or a killed try, the row is looked up again before anything
is sent again; a row without a key cannot be looked up, and is not sent twice.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from coupa_provider.client.blocking import BlockingClient, run_in_background
from coupa_provider.client.client import CoupaClient
from coupa_provider.client.errors import (
    CoupaError,
    CoupaNotFoundError,
    CoupaOutcomeUnknownError,
    CoupaQueryError,
    CoupaRetryableError,
    CoupaUnavailableError,
    CoupaValidationError,
)
from coupa_provider.client.in_thread import in_thread
from coupa_provider.client.query import encode_fields
from coupa_provider.client.spans import workers_for
from coupa_provider.client.together import for_each, for_each_read
from coupa_provider.client.walk import BATCH
from coupa_provider.extract.destination import Destination
from coupa_provider.extract.progress import Progress, Reporter
from coupa_provider.push.compare import adds_to, differences
from coupa_provider.push.decide import CREATE, OPERATIONS, UPDATE, Decision, decide
from coupa_provider.push.doubt import is_timed_out, reason_of, wait_in_doubt
from coupa_provider.push.errors import PushError
from coupa_provider.push.keys import KeyValues, MissingKeyError, checked_key, described, identity, values_of
from coupa_provider.push.ledger import CREATED, REJECTED, UNKNOWN, UPDATED, Ledger, Settled
from coupa_provider.push.lookup import look_up
from coupa_provider.push.record import InvalidRowError, RecordReader
from coupa_provider.push.rejected import write_rejected
from coupa_provider.push.source import Row, Source

log = logging.getLogger(__name__)

#: Records of a batch that are sent at a time; the pace holds them back.
_SENDERS = 8
_LANES = (3, 12)
#: Records in a row on which Coupa crashes: more than these are not about single records.
_MOST_CRASHES = 10
_SAMPLE = 20


@dataclass(frozen=True, slots=True)
class Push:
    """What is to be done.

    :param resource: path under ``/api``: ``"suppliers"``.
    :param operation: ``"create"``, ``"update"`` or ``"upsert"``.
    :param key: attributes by which a record is recognised; None for the natural key of the resource.
    :param empty: ``"keep"`` leaves out attributes that are null or empty; ``"clear"`` sends them as null.
    :param undocumented: attributes that this instance has, though the documents do not know them.
    """

    resource: str
    operation: str = "upsert"
    key: Sequence[str] | None = None
    empty: str = "keep"
    undocumented: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """What became of the rows, over all tries.

    :param records: rows of the source.
    :param counts: rows by outcome.
    :param not_taken: number of rows of which Coupa did not take over an attribute as it was sent, by attribute.
    :param outcomes: URL of the file with the outcome of each row.
    :param rejected_file: URL of the file with the rejected rows, None without any.
    :param samples: the first rows that were rejected or are unknown, each with number and messages.
    :param requests: HTTP requests sent by this try.
    :param throttled: answers with status 429 in this try.
    :param seconds: time this try took.
    """

    records: int
    counts: dict[str, int]
    not_taken: dict[str, int]
    outcomes: str
    rejected_file: str | None
    samples: list[dict[str, Any]]
    requests: int
    throttled: int
    seconds: float


def push_records(
    client: BlockingClient,
    source: Source,
    push: Push,
    folder: Destination,
    *,
    run: str = "",
    on_progress: Callable[[Progress], None] | None = None,
    progress_seconds: float = 5.0,
) -> Account:
    """Push all rows of a source; call it again with the same arguments to go on after a failure.

    :param client: leads to the instance.
    :param source: where the rows come from.
    :param push: what is to be done.
    :param folder: where journal and outcomes are kept; each run, and each content of the source, gets its own folder
        in it.
    :param run: names the run of the task: its tries go on from each other, another run begins anew.
    :param on_progress: called every ``progress_seconds`` from another thread.
    :param progress_seconds: seconds between reports.
    :return: what became of the rows; that some were rejected is no error here.
    :raises PushError: an argument or the source as a whole is wrong; nothing was sent.
    :raises CoupaError: a request failed for good; what was done is noted, and the next call goes on.
    """
    started = time.monotonic()
    key = _checked(push)
    reader = RecordReader(push.resource, key, empty=push.empty, undocumented=push.undocumented)
    content = source.check()
    if source.columns:
        reader.check_columns(source.columns)
    asked = [push.resource.strip("/"), push.operation, *key, push.empty, *sorted(push.undocumented)]
    place = _place_of(folder, run, [content, client.config.base_url, *asked])
    ledger = Ledger(place)
    counters = client.client.counters
    requests_before, throttled_before = counters.requests, counters.throttled
    try:
        with Reporter(counters, on_progress, progress_seconds) as reporter:
            pushing = _Pushing(client.client, source, push, key, reader, ledger, reporter)
            run_in_background(pushing.run())
        rejected_file = write_rejected(place, ledger, source)
        outcomes = ledger.end()
        counts = ledger.counts()
        return Account(
            records=sum(counts.values()),
            counts=counts,
            not_taken=ledger.not_taken(),
            outcomes=outcomes,
            rejected_file=rejected_file,
            samples=[
                {"row": one.row, "outcome": one.outcome, "errors": one.errors}
                for one in islice(ledger.settled(REJECTED, UNKNOWN), _SAMPLE)
            ],
            requests=counters.requests - requests_before,
            throttled=counters.throttled - throttled_before,
            seconds=round(time.monotonic() - started, 3),
        )
    finally:
        ledger.close()


@dataclass(slots=True)
class _Item:
    """A row on its way.

    :param row: its number.
    :param sent: attributes to send.
    :param key: its key with values; None without one.
    :param doubt: what was sent, or about to be, without an outcome that is known.
    :param failures: how often an answer was lost in this try.
    :param taken: Coupa said that it exists, though the look-up had not found it.
    """

    row: int
    sent: Mapping[str, Any]
    key: KeyValues | None
    doubt: str = ""
    failures: int = 0
    taken: bool = False
    error: CoupaError | None = field(default=None, repr=False)

    def settled(self, outcome: str, **details: Any) -> Settled:
        """Return the account of this row."""
        return Settled(row=self.row, outcome=outcome, key=described(self.key) if self.key else {}, **details)


class _Pushing:
    """One try to push the rows of a source."""

    def __init__(
        self,
        client: CoupaClient,
        source: Source,
        push: Push,
        key: Sequence[str],
        reader: RecordReader,
        ledger: Ledger,
        reporter: Reporter,
    ) -> None:
        self._client = client
        self._source = source
        self._push = push
        self._resource = push.resource.strip("/")
        self._key = key
        self._reader = reader
        self._ledger = ledger
        self._reporter = reporter
        self._crashes = 0

    async def run(self) -> None:
        """Give every row an outcome that has none yet."""
        lanes = max(_LANES[0], min(_LANES[1], workers_for(self._client.pacer.rate, self._client.latency)))
        await for_each_read(self._batches(), self._settle, lanes)

    # ---- reading

    def _batches(self) -> Iterator[list[_Item]]:
        """Yield rows without an outcome; those that cannot be sent at all get theirs on the way."""
        keyed: list[_Item] = []
        for rows in _chunks(self._source.rows(), BATCH):
            items, rejected = self._read(rows)
            if rejected:
                self._note(rejected, wait=True)
            keyed += [item for item in items if item.key]
            while len(keyed) >= BATCH:
                yield keyed[:BATCH]
                del keyed[:BATCH]
            # One at a time in each lane: so few are in doubt after a kill.
            yield from ([item] for item in items if not item.key)
        if keyed:
            yield keyed

    def _read(self, rows: Sequence[Row]) -> tuple[list[_Item], list[Settled]]:
        numbers = [row.number for row in rows]
        done, intents = self._ledger.is_settled(numbers), self._ledger.intents(numbers)
        items: list[_Item] = []
        rejected: list[Settled] = []
        for row in rows:
            key: KeyValues | None = None
            errors: tuple[str, ...] = ()
            record: dict[str, Any] = {}
            try:
                if row.values is None:
                    errors = (row.problem or "",)
                else:
                    record = self._reader.read(row.values)
                    key = self._key_of(record)
                    # Also of rows that are done: a later one with the same key is still a double.
                    first = self._ledger.claim(identity(key), row.number) if key else row.number
                    if first != row.number:
                        errors = (f"the same key as row {first}",)
            except InvalidRowError as error:
                errors = error.errors
            except MissingKeyError as error:
                errors = (str(error),)
            if row.number in done:
                continue
            if errors:
                shown = described(key) if key else {}
                rejected.append(Settled(row=row.number, outcome=REJECTED, key=shown, errors=list(errors)))
            else:
                items.append(_Item(row.number, self._reader.sent(record), key, intents.get(row.number, "")))
        return items, rejected

    def _key_of(self, record: Mapping[str, Any]) -> KeyValues | None:
        try:
            return values_of(record, self._key, self._resource) if self._key else None
        except MissingKeyError:
            if self._push.operation == CREATE and self._push.key is None:
                return None  # the natural key was not asked for
            raise

    # ---- settling

    async def _settle(self, batch: Sequence[_Item]) -> None:
        """Look up, send, and look up again what is in doubt, until each row of a batch has an outcome."""
        waiting = list(batch)
        while waiting:
            decisions = await self._decide(waiting)
            outcomes = [_account(item, decision) for item, decision in decisions if decision.outcome]
            to_send = [(item, decision) for item, decision in decisions if decision.send]
            for kind in {decision.send for _, decision in to_send}:
                rows = [
                    item.row for item, decision in to_send if decision.send == kind and item.doubt != kind
                ]
                if rows:
                    await in_thread(self._ledger.note, intent=kind, rows=rows)
            await in_thread(self._note, outcomes, wait=not any(item.doubt for item in waiting))
            waiting = await self._send_all(to_send)
            await self._pause(waiting)

    async def _decide(self, items: Sequence[_Item]) -> list[tuple[_Item, Decision]]:
        keyed = [(item, item.key) for item in items if item.key]
        fields = shape_of([item.sent for item, _ in keyed])
        found = await look_up(self._client, self._resource, [key for _, key in keyed], fields)
        decisions = [
            (item, self._decide_one(item, records)) for (item, _), records in zip(keyed, found, strict=True)
        ]
        lost = (
            "it was sent, or about to be, and its outcome is not known; without a key it cannot be looked up"
        )
        for item in items:
            if not item.key:
                doubtful = Decision(UNKNOWN, errors=(lost,))
                decisions.append((item, doubtful if item.doubt else Decision(send=CREATE, body=item.sent)))
        return decisions

    def _decide_one(self, item: _Item, found: Sequence[Mapping[str, Any]]) -> Decision:
        if len(found) == 1 and (first := self._claim(found[0]["id"], item.row)) != item.row:
            # Its key has another form, such as the id of a reference in place of its number.
            same = f"the same record as row {first}"
            return Decision(REJECTED, record_id=int(found[0]["id"]), errors=(same,))
        decision = decide(self._push.operation, item.sent, found, self._reader.attributes, item.doubt)
        is_patient = item.failures < self._client.retry.attempts
        return decision if is_patient or not decision.send else self._give_up(item, decision)

    def _give_up(self, item: _Item, decision: Decision) -> Decision:
        """Decide about a record that was sent often enough, and is not there, or not as it was sent.

        :raises CoupaError: it is not about this record.
        """
        assert item.error is not None  # noqa: S101 - each failure has one
        reason = reason_of(item.error)
        if item.error.status != 500:
            raise CoupaUnavailableError(
                f"Row {item.row} was sent {item.failures} times to {self._resource!r}, and each answer was lost: {reason}",
                status=item.error.status,
                method=item.error.method,
                path=item.error.path,
                request_id=item.error.request_id,
            ) from item.error
        # A record on which Coupa itself fails, each time, must not stop the others.
        self._crashes += 1
        if self._crashes >= _MOST_CRASHES:
            raise item.error
        failed = f"Coupa failed on it each time, and it is not there as it was sent: {reason}"
        return Decision(REJECTED, record_id=decision.record_id, errors=(failed,))

    def _claim(self, record_id: Any, row: int) -> int:
        """Return the row that a record belongs to: this one, or the first that led to it."""
        return self._ledger.claim(f"record {record_id}", row)

    async def _send_all(self, to_send: Sequence[tuple[_Item, Decision]]) -> list[_Item]:
        """Send records, note their outcomes, and return those in doubt."""
        outcomes: list[Settled] = []
        doubtful: list[_Item] = []

        async def send(pair: tuple[_Item, Decision]) -> None:
            outcome = await self._send(*pair)
            if outcome is None:
                doubtful.append(pair[0])
            else:
                outcomes.append(outcome)

        try:
            await for_each(to_send, send, _SENDERS)
        finally:
            # Also what was done before a failure: it need not be found out again.
            await in_thread(self._note, outcomes)
        return doubtful

    async def _send(self, item: _Item, decision: Decision) -> Settled | None:
        """Send one record; None if its outcome is in doubt."""
        creates = decision.send == CREATE
        path = self._resource if creates else f"{self._resource}/{decision.record_id}"
        shape = encode_fields(shape_of([decision.body]), always=["id"])
        try:
            shown = await self._client.call(
                "POST" if creates else "PUT",
                path,
                decision.body,
                params={"fields": shape},
                repeatable=not creates and not adds_to(decision.body, self._reader.attributes),
            )
        except (CoupaValidationError, CoupaQueryError) as error:
            return self._refused(item, decision, error)
        except CoupaNotFoundError as error:
            if creates:
                raise
            return item.settled(REJECTED, id=decision.record_id, errors=[error.message])
        except CoupaOutcomeUnknownError as error:
            if not item.key:
                return item.settled(UNKNOWN, errors=[error.message])
            item.doubt, item.error = decision.send, error
            item.failures += 1
            return None
        except CoupaRetryableError as error:
            if error.status != 500:
                raise
            item.doubt, item.error, item.failures = decision.send, error, self._client.retry.attempts
            return None
        self._crashes = 0
        record = shown if isinstance(shown, Mapping) else {}
        if creates and not record.get("id") and item.key:
            item.doubt = CREATE
            return None  # an answer without an id: the look-up tells it
        not_taken = differences(decision.body, record, self._reader.attributes) if record else []
        record_id = record.get("id", decision.record_id)
        if record_id:
            self._claim(record_id, item.row)
        return item.settled(
            CREATED if creates else UPDATED, id=int(record_id) if record_id else None, not_taken=not_taken
        )

    def _refused(
        self, item: _Item, decision: Decision, error: CoupaValidationError | CoupaQueryError
    ) -> Settled | None:
        self._crashes = 0
        errors = list(getattr(error, "errors", ())) or [error.message]
        is_taken = decision.send == CREATE and any("taken" in message for message in errors)
        may_be_there = item.key and (item.doubt or self._push.operation == "upsert")
        if is_taken and may_be_there and not item.taken:
            # Somebody was faster, or an earlier create arrived late: look again, once.
            item.taken = True
            return None
        return item.settled(REJECTED, id=decision.record_id, errors=errors)

    async def _pause(self, doubtful: Sequence[_Item]) -> None:
        """Wait before records whose answers were lost are looked up."""
        lost = [item for item in doubtful if item.error is not None]
        if lost:
            log.info("%s: %s answers were lost, looking these records up", self._resource, len(lost))
            gravest = max((item.error for item in lost), key=is_timed_out)
            await wait_in_doubt(self._client, max(item.failures for item in lost), gravest)

    def _note(self, outcomes: Sequence[Settled], wait: bool = False) -> None:
        self._ledger.note(outcomes, wait=wait)
        self._reporter.records += len(outcomes)


def _account(item: _Item, decision: Decision) -> Settled:
    return item.settled(
        decision.outcome,
        id=decision.record_id,
        errors=list(decision.errors),
        not_taken=list(decision.not_taken),
    )


def _checked(push: Push) -> tuple[str, ...]:
    """Return the key.

    :raises PushError: an argument is wrong.
    """
    if push.operation not in OPERATIONS:
        raise PushError(f"operation must be one of {', '.join(OPERATIONS)}; got {push.operation!r}")
    key = checked_key(push.resource, push.key)
    if not key and push.operation != CREATE:
        raise PushError(
            f"{push.operation} needs a key, and the documents name no natural key of {push.resource!r}: set key, such as "
            'key=["name"], or key=["id"] to update'
        )
    if "id" in key and push.operation != UPDATE:
        raise PushError(
            f"key {list(key)} finds only what is there, since Coupa gives ids itself: {push.operation} needs another key, "
            'or operation="update"'
        )
    return key


def _place_of(folder: Destination, run: str, parts: Sequence[str]) -> Destination:
    """Return the folder of one run and content: what was made of other rows says nothing about these."""
    digest = hashlib.sha256("\n".join([run, *parts]).encode()).hexdigest()[:12]
    readable = re.sub(r"[^A-Za-z0-9.-]+", "_", run)[:80].strip("_.")
    name = f"{readable}-{digest}" if readable else digest
    return Destination(folder.fs, folder.path_of(name), folder.url_of(name))


def shape_of(records: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return the ``fields`` that show what some records hold: enough to compare, and small.

    :param records: attributes by dashed name.
    """
    scalars: dict[str, None] = {"id": None}
    below: dict[str, list[Mapping[str, Any]]] = {}
    whole: set[str] = set()
    for record in records:
        for name, value in record.items():
            if name.startswith("_"):
                continue
            entries = value if isinstance(value, list) else [value]
            if name != "custom-fields" and entries and all(isinstance(entry, Mapping) for entry in entries):
                below.setdefault(name, []).extend(entries)
            elif isinstance(value, Mapping | list):
                whole.add(name)
            else:
                scalars[name] = None
    shape: list[Any] = [name for name in scalars if name not in below and name not in whole]
    shape += [{name: shape_of(values)} for name, values in below.items() if name not in whole]
    return [*shape, *({name: {}} for name in sorted(whole))]


def _chunks(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    while chunk := list(islice(rows, size)):
        yield chunk
