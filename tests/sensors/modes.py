"""Run a sensor in each of its modes as Airflow does, each look in a new object, without an Airflow around it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from airflow import __version__
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from coupa_provider.sensors.waiting import CoupaWaitingSensor

MODES = ("poke", "reschedule", "deferrable")
AIRFLOW_2 = __version__.startswith("2.")
#: Each version has it in a place of its own.
AirflowRescheduleException = import_module(
    "airflow.exceptions" if AIRFLOW_2 else "airflow.sdk.exceptions"
).AirflowRescheduleException
#: What Airflow says before, or in place of, the sensor's own reason.
_AIRFLOWS_OWN = re.compile(
    r"Sensor has timed out; run duration of \S+ seconds exceeds the specified timeout of \S+?\.(?=\s|$)"
    r"|Skipping due to \w+ is set to True\."
)


@dataclass
class Outcome:
    """How a sensor ended.

    :param state: ``success``, ``skipped``, ``failed`` (no retry helps), ``timed_out`` or ``error`` (to be retried).
    :param message: what it says about it, without Airflow's own part; empty for a success.
    :param result: what it returned.
    :param pushed: XComs that it pushed itself.
    :param starts: how often a worker took it up.
    """

    state: str
    message: str = ""
    result: Any = None
    pushed: dict[str, Any] = field(default_factory=dict)
    starts: int = field(default=0, compare=False)  # the modes differ in it by nature


class TaskInstance(SimpleNamespace):
    """What sensors use of a task instance; it outlives the processes of the task, as its row in the database does."""

    def __init__(self, **where: Any) -> None:
        own = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, "try_number": 1, "max_tries": 0}
        kept = {"pushed": {}, "began": None, "store": StateStore()}
        super().__init__(**own | where | kept)

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = json.loads(json.dumps(value))

    if not AIRFLOW_2:

        def get_first_reschedule_date(self, context: Any) -> datetime | None:
            return self.began


class StateStore:
    """The state of a task, as Airflow 3.3 keeps it: JSON."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return json.loads(self.kept[key]) if key in self.kept else default

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        assert value is not None, "Airflow refuses None"
        self.kept[key] = json.dumps(value)


def run(
    make: Callable[..., CoupaWaitingSensor], mode: str, task: TaskInstance | None = None, **extra: Any
) -> Outcome:
    """Run a sensor to its end.

    :param make: makes it, given ``mode`` or ``deferrable``; called anew for each start, as in a new process.
    :param mode: one of :data:`MODES`.
    :param task: the task instance; None for a new one.
    :param extra: more of the context.
    """
    task = task or TaskInstance()
    context: dict[str, Any] = {"ti": task, "dag_run": SimpleNamespace(start_date=datetime.now(UTC)), **extra}
    if not AIRFLOW_2:
        context["task_state_store"] = task.store
    how = {"deferrable": True} if mode == "deferrable" else {"mode": mode, "deferrable": False}
    outcome = Outcome("success", pushed=task.pushed)
    try:
        with _began(task):
            outcome.result = _work(lambda: make(**how), context, outcome)
        assert json.loads(json.dumps(outcome.result)) == outcome.result, "an XCom is JSON"
    except AirflowSkipException as end:
        outcome.state, outcome.message = "skipped", _reason(end)
    except AirflowFailException as end:
        outcome.state, outcome.message = "failed", _reason(end)
    except AirflowSensorTimeout as end:
        outcome.state, outcome.message = "timed_out", _reason(end)
    except Exception as end:  # noqa: BLE001 - how it ends is what the tests look at
        outcome.state, outcome.message = "error", f"{type(end).__name__}: {_reason(end)}"
    return outcome


def run_alike(
    make: Callable[..., CoupaWaitingSensor], before: Callable[[], Any] = lambda: None, **extra: Any
) -> Outcome:
    """Run a sensor in all modes and return the outcome that they agree on.

    :param make: as for :func:`run`.
    :param before: called before each mode, to bring Coupa into its first state.
    :param extra: more of the context.
    """
    outcomes = {}
    for mode in MODES:
        before()
        outcomes[mode] = run(make, mode, **extra)
    if any(outcome != outcomes["poke"] for outcome in outcomes.values()):
        pytest.fail(
            "The modes disagree:\n" + "\n".join(f"{mode}: {outcome}" for mode, outcome in outcomes.items())
        )
    return outcomes["poke"]


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
            method, arguments = _of_triggerer(deferred)
            outcome.starts += 1
            resumed = make()
            resumed.render_template_fields(context)
            return resumed.resume_execution(method, arguments, context)


def _of_triggerer(deferred: TaskDeferred) -> tuple[str, dict[str, Any]]:
    """Let a triggerer make the trigger again from what it is stored as; return how the task is resumed."""
    path, arguments = deferred.trigger.serialize()
    module, _, name = path.rpartition(".")
    made = getattr(import_module(module), name)(**json.loads(json.dumps(arguments)))

    async def first() -> Any:
        events = made.run()
        try:
            async with asyncio.timeout(deferred.timeout.total_seconds()):
                return (await anext(events)).payload
        finally:
            await events.aclose()

    try:
        event = json.loads(json.dumps(asyncio.run(first(), debug=True)))
    except Exception as error:  # noqa: BLE001 - a triggerer takes it all, and fails the task
        return "__fail__", {"error": "Trigger failure", "traceback": [repr(error)]}
    return deferred.method_name, {**(deferred.kwargs or {}), "event": event}


@contextlib.contextmanager
def _began(task: TaskInstance) -> Iterator[None]:
    """Have Airflow 2, which looks it up in its database, know when the task was first rescheduled."""
    if not AIRFLOW_2:
        yield
        return
    with mock.patch("airflow.sensors.base._orig_start_date", side_effect=lambda **where: task.began):
        yield


def _reason(error: BaseException | None) -> str:
    """Return the message of the first that says something of its own, down the chain of causes."""
    while error is not None:
        message = _AIRFLOWS_OWN.sub("", str(error)).strip()
        if message:
            return message
        error = error.__cause__
    return ""
