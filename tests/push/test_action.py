"""Actions: where arguments go, what is legal, and that none is carried out twice."""

from __future__ import annotations

import dataclasses

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
from coupa_provider.push.action import known_action, may_repeat, perform, place, refusal_of
from coupa_provider.push.errors import PushError
from coupa_provider.resources.actions import Action, all_actions, find_action

DOUBTFUL = ["lost_write", "500", "drop_before", "truncated"]


def action(resource: str, name: str) -> Action:
    found = find_action(resource, name)
    assert found is not None
    return found


# Where arguments go.


@pytest.mark.parametrize("name", ["approver_id", "approver-id"])
def test_what_coupa_wants_in_the_query_goes_there(name):
    placed = place(action("invoices", "add_approver"), "invoices", 7, {name: 3})
    assert (placed.path, placed.params, placed.body) == ("invoices/7/add_approver", {"approver_id": 3}, None)


@pytest.mark.parametrize(
    "arguments",
    [
        {"dispute-reason.code": "PRICE", "comment": "too dear"},
        {"dispute_reason.code": "PRICE", "comment": "too dear"},
        {"dispute-reason": {"code": "PRICE"}, "comment": "too dear"},
    ],
)
def test_what_coupa_wants_in_the_body_is_nested(arguments):
    placed = place(action("invoices", "dispute"), "invoices", " 7 ", arguments)
    assert placed.path == "invoices/7/dispute"
    assert placed.body == {"dispute-reason": {"code": "PRICE"}, "comment": "too dear"}
    assert placed.params == {}


def test_attributes_of_the_record_go_into_the_body():
    placed = place(action("purchase_orders", "issue"), "purchase_orders", 7, {"ship_to_attention": "Jo"})
    assert placed.body == {"ship-to-attention": "Jo"}
    assert place(action("purchase_orders", "issue"), "purchase_orders", 7).body is None


def test_ids_of_what_a_record_lies_below_are_a_part_of_the_resource():
    name = "suppliers/9/business_groups"
    assert place(action(name, "add"), name, 7).path == "suppliers/9/business_groups/7/add"
    with pytest.raises(CoupaQueryError, match="needs 'supplier_id'"):
        place(action(name, "add"), "suppliers/:supplier_id/business_groups", 7)


def test_other_ids_in_the_path_are_arguments():
    assign = action("expense_lines", "assign_attendee")
    placed = place(assign, "expense_lines", 7, {"expense_attendee_id": 3})
    assert placed == dataclasses.replace(
        placed, path="expense_lines/7/assign_attendee/3", params={}, body=None
    )
    with pytest.raises(CoupaQueryError, match="needs 'expense_attendee_id'"):
        place(assign, "expense_lines", 7)


@pytest.mark.parametrize(
    ("resource", "name", "record_id", "arguments", "message"),
    [
        ("invoices", "add_approver", 7, {}, "needs the argument 'approver_id'"),
        ("invoices", "add_approver", 7, {"approver_id": None}, "needs the argument 'approver_id'"),
        ("invoices", "add_approver", 7, {"aprover_id": 3}, "Did you mean 'approver-id'"),
        (
            "invoices",
            "dispute",
            7,
            {"coment": "x"},
            r"documented: dispute-reason.code, comment.*Did you mean 'comment",
        ),
        (
            "integration_errors",
            "create_alert",
            None,
            {"integration-run-id": 3},
            "needs the argument 'contact-alert",
        ),
        ("invoices", "void", None, {}, "needs a record_id, not None"),
        ("invoices", "void", " ", {}, "needs a record_id"),
        ("invoices", "void", "7/submit", {}, "needs a record_id"),
        ("requisitions", "add_to_cart", 7, {}, "is not about one record"),
    ],
)
def test_what_is_missing_or_unknown_is_told(resource, name, record_id, arguments, message):
    with pytest.raises(CoupaQueryError, match=message):
        place(action(resource, name), resource, record_id, arguments)


