"""Attach a file to a record, once: what may have arrived is looked for before it is sent again."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, BinaryIO

import msgspec

from coupa_provider.client.client import CoupaClient
from coupa_provider.client.errors import CoupaOutcomeUnknownError
from coupa_provider.client.walk import Walk
from coupa_provider.push.doubt import pause_in_doubt, reason_of
from coupa_provider.push.errors import PushError

log = logging.getLogger(__name__)

INTENTS = ("Internal", "Supplier")
#: Coupa's clock may be this much behind Airflow's.
_CLOCKS = timedelta(seconds=60)
_SCAN_FIELDS = ["id", "updated-at", "image-scan-file-name", "image-scan-file-size"]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that is attached.

    :param id: id of the attachment; None for a scan, which has none, and where Coupa did not tell it.
    :param bytes: size of the file.
    :param created: this try attached it; False where an earlier try had.
    """

    id: int | None
    bytes: int
    created: bool


class _Shown(msgspec.Struct, rename="kebab"):
    id: int
    created_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    file_file_name: str | None = None
    file_file_size: str | int | None = None


_shown = msgspec.json.Decoder(_Shown, strict=False)


async def attach_once(
    client: CoupaClient,
    resource: str,
    record_id: int | str,
    file: BinaryIO,
    *,
    name: str,
    content_type: str | None = None,
    intent: str = "Internal",
    since: datetime | None = None,
) -> Attachment:
    """Attach a file to a record.

    After a lost answer the record's attachments are read: one born since, with this name and size, is ours. One that
    has only the one or the other leaves the outcome open.

    :param client: an entered client.
    :param resource: path under ``/api``: ``"invoices"``.
    :param record_id: id of the record.
    :param file: the file, opened for reading and seekable.
    :param name: file name that Coupa shows.
    :param content_type: media type; None to tell it by the name.
    :param intent: who may see it: ``Internal`` or ``Supplier``.
    :param since: an earlier try may have attached it since then; None where there was none.
    :raises CoupaValidationError: Coupa refused it.
    :raises CoupaOutcomeUnknownError: it may be attached or not, and that cannot be told.
    """
    if intent not in INTENTS:
        raise PushError(f"intent {intent!r} is not one of {', '.join(INTENTS)}.")
    size = file.seek(0, os.SEEK_END)
    path = f"{resource.strip('/')}/{record_id}/attachments"
    before = await _attachments(client, path)
    if since is not None:
        recent = [one for one in before if one.created_at is None or one.created_at >= since - _CLOCKS]
        if (ours := _ours(recent, name, size, path)) is not None:
            log.info("%s: attachment %s is there already: an earlier try attached it", path, ours)
            return Attachment(ours, size, created=False)
    known = {one.id for one in before}
    attempt = 0
    while True:
        attempt += 1
        try:
            answer = await client.upload(
                path,
                file,
                name=name,
                content_type=content_type,
                fields={"attachment[type]": "file", "attachment[intent]": intent},
            )
            return Attachment(_id_of(answer), size, created=True)
        except CoupaOutcomeUnknownError as error:
            lost = error
        await pause_in_doubt(client, attempt, lost)
        born = [one for one in await _attachments(client, path) if one.id not in known]
        if (ours := _ours(born, name, size, path, lost)) is not None:
            return Attachment(ours, size, created=True)
        log.warning("%s: the file is not there after a lost answer: it is sent again", path)


async def put_scan(
    client: CoupaClient,
    invoice_id: int | str,
    file: BinaryIO,
    *,
    name: str,
    content_type: str | None = None,
) -> Attachment:
    """Give an invoice its scan. An invoice has one, so that a second sending replaces it with the same.

    :param client: an entered client.
    :param invoice_id: id of the invoice.
    :param file: the file, opened for reading and seekable.
    :param name: file name that Coupa shows.
    :param content_type: media type; None to tell it by the name.
    :raises CoupaValidationError: Coupa refused it.
    :raises CoupaOutcomeUnknownError: all answers were lost, and the invoice does not show the scan.
    """
    size = file.seek(0, os.SEEK_END)
    before = await client.get("invoices", invoice_id, fields=_SCAN_FIELDS)
    attempt = 0
    while True:
        attempt += 1
        try:
            await client.upload(
                f"invoices/{invoice_id}/image_scan",
                file,
                name=name,
                content_type=content_type,
                part="file",
                method="PUT",
            )
            return Attachment(None, size, created=True)
        except CoupaOutcomeUnknownError as error:
            lost = error
        await pause_in_doubt(client, attempt, lost)
        now = await client.get("invoices", invoice_id, fields=_SCAN_FIELDS)
        is_ours = _plain(str(now.get("image-scan-file-name"))) == _plain(name)
        if is_ours and str(now.get("image-scan-file-size")) == str(size) and now != before:
            return Attachment(None, size, created=True)
        log.warning("invoices/%s: the scan is not there after a lost answer: it is sent again", invoice_id)


async def _attachments(client: CoupaClient, path: str) -> list[_Shown]:
    found = []
    async for page in Walk(client, path).pages():
        for text in page.records:
            try:
                found.append(_shown.decode(text))
            except msgspec.ValidationError as error:
                raise PushError(f"An attachment at {path} cannot be read: {error}") from None
    return found


def _ours(
    shown: Sequence[_Shown], name: str, size: int, path: str, lost: CoupaOutcomeUnknownError | None = None
) -> int | None:
    """Return the id of the attachment that was sent; None if it is not among those that came in question."""
    doubtful: int | None = None
    for one in shown:
        is_named = _plain(one.file_file_name or "") == _plain(name)
        is_sized = str(one.file_file_size) == str(size)
        if is_named and is_sized:
            return one.id
        if is_sized or (is_named and lost is not None):
            doubtful = one.id
    if doubtful is not None:
        why = (
            f"The answer was lost ({reason_of(lost)})"
            if lost
            else "An earlier try may have attached the file"
        )
        raise CoupaOutcomeUnknownError(
            f"{why}, and attachment {doubtful} at {path}, made since, has its name or its size and not both. Look "
            "whether it is the file: if it is not, start a new run"
        ) from lost
    return None


def _plain(name: str) -> str:
    """Return a name as it is compared: servers replace what they do not like in one."""
    return re.sub(r"[\W_]+", "_", name).casefold()


def _id_of(answer: Any) -> int | None:
    found = answer.get("id") if isinstance(answer, dict) else None
    return found if isinstance(found, int) else None
