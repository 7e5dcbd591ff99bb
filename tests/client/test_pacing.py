"""Never more than the pace and its small burst, whatever the callers do."""

from __future__ import annotations

import asyncio
import os
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coupa_provider.client import pacing
from coupa_provider.client.pacing import Pacer, shared_pacer

BURST = 5


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def take_all(pacer: Pacer, clock: Clock, number: int) -> list[float]:
    """Take so many moments one after the other, as callers that wait do."""
    moments = []
    while len(moments) < number:
        taken, pause = pacer.take()
        if taken:
            moments.append(clock.now + pause)
        else:
            clock.now += pause
    return moments


@given(
    st.floats(0.5, 100),
    st.lists(
        st.tuples(st.floats(0, 3), st.integers(1, 30), st.sampled_from(["", "answered", "throttled"])),
        min_size=1,
        max_size=30,
    ),
    st.floats(0.01, 20),
    st.randoms(use_true_random=False),
)
@settings(max_examples=300, deadline=None)
def test_no_window_holds_more_than_the_pace_and_a_burst(rate, calls, width, chance):
    clock = Clock()
    pacer = Pacer(rate, clock, chance.random)
    moments = []
    for pause, number, event in calls:
        clock.now += pause
        moments += take_all(pacer, clock, number)
        for _ in range(number):
            pacer.ended()
        if event == "answered":
            pacer.answered(pause)
        if event == "throttled":
            pacer.throttled(0.0)
    moments.sort()
    start = 0
    for end, moment in enumerate(moments):
        while moments[start] <= moment - width:
            start += 1
        # One more, since moments are moved at random by up to an interval.
        assert end - start + 1 <= rate * width + BURST + 1 + 1e-6


@given(
    st.floats(0.5, 100),
    st.lists(
        st.one_of(
            st.tuples(st.just("take"), st.floats(0, 2)),
            st.tuples(st.just("answered"), st.floats(0, 60)),
            st.tuples(st.just("throttled"), st.floats(0, 5)),
            st.tuples(st.just("pass"), st.floats(0, 100)),
        ),
        max_size=40,
    ),
)
@settings(max_examples=300, deadline=None)
def test_whatever_comes_the_rate_keeps_its_bounds_and_a_request_goes_out_soon(rate, events):
    clock = Clock()
    pacer = Pacer(rate, clock)
    paused_until = 0.0
    for kind, amount in events:
        if kind == "take":
            clock.now += amount
            taken, pause = pacer.take()
            assert not taken or clock.now + pause >= paused_until - 1e-6
        elif kind == "answered":
            pacer.answered(amount)
        elif kind == "throttled":
            pacer.throttled(0.0, amount)
            paused_until = max(paused_until, clock.now + amount)
        else:
            clock.now += amount
        assert min(0.07, 0.1 * rate) <= pacer.rate <= rate
        assert pacer.pause_left == pytest.approx(max(0.0, paused_until - clock.now), abs=1e-6)
    # Even with requests whose end nobody told.
    asked = max(clock.now, paused_until)
    assert take_all(pacer, clock, 1)[0] <= asked + 2 / min(0.07, 0.1 * rate)


def test_alone_it_climbs_within_a_second_and_slow_answers_do_not_change_that():
    clock = Clock()
    pacer = Pacer(20.0, clock)
    take_all(pacer, clock, 3)
    for _ in range(10):
        clock.now += 0.1
        pacer.take()
        pacer.answered(0.1)
    assert pacer.rate == 20.0
    for _ in range(10):
        clock.now += 0.1
        pacer.answered(5.0)
        pacer.take()
    assert pacer.rate == 20.0


def crowded(clock: Clock, *, warned: bool) -> Pacer:
    """A pacer that was throttled, after answers that had or had not become slower."""
    pacer = Pacer(20.0, clock)
    take_all(pacer, clock, 3)
    clock.now += 2
    pacer.take()
    for latency in (0.1, 0.1, 0.8, 0.8) if warned else (0.1, 0.1, 0.1, 0.1):
        pacer.answered(latency)
    pacer.throttled(0.0)
    for _ in range(4):
        pacer.ended()
    return pacer


