"""The sensor for records: whatever happens in Coupa, the three modes come to the same end for the same reason."""

from __future__ import annotations

import functools
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from coupa_provider.client import pacing, retry
from coupa_provider.client.token import forget_tokens
from coupa_provider.emulator import Emulator
from coupa_provider.sensors.coupa import CoupaRecordSensor
from coupa_provider.sensors.failure_count import FailureCount
from tests.sensors.modes import AIRFLOW_2, MODES, TaskInstance, run, run_alike

pytestmark = pytest.mark.airflow

SECRET = "a-secret-of-the-tests"
DRAFT = {"id": 33, "status": "draft", "total": "12.50"}
#: What predicates were given, by name; a predicate is named by a path, so it is a function of this module.
GIVEN: list[list[dict[str, Any]]] = []


def has_a_number(records: list[dict[str, Any]]) -> bool:
    GIVEN.append([dict(record) for record in records])
    records[0].pop("id")  # a predicate may do this to what it is given
    return bool(records[0].get("invoice-number"))


def raises(records: list[dict[str, Any]]) -> bool:
    raise KeyError("erp-number")


def raises_at_first(records: list[dict[str, Any]]) -> bool:
    GIVEN.append(records)
    if len(GIVEN) < 3:
        raise ConnectionError("the ERP is away")
    return True


async def later(records: list[dict[str, Any]]) -> bool:
    return True


@dataclass(frozen=True)
class Scenario:
    """Something that happens while a sensor waits.

    :param arguments: of the sensor.
    :param state: how it ends.
    :param message: pattern for what it says then.
    :param result: what it returns.
    :param records: what is in Coupa at first.
    :param then: what happens later.
    """

    arguments: dict[str, Any]
    state: str
    message: str = ""
    result: Any = None
    records: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {"invoices": [DRAFT]})
    then: Callable[[Emulator], Any] = lambda coupa: None


def becomes(status: str | None, after_reads: int = 2, **more: Any) -> Callable[[Emulator], None]:
    """Let invoice 33 come to another status after some looks."""
    return lambda coupa: coupa.change("invoices", 33, {"status": status, **more}, after_reads=after_reads)


def unavailable(times: int, kind: str = "503") -> Callable[[Emulator], None]:
    """Let requests fail; a look tries three times."""
    return lambda coupa: coupa.configure(faults={"always": True, "kinds": [kind], "times": times})


def both(*happen: Callable[[Emulator], Any]) -> Callable[[Emulator], None]:
    return lambda coupa: [one(coupa) for one in happen] and None


def meanwhile(happens: Callable[[Emulator], Any]) -> Callable[[Emulator], None]:
    """Let something happen after the first looks."""
    return lambda coupa: threading.Timer(0.4, happens, [coupa]).start()


def wrong_secret(coupa: Emulator) -> None:
    coupa.add_client(coupa.client_id, "another")
    coupa.revoke_tokens()
    forget_tokens()


def without_scopes(coupa: Emulator) -> None:
    coupa.add_client(coupa.client_id, SECRET, ["core.supplier.read"])
    coupa.revoke_tokens()
    forget_tokens()


ONE = {"resource": "invoices", "record_id": 33}
APPROVED = {**ONE, "until": {"status[in]": ["approved", "processing"]}}
BATCH = {"resource": "invoices", "filters": {"payment-method": "batch 7"}}
PAIR = {
    "invoices": [
        {"id": 1, "status": "draft", "payment-method": "batch 7"},
        {"id": 2, "status": "approved", "payment-method": "batch 7"},
        {"id": 3, "status": "voided", "payment-method": "batch 6"},
    ]
}
HERE = __name__
IS_DRAFT = r"invoices 33: status is 'draft'\. Waited for: status is one of 'approved', 'processing'"

