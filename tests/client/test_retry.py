"""Whether and when a request is sent again: over all that can go wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coupa_provider.client.retry import WITHOUT_EFFECT, Failure, RetryPolicy

policies = st.builds(
    RetryPolicy,
    attempts=st.integers(1, 12),
    first_delay=st.floats(0.01, 10),
    longest_delay=st.floats(0.1, 120),
    longest_retry_after=st.floats(1, 1000),
)
waits = st.one_of(st.none(), st.floats(0, 1e6))


@given(policies, st.sampled_from(Failure), st.integers(1, 20), st.booleans(), waits, st.floats(0, 1))
def test_a_decision_is_safe_and_bounded(policy, failure, attempt, repeatable, retry_after, jitter):
    delay = policy.next_delay(
        failure, attempt=attempt, repeatable=repeatable, retry_after=retry_after, jitter=jitter
    )
    if not repeatable and failure not in WITHOUT_EFFECT:
        assert delay is None
    if attempt >= policy.attempts:
        assert delay is None
    if retry_after is not None and retry_after > policy.longest_retry_after:
        assert delay is None
    if delay is None:
        return
    assert delay > 0
    if retry_after is None:
        assert delay <= policy.longest_delay
    else:
        assert delay >= retry_after
        assert delay <= max(retry_after, policy.first_delay * attempt / 2) + policy.first_delay / 4


@given(policies, st.sampled_from(Failure), st.booleans(), waits)
def test_every_request_comes_to_an_end(policy, failure, repeatable, retry_after):
    attempt = 1
    while (
        policy.next_delay(failure, attempt=attempt, repeatable=repeatable, retry_after=retry_after)
        is not None
    ):
        attempt += 1
    assert attempt <= policy.attempts


def test_only_what_cannot_have_had_an_effect_is_named_so():
    assert {Failure.THROTTLED, Failure.NOT_SENT, Failure.REFUSED} == WITHOUT_EFFECT


@pytest.mark.parametrize("failure", [f for f in Failure if f not in WITHOUT_EFFECT])
def test_a_write_that_may_have_had_an_effect_is_not_repeated(failure):
    assert RetryPolicy().next_delay(failure, attempt=1, repeatable=False) is None
    assert RetryPolicy().next_delay(failure, attempt=1, repeatable=True) is not None


@pytest.mark.parametrize("failure", sorted(WITHOUT_EFFECT, key=str))
def test_a_write_that_certainly_had_none_is_repeated(failure):
    assert RetryPolicy().next_delay(failure, attempt=1, repeatable=False) is not None


def test_waits_double_up_to_the_cap_and_spread_over_their_upper_half():
    policy = RetryPolicy(attempts=10, first_delay=1, longest_delay=20)
    longest = [policy.next_delay(Failure.BROKEN, attempt=n, repeatable=True, jitter=1) for n in range(1, 8)]
    shortest = [policy.next_delay(Failure.BROKEN, attempt=n, repeatable=True, jitter=0) for n in range(1, 8)]
    assert longest == [1, 2, 4, 8, 16, 20, 20]
    assert shortest == [wait / 2 for wait in longest]


def test_retry_after_is_waited_for_but_not_for_ever():
    policy = RetryPolicy(first_delay=1, longest_retry_after=300)
    assert policy.next_delay(Failure.THROTTLED, attempt=1, repeatable=True, retry_after=30, jitter=0) == 30
    assert policy.next_delay(Failure.THROTTLED, attempt=1, repeatable=True, retry_after=300, jitter=0) == 300
    assert policy.next_delay(Failure.THROTTLED, attempt=1, repeatable=True, retry_after=301) is None


def test_a_wait_of_no_length_does_not_use_up_the_attempts_in_a_moment():
    policy = RetryPolicy(attempts=6, first_delay=1)
    waits = [
        policy.next_delay(Failure.THROTTLED, attempt=n, repeatable=True, retry_after=0, jitter=0)
        for n in range(1, 6)
    ]
    assert waits == [0.5, 1.0, 1.5, 2.0, 2.5]


def test_time_outs_are_given_up_sooner_because_a_smaller_request_may_do():
    policy = RetryPolicy(attempts=6)
    assert policy.next_delay(Failure.TIMED_OUT, attempt=2, repeatable=True) is not None
    assert policy.next_delay(Failure.TIMED_OUT, attempt=3, repeatable=True) is None
