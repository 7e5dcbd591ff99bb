"""Ranges cover every id once, whatever is split off whenever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coupa_provider.client.spans import (
    Span,
    density_of,
    needs_confirmation,
    plan_spans,
    split_widest,
    workers_for,
)

BOUNDS = st.tuples(st.integers(-5, 10_000), st.integers(0, 10_000_000)).map(lambda t: (t[0], t[0] + t[1]))


@given(BOUNDS, st.floats(1e-6, 1.0), st.integers(1, 64), st.sampled_from([50, 20, 5]))
def test_planned_ranges_join_without_gap_or_overlap(bounds, density, workers, page_size):
    after, upto = bounds
    spans = plan_spans(after, upto, density, workers=workers, page_size=page_size)
    edges = [after] + [span.upto for span in spans]
    assert [span.after for span in spans] == edges[:-1]
    assert edges[-1] == upto or (not spans and upto == after)
    assert all(span.after < span.upto for span in spans)
    assert len(spans) <= workers


@given(st.lists(st.tuples(BOUNDS, st.floats(1e-6, 1.0)), max_size=8), st.sampled_from([50, 20, 5]))
def test_a_split_shares_the_range_and_leaves_both_halves_something(ranges, page_size):
    spans = [Span(after, upto, density) for (after, upto), density in ranges]
    before = [(span.after, span.upto) for span in spans]
    upper = split_widest(spans, page_size)
    if upper is None:
        assert [(span.after, span.upto) for span in spans] == before
        return
    changed = [index for index, span in enumerate(spans) if (span.after, span.upto) != before[index]]
    assert len(changed) == 1
    lower, (after, upto) = spans[changed[0]], before[changed[0]]
    assert (lower.after, lower.upto, upper.after, upper.upto) == (after, upper.after, lower.upto, upto)
    assert lower.after < lower.upto < upper.upto


@given(st.floats(0.1, 10_000), st.floats(0.0001, 120))
def test_enough_requests_are_under_way_but_never_too_many(rate, latency):
    workers = workers_for(rate, latency)
    assert 2 <= workers <= 64
    assert workers >= min(64, rate * latency)


def test_little_to_read_is_not_cut_up():
    assert len(plan_spans(50, 120, 0.5, workers=16, page_size=50)) == 1
    assert split_widest([Span(0, 100, 1.0)], 50) is None


def test_density_counts_the_gap_before_the_page():
    assert density_of([11, 12], after=0) == 2 / 12
    assert density_of([11, 12]) == 1.0


def test_only_a_round_short_page_is_suspicious():
    assert [n for n in range(51) if needs_confirmation(n, 50)] == [5, 10, 15, 20, 25, 30, 35, 40, 45]
