"""The record that Coupa keeps of a run of an integration: begun once, ended once, saying how it went.

A run goes from pending over started to successful or failed, and an ended one is never opened again. What Coupa
answers to a step out of order is not documented, so each step looks where the run stands, goes through started, and
looks again afterwards. A step whose answer was lost, or that an earlier try has made, is not made twice.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec

from coupa_provider.client.blocking import BlockingClient, run_in_background
from coupa_provider.client.client import CoupaClient
from coupa_provider.client.conditions import parse_instant
from coupa_provider.client.errors import (
    CoupaError,
    CoupaOutcomeUnknownError,
    CoupaUnavailableError,
    CoupaValidationError,
)
from coupa_provider.client.walk import Walk
from coupa_provider.push.doubt import pause_in_doubt
from coupa_provider.push.errors import PushError

log = logging.getLogger(__name__)

_RUNS = "integration_runs"
_FIELDS = [
    "id",
    "status",
    "created-at",
    "total-records",
    "records-processed",
    {"integration": ["id", "code"]},
]
_FINAL = ("successful", "failed", "errored")


@dataclass(frozen=True, slots=True)
class IntegrationRun:
    """A run as Coupa shows it after a call.

    :param id: id of the run.
    :param integration: code of its integration.
    :param status: ``pending``, ``started``, ``successful``, ``failed`` or another of Coupa's words.
    :param found: it stood so already: an earlier try, or one whose answer was lost, had done it.
    """

    id: int
    integration: str
    status: str
    found: bool = False


def start_run(
    client: BlockingClient,
    integration: str,
    total_records: int | None = None,
    *,
    since: datetime | None = None,
) -> IntegrationRun:
    """Create a run, and start it if the number of records is known already.

    :param client: leads to the instance.
    :param integration: code of the integration, which has to exist in Coupa.
    :param total_records: records that the run is about; None leaves the run pending until :func:`begin_run`.
    :param since: a try before this one may have created the run, but not earlier than this: one of the integration
        that is no older and stands where that try can have left it is taken over; None creates one in any case.
    :return: the run.
    :raises CoupaValidationError: Coupa knows no such integration.
    :raises CoupaOutcomeUnknownError: answers were lost, and which run was created cannot be told.
    """
    run = run_in_background(_create(client.client, integration, total_records, since))
    if total_records is None:
        return run
    return run_in_background(_begin(client.client, run.id, total_records))


def begin_run(client: BlockingClient, run_id: int, total_records: int | None) -> IntegrationRun:
    """Start a run that was created, now that the number of its records is known.

    :param client: leads to the instance.
    :param run_id: id of the run.
    :param total_records: records that the run is about; None if that stays unknown.
    :return: the run.
    :raises PushError: the run has ended.
    """
    return run_in_background(_begin(client.client, run_id, total_records))


def end_run(
    client: BlockingClient,
    run_id: int,
    succeeded: bool,
    records_processed: int | None = None,
    total_records: int | None = None,
) -> IntegrationRun:
    """End a run as successful or failed.

    :param client: leads to the instance.
    :param run_id: id of the run.
    :param succeeded: how it went.
    :param records_processed: records that are where they belong; None to leave that open.
    :param total_records: records that the run was about; None to leave what was said at its start.
    :return: the run; ``found`` if it had ended the same way before.
    :raises PushError: it had ended the other way before.
    """
    return run_in_background(_end(client.client, run_id, succeeded, records_processed, total_records))


async def _create(
    client: CoupaClient, integration: str, total_records: int | None, since: datetime | None
) -> IntegrationRun:
    known = await _open_runs(client, integration)
    for run in known.values() if since is not None else ():
        created = parse_instant(run.get("created-at"))
        as_left = run["status"] == "pending" or (
            total_records is not None and run.get("total-records") == total_records
        )
        if as_left and created is not None and since is not None and created >= since:
            log.info("%s: going on with run %s, which an earlier try has created", integration, run["id"])
            return IntegrationRun(run["id"], integration, run["status"], found=True)
    attempt = 0
    while True:
        try:
            body = {"integration": {"code": integration}}
            answer = await client.create(_RUNS, body, fields=_FIELDS)
            if isinstance(answer.get("id"), int):
                return IntegrationRun(answer["id"], integration, str(answer.get("status") or "pending"))
            raise CoupaOutcomeUnknownError(
                "Coupa answered without the id of the run", method="POST", path=_RUNS
            )
        except CoupaOutcomeUnknownError as lost:
            attempt += 1
            await pause_in_doubt(client, attempt, lost)
            born = sorted((await _open_runs(client, integration)).keys() - known.keys())
            if len(born) > 1:
                raise CoupaOutcomeUnknownError(
                    f"The answer to the creation of a run of {integration!r} was lost, and more than one was born "
                    f"meanwhile: {', '.join(map(str, born))}. Let only one run of the DAG be active at a time",
                    method="POST",
                    path=_RUNS,
                ) from lost
            if born:
                return IntegrationRun(born[0], integration, "pending", found=True)


async def _begin(client: CoupaClient, run_id: int, total_records: int | None) -> IntegrationRun:
    body = None if total_records is None else {"total_records": total_records}
    run = await _move(client, run_id, "run", "started", body)
    if run.found and total_records is not None:
        await _change(client, run_id, {"total-records": total_records})
    return run


async def _end(
    client: CoupaClient, run_id: int, succeeded: bool, processed: int | None, total: int | None
) -> IntegrationRun:
    wanted = "successful" if succeeded else "failed"
    run = await _show(client, run_id)
    if run.status not in _FINAL:
        if succeeded:
            await _begin(client, run_id, None)
        counts = {"total-records": total, "records-processed": processed}
        await _change(client, run_id, {name: count for name, count in counts.items() if count is not None})
        return await _move(client, run_id, "success" if succeeded else "fail", wanted)
    if (run.status == "successful") == succeeded:
        log.info("%s: run %s had ended as %s already", run.integration, run_id, run.status)
        return run
    raise PushError(
        f"Integration run {run_id} of {run.integration!r} has ended as {run.status}, and Coupa opens no run again, so "
        f"it cannot become {wanted}. Clear the task that started it as well, for a run of its own"
    )


async def _move(
    client: CoupaClient, run_id: int, action: str, wanted: str, body: dict[str, Any] | None = None
) -> IntegrationRun:
    """Make one step, unless the run stands there already."""
    attempt = 0
    while (run := await _show(client, run_id)).status != wanted:
        if run.status in _FINAL:
            raise PushError(
                f"Integration run {run_id} of {run.integration!r} has ended as {run.status}, so it cannot become {wanted}"
            )
        attempt += 1
        doubt: CoupaError | None = None
        try:
            await client.call("PUT", f"{_RUNS}/{run_id}/{action}", body, repeatable=False)
        except CoupaOutcomeUnknownError as lost:
            doubt = lost
        except CoupaValidationError:
            # One whose answer was lost may have been executed since.
            if (await _show(client, run_id)).status != wanted:
                raise
        if doubt or attempt > 1:
            stuck = CoupaUnavailableError(
                f"Integration run {run_id} does not become {wanted}, it is {run.status}"
            )
            await pause_in_doubt(client, attempt, doubt or stuck)
    return replace(run, found=attempt == 0)


async def _change(client: CoupaClient, run_id: int, changes: dict[str, int]) -> None:
    if changes:
        await client.call("PUT", f"{_RUNS}/{run_id}", changes, repeatable=True)


async def _show(client: CoupaClient, run_id: int) -> IntegrationRun:
    shown = await client.get(_RUNS, run_id, fields=_FIELDS)
    integration = shown.get("integration") or {}
    return IntegrationRun(run_id, str(integration.get("code")), str(shown.get("status")), found=True)


async def _open_runs(client: CoupaClient, integration: str) -> dict[int, dict[str, Any]]:
    """Return the runs of an integration that are pending or started, by id."""
    filters = {"integration[code]": integration, "status[in]": ["pending", "started"]}
    walk = Walk(client, _RUNS, filters=filters, fields=_FIELDS)
    records = [msgspec.json.decode(text) async for page in walk.pages() for text in page.records]
    return {record["id"]: record for record in records}
