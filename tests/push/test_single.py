"""One record or call, once: lost answers, killed tries, and what is never sent on a guess."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coupa_provider.client.blocking import run_in_background
from coupa_provider.client.errors import (
    CoupaNotFoundError,
    CoupaOutcomeUnknownError,
    CoupaQueryError,
    CoupaUnavailableError,
    CoupaValidationError,
)
from coupa_provider.push import single
from coupa_provider.push.compare import adds_to
from coupa_provider.push.errors import PushError
from coupa_provider.push.single import call_once, create_once, get_kept, kept, update_once
from coupa_provider.resources import find_resource
from tests.forked_try import ForkedTry

SUPPLIER = {"name": "Acme", "number": "S-1"}
DOUBTFUL = ["lost_write", "500", "502", "drop_before", "drop_middle", "truncated"]


@pytest.fixture
def create(client):
    """Create a supplier: ``create(again=True)``."""

    def create(record=SUPPLIER, resource="suppliers", **options):
        return run_in_background(create_once(client.client, resource, record, **options))

    return create


@pytest.fixture
def suppliers(coupa):
    """Return the suppliers there are, as number by id."""

    def suppliers():
        return {number: coupa.record("suppliers", number)["number"] for number in coupa.ids("suppliers")}

    return suppliers


def posts(coupa) -> int:
    """How many creates were carried out."""
    return sum(times for write, times in coupa.writes().items() if write.startswith("POST "))


def lose(coupa, kind, *, times=1, methods=("POST",)):
    coupa.configure(faults={"always": True, "kinds": [kind], "methods": list(methods), "times": times})


def test_a_record_is_created(create, suppliers, coupa):
    done = create(fields=["number", "status"])
    assert done.created
    assert done.record == {"id": done.record["id"], "number": "S-1", "status": done.record["status"]}
    assert suppliers() == {done.record["id"]: "S-1"}
    assert create({"name": "B", "number": "S-2"}).record.keys() == {"id"}


@pytest.mark.parametrize("kind", DOUBTFUL)
@pytest.mark.parametrize("times", [1, 3])
def test_a_lost_answer_is_looked_up_before_it_is_sent_again(create, suppliers, coupa, kind, times):
    lose(coupa, kind, times=times)
    done = create()
    assert done.created
    assert suppliers() == {done.record["id"]: "S-1"}
    assert posts(coupa) == 1


def test_what_is_never_there_fails_for_a_later_try(create, suppliers, coupa):
    lose(coupa, "500", times=None)
    with pytest.raises(
        CoupaUnavailableError, match=r"suppliers with number='S-1' was sent 8 times and is still"
    ):
        create()
    coupa.configure(faults={"times": 0})
    assert create(again=True).created
    assert len(suppliers()) == 1


def test_a_later_try_takes_the_record_of_an_earlier_one_for_its_own(create, suppliers, coupa, caplog):
    first = create()
    with caplog.at_level("INFO"):
        done = create(again=True, fields=["name"])
    assert (done.created, done.record) == (False, {"id": first.record["id"], "name": "Acme"})
    assert (
        f"suppliers {first.record['id']} (number='S-1') is there already: an earlier try created it"
        in caplog.text
    )
    assert posts(coupa) == 1


def test_a_record_that_was_there_before_is_not_taken_for_its_own(create, coupa):
    first = create()
    lose(coupa, "lost_write", times=None)
    with pytest.raises(
        PushError, match=rf"suppliers {first.record['id']} \(number='S-1'\) is there already, and this"
    ):
        create()
    assert posts(coupa) == 1


def test_a_create_that_arrives_late_is_not_made_twice(create, suppliers, coupa, monkeypatch):
    """The look-up after the lost answer is too early: Coupa then says that the number is taken."""
    looked = iter([[[]], [[]]])

    async def too_early(*arguments):
        return next(looked, None) or await look_up(*arguments)

    look_up = single.look_up
    monkeypatch.setattr(single, "look_up", too_early)
    lose(coupa, "lost_write")
    done = create()
    assert done.created
    assert suppliers() == {done.record["id"]: "S-1"}


def test_a_key_that_is_there_twice_is_no_key(create, coupa):
    coupa.load({"invoices": [{"id": number, "invoice-number": "4711"} for number in (901, 902)]})
    with pytest.raises(PushError, match=r"is there 2 times \(ids 901, 902\).*Name further attributes in key"):
        create({"invoice-number": "4711"}, "invoices", key=["invoice-number"])
    assert posts(coupa) == 0


def test_what_coupa_refuses_is_told_in_its_words(create, coupa):
    create()
    with pytest.raises(CoupaValidationError, match="has already been taken"):
        create({"name": "Acme", "number": "S-2"})


@pytest.mark.parametrize("key", [(), None])
def test_without_a_key_a_lost_answer_is_left_to_a_person(create, coupa, key, caplog):
    lose(coupa, "lost_write")
    with pytest.raises(
        CoupaOutcomeUnknownError, match=r"look for suppliers that this connection's user created since 20"
    ):
        create({"name": "Acme"}, key=key)
    assert posts(coupa) == 1
    assert ("suppliers: number, a part of the key, is missing" in caplog.text) == (key is None)


def test_without_a_key_a_later_try_sends_nothing(create, coupa):
    with pytest.raises(
        PushError, match=r"no key by which it could be found, so nothing was sent.*clear the task"
    ):
        create(key=(), again=True)
    assert posts(coupa) == 0
    assert create(key=()).created


def test_a_key_that_was_asked_for_has_to_be_in_the_record(create, coupa):
    with pytest.raises(PushError, match="cannot be recognised: number, a part of the key, is missing"):
        create({"name": "Acme"}, key=["number"])
    assert create({"name": "Acme", "number": "7"}, key=["name", "number"]).created


CHANGES = {"name": "Beta", "status": "active", "primary_contact": {"email": "a@b.example"}}


@pytest.mark.parametrize("kind", DOUBTFUL)
def test_a_change_may_be_made_twice(create, client, coupa, kind):
    record_id = create().record["id"]
    lose(coupa, kind, methods=["PUT"])
    done = run_in_background(
        update_once(client.client, "suppliers", str(record_id), CHANGES, fields=["name"], again=True)
    )
    assert done == {"id": record_id, "name": "Beta"}


def test_what_adds_to_a_list_is_sent_once(client, coupa):
    payment = {"payments": {"payment": [{"amount-paid": "10.00", "payment-date": "2026-11-24"}]}}
    lose(coupa, "lost_write", methods=["PUT"])
    with pytest.raises(CoupaOutcomeUnknownError):
        run_in_background(update_once(client.client, "invoices", 7, payment))
    assert coupa.writes() == {"PUT /api/invoices/7": 1}
    with pytest.raises(
        PushError, match=r"this change of invoices 7, and 'payments' would be added a second time"
    ):
        run_in_background(update_once(client.client, "invoices", 7, payment, again=True))
    assert coupa.writes() == {"PUT /api/invoices/7": 1}


INVOICE = find_resource("invoices").attributes


@pytest.mark.parametrize(
    ("changes", "adding"),
    [
        ({"name": "B", "supplier": {"name": "Acme"}}, None),
        ({"invoice-lines": [{"id": 7, "price": "1"}]}, None),
        ({"invoice_lines": [{"id": 7, "price": "1"}, {"price": "1"}]}, "invoice_lines"),
        ({"invoice-lines": [{"id": 7, "_delete": True}]}, "invoice-lines"),
        ({"payments": {"payment": {"amount-paid": "1"}}}, "payments"),
        ({"payments": {"payment": {"id": 7, "amount-paid": "1"}}}, None),
        ({"_cancel": True}, "_cancel"),
        ({"invoice-lines": [{"id": 7, "account-allocations": [{"amount": "1"}]}]}, "invoice-lines"),
        ({"custom-fields": {"tags": ["a", "b"]}}, None),
    ],
)
def test_what_adds_to_a_list_is_told_from_what_is_set(changes, adding):
    assert adds_to(changes, INVOICE) == ([adding] if adding else [])


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
NAMES = st.sampled_from(["invoice-lines", "payments", "supplier", "amount", "currency"])
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, TREES, max_size=3))
def test_an_object_without_an_id_in_any_list_is_never_overlooked(changes):
    def new_in_a_list(value) -> bool:
        if isinstance(value, dict):
            return any(new_in_a_list(part) for part in value.values())
        return isinstance(value, list) and any(
            isinstance(part, dict) or new_in_a_list(part) for part in value
        )

    if any(new_in_a_list(value) for value in changes.values()):
        assert adds_to(changes, INVOICE)
    assert adds_to(dict.fromkeys(changes, 1), INVOICE) == []


def test_a_record_is_read(client, coupa):
    coupa.load({"invoices": [{"id": 7, "status": "approved", "invoice-number": "4711"}]})
    assert run_in_background(get_kept(client.client, "invoices", 7)) == {"id": 7, "status": "approved"}
    asked = ["invoice_number", {"supplier": ["name"]}]
    shown = run_in_background(get_kept(client.client, "invoices", "7", fields=asked))
    assert shown.keys() == {"id", "invoice-number", "supplier"}
    coupa.load({"departments": [{"id": 3, "name": "Sales"}]})
    assert run_in_background(get_kept(client.client, "departments", 3)) == {"id": 3}
    with pytest.raises(CoupaNotFoundError):
        run_in_background(get_kept(client.client, "invoices", 10**6))


def test_any_call_is_made(client, coupa):
    def call(*arguments, **options):
        return run_in_background(call_once(client.client, *arguments, **options))

    assert call("PUT", "invoices/7", params={"exported": True}, fields=["exported"]) == {
        "id": 7,
        "exported": True,
    }
    assert call("GET", "invoices", params={"limit": 2}) == [{"id": 1}, {"id": 2}]
    assert call("PUT", "invoices/7", params={"exported": False}, fields=[]) is None
    with pytest.raises(CoupaQueryError, match="Give them as the argument fields"):
        call("GET", "invoices", params={"fields": "id"})


def test_a_call_that_may_not_be_repeated_is_sent_once(client, coupa):
    def call(method, **options):
        return run_in_background(call_once(client.client, method, "invoices/7", {}, **options))

    lose(coupa, "lost_write", methods=["PUT"])
    with pytest.raises(CoupaOutcomeUnknownError):
        call("PUT")
    with pytest.raises(PushError, match=r"may have sent PUT invoices/7, .* say repeatable=True"):
        call("PUT", again=True)
    lose(coupa, "lost_write", methods=["PUT"])
    assert call("PUT", again=True, repeatable=True) == {"id": 7}
    assert call("GET", again=True) == {"id": 7}


@given(
    st.dictionaries(st.sampled_from(["id", "a-b", "a_b", "c"]), st.integers()),
    st.lists(st.sampled_from(["a_b", "c"])),
)
def test_nothing_is_kept_that_was_not_asked_for(answer, fields):
    shown = kept(answer, fields)
    assert shown.items() <= answer.items()
    assert {name.replace("_", "-") for name in shown} <= {"id", *(name.replace("_", "-") for name in fields)}
    assert kept([answer, None], fields) == [shown, None]


TRY = """
import sys
from coupa_provider.client.blocking import BlockingClient, run_in_background
from coupa_provider.client.config import CoupaConfig
from coupa_provider.client.retry import RetryPolicy
from coupa_provider.push.single import create_once