def test_a_value_and_a_part_of_it_do_not_go_together():
    arguments = {"dispute-reason": "PRICE", "dispute-reason.code": "PRICE"}
    with pytest.raises(CoupaQueryError, match="'dispute-reason' twice"):
        place(action("invoices", "dispute"), "invoices", 7, arguments)


@pytest.mark.parametrize(
    ("resource", "name", "message"),
    [
        ("invoices", "sumbit", "Did you mean 'submit'"),
        ("invoice", "submit", "not a documented action of 'invoice'.*CoupaRequestOperator"),
        ("approvals", "zzz", "There are approve, hold, reject"),
        ("users", "avatar", "wants a file"),
        ("invoices", "create", "not a documented action"),
    ],
)
def test_an_unknown_action_is_told(resource, name, message):
    with pytest.raises(CoupaQueryError, match=message):
        known_action(resource, name)


@pytest.mark.parametrize(
    "documented", [a for a in all_actions() if not a.multipart], ids=lambda a: f"{a.resource}-{a.name}"
)
def test_every_documented_action_can_be_sent(documented):
    """With its documented arguments all of them find a place, and nothing is left open in the path."""
    resource = "/".join("9" if part.startswith(":") else part for part in documented.resource.split("/"))
    arguments = {name: f"value of {name}" for name in (*documented.query, *documented.body)}
    inner = [
        part[1:] for part in documented.path.split("/")[len(resource.split("/")) :] if part.startswith(":")
    ]
    arguments |= {name: 5 for name in inner if name != "id"}
    placed = place(documented, resource, 7 if ":id" in documented.path.split("/") else None, arguments)
    assert ":" not in placed.path
    assert set(placed.params) == set(documented.query)
    assert flat(placed.body or {}) == set(documented.body)


