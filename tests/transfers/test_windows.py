"""Windows that leave no gap between two runs, and the watermark that carries them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.assets import Asset
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException
from hypothesis import given
from hypothesis import strategies as st

from coupa_provider.client.errors import CoupaUnavailableError
from coupa_provider.client.page import Counters, Page
from coupa_provider.extract.window import Window
from coupa_provider.transfers.coupa_to_object_storage import CoupaToObjectStorageOperator
from tests.extract.synthetic import page_of

LOOK_BACK, MARGIN = timedelta(minutes=15), timedelta(minutes=5)
START = datetime(2026, 11, 23, 2, 0, 0, tzinfo=UTC)


class Stores:
    """What ``context["asset_state_store"]`` is on Airflow 3.3: a store for each asset."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, Any]] = {}

    def __getitem__(self, asset: Any) -> Any:
        values = self.values.setdefault(asset.uri, {})
        return SimpleNamespace(get=lambda key, default=None: values.get(key, default), set=values.__setitem__)


class Coupa:
    """A hook whose walks give these pages; it remembers the windows asked for."""

    config = SimpleNamespace(instance="acme.coupahost.com")

    def __init__(self, *pages: Page | Exception) -> None:
        self.list = pages or (page_of({"id": 1}, {"id": 2}),)
        self.windows: list[tuple[datetime | None, datetime | None]] = []
        self.covered: list[Any] = []
        self.before_end = lambda: None

    def pages(self, resource: str, *, updated_since: Any, updated_until: Any, covered: Any, **_: Any) -> Any:
        self.windows.append((updated_since, updated_until))
        self.covered.append(list(covered))
        return _Walk(self, covered)

    def close(self) -> None:
        pass


class _Walk:
    instance, query, reports, id_range = "acme.coupahost.com", {}, (), None

    def __init__(self, coupa: Coupa, covered: Any) -> None:
        self.coupa, self.covered, self.counters = coupa, covered, Counters()

    def __enter__(self) -> _Walk:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Any:
        for page in self.coupa.list:
            if isinstance(page, Exception):
                raise page
            if not any(after <= page.after and page.upto <= upto for after, upto in self.covered):
                yield page
        self.coupa.before_end()


class Clock(datetime):
    """A clock that a test sets."""

    at = START

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return cls.at


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> type[Clock]:
    monkeypatch.setattr("coupa_provider.transfers.coupa_to_object_storage.datetime", Clock)
    monkeypatch.setattr(Clock, "at", START)
    return Clock


@pytest.fixture
def stores() -> Stores:
    return Stores()


@pytest.fixture
def run(tmp_path: Path, stores: Stores, clock: type[Clock]) -> Any:
    def run(
        hook: Coupa, *, run_id: str = "r1", context: Any = None, map_index: int = -1, **arguments: Any
    ) -> Any:
        task = CoupaToObjectStorageOperator(
            **{
                "task_id": "suppliers",
                "resource": "suppliers",
                "destination": f"file://{tmp_path}/{run_id}",
                "window": "watermark",
            }
            | arguments
        )
        task.hook = hook
        ti = SimpleNamespace(dag_id="nightly", task_id="suppliers", run_id=run_id, map_index=map_index)
        return task.execute({"ti": ti, "asset_state_store": stores, **(context or {})})

    return run


def kept(stores: Stores) -> Any:
    [values] = stores.values.values()
    return values.get("watermark:nightly.suppliers")


# ---------------------------------------------------------------------------------------------- arithmetic

TIMES = st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))


@given(TIMES, st.lists(st.integers(-120, 200_000)), st.integers(1, 3600), st.integers(0, 600))
def test_windows_leave_no_gap_whatever_the_clock_does(start, steps, look_back, margin):
    watermark, now, reached = None, start, None
    for step in steps:
        now += timedelta(seconds=step)
        window = Window.from_watermark(
            watermark,
            first=None,
            now=now,
            look_back=timedelta(seconds=look_back),
            margin=timedelta(seconds=margin),
        )
        assert window.until is not None
        assert window.until.microsecond == 0
        if reached is None:
            assert window.since is None
        else:
            assert window.since <= reached <= window.until
        assert window.until <= max(now - timedelta(seconds=margin), reached or window.until)
        watermark = reached = window.until


# ---------------------------------------------------------------------------------------------- watermark