config = CoupaConfig.from_fields(
    "coupa_test", host=sys.argv[1], login="emulator", password="emulator-secret", extra={"requests_per_second": 400}
)
with BlockingClient(config, retry=RetryPolicy(first_delay=0.02, longest_delay=0.1)) as client:
    client.token()
    print("begins", flush=True)
    record = {"name": sys.argv[2], "number": sys.argv[2]}
    done = run_in_background(create_once(client.client, "suppliers", record, again=sys.argv[3] == "again"))
print(done.record["id"], done.created)
"""


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_killed_task_creates_its_record_once(coupa, suppliers):
    """Each of ten records is tried three times, killed at moments from before the look-up to after the create."""
    coupa.configure(
        latency={"fixed_ms": 60},
        faults={"rate": 0.3, "kinds": ["lost_write"], "methods": ["POST"], "seed": 5},
    )

    made_by_killed = 0
    for number in range(10):
        name = f"K-{number}"
        for attempt in ("first", "again"):
            ForkedTry(TRY, coupa.url, name, attempt).kill(after=0.04 + 0.025 * number, may_have_ended=True)
        time.sleep(0.1)  # what was sent arrives
        made_by_killed += name in suppliers().values()
        [output] = ForkedTry(TRY, coupa.url, name, "again").end()
        record_id, created = output.split()
        assert suppliers()[int(record_id)] == name
        assert created in ("True", "False")
    assert sorted(suppliers().values()) == [f"K-{number}" for number in range(10)]
    assert 3 <= made_by_killed <= 9, "the kills came all before or all after the create"
