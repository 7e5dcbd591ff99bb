"""Processes that share one limit without talking, simulated: real pacers, real bucket, a clock that jumps."""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass, field

import pytest

from coupa_provider.client.pacing import Pacer
from coupa_provider.client.retry import Failure, RetryPolicy
from coupa_provider.client.spans import workers_for
from coupa_provider.emulator.rate_limit import LeakyBucket

START = 1000.0
#: Seconds until a 429 is back: Coupa does no work for it.
REFUSAL = 0.01


class Simulation:
    """Runs walks of several processes against one bucket.

    :param latency: seconds an answer takes of itself, by second of the run.
    :param jitter: at most so many seconds more, at random.
    :param queued: whether what is above the limit waits; else it is served at once up to the burst.
    """

    def __init__(
        self, *, latency=0.2, jitter=0.04, queued=True, limit=25.0, rate=25.0, retry_after=None, seed=1
    ):
        self.latency = latency if callable(latency) else lambda second: latency
        self.jitter, self.queued, self.limit, self.rate = jitter, queued, limit, rate
        self.retry_after = retry_after
        self.random = random.Random(seed)
        self.now = START
        self.bucket = LeakyBucket(seen_at=START)
        self.served: list[float] = []
        self.refused = 0
        self.walks: list[Walk] = []
        self._events: list[tuple] = []
        self._order = itertools.count()

    def at(self, moment, action, *arguments):
        heapq.heappush(self._events, (moment, next(self._order), action, arguments))

    def run(self, sizes, *, starts=None):
        """Let one process for each size send so many requests."""
        for size, start in zip(sizes, starts or [0.0] * len(sizes), strict=True):
            self.walks.append(Walk(self, size))
            self.at(START + start, self.walks[-1].begin)
        while self._events:
            self.now, _, action, arguments = heapq.heappop(self._events)
            assert self.now < START + 3600, "the walks do not end"
            action(*arguments)
        assert len(self.served) == sum(sizes)
        return self

    @property
    def share(self):
        """Share of the limit that was used, from the first request to the last answer."""
        return len(self.served) / (max(walk.ended for walk in self.walks) - START) / self.limit

    @property
    def throttled(self):
        """Share of 429s among all answers."""
        return self.refused / (self.refused + len(self.served))


@dataclass
class Walk:
    """One process: the first page, the highest id, then as many requests at a time as the client would have."""

    of: Simulation
    left: int
    pacer: Pacer = field(init=False)
    latency: float = 0.3
    answers: int = 0
    workers: int = 0
    ended: float = 0.0
    waits: list[float] = field(default_factory=list)

    def begin(self):
        self.pacer = Pacer(self.of.rate, lambda: self.of.now, self.of.random.random)
        self._add_worker()

    def _add_worker(self):
        self.workers += 1
        self._next()

    def _next(self):
        if self.left:
            self.left -= 1
            self._ask(1, self.of.now)
        else:
            self.workers -= 1

    def _ask(self, attempt, since):
        taken, pause = self.pacer.take()
        if taken:
            self.waits.append(self.of.now + pause - since)
        self.of.at(self.of.now + pause, *((self._send, attempt) if taken else (self._ask, attempt, since)))

    def _send(self, attempt):
        if self.pacer.pause_left:
            self.pacer.ended()
            return self._ask(attempt, self.of.now)
        of = self.of
        wait = of.bucket.admit(of.now, of.limit, 20)
        if wait is None:
            of.refused += 1
            return of.at(of.now + REFUSAL, self._refused, attempt)
        of.served.append(of.now)
        seconds = of.latency(of.now - START) + of.random.random() * of.jitter + (wait if of.queued else 0)
        return of.at(of.now + seconds, self._answered, seconds)

    def _refused(self, attempt):
        self.pacer.ended()
        delay = RetryPolicy().next_delay(
            Failure.THROTTLED,
            attempt=min(attempt, 5),
            repeatable=True,
            retry_after=self.of.retry_after,
            jitter=self.of.random.random(),
        )
        self.pacer.throttled(REFUSAL, delay if self.of.retry_after else 0.0)
        self.of.at(self.of.now + delay, self._ask, attempt + 1, self.of.now + delay)

    def _answered(self, seconds):
        self.pacer.ended()
        self.pacer.answered(seconds)
        self.latency += (0.1 if self.answers else 1.0) * (seconds - self.latency)
        self.answers += 1
        self.ended = self.of.now
        self._next()
        wanted = workers_for(self.pacer.rate, self.latency)
        while self.answers > 1 and self.left and self.workers < wanted:
            self._add_worker()


