"""The facts about calls agree with the catalog, and name nothing that the documents do not."""

from __future__ import annotations

import re

import pytest

from coupa_provider.resources import find_resource, resource_paths
from coupa_provider.resources.actions import _facts, actions_of, all_actions, find_action, plain_name

ACTIONS = all_actions()
IDS = [f"{action.resource} {action.name}" for action in ACTIONS]


def test_there_are_calls_to_speak_of():
    assert len(ACTIONS) >= 150
    assert len(set(IDS)) == len(IDS)


@pytest.mark.parametrize("action", ACTIONS, ids=IDS)
def test_every_call_stands_in_the_catalog(action):
    catalog = find_resource(action.resource).actions
    documented = {call for name, call in catalog.items() if plain_name(name) == action.name}
    assert f"{action.method} {action.path}" in documented
    assert find_action(action.resource, action.name) == action
    assert action.method in ("PUT", "POST", "PATCH")
    assert not re.match("(put|post|patch)_", action.name)


@pytest.mark.parametrize("action", ACTIONS, ids=IDS)
def test_every_call_is_consistent_in_itself(action):
    assert set(action.required) <= set(action.query) | set(action.body)
    assert not set(action.query) & set(action.body)
    for name in action.body:
        assert re.fullmatch(r"[a-z-]+(\.[a-z-]+)*", name)
    for name in action.query:
        assert re.fullmatch("[a-z_]+", name)
    assert not action.allowed_from & action.forbidden_from
    assert action.leads_to not in action.allowed_from
    if action.leads_to and action.forbidden_from:
        assert action.leads_to in action.forbidden_from


@pytest.mark.parametrize("action", ACTIONS, ids=IDS)
def test_every_status_is_documented(action):
    named = action.allowed_from | action.forbidden_from | ({action.leads_to} - {None})
    status = find_resource(action.resource).attributes.get("status")
    if named:
        assert status is not None
        assert not status.allowed or named <= set(status.allowed)


def test_every_fact_belongs_to_a_call():
    told = {f"{resource} {name}" for resource, calls in _facts().items() for name in calls}
    assert told <= set(IDS)


@pytest.mark.parametrize("path", resource_paths())
def test_no_call_of_the_catalog_is_lost(path):
    kept = {action.name for action in actions_of(path)}
    for name, call in find_resource(path).actions.items():
        if name in ("index", "show", "create", "update", "destroy") or call.startswith(("GET", "DELETE")):
            continue
        assert plain_name(name) in kept or re.search("(attachments|expense_artifacts)(/:id)?$", call), call


@pytest.mark.parametrize(
    ("resource", "name", "method", "path"),
    [
        ("invoices", "submit", "PUT", "invoices/:id/submit"),
        ("approvals", "approve", "PUT", "approvals/:id/approve"),
        ("payables/invoices", "export", "PUT", "payables/invoices/:id/export"),
        ("asn/headers", "void", "PUT", "asn/headers/:id/void"),
        ("cycle_counts", "submit", "PATCH", "cycle_counts/:id/submit"),
        ("requisitions", "submit_for_approval", "POST", "requisitions/submit_for_approval"),
        ("users/7/business_groups", "add", "PUT", "users/:user_id/business_groups/:id/add"),
        ("users", "avatar", "PUT", "users/:id/avatar"),
    ],
)
def test_twins_are_one_call(resource, name, method, path):
    action = find_action(resource, name)
    assert (action.method, action.path) == (method, path)


def test_facts_that_others_rely_on():
    void = find_action("invoices", "void")
    assert void.allowed_from == {"approved", "draft", "pending_receipt"}
    assert (void.forbidden_from, void.leads_to, void.article) == ({"voided"}, "voided", "0205")
    assert find_action("invoices", "dispute").body == ("dispute-reason.code", "comment")
    assert find_action("invoices", "add_approver").required == ("approver_id",)
    assert find_action("approvals", "reject").query == ("reason",)
    # Submitted invoices go to several statuses, and the documents do not say from which they may come.
    submit = find_action("invoices", "submit")
    assert (submit.leads_to, submit.allowed_from, submit.forbidden_from) == (None, frozenset(), frozenset())
    files = {(action.resource, action.name) for action in ACTIONS if action.multipart}
    assert files == {
        ("contracts", "legal_agreement"),
        ("invoices", "image_scan"),
        ("users", "avatar"),
        ("workers", "avatar"),
    }


def test_what_is_not_documented_is_not_found():
    assert find_action("invoices", "no_such_call") is None
    assert find_action("invoices", "create") is None
    assert find_action("no_such_resource", "submit") is None
    assert actions_of("no_such_resource") == []