@pytest.mark.parametrize("warned", [True, False])
def test_after_a_429_it_slows_at_once_and_comes_back(warned):
    clock = Clock()
    pacer = crowded(clock, warned=warned)
    assert pacer.rate == pytest.approx(4.0)
    for _ in range(200):
        clock.now += 0.1
        pacer.take()
        pacer.answered(0.1)
        pacer.ended()
    assert pacer.rate > 15.0


def test_where_answers_become_slower_it_keeps_one_request_of_its_own_queued():
    clock = Clock()
    pacer = crowded(clock, warned=True)
    for _ in range(100):
        clock.now += 0.1
        pacer.answered(0.1 + 0.4)
        pacer.take()
    # The share of four at 20 a second would be 5; 0.4 s of queue hold 2 requests then, and 1 is its part.
    assert 1.0 < pacer.rate < 4.0


def test_where_answers_do_not_become_slower_only_429s_slow_it():
    clock = Clock()
    pacer = crowded(clock, warned=False)
    rates = []
    for _ in range(5):
        clock.now += 2
        pacer.take()
        rates.append(pacer.rate)
    assert rates == sorted(rates)
    clock.now += 0.1
    pacer.take()
    before = pacer.rate
    pacer.throttled(0.0)
    assert pacer.rate == pytest.approx(0.8 * before)


def test_429s_of_requests_sent_together_are_one_lesson():
    clock = Clock()
    pacer = crowded(clock, warned=False)
    for _ in range(10):
        clock.now += 0.01
        pacer.throttled(0.2)
    assert pacer.rate == pytest.approx(4.0, rel=0.02)
    clock.now += 0.5
    pacer.throttled(0.2)
    assert pacer.rate < 3.6


def test_429s_for_ever_settle_well_below_the_full_rate():
    clock = Clock()
    pacer = Pacer(24.0, clock)
    for _ in range(60):
        clock.now += 1.0
        pacer.throttled(0.1)
    assert pacer.rate < 4
    clock.now += 91
    take_all(pacer, clock, 3)
    clock.now += 2
    pacer.take()
    assert pacer.rate == 24.0


def test_one_pacer_a_client_of_an_instance_at_the_lower_rate():
    first = shared_pacer("https://acme.coupahost.com", "id", 20)
    assert shared_pacer("https://acme.coupahost.com", "id", 10) is first
    assert first.full_rate == 10
    assert first.rate <= 10
    assert shared_pacer("https://acme.coupahost.com", "id", 25) is first
    assert first.full_rate == 10
    assert shared_pacer("https://acme.coupahost.com", "other", 20) is not first
    assert shared_pacer("https://other.coupahost.com", "id", 20) is not first


def test_threads_and_loops_share_one_pace():
    pacer = Pacer(100.0)
    moments: list[float] = []

    async def send() -> None:
        for _ in range(10):
            await pacer.wait()
            moments.append(time.monotonic())
            pacer.ended()

    threads = [threading.Thread(target=lambda: asyncio.run(send())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(moments) == 40
    # 40 at 100 a second, 5 of them at once.
    assert max(moments) - min(moments) >= 0.34


def test_a_pause_that_coupa_asks_for_holds_back_those_who_were_waiting_already(run):
    pacer = Pacer(5.0)

    async def scene() -> float:
        for _ in range(BURST):
            pacer.take()
        waiting = asyncio.create_task(pacer.wait())
        await asyncio.sleep(0.05)
        pacer.throttled(0.0, 0.6)
        return await waiting

    assert run(scene()) >= 0.6


def test_a_fork_while_a_lock_is_held_does_not_stop_the_child():
    pacer = shared_pacer("https://acme.coupahost.com", "id", 20)
    with pacer._lock, pacing._pacers_lock:
        child = os.fork()
        if child == 0:
            shared_pacer("https://acme.coupahost.com", "id", 20).take()
            os._exit(0)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.01)
    else:
        os.kill(child, 9)
        os.waitpid(child, 0)
        pytest.fail("the child waits for a lock that nobody holds")
    assert os.waitstatus_to_exitcode(status) == 0
