"""Every case of a row and what Coupa holds of it leads to one decision."""

from __future__ import annotations

from itertools import product

import pytest

from coupa_provider.push.decide import OPERATIONS, decide, is_failed
from coupa_provider.push.ledger import OUTCOMES
from coupa_provider.resources import find_resource

ATTRIBUTES = find_resource("suppliers").attributes
SENT = {"name": "a", "number": "S-1"}
EQUAL, OTHER = {"id": 1, **SENT}, {"id": 1, "name": "b", "number": "S-1"}
#: What is found, by number of records and whether it is as sent.
FOUND = {"none": [], "equal": [EQUAL], "other": [OTHER], "two": [EQUAL, {"id": 2, **SENT}]}

# (operation, doubt, found) to outcome or what is sent.
TABLE = {
    ("create", "", "none"): "send create",
    ("create", "", "equal"): "rejected",
    ("create", "", "other"): "rejected",
    ("create", "", "two"): "rejected",
    ("create", "create", "none"): "send create",
    ("create", "create", "equal"): "created",
    ("create", "create", "other"): "created",
    ("create", "create", "two"): "unknown",
    # An update that was noted, though this push only creates: arguments name the folder, so it cannot come.
    ("create", "update", "none"): "send create",
    ("create", "update", "equal"): "rejected",
    ("create", "update", "other"): "rejected",
    ("create", "update", "two"): "rejected",
    ("update", "", "none"): "rejected",
    ("update", "", "equal"): "unchanged",
    ("update", "", "other"): "send update",
    ("update", "", "two"): "rejected",
    ("update", "create", "none"): "rejected",
    ("update", "create", "equal"): "created",
    ("update", "create", "other"): "created",
    ("update", "create", "two"): "unknown",
    ("update", "update", "none"): "rejected",
    ("update", "update", "equal"): "updated",
    ("update", "update", "other"): "send update",
    ("update", "update", "two"): "rejected",
    ("upsert", "", "none"): "send create",
    ("upsert", "", "equal"): "unchanged",
    ("upsert", "", "other"): "send update",
    ("upsert", "", "two"): "rejected",
    ("upsert", "create", "none"): "send create",
    ("upsert", "create", "equal"): "created",
    ("upsert", "create", "other"): "created",
    ("upsert", "create", "two"): "unknown",
    ("upsert", "update", "none"): "send create",
    ("upsert", "update", "equal"): "updated",
    ("upsert", "update", "other"): "send update",
    ("upsert", "update", "two"): "rejected",
}


def test_the_table_is_whole():
    assert TABLE.keys() == set(product(OPERATIONS, ("", "create", "update"), FOUND))


@pytest.mark.parametrize("case", TABLE, ids=" ".join)
def test_every_case(case):
    operation, doubt, found = case
    decision = decide(operation, SENT, FOUND[found], ATTRIBUTES, doubt)
    expected = TABLE[case]
    assert (decision.outcome or f"send {decision.send}") == expected
    assert bool(decision.outcome) != bool(decision.send)
    assert bool(decision.errors) == (decision.outcome in ("rejected", "unknown"))
    assert decision.not_taken == (("name",) if expected == "created" and found == "other" else ())
    if decision.send == "create":
        assert (decision.body, decision.record_id) == (SENT, None)
    elif decision.send == "update":
        assert (decision.body, decision.record_id) == ({"name": "a"}, 1)
    elif found in ("equal", "other"):
        assert decision.record_id == 1


def test_messages_name_what_is_there():
    assert decide("create", SENT, [OTHER], ATTRIBUTES).errors == ("a record with this key exists: 1",)
    assert decide("update", SENT, [], ATTRIBUTES).errors == ("there is no record with this key",)
    assert (
        "several records have this key: 1, 2. A longer"
        in decide("upsert", SENT, FOUND["two"], ATTRIBUTES).errors[0]
    )
    lost = decide("upsert", SENT, FOUND["two"], ATTRIBUTES, "create").errors[0]
    assert "the answer to its create was lost, and several records have its key: 1, 2" in lost


LINES = {"payment-term": {"code": "N"}, "supplier-sites": [{"name": "new"}]}


@pytest.mark.parametrize(
    ("operation", "doubt", "there", "expected"),
    [
        ("update", "", [], "send update"),
        ("update", "", [{"id": 7, "name": "old"}], "send update"),
        ("update", "", [{"id": 7, "name": "new"}], "unchanged"),
        ("update", "update", [], "unknown"),
        # None is there that a new one could double.
        ("upsert", "", [], "send update"),
        ("upsert", "", None, "send update"),
        ("upsert", "", [{"id": 7, "name": "old"}], "rejected"),
        ("upsert", "", [{"id": 7, "name": "new"}], "unchanged"),
        ("upsert", "update", [], "unknown"),
        ("upsert", "update", [{"id": 7, "name": "old"}], "unknown"),
        ("upsert", "update", [{"id": 7, "name": "new"}], "updated"),
    ],
)
def test_lines_are_never_doubled(operation, doubt, there, expected):
    shown = {"id": 1, "payment-term": {"code": "N"}, "supplier-sites": there}
    decision = decide(operation, LINES, [shown], ATTRIBUTES, doubt)
    assert (decision.outcome or f"send {decision.send}") == expected
    if decision.send:
        assert decision.body == {"supplier-sites": [{"name": "new"}]}


@pytest.mark.parametrize(
    ("good", "bad", "unknown", "fail_on", "failed"),
    [
        (0, 0, 0, "any", False), (0, 0, 0, "all", False), (0, 0, 0, 0, False), (0, 0, 0, 1, False),
        (9, 1, 0, "any", True), (9, 0, 1, "any", True), (9, 0, 0, "any", False),
        (9, 1, 0, "all", False), (0, 1, 1, "all", True),
        (9, 1, 0, 0.1, False), (9, 1, 1, 0.1, True), (90, 10, 0, 0.09, True), (0, 5, 5, 1, False), (9, 1, 0, 0, True),
    ],
)  # fmt: skip
def test_when_a_push_has_failed(good, bad, unknown, fail_on, failed):
    counts = dict.fromkeys(OUTCOMES, 0) | {"created": good, "rejected": bad, "unknown": unknown}
    assert is_failed(counts, fail_on) is failed
