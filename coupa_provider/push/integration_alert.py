"""An alert about a run: an integration error that Coupa mails to the contacts of the integration, once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coupa_provider.client.blocking import BlockingClient, run_in_background
from coupa_provider.client.client import CoupaClient
from coupa_provider.client.errors import CoupaOutcomeUnknownError
from coupa_provider.push.doubt import pause_in_doubt
from coupa_provider.push.integration_reporting import ERRORS, LONGEST_EXTERNAL_ID, check_alert_type
from coupa_provider.push.keys import KeyPart, KeyValues
from coupa_provider.push.lookup import look_up

_RESPONSES: dict[str, Any] = {"responses": ["response-code"]}


def send_alert(
    client: BlockingClient,
    integration: str,
    run_id: int,
    message: str,
    *,
    about: str,
    contact_alert_type: str,
) -> bool:
    """Create one integration error that is about no document, and mail it to the contacts, once.

    :param client: leads to the instance.
    :param integration: code of the integration whose contacts are told.
    :param run_id: id of the integration run.
    :param message: what they are told.
    :param about: what tells the alert from all others of the run.
    :param contact_alert_type: whom it is for: ``"Functional"``, ``"Technical"`` or ``"Both"``.
    :return: True if it was created by this call, False if it was there.
    """
    check_alert_type(contact_alert_type)
    about = about[:LONGEST_EXTERNAL_ID]
    body = {
        "contact-alert-type": contact_alert_type,
        "status": "Error",
        "external-id": about,
        "integration": {"code": integration},
        "integration-run": {"id": run_id},
        "responses": [{"response-code": "task", "response-message": message}],
    }

    coupa = client.client

    async def send() -> bool:
        attempt = 0
        while True:
            if await made_of(coupa, ERRORS, run_id, [(about, "task")]):
                return attempt > 0
            try:
                await coupa.create(f"{ERRORS}/create_alert", body, fields=["id"])
            except CoupaOutcomeUnknownError as lost:
                attempt += 1
                await pause_in_doubt(coupa, attempt, lost)
            else:
                return True

    return run_in_background(send())


async def made_of(
    client: CoupaClient, path: str, run_id: int, marks: Sequence[tuple[str, str]]
) -> set[tuple[str, str]]:
    """Return which reports a run has already.

    :param client: an entered client.
    :param path: errors or history records.
    :param run_id: id of the run.
    :param marks: external id and response code of each report in question.
    """
    run = KeyPart(("integration-run-id",), "integer", run_id)
    wanted: list[KeyValues] = [(KeyPart(("external-id",), "string", mark[0]), run) for mark in marks]
    found = await look_up(client, path, wanted, ["id", _RESPONSES]) if wanted else []
    return {
        mark
        for mark, records in zip(marks, found, strict=True)
        if any(mark[1] in _codes(record, mark[1]) for record in records)
    }


def _codes(record: Mapping[str, Any], default: str) -> list[str]:
    """The response codes of a report; where Coupa shows none, its external id has to do."""
    return [str(response.get("response-code")) for response in record.get("responses") or ()] or [default]
