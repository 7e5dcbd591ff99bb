"""The words in which Coupa is told what became of a record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from coupa_provider.push.errors import PushError
from coupa_provider.push.ledger import REJECTED, UNKNOWN, Settled
from coupa_provider.resources import find_resource

#: Outcomes that people have to be told of.
BAD = (REJECTED, UNKNOWN)
ERRORS, HISTORY = "integration_errors", "integration_history_records"
LONGEST_EXTERNAL_ID = 255
_ALERT_TYPES = ("Functional", "Technical", "Both")
_IN_DOUBT = "It is not known whether the record was taken: look it up before it is sent again."


def check_alert_type(value: str) -> str:
    """Return whom an alert is for.

    :raises PushError: Coupa has no such contacts.
    """
    if value not in _ALERT_TYPES:
        raise PushError(f"contact_alert_type must be one of {', '.join(_ALERT_TYPES)}, not {value!r}")
    return value


def external_id_of(outcome: Settled) -> str:
    """Return the key of a record in one text, as its reports carry it in ``external-id``."""
    values = ", ".join(str(value) for value in outcome.key.values() if value is not None)
    return (values or f"row {outcome.row}")[:LONGEST_EXTERNAL_ID].strip()


def code_of(outcome: Settled) -> str:
    """Return the ``response-code`` that tells a record's report from the others of the run."""
    return f"row {outcome.row}"


def document_type_of(resource: str) -> str | None:
    """Return what Coupa calls the documents of a resource in reports, None if they have no part in these.

    :param resource: path under ``/api``: ``"purchase_orders"`` is ``"OrderHeader"``.
    """
    known, reports = find_resource(resource), find_resource(ERRORS)
    if known is None or reports is None:
        return None
    allowed = reports.attributes["document-type"].allowed
    return next((kind for kind in allowed if kind.replace("::", "-") == known.type), None)


@dataclass(frozen=True, slots=True)
class Reporting:
    """How outcomes are reported.

    :param resource: path of what was sent or fetched: ``"suppliers"``.
    :param integration: code of the integration whose contacts are told.
    :param run_id: id of the integration run.
    :param document_type: Coupa's name for such documents: ``"Supplier"``; None takes it from the resource.
    :param contact_alert_type: whom the alerts are for: ``"Functional"``, ``"Technical"`` or ``"Both"``.
    :param history: create a history record for each document that is fine.
    :raises PushError: one of them is wrong.
    """

    resource: str
    integration: str
    run_id: int
    document_type: str | None = None
    contact_alert_type: str = "Functional"
    history: bool = False

    def __post_init__(self) -> None:
        check_alert_type(self.contact_alert_type)
        if self.document_type is None:
            object.__setattr__(self, "document_type", document_type_of(self.resource))
        if self.history and self.document_type is None:
            raise PushError(
                f"Coupa keeps no history of {self.resource!r}: it is none of its document types. Set history=False"
            )

    def body_of(self, outcome: Settled) -> dict[str, Any]:
        """Return the error or history record of one outcome."""
        good = outcome.outcome not in BAD
        problems = [_IN_DOUBT] if outcome.outcome == UNKNOWN else []
        text = outcome.outcome if good else "; ".join([*problems, *outcome.errors]) or REJECTED
        body: dict[str, Any] = {
            "contact-alert-type": self.contact_alert_type,
            "status": "Success" if good else "Error",
            "external-id": external_id_of(outcome),
            "integration": {"code": self.integration},
            "integration-run": {"id": self.run_id},
            "responses": [{"response-code": code_of(outcome), "response-message": text}],
        }
        if self.document_type is not None:
            body["document-type"] = self.document_type
        if outcome.id is not None:
            body["document-id"] = outcome.id
        return body