def test_runs_go_on_where_the_last_one_ended(run, stores, clock):
    coupa = Coupa()
    result = run(coupa)
    assert result["window"] == [None, "2026-11-23T01:55:00+00:00"]
    assert kept(stores) == "2026-11-23T01:55:00+00:00"
    clock.at += timedelta(days=1, seconds=7)
    run(coupa, run_id="r2")
    assert coupa.windows[1] == (
        datetime(2026, 11, 23, 1, 40, tzinfo=UTC),
        datetime(2026, 11, 24, 1, 55, 7, tzinfo=UTC),
    )
    assert kept(stores) == "2026-11-24T01:55:07+00:00"


def test_the_very_first_window_begins_where_one_says(run):
    coupa = Coupa()
    run(coupa, updated_since="2021-01-01T00:00:00Z")
    assert coupa.windows[0][0] == datetime(2021, 1, 1, tzinfo=UTC)


def test_a_person_may_set_the_watermark_back(run, stores, clock):
    run(Coupa())
    [values] = stores.values.values()
    values["watermark:nightly.suppliers"] = "2026-10-01"
    with pytest.raises(
        AirflowException, match=r"watermark .*nightly.suppliers.* '2026-10-01'.* no time zone"
    ):
        run(Coupa(), run_id="r2")
    values["watermark:nightly.suppliers"] = "2026-10-01T00:00:00Z"
    coupa = Coupa()
    run(coupa, run_id="r2")
    assert coupa.windows[0][0] == datetime(2026, 9, 30, 23, 45, tzinfo=UTC)


def test_a_failed_try_moves_nothing_and_the_next_one_keeps_its_window(run, stores, clock):
    pages = [page_of({"id": 1, "name": "x" * 60}), page_of({"id": 2, "name": "x" * 60})]
    with pytest.raises(CoupaUnavailableError):
        run(Coupa(*pages, CoupaUnavailableError("gone")), part_bytes=50)
    assert kept(stores) is None
    clock.at += timedelta(hours=1)
    coupa = Coupa(*pages, page_of({"id": 3}))
    result = run(coupa, part_bytes=50)
    assert coupa.covered == [[(0, 2)]]
    assert (result["records"], result["tries"]) == (3, 2)
    assert result["window"] == [None, "2026-11-23T01:55:00+00:00"]
    assert kept(stores) == "2026-11-23T01:55:00+00:00"


def test_a_run_made_again_replaces_what_it_published_with_no_less(run, stores, clock, tmp_path):
    """It was killed after it had moved the watermark, or cleared before anybody loaded its extract."""
    run(Coupa())
    clock.at += timedelta(days=1)
    run(Coupa(), run_id="r2")
    clock.at += timedelta(hours=1)
    coupa = Coupa()
    run(coupa, run_id="r2")
    assert coupa.windows == [
        (datetime(2026, 11, 23, 1, 40, tzinfo=UTC), datetime(2026, 11, 24, 2, 55, tzinfo=UTC))
    ]
    assert kept(stores) == "2026-11-24T02:55:00+00:00"
    # The very first one has no beginning.
    run(coupa, run_id="r1")
    assert coupa.windows[1] == (None, datetime(2026, 11, 24, 2, 55, tzinfo=UTC))
    # Another run in the same folder has a window of its own.
    clock.at += timedelta(hours=1)
    run(coupa, run_id="r3", destination=f"file://{tmp_path}/r2")
    assert coupa.windows[2][0] == datetime(2026, 11, 24, 2, 40, tzinfo=UTC)


def test_of_two_runs_at_once_the_second_fails_and_nothing_is_lost(run, stores, clock):
    coupa = Coupa()

    def other_run() -> None:
        coupa.before_end = lambda: None
        clock.at += timedelta(minutes=1)
        run(Coupa(), run_id="other")

    coupa.before_end = other_run
    with pytest.raises(
        AirflowException, match="was not set when this try began, and is 2026-11-23T01:56:00"
    ) as caught:
        run(coupa)
    assert not isinstance(caught.value, AirflowFailException)  # the next try mends it
    assert kept(stores) == "2026-11-23T01:56:00+00:00"
    clock.at += timedelta(minutes=10)
    run(coupa)
    # From where it began, as it replaces what it published.
    assert coupa.windows[-1][0] is None
    assert kept(stores) == "2026-11-23T02:06:00+00:00"


def test_a_watermark_that_moved_since_the_last_try_starts_over(run, stores, clock):
    pages = [page_of({"id": 1, "name": "x" * 60}), page_of({"id": 2, "name": "x" * 60})]
    with pytest.raises(CoupaUnavailableError):
        run(Coupa(*pages, CoupaUnavailableError("gone")), part_bytes=50)
    run(Coupa(), run_id="other")
    coupa = Coupa(*pages)
    result = run(coupa, part_bytes=50)
    assert coupa.covered == [[]]
    assert result["tries"] == 1
    # From where this run began at first: what it published before it was stopped may be gone already.
    assert coupa.windows[0] == (None, datetime(2026, 11, 23, 1, 55, tzinfo=UTC))


