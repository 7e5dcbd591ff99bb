"""One look serves all who wait, however they come and go, and whatever goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs

import pytest

from coupa_provider.client import pacing
from coupa_provider.client.client import CoupaClient
from coupa_provider.client.config import CoupaConfig
from coupa_provider.client.errors import CoupaAuthenticationError, CoupaUnavailableError, CoupaValidationError
from coupa_provider.client.retry import RetryPolicy
from coupa_provider.client.token import forget_tokens
from coupa_provider.emulator import Emulator
from coupa_provider.watch.poll import Poll, Seat
from coupa_provider.watch.records import RecordsById, RecordWant

INVOICES = RecordsById("invoices")
STATUS = '["id","status"]'
SOON, PATIENT = 0.15, 5.0


@dataclass
class Instance:
    """The emulator and how to reach it; a test may change the secret, as a person does in Airflow."""

    emulator: Emulator
    config: CoupaConfig
    connected: int = 0
    retry: RetryPolicy = field(default_factory=lambda: RetryPolicy(attempts=1))

    @contextlib.asynccontextmanager
    async def connect(self):
        self.connected += 1
        async with CoupaClient(self.config, retry=self.retry) as client:
            yield client

    def queries(self) -> list[dict[str, list[str]]]:
        return [parse_qs(seen["query"]) for seen in self.emulator.seen()["recent"]]


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator(empty=True, rate_limit=None) as emulator:
        yield emulator


@pytest.fixture
def coupa(emulator: Emulator) -> Instance:
    forget_tokens()
    pacing._pacers.clear()
    emulator.reset()
    emulator.load({"invoices": [{"id": n, "status": "draft"} for n in range(1, 121)]})
    config = CoupaConfig.from_fields(
        "coupa_test", host=emulator.url, login=emulator.client_id, password=emulator.client_secret,
        extra={"requests_per_second": 2000},
    )  # fmt: skip
    return Instance(emulator, config)


def play(scene: Awaitable[Any]) -> Any:
    """Run a scene; at its end nothing may be left on the event loop."""
    complaints = []

    async def whole() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda loop, told: complaints.append(told))
        async with asyncio.timeout(20):
            result = await scene
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return result

    result = asyncio.run(whole(), debug=True)
    assert not complaints
    return result


async def wait_for_status(seat: Seat, status: str) -> Any:
    async with seat:
        while True:
            answer = await seat.next()
            if answer and answer[0]["status"] == status:
                return answer[0]


async def until(condition: Callable[[], Any]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


def test_all_share_the_requests_of_one_look(coupa: Instance) -> None:
    async def scene() -> None:
        poll = Poll(INVOICES, coupa.connect)
        async with asyncio.TaskGroup() as tasks:
            waits = [
                tasks.create_task(wait_for_status(poll.seat(RecordWant(n, STATUS), SOON), "draft"))
                for n in [*range(1, 121), 7, 7]
            ]
        assert [wait.result() for wait in waits] == [
            {"id": n, "status": "draft"} for n in [*range(1, 121), 7, 7]
        ]

    play(scene())
    asked = [query["id[in]"][0].split(",") for query in coupa.queries()]
    assert [len(ids) for ids in asked] == [49, 49, 22]
    assert coupa.connected == coupa.emulator.seen()["tokens_minted"] == 1


def test_each_gets_the_fields_asked_for_and_coupa_is_asked_for_all_of_them(coupa: Instance) -> None:
    async def scene() -> list[Any]:
        poll = Poll(INVOICES, coupa.connect)
        async with contextlib.AsyncExitStack() as seats:
            asked = [STATUS, '["id","invoice_number"]', '["id",{"supplier":["name"]}]']
            entered = [
                await seats.enter_async_context(poll.seat(RecordWant(5, fields), SOON)) for fields in asked
            ]
            return [await seat.next() for seat in entered]

    answers = play(scene())
    assert [sorted(record) for [record] in answers] == [
        ["id", "status"], ["id", "invoice-number"], ["id", "supplier"],
    ]  # fmt: skip
    [query] = coupa.queries()
    assert json.loads(query["fields"][0]) == ["id", "status", "invoice_number", {"supplier": ["name"]}]


def test_a_change_is_seen_at_the_next_look_and_those_who_have_it_are_not_asked_for_again(
    coupa: Instance,
) -> None:
    async def scene() -> None:
        poll = Poll(INVOICES, coupa.connect)
        waits = [
            asyncio.create_task(wait_for_status(poll.seat(RecordWant(n, STATUS), SOON), "approved"))
            for n in (1, 2)
        ]
        await until(coupa.queries)
        coupa.emulator.change("invoices", 1, {"status": "approved"})
        assert (await waits[0])["id"] == 1
        before = len(coupa.queries())
        coupa.emulator.change("invoices", 2, {"status": "approved"})
        assert (await waits[1])["id"] == 2
        assert {query["id[in]"][0] for query in coupa.queries()[before:]} == {"2"}

    play(scene())


def test_when_one_is_cancelled_the_others_go_on(coupa: Instance) -> None:
    async def scene() -> None:
        poll = Poll(INVOICES, coupa.connect)
        waits = [
            asyncio.create_task(wait_for_status(poll.seat(RecordWant(n, STATUS), SOON), "approved"))
            for n in (1, 2, 3)
        ]
        await until(coupa.queries)
        waits[1].cancel()
        with pytest.raises(asyncio.CancelledError):
            await waits[1]
        before = len(coupa.queries())
        await until(lambda: len(coupa.queries()) > before)
        assert {query["id[in]"][0] for query in coupa.queries()[before:]} == {"1,3"}
        for n in (1, 3):
            coupa.emulator.change("invoices", n, {"status": "approved"})
        await asyncio.gather(waits[0], waits[2])

    play(scene())


@pytest.mark.parametrize("latency_ms", [0, 400], ids=["between-looks", "during-a-look"])
def test_when_all_are_cancelled_the_look_ends_and_nothing_is_asked_any_more(
    coupa: Instance, latency_ms: int
) -> None:
    emptied = []

    async def scene() -> None:
        poll = Poll(INVOICES, coupa.connect, on_empty=lambda: emptied.append(True))
        waits = [
            asyncio.create_task(wait_for_status(poll.seat(RecordWant(n, STATUS), SOON), "approved"))
            for n in (1, 2)
        ]
        await until(coupa.queries)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)

    coupa.emulator.configure(latency={"fixed_ms": latency_ms})
    play(scene())
    assert emptied == [True]
    before = len(coupa.queries())
    time.sleep(2 * SOON)
    assert len(coupa.queries()) == before


def test_who_comes_while_the_last_one_leaves_is_served(coupa: Instance) -> None:
    coupa.emulator.configure(latency={"fixed_ms": 100})

    async def scene() -> None:
        poll = Poll(INVOICES, coupa.connect)
        for _ in range(8):
            last = asyncio.create_task(
                wait_for_status(poll.seat(RecordWant(1, STATUS), 0.01), "never in this test")
            )
            await asyncio.sleep(0.03)
            last.cancel()
            await asyncio.sleep(0)  # it is leaving, and the look under way is not over yet
            async with poll.seat(RecordWant(2, STATUS), 0.01) as seat:
                assert await seat.next() == [{"id": 2, "status": "draft"}]
            await asyncio.gather(last, return_exceptions=True)

    play(scene())


def test_who_is_slow_gets_the_newest(coupa: Instance) -> None:
    async def scene() -> list[str]:
        poll = Poll(INVOICES, coupa.connect)
        async with poll.seat(RecordWant(1, STATUS), SOON) as seat:
            for status in ("draft", "pending_approval", "approved"):
                coupa.emulator.change("invoices", 1, {"status": status})
                before = len(coupa.queries())
                await until(lambda before=before: len(coupa.queries()) > before + 1)
            return [(await seat.next())[0]["status"], (await seat.next())[0]["status"]]

    assert play(scene()) == ["approved", "approved"]


def test_an_error_of_coupa_reaches_everybody_and_the_next_look_is_made_all_the_same(
    coupa: Instance,
) -> None:
    async def scene() -> None:
        poll = Poll(INVOICES, coupa.connect)
        async with (
            poll.seat(RecordWant(1, STATUS), SOON) as one,
            poll.seat(RecordWant(2, STATUS), SOON) as two,
        ):
            coupa.emulator.configure(faults={"rate": 1, "kinds": ["503"]})
            assert isinstance(await one.next(), CoupaUnavailableError)
            assert isinstance(await two.next(), CoupaUnavailableError)
            coupa.emulator.configure(faults=None)
            for seat in (one, two):
                while isinstance(answer := await seat.next(), CoupaUnavailableError):
                    pass
                assert answer[0]["status"] == "draft"

    play(scene())


def test_who_asks_for_what_coupa_refuses_is_told_alone(coupa: Instance) -> None:
    too_large = 10**30

    async def scene() -> dict[int, Any]:
        poll = Poll(INVOICES, coupa.connect)
        answers = {}
        async with contextlib.AsyncExitStack() as seats:
            entered = [
                await seats.enter_async_context(poll.seat(RecordWant(n, STATUS), SOON))
                for n in [*range(1, 101), too_large]
            ]
            for seat in entered:
                answers[seat.want.record_id] = await seat.next()
        return answers

    answers = play(scene())
    assert isinstance(answers.pop(too_large), CoupaValidationError)
    assert all(record["id"] == n for n, [record] in answers.items())
    assert len(coupa.queries()) < 30


@dataclass(frozen=True)
class Faulty:
    """A topic with a fault in it: it raises, or leaves some without an answer."""

    raises: type[BaseException] | None = None

    async def read(self, client: CoupaClient, wants: Sequence[int]) -> Mapping[int, Any]:
        if self.raises:
            raise self.raises("as it was written")
        return {want: want for want in wants if want != 1}


@pytest.mark.parametrize("raises", [ZeroDivisionError, asyncio.CancelledError])
def test_a_fault_in_a_topic_hangs_nobody(coupa: Instance, raises: type[BaseException]) -> None:
    async def scene() -> None:
        poll = Poll(Faulty(raises), coupa.connect)
        for _ in range(2):  # whoever comes later is told too
            async with poll.seat(1, SOON) as quick, poll.seat(2, PATIENT) as patient:
                with pytest.raises(RuntimeError, match="Faulty"):
                    await quick.next()
                if raises is asyncio.CancelledError:  # there will be no look for the other one either
                    with pytest.raises(RuntimeError, match="Faulty"):
                        await patient.next()

    play(scene())


def test_an_answer_that_is_missing_hangs_nobody(coupa: Instance) -> None:
    async def scene() -> None:
        poll = Poll(Faulty(), coupa.connect)
        async with poll.seat(1, SOON) as forgotten, poll.seat(2, SOON) as other:
            with pytest.raises(RuntimeError, match="Faulty"):
                await forgotten.next()
            assert await other.next() == 2

    play(scene())


def test_the_trace_of_a_fault_does_not_grow_with_those_who_wait(coupa: Instance) -> None:
    async def fail(poll: Poll, want: int) -> None:
        async with poll.seat(want, SOON) as seat:
            await seat.next()

    async def scene() -> list[int]:
        poll = Poll(Faulty(ZeroDivisionError), coupa.connect)
        failures = await asyncio.gather(*(fail(poll, n) for n in range(200)), return_exceptions=True)
        return [length_of_trace(failure) for failure in failures]

    lengths = play(scene())
    assert len(lengths) == 200
    assert min(lengths) > 0
    assert max(lengths) < 15


def length_of_trace(error: BaseException | None) -> int:
    length = 0
    while error is not None:
        trace = error.__traceback__
        while trace is not None:
            length, trace = length + 1, trace.tb_next
        error = error.__cause__ or error.__context__
    return length


def test_a_changed_secret_is_used_from_the_next_look_on(coupa: Instance) -> None:
    right = coupa.config

    async def scene() -> None:
        poll = Poll(INVOICES, coupa.connect)
        async with poll.seat(RecordWant(1, STATUS), SOON) as seat:
            assert isinstance(await seat.next(), CoupaAuthenticationError)
            coupa.config = right
            while isinstance(answer := await seat.next(), CoupaAuthenticationError):
                pass
            assert answer[0]["id"] == 1

    coupa.config = replace(right, client_secret="an old one")
    play(scene())


def test_a_look_that_takes_longer_than_the_interval_delays_the_next_and_no_more(coupa: Instance) -> None:
    async def scene() -> list[float]:
        poll = Poll(INVOICES, coupa.connect)
        async with poll.seat(RecordWant(1, STATUS), 0.1) as quick, poll.seat(RecordWant(2, STATUS), 0.1):
            at = []
            for _ in range(4):
                assert (await quick.next())[0]["status"] == "draft"
                at.append(time.monotonic())
            return at

    coupa.emulator.configure(latency={"fixed_ms": 250})
    at = play(scene())
    assert all(0.2 < later - earlier < 2 for earlier, later in pairwise(at))
    assert coupa.emulator.seen()["most_in_flight"] == 1
    assert {query["id[in]"][0] for query in coupa.queries()} == {"1,2"}


def test_what_a_look_logs_belongs_to_none_of_those_who_wait(
    coupa: Instance, caplog: pytest.LogCaptureFixture
) -> None:
    import contextvars

    of_task: contextvars.ContextVar[str] = contextvars.ContextVar("of_task", default="nobody")
    told: list[tuple[str, str]] = []

    class Notes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append((of_task.get(), record.getMessage()))

    async def scene() -> None:
        of_task.set("the first")
        async with Poll(INVOICES, coupa.connect).seat(RecordWant(1, STATUS), SOON) as seat:
            await seat.next()

    logger = logging.getLogger("coupa_provider.watch.poll")
    notes = Notes()
    logger.addHandler(notes)
    try:
        with caplog.at_level(logging.DEBUG, logger.name):
            play(scene())
    finally:
        logger.removeHandler(notes)
    assert [who for who, text in told if text.startswith("Looked at")] == ["nobody"]
