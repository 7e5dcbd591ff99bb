"""Which records are news: nothing lost, nothing twice, whatever the order of changes, looks and restarts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coupa_provider.client.errors import CoupaIncompleteError, CoupaQueryError
from coupa_provider.watch.backoff import pause_after
from coupa_provider.watch.changes import CLOCK_DISTANCE, News
from coupa_provider.watch.stream import Stream, parse_streams

START = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
OVERLAP = 20


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True)
class Change:
    """A record changed at a whole second, and others see it some seconds later."""

    stamp: int
    delay: int
    record_id: int
    version: int

    @property
    def seen_at(self) -> int:
        return self.stamp + self.delay


class Coupa:
    """Shows of each record the last of its changes that is visible, in whole seconds and with changing offsets."""

    def __init__(self, changes: list[Change]) -> None:
        self.changes = changes

    def ask(self, since: datetime, now: int) -> list[dict[str, object]]:
        latest: dict[int, Change] = {}
        for change in self.changes:
            if change.seen_at <= now:
                known = latest.get(change.record_id)
                if known is None or known.version < change.version:
                    latest[change.record_id] = change
        return [
            {"id": it.record_id, "updated-at": text(at(it.stamp)), "version": it.version}
            for it in latest.values()
            if at(it.stamp) >= since
        ]


@st.composite
def histories(draw: st.DrawFn) -> list[Change]:
    """Changes of a few records over up to 20 minutes; those of one record become visible in their order."""
    moments = draw(st.lists(st.tuples(st.integers(0, 1200), st.integers(1, 4)), max_size=40))
    changes: list[Change] = []
    visible: dict[int, int] = {}
    for version, (stamp, record_id) in enumerate(sorted(moments)):
        delay = max(draw(st.integers(0, OVERLAP)), visible.get(record_id, 0) - stamp)
        visible[record_id] = stamp + delay
        changes.append(Change(stamp, delay, record_id, version))
    return changes


looks = st.lists(st.integers(0, 1300), max_size=40).map(lambda times: [*sorted(times), 1300])


def told_versions(told: list[dict[str, object]], record_id: int) -> list[object]:
    return [it["version"] for it in told if it["id"] == record_id]


@given(histories(), looks)
@settings(max_examples=300, deadline=None)
def test_each_state_that_a_look_meets_is_told_once(changes, looks):
    coupa, news, told = Coupa(changes), News(START, timedelta(seconds=OVERLAP)), []
    for now in looks:
        told += news.sort_out(coupa.ask(news.since, now), at(now))
        assert news.watermark <= at(now)
        for record_id in {it.record_id for it in changes if it.seen_at <= now}:
            newest = max(it.version for it in changes if it.record_id == record_id and it.seen_at <= now)
            assert told_versions(told, record_id)[-1] == newest
    assert len({(it["id"], it["version"]) for it in told}) == len(told)


@given(histories(), looks, st.sets(st.integers(0, 40)))
@settings(max_examples=300, deadline=None)
def test_after_a_restart_at_any_time_each_change_is_told_again_or_was(changes, looks, restarts):
    """The watermark that survives is that of the look before: the news of the last one may be lost with the process."""
    coupa, overlap = Coupa(changes), timedelta(seconds=OVERLAP)
    kept, news, last, safe = START, News(START, overlap), [], []
    for number, now in enumerate(looks):
        if number in restarts:
            last, news = [], News(kept, overlap)  # what the last look told never arrived
        safe += last
        kept = news.watermark
        last = news.sort_out(coupa.ask(news.since, now), at(now))
    safe += last
    for change in changes:
        assert max(told_versions(safe, change.record_id)) >= change.version  # this state, or one after it


def shown(record_id: int, seconds: float, **more: object) -> dict[str, object]:
    return {"id": record_id, "updated-at": text(at(seconds)), **more}


def test_the_oldest_change_comes_first_and_offsets_make_no_difference():
    news = News(START, timedelta(seconds=OVERLAP))
    late = {"id": 1, "updated-at": "2026-11-23T07:00:30+01:00"}  # of another season
    assert [it["id"] for it in news.sort_out([late, shown(2, 10), shown(3, 5)], at(60))] == [3, 2, 1]
    assert news.watermark == at(30)
    assert news.since == at(10)


def test_two_changes_within_a_second_are_two():
    news = News(START, timedelta(seconds=OVERLAP))
    assert news.sort_out([shown(1, 10, status="draft")], at(10))
    assert not news.sort_out([shown(1, 10, status="draft")], at(11))
    assert news.sort_out([shown(1, 10, status="approved")], at(12))


def test_what_changes_while_pages_are_read_is_asked_for_again():
    news = News(START, timedelta(0))
    news.sort_out(
        [shown(1, 30)], at(10)
    )  # read long after the question; 2 changed at 20, when its page was read already
    assert news.since == at(10)
    assert [it["id"] for it in news.sort_out([shown(1, 30), shown(2, 20)], at(60))] == [2]


def test_a_stamp_in_the_future_hides_nothing():
    news = News(START, timedelta(seconds=OVERLAP))
    for now in range(0, 600, 60):
        told = news.sort_out([shown(1, 1e6), shown(2, now)], at(now))
        assert [it["id"] for it in told] == ([2, 1] if not now else [2])
        assert news.since == at(now - OVERLAP)


def test_a_large_load_is_not_read_again_for_ever():
    news = News(START, timedelta(seconds=OVERLAP))
    load = [shown(number, 1) for number in range(1000)]
    assert len(news.sort_out(load, at(2))) == 1000
    assert news.since <= at(1)
    assert not news.sort_out(load, at(60))
    assert not news.sort_out(load, at(CLOCK_DISTANCE.seconds + 60))
    assert news.since > at(1)
    assert news._told == {}


def test_what_has_the_first_stamp_asked_for_is_not_told_again():
    news = News(START, timedelta(seconds=OVERLAP))
    news.sort_out([shown(1, 10), shown(2, 10 + OVERLAP)], at(60))
    assert news.since == at(10)
    assert not news.sort_out([shown(1, 10), shown(2, 10 + OVERLAP)], at(61))


def test_a_fraction_of_a_second_takes_nothing_off_the_overlap():
    assert News(at(30.9), timedelta(seconds=OVERLAP)).since == at(10)


def test_records_without_a_stamp_move_nothing():
    news = News(START, timedelta(seconds=OVERLAP))
    with pytest.raises(CoupaIncompleteError, match="Record 7 shows no updated-at"):
        news.sort_out([shown(1, 10), {"id": 7}], at(60))
    assert news.watermark == START
    assert [it["id"] for it in news.sort_out([shown(1, 10)], at(60))] == [1]


@given(st.integers(0, 10_000), st.floats(1, 1e6), st.none() | st.floats(0, 1e7))
def test_pauses_grow_to_a_quarter_of_an_hour(failures, interval, retry_after):
    pause = pause_after(failures, interval, retry_after)
    assert interval <= pause <= max(900, interval)
    assert pause <= pause_after(failures + 1, interval, retry_after)
    if retry_after is not None:
        assert pause >= min(retry_after, 900)


def test_pauses_double():
    assert [pause_after(failures, 60) for failures in range(6)] == [60, 120, 240, 480, 900, 900]
    assert pause_after(1, 60, retry_after=300) == 300


def test_the_same_wish_is_written_the_same_way():
    one = parse_streams(
        {"suppliers": None, "/invoices/": {"status[in]": {"paid", "approved"}, "exported": False}}, None
    )
    other = parse_streams(
        {"invoices": {"exported": "false", "status[in]": ["approved", "paid"]}, "suppliers": {}}, None
    )
    assert one == other
    assert [stream.resource for stream in one] == ["invoices", "suppliers"]
    assert one[0].fields == '["id","updated_at","created_at","status"]'
    assert one[0].key != "invoices"
    assert one[1].key == "suppliers"


def test_a_resource_the_documents_do_not_know_shows_what_it_surely_has():
    assert Stream.parse("our_things", fields=["colour"]).fields == '["id","updated_at","colour"]'


@pytest.mark.parametrize(
    ("resources", "fields", "message"),
    [
        ([], None, "name at least one"),
        ("", None, "is no path"),
        ("invoices/33", None, "is one record"),
        (["invoices", "/invoices"], None, "name one twice"),
        ({"invoices": {"updated_at[gt]": "2026-01-01T00:00:00Z"}}, None, "updated-at beside"),
        ({"invoices": {"status[eq]": "approved"}}, None, "there is no operator 'eq'"),
        ({"invoices": {"limit": 3}}, None, "is not a condition"),
        ("invoices", {"suppliers": ["name"]}, "which is none of the resources"),
        ("invoices", [], "fields must be a list"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_once(resources, fields, message):
    with pytest.raises(CoupaQueryError, match=message):
        parse_streams(resources, fields)
