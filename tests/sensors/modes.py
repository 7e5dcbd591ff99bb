"""Run a sensor in each of its modes as Airflow does, each look in a new object, without an Airflow around it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from unittest import mock

from airflow import __version__
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from coupa_provider.sensors.waiting import CoupaWaitingSensor

MODES = ("poke", "reschedule", "deferrable")


@dataclass
class Outcome:
    """How a sensor ended.

    :param state: ``success``, ``skipped``, ``failed`` (no retry helps), ``timed_out`` or ``error``.
    :param message: what it says about it, empty for a success.
    :param result: what it returned.
    :param pushed: XComs that it pushed itself.
    :param starts: how often a worker took it up.
    """

    state: str
    message: str = ""
    result: Any = None
    pushed: dict[str, Any] = field(default_factory=dict)
    starts: int = 0


class TaskInstance(SimpleNamespace):
    """What sensors use of a task instance."""

    def __init__(self) -> None:
        where = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1}
        super().__init__(**where, try_number=1, max_tries=0, pushed={}, began=None)

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = json.loads(json.dumps(value))

    if not __version__.startswith("2."):

        def get_first_reschedule_date(self, context: Any) -> datetime | None:
            return self.began


class StateStore(dict[str, Any]):
    """The state of a task, as Airflow 3.3 keeps it."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value


def run(make: Callable[..., CoupaWaitingSensor], mode: str, **extra: Any) -> Outcome:
    """Run a sensor to its end.

    :param make: makes it, given ``mode`` or ``deferrable``; called anew for each start, as in a new process.
    :param mode: one of :data:`MODES`.
    :param extra: more of the context.
    """
    task = TaskInstance()
    context: dict[str, Any] = {"ti": task, "dag_run": SimpleNamespace(start_date=datetime.now(UTC)), **extra}
    if not __version__.startswith("2."):
        context["task_state_store"] = StateStore()
    how = {"deferrable": True} if mode == "deferrable" else {"mode": mode}
    outcome = Outcome("success", pushed=task.pushed)
    try:
        with _began(task):
            outcome.result = _work(lambda: make(**how), context, outcome)
    except AirflowSkipException as end:
        # Airflow keeps the reason as the cause.
        outcome.state, outcome.message = "skipped", f"{end} {end.__cause__ or ''}"
    except AirflowFailException as end:
        outcome.state, outcome.message = "failed", str(end)
    except AirflowSensorTimeout as end:
        outcome.state, outcome.message = "timed_out", str(end)
    except Exception as end:  # noqa: BLE001 - how it ends is what the tests look at
        outcome.state, outcome.message = "error", f"{type(end).__name__}: {end}"
    return outcome


def _work(make: Callable[[], CoupaWaitingSensor], context: dict[str, Any], outcome: Outcome) -> Any:
    while True:
        outcome.starts += 1
        sensor = make()
        sensor.render_template_fields(context)
        began = datetime.now(UTC)
        try:
            return sensor.execute(context)
        except AirflowRescheduleException as later:
            context["ti"].began = context["ti"].began or began
            time.sleep(max(0.0, (later.reschedule_date - datetime.now(UTC)).total_seconds()))
        except TaskDeferred as deferred:
            event = _event(deferred.trigger)
            outcome.starts += 1
            resumed = make()
            resumed.render_template_fields(context)
            return resumed.resume_execution(deferred.method_name, {"event": event}, context)


def _event(trigger: Any) -> Any:
    """Let a triggerer make the trigger again from what it is stored as, and return what its event holds."""
    path, arguments = trigger.serialize()
    module, _, name = path.rpartition(".")
    made = getattr(import_module(module), name)(**json.loads(json.dumps(arguments)))

    async def first() -> Any:
        events = made.run()
        try:
            return (await anext(events)).payload
        finally:
            await events.aclose()

    return json.loads(json.dumps(asyncio.run(first())))


@contextlib.contextmanager
def _began(task: TaskInstance) -> Iterator[None]:
    """Have Airflow 2, which looks it up in its database, know when the task was first rescheduled."""
    if not __version__.startswith("2."):
        yield
        return
    with mock.patch("airflow.sensors.base._orig_start_date", lambda **where: task.began):
        yield