@pytest.mark.parametrize("latency", [0.02, 0.1, 0.3])
def test_alone_nothing_is_lost(latency):
    alone = Simulation(latency=latency, jitter=0).run([400])
    assert alone.share >= 0.93
    assert alone.refused == 0


@pytest.mark.parametrize("slow_from", [0, 15])
def test_alone_a_slow_server_does_not_slow_the_pace(slow_from):
    alone = Simulation(latency=lambda second: 0.1 if second < slow_from else 0.8, jitter=0.4).run([1600])
    assert alone.share >= 0.93
    assert alone.refused == 0


@pytest.mark.parametrize("size", range(1, 6))
def test_a_small_job_is_not_delayed(size):
    assert max(Simulation().run([size]).walks[0].waits) == 0
    pacer = Pacer(25.0)
    assert [pacer.take() for _ in range(size)] == [(True, 0.0)] * size


@pytest.mark.parametrize("rate", [24.0, 25.0])
@pytest.mark.parametrize(("latency", "jitter"), [(0.02, 0.0), (0.1, 0.02), (0.3, 0.06), (0.3, 0.3)])
@pytest.mark.parametrize("processes", [2, 4])
def test_together_they_reach_the_limit_with_few_429s(processes, latency, jitter, rate):
    together = Simulation(latency=latency, jitter=jitter, rate=rate).run([1600 // processes] * processes)
    assert together.share >= 0.92
    assert together.throttled < 0.018


def test_eight_together():
    together = Simulation().run([250] * 8)
    assert together.share >= 0.95
    assert together.throttled < 0.03


@pytest.mark.parametrize("processes", [2, 4])
def test_started_one_after_the_other_they_share_all_the_same(processes):
    starts = [5 * index / (processes - 1) for index in range(processes)]
    staggered = Simulation().run([1600 // processes] * processes, starts=starts)
    assert staggered.share >= 0.92
    assert staggered.throttled < 0.018


def test_what_a_process_leaves_the_others_take_over_in_seconds():
    together = Simulation().run([250, 250, 700, 700])
    last_of_the_short = max(walk.ended for walk in together.walks[:2])
    after = [moment for moment in together.served if last_of_the_short < moment <= last_of_the_short + 10]
    assert len(after) >= 0.9 * 250
    assert together.share >= 0.92


def test_shares_are_alike():
    together = Simulation().run([600] * 4)
    ends = [walk.ended - START for walk in together.walks]
    assert min(ends) >= 0.55 * max(ends)


@pytest.mark.parametrize("retry_after", [None, 1.0])
@pytest.mark.parametrize("processes", [1, 2, 4])
def test_without_a_queue_as_a_warning_they_still_get_along(processes, retry_after):
    together = Simulation(
        queued=False, limit=12.0 if processes == 1 else 25.0, retry_after=retry_after
    ).run([2000 // processes] * processes)  # fmt: skip
    assert together.share >= 0.78
    assert together.throttled < 0.08


@pytest.mark.parametrize("limit", [6.0, 10.0])
@pytest.mark.parametrize("processes", [1, 2, 4])
def test_an_instance_with_a_lower_limit_is_used_as_well(processes, limit):
    together = Simulation(limit=limit).run([800 // processes] * processes)
    assert together.share >= 0.85
    assert together.throttled < 0.06


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_pages_that_take_seconds_and_vary(processes):
    together = Simulation(latency=1.5, jitter=1.0).run([2000 // processes] * processes)
    assert together.share >= 0.7
    assert together.throttled < 0.05
