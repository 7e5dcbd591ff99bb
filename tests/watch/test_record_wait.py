"""What a user may wait for, what is wrong about it, and how records are held against it."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from coupa_provider.client.errors import CoupaQueryError
from coupa_provider.resources.end_statuses import end_statuses
from coupa_provider.watch.record_wait import RecordWait
from coupa_provider.watch.records import Matches, RecordsById, RecordWant
from coupa_provider.watch.verdict import State

STATUSES = ("draft", "pending_approval", "approved", "voided", "abandoned", None)
NUMBERS = ("0", "1", "2.50", "10", None)
RECORDS = st.lists(
    st.fixed_dictionaries(
        {}, optional={"status": st.sampled_from(STATUSES), "total": st.sampled_from(NUMBERS)}
    ),
    max_size=4,
).map(lambda records: [{"id": number, **record} for number, record in enumerate(records, 1)])
CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(STATUSES[:-1]),
        "status[in]": st.lists(st.sampled_from(STATUSES[:-1]), min_size=1, max_size=3, unique=True),
        "status[not_eq]": st.sampled_from(STATUSES[:-1]),
        "total[gt]": st.integers(-1, 11),
        "total[lt_or_eq]": st.integers(-1, 11),
        "total[blank]": st.booleans(),
    },
)


def holds(record: dict[str, Any], key: str, value: Any) -> bool:
    """Say it as plainly as can be: what is not shown or null satisfies nothing but ``blank``."""
    name, _, operator = key.rstrip("]").partition("[")
    if name not in record:
        return False
    shown = record[name]
    if operator == "blank":
        return (shown is None) == value
    if shown is None:
        return False
    return {
        "": lambda: shown == value,
        "in": lambda: shown in value,
        "not_eq": lambda: shown != value,
        "gt": lambda: float(shown) > value,
        "lt_or_eq": lambda: float(shown) <= value,
    }[operator]()


def expected(
    records: list[dict[str, Any]], until: dict[str, Any], never: dict[str, Any], least: int, most: int | None
) -> State:
    if any(holds(record, *condition) for record in records for condition in never.items()):
        return State.NEVER
    if len(records) < least or (most is not None and len(records) > most):
        return State.WAITING
    met = all(holds(record, *condition) for record in records for condition in until.items())
    return State.MET if met else State.WAITING


@given(RECORDS, CONDITIONS, CONDITIONS, st.integers(0, 4), st.none() | st.integers(0, 4))
def test_records_are_held_against_it(
    records: list[dict[str, Any]], until: dict[str, Any], never: dict[str, Any], least: int, most: int | None
) -> None:
    assume(most is None or least <= most)
    assume(until or never or least or most is not None)
    wait = RecordWait.parse(
        "invoices", filters={}, until=until, never=never, min_records=least, max_records=most
    )
    verdict = wait.hold_against(records)
    assert verdict.state is expected(records, until, never, least, most)
    assert verdict.reason
    assert not verdict.reason.endswith(".")
    assert verdict.result == (records if verdict.state is State.MET else None)


@given(RECORDS.filter(len), CONDITIONS, CONDITIONS)
def test_one_record_is_held_against_it(
    records: list[dict[str, Any]], until: dict[str, Any], never: dict[str, Any]
) -> None:
    wait = RecordWait.parse("invoices", record_id=1, until=until, never=never)
    verdict = wait.hold_against(records[:1])
    assert verdict.state is expected(records[:1], until, never, 1, None)
    assert verdict.result == (records[0] if verdict.state is State.MET else None)


@given(
    CONDITIONS,
    st.none() | CONDITIONS,
    st.integers(1, 3),
    st.none() | st.just(["invoice-number", {"supplier": ["name"]}]),
    st.booleans(),
)
def test_a_trigger_is_told_the_same(
    until: dict[str, Any], never: dict[str, Any] | None, least: int, fields: list[Any] | None, is_one: bool
) -> None:
    whom = {"record_id": 7} if is_one else {"filters": {"supplier[name]": "Acme, Inc"}, "min_records": least}
    wait = RecordWait.parse("/invoices/", until=until, never=never, fields=fields, **whom)
    again = RecordWait.parse(**json.loads(json.dumps(wait.arguments())))
    assert again.arguments() == wait.arguments()
    assert (again.topic, again.want) == (wait.topic, wait.want)
    for status in STATUSES:
        for total in NUMBERS:
            records = [{"id": 7, "status": status, "total": total}] * least
            assert again.hold_against(records) == wait.hold_against(records)


def test_what_is_asked_for() -> None:
    def fields_of(**arguments: Any) -> Any:
        return RecordWait.parse("invoices", record_id=7, **arguments).arguments()["fields"]

    assert fields_of() == ["id", "status"]
    assert fields_of(until={"supplier[status]": "active", "supplier[name]": "Acme", "total[gt]": 0}) == [
        "id",
        {"supplier": ["status", "name"]},
        "total",
        "status",
    ]
    # Nothing could be held against conditions that are not asked for.
    assert fields_of(until={"total[gt]": 0}, never={"paid": True}, fields=["invoice-number"]) == [
        "id",
        "total",
        "paid",
        "invoice_number",
    ]
    assert fields_of(until={"custom_fields[Region]": "EU"}, fields=["status"]) == [
        "id",
        {"custom_fields": {}},
        "status",
    ]
    assert fields_of(until={"status": "approved"}, predicate="os.path.exists") is None


def test_who_shares_looks() -> None:
    one = RecordWait.parse("invoices", record_id="7", until={"status": "approved"})
    other = RecordWait.parse("/invoices", record_id=8, until={"paid": True})
    assert one.topic == other.topic == RecordsById("invoices")
    assert one.want == RecordWant(7, '["id","status"]')
    query = RecordWait.parse("invoices", filters={"paid": False}, min_records=3)
    assert query.topic == Matches("invoices", '{"paid":"false"}', '["id","status"]', 3)
    assert query.want is None
    # To say that all of them are so, all have to be read; to say that they are too many, one more than may be.
    assert RecordWait.parse("invoices", filters={}, until={"paid": True}).topic.enough is None
    assert RecordWait.parse("invoices", filters={}, min_records=0, max_records=0).topic.enough == 1


@pytest.mark.parametrize("resource", ["approvals", "invoices", "purchase_orders", "requisitions"])
def test_end_statuses_end_the_hope_unless_they_are_hoped_for(resource: str) -> None:
    for status in end_statuses(resource):
        ended = [{"id": 7, "status": status}]
        wait = RecordWait.parse(resource, record_id=7, until={"status": "something else"})
        assert wait.hold_against(ended).state is State.NEVER
        for until in ({"status": status}, {"status[in]": ["something else", status]}):
            assert RecordWait.parse(resource, record_id=7, until=until).hold_against(ended).state is State.MET
        # Who does not speak of the status does not mean it.
        wait = RecordWait.parse(resource, record_id=7, until={"updated-at[gt]": datetime.now(UTC)})
        assert wait.hold_against(ended).state is State.WAITING


@pytest.mark.parametrize(
    ("resource", "until", "record", "met"),
    [
        # Days are days, whatever time of the day Coupa shows with them.
        ("exchange_rates", {"rate-date[gt_or_eq]": "2026-11-24"}, {"rate-date": "2026-11-24"}, True),
        ("exchange_rates", {"rate-date[gt]": "2026-11-24"}, {"rate-date": "2026-11-24"}, False),
        ("unheard_of", {"day[lt]": "2026-11-24"}, {"day": "2026-11-23"}, True),
        ("unheard_of", {"amount[gt]": 9}, {"amount": "10.00"}, True),
        ("unheard_of", {"amount[gt]": 9}, {"amount": "much"}, False),
        ("unheard_of", {"amount[gt]": 9}, {"amount": None}, False),
        ("unheard_of", {"amount[gt]": 9}, {}, False),
        ("invoices", {"updated-at[gt]": "2026-11-24T10:00:00Z"}, {"updated-at": "2026-11-24T02:00:01-08:00"}, True),
        ("invoices", {"status": "Approved"}, {"status": "approved"}, True),
        ("invoices", {"paid": True}, {"paid": True}, True),
        ("invoices", {"paid": "true"}, {"paid": False}, False),
        ("invoices", {"supplier[name]": "Acme"}, {"supplier": {"name": "Acme"}}, True),
        ("invoices", {"supplier[name]": "Acme"}, {"supplier": None}, False),
        ("invoices", {"supplier[blank]": False}, {"supplier": {"name": "Acme"}}, True),
        # One member of a list is enough, as in Coupa's filters.
        ("invoices", {"invoice-lines[price][gt]": 5}, {"invoice-lines": [{"price": "1.0"}, {"price": "6.0"}]}, True),
        ("invoices", {"invoice-lines[price][gt]": 5}, {"invoice-lines": []}, False),
    ],
)  # fmt: skip
def test_values_of_all_kinds(resource: str, until: dict[str, Any], record: dict[str, Any], met: bool) -> None:
    wait = RecordWait.parse(resource, record_id=7, until=until)
    verdict = wait.hold_against([{"id": 7, **record}])
    assert verdict.state is (State.MET if met else State.WAITING), verdict


def reason(records: list[dict[str, Any]], **arguments: Any) -> str:
    return RecordWait.parse("invoices", **arguments).hold_against(records).reason


def test_reasons_name_the_record_what_it_shows_and_what_is_waited_for() -> None:
    draft = {"id": 33, "status": "draft", "total": "9.50"}
    until = {"status[in]": ["approved", "processing"], "total[gt]": 10, "paid[blank]": False}
    assert reason([draft], record_id=33, until=until) == (
        "invoices 33: status is 'draft', total is '9.50', paid is not shown (it is null, misspelt, or hidden from this "
        "connection). Waited for: status is one of 'approved', 'processing' and total > '10' and paid is not blank"
    )
    many = [{**draft, "id": number} for number in range(1, 6)]
    assert reason(many, filters={}, until={"status": "approved"}) == (
        "invoices 1: status is 'draft'; invoices 2: status is 'draft'; invoices 3: status is 'draft'; and 2 more. "
        "Waited for: status is 'approved'"
    )
    assert reason(many, filters={}, min_records=0, max_records=0) == "More than 0 of invoices match"
    assert (
        reason(many, filters={}, until={"paid": True}, max_records=4) == "5 of invoices match, at most 4 may"
    )
    assert reason([], filters={}) == "0 of invoices match, at least 1 have to"
    assert reason([], record_id=33, min_records=0, max_records=0) == "invoices 33 is not there"
    assert (
        reason([draft], record_id=33, min_records=0, max_records=0)
        == "invoices 33 is there, and should not be"
    )
    assert reason([draft], record_id=33, until={"supplier[name]": "Acme"}).startswith(
        "invoices 33: supplier.name is not shown"
    )
    lines = [{**draft, "invoice-lines": [{"price": "1.0"}]}]
    assert reason(lines, record_id=33, until={"invoice-lines[price]": 2}).startswith(
        "invoices 33: invoice_lines.price is below a list of 1."
    )


def empties(records: list[dict[str, Any]]) -> bool:
    records[0]["invoice-lines"].clear()
    records[0].clear()
    return True


@pytest.mark.parametrize("whom", [{"record_id": 33}, {"filters": {}}])
def test_a_predicate_gets_records_of_its_own(whom: dict[str, Any]) -> None:
    """Others who wait are given the same answer."""
    answer = [{"id": 33, "invoice-lines": [{"id": 1}]}]
    wait = RecordWait.parse("invoices", predicate=f"{__name__}.empties", **whom)
    verdict = asyncio.run(wait.judge(answer))
    assert answer == [{"id": 33, "invoice-lines": [{"id": 1}]}]
    assert verdict.result == (answer[0] if "record_id" in whom else answer)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"resource": None}, r"resource: None is no path under /api\. Give one, for instance 'invoices'"),
        ({"resource": " "}, r"resource: ' ' is no path"),
        ({"resource": "invoices/33"}, r"resource: 'invoices/33' is the path of one record\. .*record_id"),
        ({"record_id": None}, r"record_id and filters are both missing\."),
        ({"filters": {}}, r"record_id and filters are both given\."),
        ({"record_id": "{{ x }}"}, r"record_id: '\{\{ x \}\}' is not the id of a record"),
        ({"record_id": "None"}, r"record_id: 'None' is not the id .*check what that task returns"),
        ({"record_id": "33,34"}, r"record_id: '33,34' is not the id"),
        ({"record_id": "²"}, r"record_id: '²' is not the id"),
        ({"record_id": True}, r"record_id: True is not the id"),
        ({"record_id": 0}, r"record_id: 0 is not the id"),
        ({"record_id": 33.0}, r"record_id: 33\.0 is not the id"),
        ({"until": "approved"}, r"until must be a dict of Coupa's query keys, not text: 'approved'.*native_obj=True"),
        ({"until": ["approved"]}, r"until must be a dict of Coupa's query keys, not list"),
        ({"until": {"status": ["approved"]}}, r"until: 'status': \['approved'\] cannot be sent\. A list needs .*\[in\]"),
        ({"until": {"status": None}}, r"until: 'status': None cannot be sent\. Use \[blank\]"),
        ({"until": {"status[in]": ""}}, r"until: 'status\[in\]' holds an empty value"),
        ({"until": {"status[is]": "approved"}}, r"until: 'status\[is\]': there is no operator 'is'"),
        ({"until": {"supplier.status": "active"}}, r"until: 'supplier\.status' has a dot in it\. Write supplier\[status\]"),
        ({"until": {"supplier": 7}}, r"until: 'supplier' is an object or a list\. .*supplier\[id\].*supplier\[blank\]"),
        ({"until": {"invoice-lines[gt]": 7}}, r"until: 'invoice_lines\[gt\]' is an object or a list.*invoice_lines\[id\]"),
        ({"until": {"limit": 7}}, r"until: 'limit' is not a condition"),
        ({"until": {"filter": "mine"}}, r"until: 'filter' is no attribute of a record"),
        ({"until": {"updated-at[gt]": datetime(2026, 11, 24)}}, r"until: .*no time zone"),
        ({"never": {"status": object()}}, r"never: 'status': <object .* cannot be sent"),
        ({"never": {"status[oops]": 1}}, r"never: 'status\[oops\]': there is no operator 'oops'"),
        ({"record_id": None, "filters": {"status[oops]": 1}}, r"filters: 'status\[oops\]': there is no operator"),
        ({"record_id": None, "filters": "{}"}, r"filters must be a dict .* not text"),
        ({"min_records": -1}, r"min_records must be a whole number, 0 or more; got -1"),
        ({"min_records": None}, r"min_records must be a whole number, 0 or more; got None"),
        ({"max_records": "5"}, r"max_records must be a whole number, 0 or more; got '5'"),
        ({"max_records": True}, r"max_records must be a whole number, 0 or more; got True"),
        ({"max_records": 0}, r"max_records=0 is less than min_records=1.*set both to 0"),
        ({"min_records": 2}, r"min_records=2, but there is only one record of a record_id"),
        ({"record_id": None, "filters": {}, "min_records": 1001}, r"min_records and max_records may not be more than 1,000"),
        ({"record_id": None, "filters": {}, "min_records": 0}, r"min_records=0 without .* is nothing to wait for"),
        ({"predicate": "complete"}, r"predicate: 'complete' cannot be imported \(no module is named\)"),
        ({"predicate": "acme.gone"}, r"predicate: 'acme\.gone' cannot be imported \(ModuleNotFoundError: .*\)\. Give"),
        ({"predicate": "os.gone"}, r"predicate: 'os\.gone' cannot be imported \(AttributeError"),
        ({"predicate": "os.sep"}, r"predicate: 'os\.sep' is no function but str"),
        ({"predicate": "asyncio.sleep"}, r"predicate: 'asyncio\.sleep' is a coroutine function"),
        ({"predicate": len}, r"predicate: <built-in function len> cannot be imported"),
        ({"fields": []}, r"fields must be a list of names"),
        ({"fields": "status"}, r"fields must be a list of names .*got 'status'"),
        ({"fields": [7]}, r"fields: 7 is neither a name nor a dict"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_name_and_a_remedy(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(CoupaQueryError, match=told):
        RecordWait.parse(**{"resource": "invoices", "record_id": 33, **arguments})