def flat(body, above=""):
    return {
        name
        for key, value in body.items()
        for name in (flat(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}"})
    }


# What is legal.


@pytest.mark.parametrize(
    ("resource", "name", "status", "said"),
    [
        ("invoices", "void", "approved", None),
        (
            "invoices",
            "void",
            "pending_approval",
            "documented from approved, draft, pending_receipt only (article ",
        ),
        ("invoices", "void", "voided", "documented as impossible from voided"),
        ("invoices", "void", None, None),
        ("invoices", "submit", "voided", None),
        ("purchase_orders", "cancel", "canceled", "'cancel' is not possible in the status 'canceled'"),
        ("purchase_orders", "cancel", "cancelled", "documented as impossible"),
        ("approvals", "approve", "approved", "documented as impossible from approved, escalated, rejected"),
    ],
)
def test_an_illegal_status_is_told_with_what_is_documented(resource, name, status, said):
    refusal = refusal_of(action(resource, name), status)
    assert (refusal is None) if said is None else (said in refusal)


STATUSES = st.sampled_from(["draft", "pending_approval", "approved", "voided", "cancelled"])


@given(st.frozensets(STATUSES), st.frozensets(STATUSES), st.none() | STATUSES)
def test_refused_is_what_is_forbidden_or_not_among_what_is_allowed(allowed, forbidden, status):
    documented = Action(
        "invoices", "void", "PUT", "invoices/:id/void", allowed_from=allowed, forbidden_from=forbidden
    )
    legal = status is None or (status not in forbidden and (not allowed or status in allowed))
    assert (refusal_of(documented, status) is None) == legal


@pytest.mark.parametrize(
    "name",
    [
        "submit",
        "approve",
        "reject",
        "create_alert",
        "submit_for_approval",
        "issue",
        "add_approver",
        "award",
        "copy",
    ],
)
def test_what_sets_something_going_is_never_repeated(name):
    assert [a for a in all_actions() if a.name == name and may_repeat(a)] == []
    assert [a for a in all_actions() if a.name == name]


def test_what_may_be_repeated_is_documented():
    from coupa_provider.push.action import _HARMLESS

    assert {a.name for a in all_actions()} >= _HARMLESS


# Once.


@pytest.fixture
def act(client, coupa):
    """Carry out an action on invoice 7, which is approved: ``act("void")``."""
    coupa.load({"invoices": [{"id": 7, "status": "approved"}], "users": [{"id": 1, "login": "jo"}]})
    coupa.reset_seen()

    def act(name, resource="invoices", record_id=7, arguments=None, **options):
        return run_in_background(perform(client.client, resource, name, record_id, arguments, **options))

    return act


@pytest.fixture
def approval(coupa):
    """A pending approval of an invoice."""
    coupa.load({"approvals": [{"id": 5, "status": "pending_approval"}]})
    coupa.reset_seen()
    return 5


def lose(coupa, kind, *, times=1, **more):
    faults = {"always": True, "kinds": [kind], "methods": ["PUT", "POST"], "times": times}
    coupa.configure(faults={**faults, **more})


def test_an_action_is_carried_out(act, coupa):
    assert act("void") == {"id": 7, "status": "voided"}
    assert coupa.writes() == {"PUT /api/invoices/7/void": 1}


def test_fields_decide_what_is_returned(act, coupa):
    assert act("void", fields=["exported"]).keys() == {"id", "exported"}
    coupa.load({"invoices": [{"id": 7, "status": "draft"}]})
    assert act("void", fields=[]) == {"id": 7}


def test_an_illegal_action_is_not_sent(act, coupa):
    coupa.load({"invoices": [{"id": 7, "status": "pending_approval"}]})
    with pytest.raises(
        PushError, match=r"void of invoices 7 was not sent: 'void' is not possible in the status 'pend"
    ):
        act("void")
    assert coupa.writes() == {}
    with pytest.raises(CoupaNotFoundError):
        act("void", record_id=10**6)


@pytest.mark.parametrize("kind", DOUBTFUL)
@pytest.mark.parametrize("times", [1, 3])
def test_the_status_tells_whether_a_lost_action_was_carried_out(act, coupa, kind, times):
    lose(coupa, kind, times=times)
    assert act("void") == {"id": 7, "status": "voided"}
    assert coupa.writes() == {"PUT /api/invoices/7/void": 1}


@pytest.mark.parametrize("kind", DOUBTFUL)
def test_an_approval_is_given_once(act, coupa, approval, kind):
    lose(coupa, kind)
    executed = kind in ("lost_write", "truncated")
    if executed:
        assert act("approve", "approvals", approval)["status"] == "approved"
    else:
        with pytest.raises(
            CoupaOutcomeUnknownError, match=r"approve of approvals 5 was lost .*status is 'pending_ap"
        ):
            act("approve", "approvals", approval)
    assert coupa.writes().get("PUT /api/approvals/5/approve", 0) == executed
    assert coupa.record("approvals", 5)["status"] == ("approved" if executed else "pending_approval")


@pytest.mark.parametrize("kind", DOUBTFUL)
def test_without_a_documented_status_a_lost_action_is_left_to_a_person(act, coupa, kind):
    coupa.load({"invoices": [{"id": 7, "status": "pending_approval"}]})
    lose(coupa, kind)
    with pytest.raises(
        CoupaOutcomeUnknownError, match=r"The answer to add_approver of invoices 7 was lost .*start a new"
    ):
        act("add_approver", arguments={"approver_id": 1})
    assert sum(coupa.writes().values()) <= 1


def test_what_may_be_repeated_is_given_up_for_a_later_try(act, coupa):
    lose(coupa, "500", times=None)
    with pytest.raises(CoupaUnavailableError, match="void of invoices 7 was sent 8 times without effect"):
        act("void")
    coupa.configure(faults={"times": 0})
    assert act("void", again=True)["status"] == "voided"


def test_a_record_that_somebody_else_moved_is_left_to_a_person(act, coupa, client, monkeypatch):
    lose(coupa, "500")
    read = client.client.get

    async def then_moved(resource, record_id, **options):
        shown = await read(resource, record_id, **options)
        coupa.load({"invoices": [{"id": 7, "status": "draft"}]})
        return shown

    monkeypatch.setattr(client.client, "get", then_moved)
    with pytest.raises(CoupaOutcomeUnknownError, match="status was 'approved' and is 'draft' now"):
        act("void")
    assert coupa.writes() == {}


def test_an_action_that_arrives_late_is_done(act, coupa, client, monkeypatch):
    """The status read after the lost answer is too old: Coupa then refuses the second one."""
    lose(coupa, "lost_write")
    read, stale = client.client.get, iter([{"id": 7, "status": "approved"}] * 2)

    async def too_early(resource, record_id, **options):
        return next(stale, None) or await read(resource, record_id, **options)

    monkeypatch.setattr(client.client, "get", too_early)
    assert act("void")["status"] == "voided"
    assert coupa.writes() == {"PUT /api/invoices/7/void": 1}


def test_a_status_that_was_there_before_proves_nothing(act, coupa):
    coupa.load({"integration_runs": [{"id": 3, "status": "started"}]})
    lose(coupa, "500")
    assert act("run", "integration_runs", 3, {"total_records": 9}) == {"id": 3, "status": "started"}
    assert coupa.writes() == {"PUT /api/integration_runs/3/run": 1}


def test_a_second_one_that_is_refused_is_no_proof_of_failure(act, coupa):
    """No status of receipts is documented, so only a person can tell that the first one was carried out."""
    coupa.load({"receiving_transactions": [{"id": 3, "status": "created"}]})
    lose(coupa, "lost_write")
    with pytest.raises(
        CoupaOutcomeUnknownError, match=r"was lost, and Coupa refused it when it was sent again: .*Look"
    ):
        act("void", "receiving_transactions", 3)
    assert coupa.record("receiving_transactions", 3)["status"] == "voided"


def test_a_record_that_shows_no_status_tells_nothing(act, coupa, client, monkeypatch):
    async def without(resource, record_id, **options):
        return {"id": record_id}

    monkeypatch.setattr(client.client, "get", without)
    with pytest.raises(PushError, match="nothing documented tells"):
        act("dispute", again=True)
    assert act("void", again=True)["status"] == "voided"


def test_a_later_try_takes_what_is_done_for_its_own(act, coupa, caplog):
    act("void")
    with caplog.at_level("INFO"):
        assert act("void", again=True) == {"id": 7, "status": "voided"}
    assert "void of invoices 7 is in the status 'voided': an earlier try did it" in caplog.text
    assert coupa.writes() == {"PUT /api/invoices/7/void": 1}
    with pytest.raises(PushError, match="documented as impossible from voided"):
        act("void")


def test_a_later_try_sends_what_the_status_shows_as_not_done(act, coupa, approval):
    assert act("approve", "approvals", approval, again=True)["status"] == "approved"
    assert coupa.writes() == {"PUT /api/approvals/5/approve": 1}


def test_a_later_try_sends_nothing_where_nothing_tells(act, coupa):
    with pytest.raises(
        PushError, match=r"may have carried out add_approver of invoices 7, and nothing documented"
    ):
        act("add_approver", arguments={"approver_id": 1}, again=True)
    with pytest.raises(PushError, match="may have carried out submit of invoices 7"):
        act("submit", again=True)
    assert coupa.writes() == {}


def test_coupas_own_refusal_is_told_in_its_words(act, coupa):
    with pytest.raises(CoupaValidationError, match="Status"):
        act("withdraw_dispute")


@pytest.mark.parametrize("shape", ["object", "array"])
def test_a_list_of_the_one_record_is_the_record(act, coupa, shape):
    coupa.configure(switches={"U22": shape})
    coupa.load({"integration_errors": [{"id": 3}]})
    assert act("resolve", "integration_errors", "3", fields=["resolved"]) == {"id": 3, "resolved": True}
