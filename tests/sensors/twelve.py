"""Twelve things that happen while a sensor waits, for a real Airflow: what it waits for, and how it has to end.

Each is waited for in each mode, for a record of its own. DAG files import this, so it imports nothing of Airflow.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from coupa_provider.emulator import Emulator

MODES = ("poke", "reschedule", "deferrable")
#: Connections: one that works, one with a wrong secret.
RIGHT, WRONG = "coupa_sensors", "coupa_sensors_wrong"
SECRET = "no-secret-of-this-instance"


class Ended(Protocol):
    """What a test can learn of the tasks, which are named ``<scenario>.<mode>``."""

    def end(self, task_id: str) -> tuple[str | None, int]:
        """Return the state, and the number of tries."""

    def result(self, task_id: str) -> Any:
        """Return the result, None where there is none."""

    def log(self, task_id: str) -> str:
        """Return the logs of all tries, and of the trigger."""


@dataclass(frozen=True)
class Scenario:
    """What is waited for, and the end it has to come to.

    :param arguments: of the sensor, but for the id of the record.
    :param reason: what the log has to say, a pattern.
    :param state: of the task.
    :param tries: of at most two.
    :param result: what the task returns; ``id`` is put to it.
    :param record: as it is at first, None where it is not there; ``id`` is put to it.
    :param then: attributes that come as soon as the first look has been answered.
    :param query: wait by a query in place of the id.
    """

    arguments: dict[str, Any]
    reason: str
    state: str = "success"
    tries: int = 1
    result: dict[str, Any] | None = None
    record: dict[str, Any] | None = field(default_factory=lambda: {"status": "draft"})
    then: dict[str, Any] | None = None
    query: bool = False


UNTIL = {"until": {"status": "approved"}}
WAITING = r"status is 'draft'\. Waited for: status is 'approved'"

SCENARIOS = {
    "there": Scenario({}, r"invoices \d+ is there\.", result={"status": "draft"}),
    "becomes": Scenario(
        UNTIL, r"is there: status is 'approved'\.", result={"status": "approved"}, then={"status": "approved"}
    ),
    "appears": Scenario({}, r"There is no record \d+ in invoices", result={"status": "new"}, record=None),
    "by_query": Scenario(
        {"until": {"invoice-number[blank]": False}, "fields": ["invoice-number"]},
        r"1 of invoices match, and of each invoice_number is not blank\.",
        result={"invoice-number": "4711"},
        record={"status": "draft", "invoice-number": None},
        then={"invoice-number": "4711"},
        query=True,
    ),
    "predicate": Scenario(
        {"predicate": "tests.sensors.twelve.has_number", "fields": ["invoice-number"]},
        r"but tests\.sensors\.twelve\.has_number is not content\.",
        result={"invoice-number": "4712"},
        record={"invoice-number": None},
        then={"invoice-number": "4712"},
    ),
    "dead_end": Scenario(
        UNTIL,
        r"status is 'voided'; by the argument never, that ends the wait",
        "failed",
        then={"status": "voided"},
    ),
    "ruled_out": Scenario(
        {**UNTIL, "never": {"status": "disputed"}},
        r"status is 'disputed'; by the argument never, that ends the wait",
        "failed",
        then={"status": "disputed"},
    ),
    "in_vain": Scenario({**UNTIL, "timeout": 1}, rf"The time is up\. invoices \d+: {WAITING}\.", "failed"),
    "in_vain_softly": Scenario(
        {**UNTIL, "timeout": 1, "soft_fail": True},
        rf"The time is up\. invoices \d+: {WAITING}\.",
        "skipped",
    ),
    "through_an_outage": Scenario(
        {"resource": "requisitions"},
        r"Coupa could not be asked \(failure 1 of 20\): CoupaUnavailableError",
        result={"status": "draft"},
    ),
    "gives_up": Scenario(
        {"resource": "expense_reports", "max_failures": 2},
        r"Coupa could not be asked 2 times in a row, the last time: CoupaUnavailableError: .*HTTP 503",
        "failed",
        tries=2,
    ),
    "refused": Scenario({**UNTIL, "coupa_conn_id": WRONG}, r"CoupaAuthenticationError: ", "failed"),
}
TASKS = {
    f"{name}.{mode}": (scenario, mode, 100 + number)
    for number, (name, mode, scenario) in enumerate(
        (name, mode, scenario) for name, scenario in SCENARIOS.items() for mode in MODES
    )
}


def has_number(records: list[dict[str, Any]]) -> bool:
    """Tell whether an invoice has its number: the last word of a sensor."""
    return records[0]["invoice-number"] is not None


def arguments(task_id: str) -> dict[str, Any]:
    """Return the arguments of a task's sensor."""
    scenario, mode, record_id = TASKS[task_id]
    whom = {"filters": {"id": record_id}} if scenario.query else {"record_id": record_id}
    how = {"deferrable": True} if mode == "deferrable" else {"mode": mode, "deferrable": False}
    usual = {"resource": "invoices", "timeout": 300, "coupa_conn_id": RIGHT}
    # The scheduler takes a task that is started again, before it heard of its first process's end, for one that was
    # killed (Airflow's "state mismatch"); a busy one hears late. Deferred, the first look comes after a quarter of it.
    usual["poke_interval"] = 2 if mode == "poke" else 10
    return {**usual, **whom, **how, **scenario.arguments}


def prepare(coupa: Emulator) -> None:
    """Bring Coupa into its first state."""
    for task_id, (scenario, _, record_id) in TASKS.items():
        resource = arguments(task_id)["resource"]
        if scenario.record is not None:
            coupa.load({resource: [{**scenario.record, "id": record_id}]})
        if scenario.then is not None:
            coupa.change(resource, record_id, scenario.then, after_reads=1)
    coupa.outage("503", seconds=3600, paths=["expense_reports"])
    coupa.configure(faults={"always": True, "kinds": ["503"], "paths": ["requisitions"]})


def go_on(coupa: Emulator, ended: Ended, wait_for: Callable[[Callable[[], bool], str], Any]) -> None:
    """Let happen what has to wait until the sensors have seen what is at first."""
    for name in ("appears", "through_an_outage"):
        for mode in MODES:
            task_id = f"{name}.{mode}"
            wait_for(lambda task_id=task_id: _told(ended, task_id), f"the first look of {task_id}")
    for mode in MODES:
        coupa.add("invoices", {"id": TASKS[f"appears.{mode}"][2], "status": "new"})
    coupa.configure(faults={"times": 0})


def _told(ended: Ended, task_id: str) -> bool:
    return re.search(TASKS[task_id][0].reason, ended.log(task_id)) is not None


def check(ended: Ended) -> None:
    """Fail where a task did not come to its end, or not for its reason."""
    wrong = []
    for task_id, (scenario, _, record_id) in TASKS.items():
        result = None if scenario.result is None else {**scenario.result, "id": record_id}
        expected = (scenario.state, scenario.tries), [result] if scenario.query else result
        found = ended.end(task_id), ended.result(task_id)
        log = ended.log(task_id)
        if found != expected:
            wrong.append(f"{task_id} ended with {found}, not {expected}:\n{log[-4000:]}")
        elif not re.search(scenario.reason, log):
            wrong.append(f"{task_id} does not tell {scenario.reason!r}:\n{log[-2000:]}")
        if SECRET in log:
            wrong.append(f"{task_id} tells its secret")
    assert not wrong, "\n".join(wrong)
