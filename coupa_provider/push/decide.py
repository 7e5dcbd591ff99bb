"""What to do with a row, once it is known what Coupa holds of it. Pure decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from coupa_provider.push.compare import added_lines, adds_to, differences
from coupa_provider.push.ledger import CREATED, REJECTED, UNCHANGED, UNKNOWN, UPDATED
from coupa_provider.resources import Attribute

OPERATIONS = ("create", "update", "upsert")
CREATE, UPDATE = "create", "update"


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with a row: it has an outcome, or is to be sent.

    :param outcome: its outcome; empty if it is to be sent.
    :param send: ``"create"`` or ``"update"``; empty if it has an outcome.
    :param record_id: id of the record in Coupa, where there is one.
    :param body: what to send.
    :param errors: why it is rejected or unknown.
    :param not_taken: attributes that Coupa shows otherwise than they were sent.
    """

    outcome: str = ""
    send: str = ""
    record_id: int | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    errors: tuple[str, ...] = ()
    not_taken: tuple[str, ...] = ()


def decide(
    operation: str,
    sent: Mapping[str, Any],
    found: Sequence[Mapping[str, Any]],
    attributes: Mapping[str, Attribute],
    doubt: str = "",
) -> Decision:
    """Decide about a row with a key.

    :param operation: one of :data:`OPERATIONS`.
    :param sent: attributes to send, dashed.
    :param found: records in Coupa that have its key.
    :param attributes: documented attributes of the resource.
    :param doubt: ``"create"`` or ``"update"`` if that was sent, or about to be, and its outcome is not known.
    """
    ids = [int(record["id"]) for record in found]
    if len(found) > 1:
        listed = ", ".join(map(str, ids))
        if doubt == CREATE:
            return Decision(
                UNKNOWN,
                errors=(f"the answer to its create was lost, and several records have its key: {listed}",),
            )
        return Decision(
            REJECTED, errors=(f"several records have this key: {listed}. A longer key tells them apart",)
        )
    if not found:
        if operation == UPDATE:
            return Decision(REJECTED, errors=("there is no record with this key",))
        return Decision(send=CREATE, body=sent)
    record_id, not_taken = ids[0], differences(sent, found[0], attributes)
    if doubt == CREATE:
        return Decision(CREATED, record_id=record_id, not_taken=tuple(not_taken))
    if operation == CREATE:
        return Decision(
            REJECTED, record_id=record_id, errors=(f"a record with this key exists: {record_id}",)
        )
    if not not_taken:
        return Decision(UPDATED if doubt else UNCHANGED, record_id=record_id)
    changes = {name: sent[name] for name in not_taken}
    if doubt and adds_to(changes, attributes):
        lost = "the answer to its update was lost, and a second one could add lines twice"
        return Decision(UNKNOWN, record_id=record_id, errors=(lost,))
    added = [name for name in added_lines(changes, attributes) if found[0].get(name)]
    if operation == "upsert" and added:
        twice = (
            f"the record exists with other {', '.join(added)}, and lines without an id would be added to those. "
            'Give the ids of lines, or use operation="update" to add'
        )
        return Decision(REJECTED, record_id=record_id, errors=(twice,))
    return Decision(send=UPDATE, record_id=record_id, body=changes)


def is_failed(counts: Mapping[str, int], fail_on: str | float) -> bool:
    """Tell whether a push counts as failed.

    :param counts: rows by outcome.
    :param fail_on: ``"any"``: a row is rejected or unknown; ``"all"``: all of them are; a number from 0 to 1: a
        larger share of them is.
    """
    bad, rows = counts[REJECTED] + counts[UNKNOWN], sum(counts.values())
    if fail_on == "any":
        return bad > 0
    if fail_on == "all":
        return 0 < bad == rows
    return bad > float(fail_on) * rows
