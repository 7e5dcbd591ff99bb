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


@given(
    st.floats(0.5, 100),
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 30)), min_size=1, max_size=30),
    st.floats(0.01, 20),
)
@settings(max_examples=300, deadline=None)
def test_no_window_holds_more_than_the_pace_and_a_burst(rate, calls, width):
    clock = Clock()
    pacer = Pacer(rate, clock)
    moments = []
    for pause, number in calls:
        clock.now += pause
        moments += [clock.now + pacer.reserve() for _ in range(number)]
    assert moments == sorted(moments)
    start = 0
    for end, moment in enumerate(moments):
        while moments[start] <= moment - width:
            start += 1
        assert end - start + 1 <= rate * width + BURST + 1e-6


@given(
    st.floats(0.5, 100),
    st.lists(
        st.one_of(
            st.tuples(st.just("reserve"), st.floats(0, 2)),
            st.tuples(st.just("throttled"), st.floats(0, 5)),
            st.tuples(st.just("pass"), st.floats(0, 10)),
        ),
        max_size=40,
    ),
)
@settings(max_examples=300, deadline=None)
def test_a_pause_holds_for_all_and_the_rate_stays_in_its_bounds(rate, events):
    clock = Clock()
    pacer = Pacer(rate, clock)
    paused_until = 0.0
    for kind, amount in events:
        if kind == "reserve":
            clock.now += amount
            assert clock.now + pacer.reserve() >= paused_until - 1e-6
        elif kind == "throttled":
            before = pacer.rate
            pacer.throttled(amount)
            paused_until = max(paused_until, clock.now + amount)
            assert pacer.rate <= max(before, pacer.full_rate)
        else:
            clock.now += amount
        assert min(0.5, rate) - 1e-9 <= pacer.rate <= rate
        assert pacer.pause_left == pytest.approx(max(0.0, paused_until - clock.now), abs=1e-6)


def test_after_429_it_slows_at_once_and_comes_back_slowly():
    clock = Clock()
    pacer = Pacer(20.0, clock)
    pacer.throttled(0)
    assert pacer.rate == pytest.approx(14.0)
    clock.now += 5
    pacer.reserve()
    assert 14.0 < pacer.rate < 20.0
    clock.now += 10
    pacer.reserve()
    assert pacer.rate == 20.0


def test_many_429s_of_one_moment_are_one_lesson():
    clock = Clock()
    pacer = Pacer(20.0, clock)
    for _ in range(10):
        pacer.throttled(0.1)
    assert pacer.rate == pytest.approx(14.0)
    for _ in range(100):
        clock.now += 1
        pacer.throttled(0.1)
    assert pacer.rate >= 0.5


def test_429s_for_ever_settle_well_below_the_full_rate():
    clock = Clock()
    pacer = Pacer(24.0, clock)
    for _ in range(60):
        clock.now += 1.0
        pacer.throttled(0)
    assert pacer.rate < 4


def test_one_pacer_a_client_of_an_instance_at_the_lower_rate():
    first = shared_pacer("https://acme.coupahost.com", "id", 20)
    assert shared_pacer("https://acme.coupahost.com", "id", 10) is first
    assert (first.full_rate, first.rate) == (10, 10)
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

    threads = [threading.Thread(target=lambda: asyncio.run(send())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(moments) == 40
    # 40 at 100 a second, 5 of them at once.
    assert max(moments) - min(moments) >= 0.34


def test_a_429_holds_back_those_who_were_waiting_already(run):
    pacer = Pacer(5.0)

    async def scene() -> float:
        for _ in range(BURST):
            pacer.reserve()
        waiting = asyncio.create_task(pacer.wait())
        await asyncio.sleep(0.05)
        pacer.throttled(0.6)
        return await waiting

    assert run(scene()) >= 0.6


def test_a_fork_while_a_lock_is_held_does_not_stop_the_child():
    pacer = shared_pacer("https://acme.coupahost.com", "id", 20)
    with pacer._lock, pacing._pacers_lock:
        child = os.fork()
        if child == 0:
            shared_pacer("https://acme.coupahost.com", "id", 20).reserve()
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
