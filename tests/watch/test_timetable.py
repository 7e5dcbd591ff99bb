"""Nobody waits for longer than the own interval, and a crowd costs no more looks than its pace, whoever comes when."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from coupa_provider.watch.timetable import _EARLY, GATHER_SECONDS, Timetable

#: Clocks of floats: two sums of the same seconds may differ by so much.
CLOSE = 1e-6


@dataclass(frozen=True)
class Visit:
    """Somebody who waits.

    :param comes: when, in seconds.
    :param stays: seconds until they leave.
    :param interval: seconds from one look to the next.
    """

    comes: float
    stays: float
    interval: float

    @property
    def leaves(self) -> float:
        return self.comes + self.stays


@dataclass
class Played:
    """What happened: who was looked for when, and when nobody was there."""

    looks: list[tuple[float, list[int]]] = field(default_factory=list)
    emptied: list[float] = field(default_factory=list)

    def of(self, who: int) -> list[float]:
        return [at for at, taken in self.looks if who in taken]


def play(visits: list[Visit], look_seconds: float = 0.0) -> Played:
    """Let people come and go, and look when somebody is due, as the poll does; each look takes a while."""
    table: Timetable[int] = Timetable()
    doors = sorted(
        [(visit.comes, 0, who) for who, visit in enumerate(visits)]
        + [(visit.leaves, 1, who) for who, visit in enumerate(visits)]
    )
    played, over_at = Played(), math.inf
    while doors or table.next_at is not None:
        due = table.next_at
        look_at = math.inf if due is None or over_at < math.inf else due
        if over_at <= min([at for at, _, _ in doors[:1]] + [math.inf]):
            table.looked(over_at)
            over_at = math.inf
        elif doors and doors[0][0] < look_at:
            at, leaves, who = doors.pop(0)
            if leaves:
                table.leave(who)
                if not len(table):
                    played.emptied.append(at)
                    over_at = math.inf  # nobody is interested in its end
            else:
                table.join(who, visits[who].interval, at)
        else:
            taken = table.take(look_at)
            assert taken, "a look for nobody"
            played.looks.append((look_at, taken))
            over_at = look_at + look_seconds
    return played


INTERVALS = st.sampled_from([5.0, 15.0, 45.0, 60.0, 61.0, 100.0, 300.0])
VISITS = st.lists(st.builds(Visit, st.floats(0, 400), st.floats(1, 1000), INTERVALS), min_size=1, max_size=40)
OF_ONE_PACE = st.lists(
    st.builds(Visit, st.floats(0, 400), st.floats(1, 1000), st.just(60.0)), min_size=1, max_size=40
)


@given(VISITS)
@settings(deadline=None)
def test_nobody_waits_longer_than_the_own_interval(visits):
    played = play(visits)
    for who, visit in enumerate(visits):
        stops = [visit.comes, *played.of(who), visit.leaves]
        assert stops == sorted(stops), "looked for somebody who was not there"
        assert all(later - earlier <= visit.interval + CLOSE for earlier, later in pairwise(stops))


@given(VISITS)
@settings(deadline=None)
def test_nobody_is_looked_for_much_more_often_than_asked(visits):
    played = play(visits)
    for who, visit in enumerate(visits):
        looks = played.of(who)
        gaps = [later - earlier for earlier, later in pairwise(looks)]
        assert all(gap >= (1 - _EARLY) * visit.interval - CLOSE for gap in gaps)


@given(OF_ONE_PACE)
@settings(deadline=None)
def test_a_crowd_of_one_pace_has_one_look_for_each_interval(visits):
    played = play(visits)
    for (earlier, _), (later, _) in pairwise(played.looks):
        anew = any(earlier <= at <= later for at in played.emptied)
        assert anew or later - earlier >= 60.0 - CLOSE


@given(VISITS)
@settings(deadline=None)
def test_looks_are_bounded_by_the_paces_not_by_the_people(visits):
    played = play(visits)
    for interval in {visit.interval for visit in visits}:
        led = [
            at
            for at, taken in played.looks
            if interval == min(visits[who].interval for who in taken)
            and not any(at - GATHER_SECONDS - CLOSE <= empty <= at for empty in played.emptied)
        ]
        # Whoever of this pace is due soon after such a look comes along with it, so the next is so much later.
        for first in led:
            within = [at for at in led if first <= at < first + interval]
            assert len(within) <= math.ceil(1 / _EARLY)


@given(OF_ONE_PACE, st.floats(0.1, 150))
@settings(deadline=None)
def test_no_interval_holds_the_requests_of_two_looks_however_long_they_take(visits, look_seconds):
    played = play(visits, look_seconds)
    for who, visit in enumerate(visits):
        stops = [visit.comes, *played.of(who)]
        # One that was under way already, and the own.
        assert all(later - earlier <= 60.0 + 2 * look_seconds + CLOSE for earlier, later in pairwise(stops))
    for (earlier, _), (later, _) in pairwise(played.looks):
        anew = any(earlier <= at <= later for at in played.emptied)
        assert anew or later - earlier >= look_seconds + 60.0 - CLOSE


def test_the_first_look_waits_for_others_who_come_one_by_one():
    table: Timetable[int] = Timetable()
    for second in range(4):
        table.join(second, 60, 100.0 + second)
        assert table.next_at == 100.0 + second + GATHER_SECONDS
    assert table.take(103.0) == []
    assert table.take(103.0 + GATHER_SECONDS) == [0, 1, 2, 3]
    table.join(4, 60, 109.0)
    table.looked(110.0)
    table.join(5, 60, 120.0)
    assert table.next_at == 110.0 + 60
    assert table.take(170.0) == [0, 1, 2, 3, 4, 5]


def test_the_first_look_does_not_wait_for_ever():
    table: Timetable[int] = Timetable()
    for second in range(60):
        table.join(second, 60, 100.0 + second)
        if table.take(100.0 + second):
            break
    assert second == 30
    table = Timetable()
    table.join(0, 60, 100.0)
    table.join(1, 4, 101.0)
    assert table.next_at == 102.0


def test_who_is_in_more_of_a_hurry_does_not_wait_for_the_others():
    table: Timetable[str] = Timetable()
    table.join("slow", 3600, 0.0)
    table.take(GATHER_SECONDS)
    table.looked(GATHER_SECONDS)
    table.join("quick", 10, 10.0)
    assert table.next_at == 20.0
    assert table.take(20.0) == ["quick"]
    table.looked(20.0)
    table.leave("quick")
    assert table.next_at == GATHER_SECONDS + 3600
    table.leave("slow")
    assert table.next_at is None
    assert table.take(10_000.0) == []
    table.leave("nobody")


def test_a_crowd_that_somebody_in_a_hurry_spread_out_comes_together_again():
    hurried = Visit(0, 70, 5.0)
    crowd = [Visit(comes, 1000, 60.0) for comes in range(1, 61)]
    played = play([hurried, *crowd])
    starts = [at for at, _ in played.looks]
    for first in (at for at in starts if 130 <= at <= 900):
        assert sum(first <= at < first + 60 for at in starts) <= 1 / _EARLY