def test_the_scheduler_lets_a_second_run_wait():
    arguments = {"task_id": "t", "resource": "suppliers", "destination": "file:///x", "window": "watermark"}
    task = CoupaToObjectStorageOperator(**arguments)
    assert task.max_active_tis_per_dag == 1
    assert [asset.uri for asset in task.outlets] == ["coupa://coupa_default/suppliers"]
    mine = Asset("s3://lake/suppliers")
    task = CoupaToObjectStorageOperator(**arguments, outlets=[mine], max_active_tis_per_dag=2)
    assert (task.outlets, task.max_active_tis_per_dag) == ([mine], 2)
    assert CoupaToObjectStorageOperator(**arguments | {"window": None}).outlets == []


@pytest.mark.airflow
def test_before_airflow_33_a_variable_keeps_it(run, stores, clock):
    from airflow.models.variable import Variable

    Variable.delete("coupa_watermark_nightly.suppliers")
    coupa = Coupa()
    run(coupa, context={"asset_state_store": None})
    assert Variable.get("coupa_watermark_nightly.suppliers") == "2026-11-23T01:55:00+00:00"
    clock.at += timedelta(hours=1)
    run(coupa, context={"asset_state_store": None}, run_id="r2")
    assert coupa.windows[1][0] == datetime(2026, 11, 23, 1, 40, tzinfo=UTC)
    # After an upgrade it is taken over into the store.
    clock.at += timedelta(hours=1)
    run(coupa, run_id="r3")
    assert coupa.windows[2][0] == datetime(2026, 11, 23, 2, 40, tzinfo=UTC)
    assert kept(stores) == "2026-11-23T03:55:00+00:00"
    Variable.delete("coupa_watermark_nightly.suppliers")


def test_mapped_tasks_have_no_watermark(run):
    with pytest.raises(AirflowFailException, match="a task for each resource in a loop"):
        run(Coupa(), map_index=3)


def test_a_call_without_a_task_instance_has_no_watermark(run):
    coupa = Coupa()
    with pytest.raises(AirflowFailException, match=r"works in a run of a DAG alone.*give updated_since"):
        run(coupa, context={"ti": None})
    assert coupa.windows == []


# ---------------------------------------------------------------------------------------------- data interval


def test_a_data_interval_is_the_window(run):
    coupa = Coupa()
    interval = {"data_interval_start": START - timedelta(days=1), "data_interval_end": START}
    run(coupa, window="data_interval", context=interval)
    assert coupa.windows == [(START - timedelta(days=1), START)]


@pytest.mark.parametrize(
    ("interval", "message"),
    [
        ((START, START), "is empty.*CronDataIntervalTimetable"),
        ((None, None), "no data interval.*window='watermark'"),
    ],
)
def test_no_data_interval_is_refused_with_the_remedy(run, interval, message):
    coupa = Coupa()
    bounds = dict(zip(("data_interval_start", "data_interval_end"), interval, strict=True))
    with pytest.raises(AirflowFailException, match=message):
        run(coupa, window="data_interval", context=bounds)
    assert coupa.windows == []


# ---------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window": "yesterday"}, "window 'yesterday' is not one of"),
        ({"window": "data_interval", "updated_since": "2026-01-01T00:00:00Z"}, "leave out .*updated_since"),
        ({"window": "watermark", "updated_until": "2026-01-01T00:00:00Z"}, "leave out updated_until"),
        ({"window": "watermark", "resource": "{{ params.resource }}"}, "outlets="),
        ({"part_bytes": 0}, "part_bytes"),
    ],
)
def test_what_does_not_go_together_is_refused_when_the_dag_is_read(arguments, message):
    with pytest.raises(ValueError, match=message):
        CoupaToObjectStorageOperator(
            **{"task_id": "t", "resource": "suppliers", "destination": "file:///x"} | arguments
        )


def test_a_partition_is_read_alone_and_into_its_folder(run, tmp_path):
    coupa = Coupa()
    result = run(coupa, window=None, partition={"number": 3, "after": 0, "upto": 2})
    assert result["manifest"] == f"file://{tmp_path}/r1/partition-00003/_manifest.json"
    with pytest.raises(AirflowFailException, match="CoupaPlanPartitionsOperator"):
        run(coupa, window=None, partition={"from": 3})
