"""How long failures are borne, and what is told of it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coupa_provider.client.errors import (
    CoupaAuthenticationError,
    CoupaError,
    CoupaIncompleteError,
    CoupaNotFoundError,
    CoupaRateLimitError,
    CoupaScopeError,
    CoupaUnavailableError,
)
from coupa_provider.watch.patience import Patience
from coupa_provider.watch.verdict import State, Verdict
from coupa_provider.watch.wait import Progress

PASSING = [CoupaUnavailableError("503"), CoupaRateLimitError("429"), CoupaIncompleteError("an odd answer")]
LASTING = [CoupaAuthenticationError("secret"), CoupaScopeError("scope"), CoupaNotFoundError("404")]


@given(st.lists(st.sampled_from([*PASSING, None]), max_size=40), st.integers(1, 5))
def test_failures_in_a_row_end_it(looks: list[CoupaError | None], most: int) -> None:
    patience, row = Patience(most), 0
    for look in looks:
        if look is None:
            patience.answered()
            row = 0
            continue
        row += 1
        verdict = patience.failed(look)
        assert (verdict.state is State.GAVE_UP) == (row >= most)
        assert look.message in verdict.reason
        assert type(look).__name__ in verdict.reason
        if verdict.final:
            return


@given(st.integers(0, 3), st.integers(1, 5))
def test_a_count_is_taken_up_again(before: int, most: int) -> None:
    left = 0
    patience = Patience(most, min(before, most - 1))
    while not patience.failed(PASSING[0]).final:
        left += 1
    assert patience.failures == most
    assert left == most - 1 - min(before, most - 1)


def test_any_number_may_be_borne() -> None:
    patience = Patience(None)
    assert {patience.failed(PASSING[0]).state for _ in range(1000)} == {State.WAITING}
    assert "(failure 1001)" in patience.failed(PASSING[0]).reason


@pytest.mark.parametrize("error", LASTING)
def test_what_stays_wrong_ends_it_at_once(error: CoupaError) -> None:
    for most in (1, 20, None):
        verdict = Patience(most).failed(error)
        assert verdict == Verdict(State.REFUSED, f"{type(error).__name__}: {error.message}")


@given(
    st.sampled_from(State),
    st.text(),
    st.recursive(st.none() | st.integers() | st.text(), lambda part: st.lists(part) | st.dictionaries(st.text(), part)),
)  # fmt: skip
def test_a_verdict_travels_as_json(state: State, reason: str, result: Any) -> None:
    verdict = Verdict(state, reason, result)
    assert Verdict.from_event(json.loads(json.dumps(verdict.to_event()))) == verdict
    assert verdict.final == (state is not State.WAITING)


def test_only_a_fault_of_ours_is_raised() -> None:
    class Judge:
        async def judge(self, answer: Any) -> Verdict:
            return Verdict(State.BROKEN, "The predicate raised")

    progress = Progress(Judge(), Patience(2), bears_everything=True)  # type: ignore[arg-type]
    assert asyncio.run(progress.step(PASSING[0])).state is State.WAITING
    assert asyncio.run(progress.step([])) == Verdict(State.WAITING, "The predicate raised")
    assert progress.patience.failures == 0
    with pytest.raises(RuntimeError, match="ours"):
        asyncio.run(progress.step(RuntimeError("a fault of ours")))