SCENARIOS = {
    "is so already": Scenario({**ONE, "until": {"status": "draft"}}, "success", result={"id": 33, "status": "draft"}),
    "is there": Scenario(ONE, "success", result={"id": 33, "status": "draft"}),
    "comes to it": Scenario(APPROVED, "success", result={"id": 33, "status": "processing"}, then=becomes("processing")),
    "appears later": Scenario(
        {"resource": "invoices", "record_id": 34, "until": {"status": "new"}},
        "success",
        result={"id": 34, "status": "new"},
        then=lambda coupa: coupa.add("invoices", {"id": 34, "status": "new"}, after_seconds=0.3),
    ),
    "never appears": Scenario(
        {"resource": "invoices", "record_id": 34, "timeout": 0.3},
        "timed_out",
        r"^The time is up\. There is no record 34 in invoices, or this connection may not see it\.$",
    ),
    "goes": Scenario(
        {"resource": "invoices", "filters": {"status": "draft"}, "min_records": 0, "max_records": 0},
        "success",
        result=[],
        then=becomes("approved"),
    ),
    "comes to an end it never leaves": Scenario(
        APPROVED,
        "failed",
        r"^invoices 33: status is 'voided'; by the argument never, that ends the wait\. Waited for: "
        r"status is one of 'approved', 'processing'\.$",
        then=becomes("voided"),
    ),
    "comes to what never names": Scenario(
        {**APPROVED, "never": {"status[in]": ["disputed"], "total[gt]": 100}},
        "failed",
        r"^invoices 33: status is 'draft', total is '120\.00'; by the argument never, that ends the wait",
        then=becomes("draft", total="120.00"),
    ),
    "leaves an end all the same": Scenario(
        {**APPROVED, "never": {}},
        "success",
        result={"id": 33, "status": "approved"},
        records={"invoices": [{**DRAFT, "status": "voided"}]},
        then=becomes("approved"),
    ),
    "waits for the end": Scenario(
        {**ONE, "until": {"status": "voided"}}, "success", result={"id": 33, "status": "voided"}, then=becomes("voided")
    ),
    "time is up": Scenario({**APPROVED, "timeout": 0.3}, "timed_out", rf"^The time is up\. {IS_DRAFT}\.$"),
    "time is up, softly": Scenario(
        {**APPROVED, "timeout": 0.3, "soft_fail": True}, "skipped", rf"^The time is up\. {IS_DRAFT}\.$"
    ),
    "time is up, never failing": Scenario(
        {**APPROVED, "timeout": 0.3, "never_fail": True}, "skipped", rf"^The time is up\. {IS_DRAFT}\.$"
    ),
    "never, softly": Scenario(
        {**APPROVED, "soft_fail": True}, "skipped", r"^invoices 33: status is 'voided'", then=becomes("voided")
    ),
    "never, never failing": Scenario(
        {**APPROVED, "never_fail": True}, "skipped", r"^invoices 33: status is 'voided'", then=becomes("voided")
    ),
    "an outage that passes": Scenario(
        {**APPROVED, "max_failures": 4},
        "success",
        result={"id": 33, "status": "approved"},
        then=both(unavailable(9), becomes("approved")),
    ),
    "an outage that stays": Scenario(
        {**APPROVED, "max_failures": 3},
        "error",
        r"^AirflowException: Coupa could not be asked 3 times in a row, the last time: CoupaUnavailableError: .*503",
        then=unavailable(1000),
    ),
    "an outage that stays, softly": Scenario(
        {**APPROVED, "max_failures": 2, "soft_fail": True},
        "skipped",
        r"^Coupa could not be asked 2 times in a row, the last time: CoupaUnavailableError",
        then=unavailable(1000),
    ),
    "an outage that stays, never failing": Scenario(
        {**APPROVED, "max_failures": 1, "never_fail": True},
        "skipped",
        r"^Coupa could not be asked once, the last time: CoupaUnavailableError",
        then=unavailable(1000),
    ),
    "an outage that stays, silently": Scenario(
        {**APPROVED, "max_failures": 1, "silent_fail": True, "timeout": 0},
        "timed_out",
        r"^The time is up\. Coupa could not be asked \(failure 1\): CoupaUnavailableError",
        then=unavailable(1000),
    ),
    "answers that are no JSON": Scenario(
        {**APPROVED, "max_failures": 2}, "error", r"Coupa could not be asked 2 times", then=unavailable(1000, "truncated")
    ),
    "throttled for a while": Scenario(
        APPROVED, "success", result={"id": 33, "status": "approved"}, then=both(unavailable(4, "429"), becomes("approved"))
    ),
    "wrong secret": Scenario(APPROVED, "failed", r"^CoupaAuthenticationError: ", then=wrong_secret),
    "wrong secret, softly": Scenario(
        {**APPROVED, "soft_fail": True}, "skipped", r"^CoupaAuthenticationError: ", then=wrong_secret
    ),
    "wrong secret, silently": Scenario(
        {**APPROVED, "silent_fail": True}, "failed", r"^CoupaAuthenticationError: ", then=wrong_secret
    ),
    "a secret that is changed meanwhile": Scenario(
        APPROVED, "failed", r"^CoupaAuthenticationError: ", then=meanwhile(wrong_secret)
    ),
    "a token that is taken back meanwhile": Scenario(
        APPROVED,
        "success",
        result={"id": 33, "status": "approved"},
        then=both(meanwhile(lambda coupa: coupa.revoke_tokens()), becomes("approved", 8)),
    ),
    "a record that goes meanwhile": Scenario(
        {**APPROVED, "timeout": 0.8},
        "timed_out",
        r"^The time is up\. There is no record 33 in invoices, or this connection may not see it\.$",
        then=meanwhile(lambda coupa: coupa.reset()),
    ),
    "no tokens for a while": Scenario(
        APPROVED,
        "success",
        result={"id": 33, "status": "approved"},
        then=both(lambda coupa: coupa.outage("503", seconds=0.5, paths=["/oauth2"]), becomes("approved")),
    ),
    "nobody listens": Scenario(
        {**APPROVED, "max_failures": 2},
        "error",
        r"^AirflowException: Coupa could not be asked 2 times in a row, the last time: CoupaUnavailableError: ",
        then=lambda coupa: coupa.outage("refused", seconds=60),
    ),
    "a page for people answers": Scenario(
        {**BATCH, "until": {"status": "approved"}, "max_failures": 2},
        "error",
        r"^AirflowException: Coupa could not be asked 2 times in a row, the last time: CoupaUnavailableError: .*redirected",
        records=PAIR,
        then=unavailable(1000, "login_redirect"),
    ),
    "missing scope": Scenario(APPROVED, "failed", r"^CoupaScopeError: .*core\.invoice\.read", then=without_scopes),
    "unknown connection": Scenario({**APPROVED, "coupa_conn_id": "coupa_elsewhere"}, "error", r"coupa_elsewhere"),
    "no such resource": Scenario(
        {**APPROVED, "resource": "invoicez"}, "failed", r"^CoupaNotFoundError: .*api/invoicez"
    ),
    "a condition that cannot be": Scenario(
        {**ONE, "until": {"status[inn]": ["approved"]}}, "failed", r"^CoupaQueryError: until: 'status\[inn\]': there is no operator 'inn'"
    ),
    "a condition that cannot be, softly": Scenario(
        {**ONE, "until": {"status": ["approved"]}, "soft_fail": True},
        "failed",
        r"^CoupaQueryError: until: 'status': \['approved'\] cannot be sent\. A list needs the operator \[in\]",
    ),
    "a misspelt value": Scenario(
        {**ONE, "until": {"status": "aproved"}, "timeout": 0.2},
        "timed_out",
        r"Waited for: status is 'aproved'\. The documents do not list 'aproved' among the values of status: .*approved",
    ),
    "a misspelt attribute": Scenario(
        {**ONE, "until": {"statsu": "approved"}, "timeout": 0.2},
        "timed_out",
        r"invoices 33: statsu is not shown \(it is null, misspelt, or hidden from this connection\)",
    ),
    "an attribute that is null": Scenario(
        {**ONE, "until": {"status[not_eq]": "draft"}, "timeout": 0.2},
        "timed_out",
        r"status is null\. Waited for: status is not 'draft'",
        records={"invoices": [{**DRAFT, "status": None}]},
    ),
    "an attribute that is null no more": Scenario(
        {**ONE, "until": {"paid-date[blank]": False}, "fields": ["invoice_number"]},
        "success",
        result={"id": 33, "paid-date": "2026-11-24T00:00:00Z", "invoice-number": "4711"},
        records={"invoices": [{**DRAFT, "paid-date": None, "invoice-number": "4711"}]},
        then=becomes("approved", **{"paid-date": "2026-11-24T00:00:00Z"}),
    ),
    "an attribute below another": Scenario(
        {**ONE, "until": {"supplier[status]": "active"}},
        "success",
        result={"id": 33, "supplier": {"status": "active"}, "status": "draft"},
        records={"invoices": [{**DRAFT, "supplier": {"id": 7, "status": "inactive"}}]},
        then=becomes("draft", supplier={"id": 7, "status": "active"}),
    ),
    "enough of them": Scenario(
        {**BATCH, "min_records": 3},
        "success",
        result=[{"id": 1, "status": "draft"}, {"id": 2, "status": "approved"}, {"id": 4, "status": "new"}],
        records=PAIR,
        then=lambda coupa: coupa.add(
            "invoices", {"id": 4, "status": "new", "payment-method": "batch 7"}, after_seconds=0.3
        ),
    ),
    "too few of them": Scenario(
        {**BATCH, "min_records": 3, "timeout": 0.2},
        "timed_out",
        r"^The time is up\. 2 of invoices match, at least 3 have to\.$",
        records=PAIR,
    ),
    "too many of them": Scenario(
        {**BATCH, "max_records": 1, "timeout": 0.2},
        "timed_out",
        r"^The time is up\. More than 1 of invoices match\.$",
        records=PAIR,
    ),
    "each of them": Scenario(
        {**BATCH, "until": {"status": "approved"}, "fields": ["id", "payment-method"]},
        "success",
        result=[
            {"id": 1, "status": "approved", "payment-method": "batch 7"},
            {"id": 2, "status": "approved", "payment-method": "batch 7"},
        ],
        records=PAIR,
        then=lambda coupa: coupa.change("invoices", 1, {"status": "approved"}, after_reads=2),
    ),
    "one of them never": Scenario(
        {**BATCH, "until": {"status": "approved"}},
        "failed",
        r"^invoices 1: status is 'abandoned'; by the argument never, that ends the wait",
        records=PAIR,
        then=lambda coupa: coupa.change("invoices", 1, {"status": "abandoned"}, after_reads=2),
    ),
    "a predicate that comes true": Scenario(
        {**ONE, "predicate": f"{HERE}.has_a_number", "fields": ["invoice-number"]},
        "success",
        result={"id": 33, "invoice-number": "4711"},
        records={"invoices": [{**DRAFT, "invoice-number": None}]},
        then=becomes("draft", **{"invoice-number": "4711"}),
    ),
    "a predicate that does not": Scenario(
        {**ONE, "predicate": f"{HERE}.has_a_number", "timeout": 0.3},
        "timed_out",
        r"^The time is up\. invoices 33 is there, but \S+\.has_a_number is not content\.$",
        records={"invoices": [{**DRAFT, "invoice-number": ""}]},
    ),
    "a predicate that raises": Scenario(
        {**ONE, "predicate": f"{HERE}.raises"},
        "error",
        r"^AirflowException: The predicate \S+\.raises raised KeyError: 'erp-number'\.$",
    ),
    "a predicate that raises, silently": Scenario(
        {**ONE, "predicate": f"{HERE}.raises_at_first", "silent_fail": True, "fields": ["status"]},
        "success",
        result={"id": 33, "status": "draft"},
    ),
    "a predicate that raises, softly": Scenario(
        {**ONE, "predicate": f"{HERE}.raises", "soft_fail": True}, "skipped", r"^The predicate \S+\.raises raised KeyError"
    ),
    "a predicate that is not there": Scenario(
        {**ONE, "predicate": "acme.checks.gone"}, "failed", r"^CoupaQueryError: predicate: 'acme\.checks\.gone' cannot be imported"
    ),
    "a predicate that nobody would await": Scenario(
        {**ONE, "predicate": f"{HERE}.later"}, "failed", r"^CoupaQueryError: predicate: .* is a coroutine function"
    ),
    "an id and a status from other tasks": Scenario(
        {**ONE, "record_id": "{{ found }}", "until": {"status": "{{ wanted }}"}, "filters": None},
        "success",
        result={"id": 33, "status": "approved"},
        then=becomes("approved"),
    ),
    "an id that another task did not find": Scenario(
        {**APPROVED, "record_id": "{{ nothing }}"}, "failed", r"^CoupaQueryError: record_id: 'None' is not the id of a record"
    ),
    "an approval": Scenario(
        {"resource": "approvals", "record_id": 5, "until": {"status": "approved"}},
        "success",
        result={"id": 5, "status": "approved"},
        records={"approvals": [{"id": 5, "status": "pending_approval"}]},
        then=lambda coupa: coupa.change("approvals", 5, {"status": "approved"}, after_reads=2),
    ),
    "an approval that is refused": Scenario(
        {"resource": "approvals", "record_id": 5, "until": {"status": "approved"}},
        "failed",
        r"^approvals 5: status is 'rejected';",
        records={"approvals": [{"id": 5, "status": "pending_approval"}]},
        then=lambda coupa: coupa.change("approvals", 5, {"status": "rejected"}, after_reads=2),
    ),
    "an order": Scenario(
        {"resource": "purchase_orders", "record_id": 8, "until": {"status": "issued"}, "fields": ["po-number"]},
        "success",
        result={"id": 8, "po-number": "PO-8", "status": "issued"},
        records={"purchase_orders": [{"id": 8, "status": "draft", "po-number": "PO-8"}]},
        then=lambda coupa: coupa.change("purchase_orders", 8, {"status": "issued"}, after_reads=2),
    ),
    "an order that is cancelled": Scenario(
        {"resource": "purchase_orders", "record_id": 8, "until": {"status": "issued"}},
        "failed",
        r"^purchase_orders 8: status is 'cancelled';",
        records={"purchase_orders": [{"id": 8, "status": "draft"}]},
        then=lambda coupa: coupa.change("purchase_orders", 8, {"status": "cancelled"}, after_reads=2),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def emulator():
    with Emulator(seed=7, empty=True, rate_limit=None, client_secret=SECRET) as emulator:
        yield emulator


@pytest.fixture
def coupa(emulator, monkeypatch):
    """The module's emulator behind the connection ``coupa_default``, and no waits between tries."""
    quick = functools.partial(retry.RetryPolicy, first_delay=0.01, longest_delay=0.02)
    monkeypatch.setattr(retry, "RetryPolicy", quick)
    connection = {"conn_type": "coupa", "host": emulator.url, "login": emulator.client_id, "password": SECRET}
    connection["extra"] = {"requests_per_second": 2000}
    monkeypatch.setenv("AIRFLOW_CONN_COUPA_DEFAULT", json.dumps(connection))
    anew(emulator)
    return emulator


def anew(coupa: Emulator) -> None:
    """Bring an emulator, and what this process knows of it, to its first state."""
    forget_tokens()
    pacing._pacers.clear()
    coupa.reset()
    coupa.add_client(coupa.client_id, SECRET)
    GIVEN.clear()


def sensor(**arguments: Any) -> CoupaRecordSensor:
    return CoupaRecordSensor(**{"task_id": "t", "poke_interval": 0.05, "timeout": 10, **arguments})


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_modes_agree(coupa, name):
    scenario = SCENARIOS[name]

    def before() -> None:
        anew(coupa)
        coupa.load(scenario.records)
        scenario.then(coupa)

    outcome = run_alike(
        functools.partial(sensor, **scenario.arguments), before, found="33", wanted="approved", nothing=None
    )
    assert (outcome.state, outcome.result) == (scenario.state, scenario.result), outcome
    assert re.search(scenario.message, outcome.message), outcome
    assert SECRET not in outcome.message


def test_a_predicate_keeps_its_hands_off_the_records(coupa):
    coupa.load({"invoices": [{**DRAFT, "invoice-number": "4711"}]})
    arguments = {**ONE, "predicate": f"{HERE}.has_a_number", "fields": ["invoice-number"]}
    for mode in MODES:
        assert run(functools.partial(sensor, **arguments), mode).result == {
            "id": 33,
            "invoice-number": "4711",
        }
    assert GIVEN == [[{"id": 33, "invoice-number": "4711"}]] * 3


def kept(task: TaskInstance) -> list[int]:
    """Return the failures that are kept for the next look of a rescheduled sensor."""
    if not AIRFLOW_2:
        return [json.loads(value) for value in task.store.kept.values()]
    from airflow.models.variable import Variable
    from airflow.utils.session import create_session

    with create_session() as session:
        found = session.query(Variable).filter(Variable.key.startswith("coupa_failures")).all()
        return [int(variable.val) for variable in found]


@pytest.mark.parametrize(
    ("times", "arguments", "state", "left"),
    [
        (6, {"max_failures": 3}, "success", 0),
        (1000, {"max_failures": 3}, "error", 0),
        (1000, {"timeout": 0.5}, "timed_out", 0),
        (1000, {"timeout": 0.5, "soft_fail": True}, "skipped", 0),
    ],
)
def test_a_rescheduled_sensor_leaves_no_count_behind(coupa, times, arguments, state, left):
    """Names are as long as Airflow lets them be: a Variable's may not be as long as all of them together."""
    coupa.load({"invoices": [{**DRAFT, "status": "approved"}]})
    unavailable(times)(coupa)
    task = TaskInstance(dag_id="d" * 250, run_id="r" * 250, task_id="t" * 250)
    outcome = run(functools.partial(sensor, **APPROVED, **arguments), "reschedule", task)
    assert outcome.state == state
    assert outcome.starts > 2
    assert sum(kept(task)) == left


def test_another_try_counts_anew_and_so_does_another_task(coupa):
    """What a try that was killed during an outage left behind is nothing to the next."""
    killed = TaskInstance(run_id="of a killed try")
    store = {} if AIRFLOW_2 else {"task_state_store": killed.store}
    FailureCount({"ti": killed, **store}).write(19)
    assert FailureCount({"ti": killed, **store}).read() == 19
    again = TaskInstance(**{**vars(killed), "try_number": 2})
    assert FailureCount({"ti": again, **store}).read() == 0
    FailureCount({"ti": killed, **store}).clear()
    assert FailureCount({"ti": killed, **store}).read() == 0


def test_no_look_that_goes_well_writes_anything(coupa):
    coupa.load({"invoices": [DRAFT]})
    becomes("approved", 4)(coupa)
    task = TaskInstance()
    assert run(functools.partial(sensor, **APPROVED), "reschedule", task).state == "success"
    assert task.store.kept == {}
    assert kept(task) == []


def test_a_deferred_sensor_holds_no_worker(coupa):
    coupa.load({"invoices": [DRAFT]})
    becomes("approved", 20)(coupa)
    assert run(functools.partial(sensor, **APPROVED), "deferrable").starts == 2
    coupa.change("invoices", 33, {"status": "draft"})
    becomes("approved", 3)(coupa)
    assert run(functools.partial(sensor, **APPROVED), "reschedule").starts == 4


@pytest.mark.parametrize("native", [False, True])
def test_conditions_may_come_from_other_tasks(coupa, native):
    """Conditions are written as a dict whose values are templates, or as one template that gives a dict."""
    from airflow.providers.common.compat.sdk import DAG

    coupa.load({"invoices": [{**DRAFT, "status": "approved"}]})
    whole = {"until": "{{ conditions }}", "record_id": "{{ found }}"}
    parts = {"until": {"status[in]": "{{ wanted }}", "total[gt]": "{{ least }}"}, "record_id": "{{ found }}"}
    values = {"conditions": {"status": "approved"}, "found": 33, "wanted": "approved,processing", "least": 12}
    outcomes = []
    for arguments in (whole, parts):

        def make(arguments: Any = arguments, **how: Any) -> CoupaRecordSensor:
            with DAG("d", schedule=None, render_template_as_native_obj=native):
                return sensor(resource="invoices", **arguments, **how)

        outcomes.append(run_alike(make, **values))
    assert outcomes[1].state == "success", outcomes[1]
    if native:
        assert outcomes[0].state == "success", outcomes[0]
    else:
        assert outcomes[0].state == "failed"
        assert "until must be a dict" in outcomes[0].message
        assert "render_template_as_native_obj=True" in outcomes[0].message


@pytest.mark.parametrize("number", [0, -1, True, 1.5, "3", None])
def test_a_number_of_failures_that_cannot_be_is_refused_in_the_dag(number):
    with pytest.raises(ValueError, match=f"max_failures must be a whole number, 1 or more; got {number!r}"):
        sensor(**ONE, max_failures=number)


def test_a_trigger_that_ends_without_a_word_is_told(coupa):
    from airflow.providers.common.compat.sdk import AirflowException

    with pytest.raises(AirflowException, match="without a verdict"):
        sensor(**ONE, deferrable=True).execute_complete({"ti": TaskInstance()}, None)


def test_nothing_of_the_connection_travels_with_the_trigger(coupa):
    from airflow.providers.common.compat.sdk import TaskDeferred

    with pytest.raises(TaskDeferred) as deferred:
        sensor(**APPROVED, deferrable=True, silent_fail=True).execute({"ti": TaskInstance()})
    path, arguments = deferred.value.trigger.serialize()
    assert path == "coupa_provider.triggers.record.CoupaRecordTrigger"
    assert arguments["coupa_conn_id"] == "coupa_default"
    assert (arguments["max_failures"], arguments["bears_everything"]) == (None, True)
    assert SECRET not in json.dumps(arguments)
    assert coupa.client_id not in json.dumps(arguments)


def test_the_variable_of_a_count_has_a_name_that_airflow_can_keep(coupa):
    """PostgreSQL and MySQL refuse more than 250 letters; SQLite does not care."""
    task = TaskInstance(dag_id="d" * 250, run_id="r" * 250, task_id="t" * 250)
    others = [TaskInstance(**{**vars(task), "map_index": number}) for number in range(3)]
    names = {FailureCount({"ti": one})._variable for one in others}
    assert len(names) == 3
    assert max(map(len, names)) <= 250
