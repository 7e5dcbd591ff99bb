"""Approvals of documents: who is asked, what is still pending, and what the answers do to the document.

Coupa documents that only a pending approval can be answered. Who is asked it draws from approval chains,
which the emulator has none of: it asks the user that its clients act as.
"""

from __future__ import annotations

from functools import cache

from coupa_provider.emulator.attributes import Step, home_of_type
from coupa_provider.emulator.instance import Instance
from coupa_provider.emulator.references import References
from coupa_provider.emulator.store import Record, fold
from coupa_provider.resources import find_resource, resource_paths

PENDING = "pending_approval"
#: Statuses of an approval that waits for an answer.
OPEN = (PENDING, "on_hold")

# Requisitions know no status of that name, they go back to who wrote them.
_REJECTED = {"RequisitionHeader": "draft"}
_OF_DOCUMENT = (Step("approvable-type", "string"),), (Step("approvable-id", "integer"),)


@cache
def home_of(kind: str) -> str | None:
    """Return the collection of the documents of a type.

    :param kind: type as approvals name it: ``"InvoiceHeader"``.
    :return: catalog path, or None when there is no such collection.
    """
    nested = (path for path in resource_paths() if (found := find_resource(path)) and found.type == kind)
    return home_of_type(kind) or next(nested, None)


def approvals_of(instance: Instance, kind: str, document_id: int) -> list[Record]:
    """Return the approvals of a document.

    :param instance: the instance.
    :param kind: type of the document.
    :param document_id: its id.
    :return: approvals in their order.
    """
    by_type, by_id = _OF_DOCUMENT
    equal = [(by_id, "number", document_id), (by_type, "text", fold(kind))]
    found = [
        instance.store.record("approvals", one)
        for one in instance.store.matching("approvals", equal, limit=1000)
    ]
    return sorted((one for one in found if one is not None), key=lambda one: (_position(one), one["id"]))


def open_approvals(instance: Instance, kind: str, document_id: int) -> list[Record]:
    """Return the approvals of a document that wait for an answer, in their order."""
    return [one for one in approvals_of(instance, kind, document_id) if one.get("status") in OPEN]


def ask(instance: Instance, kind: str, document: Record, approver: Record | None) -> None:
    """Ask one more user for approval, after all others.

    :param instance: the instance.
    :param kind: type of the document.
    :param document: the document.
    :param approver: the user; None when the instance has none.
    """
    others = approvals_of(instance, kind, document["id"])
    resource = find_resource("approvals")
    if resource is None:
        raise LookupError("the catalog has no approvals")
    given = {
        "status": PENDING,
        "type": "ManagementHierarchyApproval",
        "position": 1 + max((_position(one) for one in others), default=0),
        "approvable-type": kind,
        "approvable-id": document["id"],
        "approver": References(instance).shown("User", approver) if approver else None,
        "approver-id": approver["id"] if approver else None,
        "approver-type": "User",
    }
    instance.store.put("approvals", instance.completed(resource, given))


def put_up(instance: Instance, kind: str, document: Record) -> None:
    """Put a document up for approval. Users that were added before are asked, else the usual one.

    :param instance: the instance.
    :param kind: type of the document.
    :param document: the document; it is changed, but not kept.
    """
    if not open_approvals(instance, kind, document["id"]):
        ask(instance, kind, document, usual_approver(instance))
    _set_status(document, PENDING)
    show(instance, kind, document)


def settle(instance: Instance, kind: str, document: Record) -> None:
    """Let a document be approved when nobody is left to ask.

    :param instance: the instance.
    :param kind: type of the document.
    :param document: the document; it is changed, but not kept.
    """
    if document.get("status") == PENDING and not open_approvals(instance, kind, document["id"]):
        _set_status(document, "approved")
    show(instance, kind, document)


def turn_down(instance: Instance, kind: str, document: Record, reason: str | None) -> None:
    """Let a document be rejected; others need not be asked then.

    :param instance: the instance.
    :param kind: type of the document.
    :param document: the document; it is changed, but not kept.
    :param reason: what the approver said.
    """
    drop_open(instance, kind, document)
    if document.get("status") == PENDING:
        _set_status(document, _REJECTED.get(kind, "rejected"))
        name = {"RequisitionHeader": "reject-reason-comment", "ExpenseReport": "reject-reason"}.get(kind)
        if name is not None:
            document[name] = reason


def drop_open(instance: Instance, kind: str, document: Record) -> None:
    """Ask nobody any more.

    :param instance: the instance.
    :param kind: type of the document.
    :param document: the document; it is changed, but not kept.
    """
    for approval in open_approvals(instance, kind, document["id"]):
        instance.store.delete("approvals", approval["id"])
    show(instance, kind, document)


def answer(instance: Instance, approval: Record, status: str, note: str | None = None) -> Record:
    """Keep what an approver answered.

    :param instance: the instance.
    :param approval: the approval.
    :param status: its status from now on.
    :param note: what the approver said; None leaves the note as it is.
    :return: the approval.
    """
    now = instance.stamp()
    approval.update({"status": status, "updated-at": now})
    if status not in OPEN:
        user = usual_approver(instance)
        approval["approval-date"] = now
        approval["approved-by"] = References(instance).shown("User", user) if user else None
    if note is not None:
        approval["note"] = note
    instance.store.put("approvals", approval)
    return approval


def usual_approver(instance: Instance) -> Record | None:
    """Return the user that clients act as."""
    users = instance.store.ids("users")
    return instance.store.record("users", users[0]) if users else None


def show(instance: Instance, kind: str, document: Record) -> None:
    """Show the approvals in their document, where it has a place for them.

    :param instance: the instance.
    :param kind: type of the document.
    :param document: the document; it is changed, but not kept.
    """
    approvals = approvals_of(instance, kind, document["id"])
    if "approvals" in document:
        document["approvals"] = approvals
    if "current-approval" in document:
        document["current-approval"] = next((one for one in approvals if one.get("status") in OPEN), None)


def _set_status(document: Record, status: str) -> None:
    if "status" in document:
        document["status"] = status


def _position(approval: Record) -> int:
    position = approval.get("position")
    return position if isinstance(position, int) else 0
