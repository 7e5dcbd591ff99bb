"""A year of nightly runs by the watermark, with everything that goes wrong in a year.

Each night the company has worked for a day, works on while the extract reads, and the worker's clock is up to 30
seconds wrong. Tries fail, are killed, and are made again; nights are missed. In the end the tables have to hold what
Coupa holds, each column of each row.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

pytest.importorskip("duckdb")

from coupa_provider.client import pacing
from coupa_provider.client.token import forget_tokens
from coupa_provider.emulator import Emulator
from coupa_provider.hooks.variable import variable_class
from tests.load.databases import DuckDBFile
from tests.year.company import DAY, LINES, RESOURCE, Company
from tests.year.worker import MOMENTS, Task

pytestmark = [pytest.mark.slow, pytest.mark.airflow]

#: After the times of the seeded records.
START = datetime(2027, 1, 1, 2, tzinfo=UTC)
NIGHTS, MONTH = 365, 30
LOOK_BACK, MARGIN, SKEW = timedelta(minutes=15), timedelta(minutes=5), timedelta(seconds=30)
#: A change that shows no later after its stamp is never lost.
LAG = LOOK_BACK + MARGIN - SKEW
RETRY_DELAY = timedelta(minutes=5)
#: A fifth of the columns there are, so that a night takes a fraction of a second.
FIELDS = [
    "id", "invoice-number", "status", "created-at", "updated-at", "invoice-date", "payment-date", "exported",
    "last-exported-at", "internal-note", "gross-total", "total-with-taxes", "paid", "custom-fields",
    {"supplier": ["id", "name", "number"]}, {"currency": ["id", "code"]}, {"created-by": ["id", "login"]},
    {
        LINES: [
            "id", "created-at", "updated-at", "line-num", "description", "price", "quantity", "total", "status",
            {"uom": ["id", "code"]}, {"account": ["id", "code"]}, "account-allocations", "custom-fields",
        ]
    },
]  # fmt: skip
FAILURES = {"CoupaUnavailableError", "CoupaRateLimitError", "LoadError"}
BAD_WEATHER = {"rate": 0.3, "kinds": ["500", "502", "503", "429", "drop_before", "drop_middle", "truncated"]}


@dataclass
class Diary:
    """What happened."""

    events: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    windows: list[tuple[datetime | None, datetime]] = field(default_factory=list)
    records: int = 0
    requests: int = 0


class Nights:
    """The DAG of a company: extract, load and, once a month, a sweep and its load.

    :param coupa: the emulator, its clock set.
    :param folder: holds the lake and the database.
    :param lag: see :class:`.company.Company`.
    :param sweeps: whether to look for deletions.
    :param window: arguments of the extract.
    """

    def __init__(
        self,
        coupa: Emulator,
        folder: Path,
        *,
        seed: int,
        lag: timedelta = LAG,
        sweeps: bool = True,
        **window: Any,
    ) -> None:
        self.coupa = coupa
        self.database = DuckDBFile(folder / "warehouse.duckdb")
        self.diary = Diary()
        self.dag_id = f"year_{folder.name}"
        self._folder = folder
        self._sweeps = sweeps
        self._window = {"look_back": LOOK_BACK, "margin": MARGIN} | window
        self._chance = random.Random(seed)
        self._company = Company(coupa, random.Random(seed), lag)
        self._manifests: list[str] = []
        self._skew = timedelta(0)

    def pass_by(self, nights: int, *, trouble: bool = True) -> None:
        """Let nights pass, and one more in which nothing changes.

        :param nights: how many.
        :param trouble: whether tries fail and are killed, and nights are missed.
        """
        for first in range(0, nights, MONTH):
            month = range(first, min(first + MONTH, nights))
            # Nights in which something has to happen; not the first one, which has nothing to lose yet.
            missed, kill_extract, kill_load = (
                self._chance.sample(month[1:], 3) if trouble and len(month) > 3 else (None, None, None)
            )
            for night in month:
                begin = START + night * DAY + timedelta(seconds=self._chance.uniform(-1800, 1800))
                self._skew = self._chance.uniform(-1, 1) * SKEW
                self._company.plan_day(begin, begin + self._skew - self._window["margin"])
                self._company.work_until(begin)
                if night == missed:
                    self.diary.events["nights missed"] += 1
                    continue
                self.diary.events["nights"] += 1
                self._extract_and_load(
                    str(night), kill={kill_extract: "extract", kill_load: "load"}.get(night), trouble=trouble
                )
            if self._sweeps:
                self._sweep(f"{first}-gone", trouble=trouble)
        self._company.close()
        self._extract_and_load("last")
        if self._sweeps:
            self._sweep("last-gone")

    def _extract_and_load(self, night: str, *, kill: str | None = None, trouble: bool = False) -> None:
        arguments = {
            "resource": RESOURCE,
            "destination": f"file://{self._folder}/lake/{night}",
            "fields": FIELDS,
            "explode": {LINES: None},
            "window": "watermark",
            "part_bytes": 300_000,
            **self._window,
        }
        result = self._make("extract", night, arguments, kill=kill == "extract", trouble=trouble)
        self._check_window(*result["window"])
        self.diary.records += result["records"]
        self.diary.requests += result["requests"]
        self._load(night, result, kill=kill == "load", trouble=trouble)

    def _sweep(self, night: str, *, trouble: bool = False) -> None:
        arguments = {"manifest": list(self._manifests), "destination": f"file://{self._folder}/lake/{night}"}
        result = self._make(
            "sweep", night, arguments, kill=trouble and self._chance.random() < 0.4, trouble=trouble
        )
        self.diary.events["deletions swept"] += result["deleted"]
        self.diary.requests += result["requests"]
        self._load(night, result, kill=False, trouble=trouble)

    def _load(self, night: str, result: dict[str, Any], **how: bool) -> None:
        self._manifests.append(result["manifest"])
        self._make("load", night, {"manifest": result["manifest"], "table": "coupa.invoices"}, **how)

    def _make(
        self, kind: str, night: str, arguments: dict[str, Any], *, kill: bool, trouble: bool
    ) -> dict[str, Any]:
        """Try a task until it is done."""
        task = Task(kind, self.dag_id, night, arguments)
        planned = ["kill"] * kill + ["fail"] * (trouble and self._chance.random() < 0.1)
        self._chance.shuffle(planned)
        weather = BAD_WEATHER if trouble and self._chance.random() < 0.3 else None
        for _ in range(10):
            self.diary.events[f"tries of {kind}"] += 1
            try:
                result = self._try(task, planned.pop() if planned else "go", weather)
            except (AirflowFailException, AssertionError):
                raise
            except Exception as error:  # noqa: BLE001 - counted by its name, and looked at in the end
                self.diary.failures[type(error).__name__] += 1
                result = None
            if result is not None:
                return result
            self.diary.events["retries"] += 1
            self._skew = self._chance.uniform(-1, 1) * SKEW  # another worker
            self._company.work_until(self.coupa.now() + RETRY_DELAY)
        raise AssertionError(f"{task} was tried in vain.")

    def _try(self, task: Task, fate: str, weather: dict[str, Any] | None) -> dict[str, Any] | None:
        pacing._pacers.clear()  # each task of Airflow is a process of its own
        faults, environ = weather, {}
        if fate == "fail" and task.kind == "load":
            environ = {
                "AIRFLOW_CONN_ADBC_DEFAULT": DuckDBFile(self._folder / "no" / "folder").connection_json()
            }
        elif fate == "fail":
            faults = {"always": True, "kinds": ["503"], "after": self._chance.randrange(3)}
        now = self.coupa.now() + self._skew
        self.coupa.configure(faults=faults and faults | {"seed": self._chance.randrange(1000)})
        try:
            with mock.patch.dict(os.environ, environ), self._company.at_work():
                return self._kill(task, now) if fate == "kill" else task.execute(now)
        finally:
            self.coupa.configure(faults=None)

    def _kill(self, task: Task, now: datetime) -> dict[str, Any] | None:
        moments = MOMENTS[task.kind]
        moment = moments[self.diary.events[f"crashes of {task.kind}"] % len(moments)]
        result = task.execute_and_be_killed(now, moment or self._chance.uniform(0, 0.2))
        if result is None:
            self.diary.events["crashes"] += 1
            self.diary.events[f"crashes of {task.kind}"] += 1
        return result

    def _check_window(self, *bounds: str | None) -> None:
        """Windows follow each other without a gap, and the watermark never goes back."""
        since, until = (bound and datetime.fromisoformat(bound) for bound in bounds)
        assert variable_class().get(f"coupa_watermark_{self.dag_id}.extract", None) == until.isoformat()
        if self.diary.windows:
            _, reached = self.diary.windows[-1]
            assert until >= reached
            begin = reached - self._window["look_back"]
            assert since is not None
            assert since <= begin
        else:
            assert since is None
        self.diary.windows.append((since, until))

    def everything(self) -> dict[str, Any]:
        """Extract all there is and load it into tables of its own."""
        arguments = {
            "resource": RESOURCE,
            "destination": f"file://{self._folder}/lake/everything",
            "fields": FIELDS,
            "explode": {LINES: None},
        }
        result = Task("extract", self.dag_id, "everything", arguments).execute(self.coupa.now())
        arguments = {"manifest": result, "table": "coupa.everything"}
        Task("load", self.dag_id, "everything", arguments).execute(self.coupa.now())
        return result

    def differences(self) -> dict[str, int]:
        """Count the rows that only one side has, after :meth:`everything`."""
        found: dict[str, int] = {}
        for kind in ("", "_invoice_lines"):
            table, truth = f"invoices{kind}", f"everything{kind}"
            columns = self.database.columns(truth)
            assert sorted(columns) == sorted(self.database.columns(table))
            named = ", ".join(f'"{name}"' for name in columns)
            for name, one, other in (("missing", truth, table), ("wrong", table, truth)):
                ((count,),) = self.database.query(
                    f"SELECT count(*) FROM (SELECT {named} FROM coupa.{one} "
                    f"EXCEPT ALL SELECT {named} FROM coupa.{other})"
                )
                found[f"{name} in {table}"] = count
        return found


@pytest.fixture
def nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    """Make the nights of a company with so many invoices."""

    def make(invoices: int, **arguments: Any) -> Nights:
        # Once, and not for each task: Airflow masks every token that a process has had, which takes it ever longer.
        forget_tokens()
        coupa = Emulator(seed=7, sizes={RESOURCE: invoices}, rate_limit=None).start()
        request.addfinalizer(coupa.stop)
        # The seeded records were changed in the years before.
        coupa.set_clock(START - DAY)
        connection = {
            "conn_type": "coupa",
            "host": coupa.url,
            "login": coupa.client_id,
            "password": coupa.client_secret,
            "extra": {"requests_per_second": 5000},
        }
        nights = Nights(coupa, tmp_path, **{"seed": 11} | arguments)
        monkeypatch.setenv("AIRFLOW_CONN_COUPA_DEFAULT", json.dumps(connection))
        monkeypatch.setenv("AIRFLOW_CONN_ADBC_DEFAULT", nights.database.connection_json())
        return nights

    return make


@pytest.mark.timeout(600)
def test_after_a_year_the_tables_hold_what_coupa_holds(nights: Any) -> None:
    began = time.monotonic()
    year = nights(1000)
    year.pass_by(NIGHTS)
    whole = year.everything()
    diary = year.diary
    differences = year.differences()
    print(f"{time.monotonic() - began:.0f} s", dict(diary.events), dict(diary.failures))
    print(
        f"{diary.records:,} records, {diary.requests:,} requests; all: {whole['records']:,}, {whole['requests']}"
    )
    assert differences == dict.fromkeys(differences, 0)
    assert {number for (number,) in year.database.query("SELECT id FROM coupa.invoices")} == set(
        year.coupa.ids(RESOURCE)
    )
    # It was a year, and not a quiet one.
    events = diary.events
    assert events["nights"] + events["nights missed"] == NIGHTS
    assert events["nights missed"] == 13
    assert events["crashes"] >= 20
    assert min(events[f"crashes of {kind}"] for kind in ("extract", "load", "sweep")) > 0
    assert events["retries"] >= events["crashes"] + diary.failures.total() > 60
    assert set(diary.failures) <= FAILURES
    assert events["deletions swept"] > 300
    assert len(diary.windows) == events["nights"] + 1
    # What a full extract each night would have cost.
    assert diary.requests * 3 < whole["requests"] * NIGHTS


TROUBLES = {
    "no look-back": {"look_back": timedelta(0)},
    "no margin": {"margin": timedelta(0)},
    "changes that show too late": {"lag": LAG + timedelta(minutes=10)},
    "no sweep": {"sweeps": False},
}


@pytest.mark.parametrize("arguments", TROUBLES.values(), ids=TROUBLES)
def test_a_fortnight_without_one_of_its_guards_loses_something(
    nights: Any, arguments: dict[str, Any]
) -> None:
    """So the year can tell: what guards it is needed, and what it does not promise is not there."""
    fortnight = nights(300, **arguments)
    fortnight.pass_by(14, trouble=False)
    fortnight.everything()
    print(fortnight.differences())
    assert any(fortnight.differences().values())


def test_a_fortnight_with_all_of_them_loses_nothing(nights: Any) -> None:
    fortnight = nights(300)
    fortnight.pass_by(14, trouble=False)
    fortnight.everything()
    assert not any(fortnight.differences().values())
