"""One record or call, once: what may have been sent before is looked into, and never sent again on a guess.

``again`` says that an earlier try of the same task may have sent it: a try that was killed leaves no trace
of how far it came.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from coupa_provider.client.client import CoupaClient
from coupa_provider.client.errors import (
    CoupaOutcomeUnknownError,
    CoupaQueryError,
    CoupaUnavailableError,
    CoupaValidationError,
)
from coupa_provider.client.query import encode_fields, top_level_fields
from coupa_provider.push.compare import adds_to
from coupa_provider.push.doubt import reason_of, wait_in_doubt
from coupa_provider.push.errors import PushError
from coupa_provider.push.keys import KeyValues, MissingKeyError, checked_key, described, values_of
from coupa_provider.push.lookup import look_up
from coupa_provider.resources import find_resource

log = logging.getLogger(__name__)

_ONLY_ID = ("id",)


@dataclass(frozen=True, slots=True)
class Created:
    """A record that was to be created and is there.

    :param record: its ``id`` and the attributes asked for.
    :param created: this try created it; False where an earlier try had.
    """

    record: dict[str, Any]
    created: bool


async def create_once(
    client: CoupaClient,
    resource: str,
    record: Mapping[str, Any],
    *,
    key: Sequence[str] | None = None,
    fields: Sequence[Any] | None = None,
    again: bool = False,
) -> Created:
    """Create one record, once, however often this is tried.

    With a key, Coupa is asked for it before the create is sent, and again where the answer was lost. Without one a
    create whose fate is unknown is left to a person.

    :param client: an entered client.
    :param resource: path under ``/api``.
    :param record: attributes, dashed or underscored.
    :param key: attributes by which the record is found again; None for the resource's natural key, if the record
        has it; empty for none.
    :param fields: attributes to return beside ``id``.
    :param again: an earlier try may have sent it.
    :raises PushError: Coupa has such a record that is not ours, or it cannot be told what an earlier try did.
    :raises CoupaValidationError: Coupa refused it.
    :raises CoupaOutcomeUnknownError: no answer came, and there is no key to look it up by.
    """
    values = _key_values(resource, record, key)
    creation = _Creation(client, resource, record, values, fields if fields is not None else _ONLY_ID)
    return await (creation.keyed(again) if values else creation.keyless(again))


async def get_kept(
    client: CoupaClient, resource: str, record_id: int | str, *, fields: Sequence[Any] | None = None
) -> dict[str, Any]:
    """Read attributes of one record.

    :param client: an entered client.
    :param resource: path under ``/api``.
    :param record_id: id of the record.
    :param fields: attributes to return beside ``id``; None for ``status``, where the resource has one.
    :return: ``id`` and the attributes asked for.
    :raises CoupaNotFoundError: there is none, or this client may not see it.
    """
    fields = fields if fields is not None else default_fields(resource)
    shown: dict[str, Any] = kept(await client.get(resource, record_id, fields=_with_id(fields)), fields)
    return shown


async def update_once(
    client: CoupaClient,
    resource: str,
    record_id: int | str,
    changes: Mapping[str, Any],
    *,
    fields: Sequence[Any] | None = None,
    again: bool = False,
) -> dict[str, Any]:
    """Change attributes of one record.

    Attributes that are set may be set a second time, so a lost answer is asked for again. What adds to a list, as
    lines and payments without an id do, is sent once.

    :param client: an entered client.
    :param resource: path under ``/api``.
    :param record_id: id of the record.
    :param changes: attributes to change.
    :param fields: attributes to return beside ``id``.
    :param again: an earlier try may have sent it.
    :return: ``id`` and the attributes asked for.
    :raises PushError: it adds to a list, and an earlier try may have done so.
    :raises CoupaValidationError: Coupa refused the change.
    :raises CoupaOutcomeUnknownError: it adds to a list, and no answer came.
    """
    fields = fields if fields is not None else _ONLY_ID
    known = find_resource(resource)
    adding = adds_to(changes, known.attributes if known else {})
    if again and adding:
        raise PushError(
            f"An earlier try of this task may have sent this change of {resource} {record_id}, and {adding[0]!r} "
            "would be added a second time, so nothing was sent. Look at the record: if it lacks the change, start "
            "a new run"
        )
    answer = await client.update(resource, record_id, changes, fields=_with_id(fields), repeatable=not adding)
    shown: dict[str, Any] = kept({"id": _as_id(record_id)} | answer, fields)
    return shown


async def call_once(
    client: CoupaClient,
    method: str,
    path: str,
    body: Any = None,
    *,
    params: Mapping[str, Any] | None = None,
    fields: Sequence[Any] | None = None,
    repeatable: bool | None = None,
    again: bool = False,
) -> Any:
    """Make any call, once unless it may be repeated.

    :param client: an entered client.
    :param method: HTTP verb.
    :param path: path under ``/api``.
    :param body: value to send as JSON; None for no body.
    :param params: query arguments, not yet encoded.
    :param fields: attributes to ask for and return beside ``id``; empty to ask for none and return nothing.
    :param repeatable: a second execution does no harm; None means so for ``GET`` only.
    :param again: an earlier try may have sent it.
    :return: the answer's object, or list of objects, with ``id`` and the attributes asked for.
    :raises PushError: it may not be repeated, and an earlier try may have sent it.
    :raises CoupaOutcomeUnknownError: it may not be repeated, and no answer came.
    """
    if params and "fields" in params:
        raise CoupaQueryError(
            'The arguments of the query hold "fields". Give them as the argument fields, a list.'
        )
    harmless = repeatable if repeatable is not None else method.upper() == "GET"
    if again and not harmless:
        raise PushError(
            f"An earlier try of this task may have sent {method.upper()} {path}, so it was not sent a second time. "
            "Look in Coupa whether it was done, and start a new run if it was not. If a second execution does no "
            "harm, say repeatable=True"
        )
    fields = fields if fields is not None else _ONLY_ID
    shape = {"fields": encode_fields(_with_id(fields))} if fields else {}
    answer = await client.call(method, path, body, params={**(params or {}), **shape}, repeatable=harmless)
    return kept(answer, fields) if fields else None


def kept(answer: Any, fields: Sequence[Any]) -> Any:
    """Return what was asked for of an answer: where Coupa ignores ``fields`` it sends whole records.

    :param answer: a record, a list of records, or anything else, which is returned as it is.
    :param fields: attributes asked for; ``id`` stays as well.
    """
    if isinstance(answer, list):
        return [kept(item, fields) for item in answer]
    if not isinstance(answer, Mapping):
        return answer
    names = {"id", *top_level_fields(fields)}
    return {name: value for name, value in answer.items() if name.replace("_", "-") in names}


def default_fields(resource: str) -> list[str]:
    """Return the attributes of a record that a task gives on where nothing else was asked for.

    :param resource: path under ``/api``.
    """
    known = find_resource(resource)
    return ["id", "status"] if known is not None and "status" in known.attributes else ["id"]


class _Creation:
    """A create and what is needed to find out about it."""

    def __init__(
        self,
        client: CoupaClient,
        resource: str,
        record: Mapping[str, Any],
        values: KeyValues,
        fields: Sequence[Any],
    ) -> None:
        self._client = client
        self._resource = resource
        self._record = record
        self._values = values
        self._fields = fields

    async def keyless(self, again: bool) -> Created:
        """Send it and trust that an answer comes."""
        if again:
            raise PushError(
                f"An earlier try of this task may have created this record of {self._resource!r}, and there is no key "
                "by which it could be found, so nothing was sent. Look for it in Coupa. If it is not there, start "
                "a new run, or give the argument key and clear the task"
            )
        sent = datetime.now(UTC)
        try:
            return Created(await self._send(), created=True)
        except CoupaOutcomeUnknownError as error:
            raise CoupaOutcomeUnknownError(
                f"The answer to a create was lost ({reason_of(error)}), and there is no key by which "
                f"the record could be looked up. It may be there or not: look for {self._resource} that this "
                f"connection's user created since {sent:%Y-%m-%dT%H:%M:%SZ}. If there is none, start a new run. "
                "With the argument key this is done for you",
                status=error.status,
                method=error.method,
                path=error.path,
                request_id=error.request_id,
            ) from error

    async def keyed(self, again: bool) -> Created:
        """Look before it is sent, and after each answer that was lost."""
        there = await self._find()
        if there is not None:
            if again:
                log.info("%s is there already: an earlier try created it", self._named(there))
                return Created(there, created=False)
            raise PushError(
                f"{self._named(there)} is there already, and this task did not create it, so nothing was sent. To "
                "change it, update it by its id"
            )
        attempt = 0
        while True:
            attempt += 1
            try:
                return Created(await self._send(), created=True)
            except CoupaOutcomeUnknownError as error:
                lost = error
            except CoupaValidationError:
                # What was sent before may have arrived late: then Coupa says that the key is taken.
                if attempt > 1 and (there := await self._find()) is not None:
                    return self._found(there)
                raise
            is_patient = await wait_in_doubt(self._client, attempt, lost)
            if (there := await self._find()) is not None:
                return self._found(there)
            if not is_patient:
                raise CoupaUnavailableError(
                    f"{self._named()} was sent {attempt} times and is still not there; the last answer was lost "
                    f"({reason_of(lost)})",
                    status=lost.status,
                ) from lost
            log.warning("%s is not there after a lost answer: it is sent again", self._named())

    async def _send(self) -> dict[str, Any]:
        answer = await self._client.create(self._resource, self._record, fields=_with_id(self._fields))
        shown: dict[str, Any] = kept(answer, self._fields)
        return shown

    async def _find(self) -> dict[str, Any] | None:
        [found] = await look_up(self._client, self._resource, [self._values], list(self._fields))
        if len(found) > 1:
            ids = ", ".join(str(record.get("id")) for record in found[:10])
            raise PushError(
                f"{self._named()} is there {len(found)} times (ids {ids}), so the key does not tell records apart. "
                "Name further attributes in key"
            )
        return kept(found[0], self._fields) if found else None

    def _found(self, there: dict[str, Any]) -> Created:
        log.info("%s is there: only the answer was lost", self._named(there))
        return Created(there, created=True)

    def _named(self, there: Mapping[str, Any] | None = None) -> str:
        key = ", ".join(f"{name}={value!r}" for name, value in described(self._values).items())
        return f"{self._resource} {there['id']} ({key})" if there else f"{self._resource} with {key}"


def _key_values(resource: str, record: Mapping[str, Any], key: Sequence[str] | None) -> KeyValues:
    """Return the key's values; none where the resource's own key does not fit the record."""
    names = checked_key(resource, key)
    dashed = {name.replace("_", "-"): value for name, value in record.items()}
    try:
        return values_of(dashed, names, resource)
    except MissingKeyError as missing:
        if key is not None:
            raise PushError(f"A record of {resource!r} cannot be recognised: {missing}") from None
        log.warning(
            "%s: %s, so this record cannot be looked up: if the answer is lost the task fails. Give the argument key",
            resource,
            missing,
        )
        return ()


def _with_id(fields: Sequence[Any]) -> list[Any]:
    return [*(["id"] if "id" not in fields else []), *fields]


def _as_id(record_id: int | str) -> int | str:
    text = str(record_id).strip()
    return int(text) if text.isdecimal() else text
