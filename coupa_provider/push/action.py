"""An action on a record, such as submit, approve or void: where its arguments go, whether it is legal, and once.

Coupa executes an action each time it arrives, and no answer says whether it did. The status of the record does:
it is read before the action where a status is documented, and again where the answer was lost.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from coupa_provider.client.client import CoupaClient
from coupa_provider.client.errors import (
    CoupaError,
    CoupaOutcomeUnknownError,
    CoupaQueryError,
    CoupaUnavailableError,
    CoupaValidationError,
)
from coupa_provider.client.query import encode_fields
from coupa_provider.push.doubt import reason_of, wait_in_doubt
from coupa_provider.push.errors import PushError
from coupa_provider.push.single import default_fields, kept
from coupa_provider.resources import find_resource
from coupa_provider.resources.actions import Action, actions_of, find_action

log = logging.getLogger(__name__)

#: Actions whose second execution leaves the record as the first did, and sets nothing going at other people.
#: All others, such as submit, approve and create_alert, are never repeated on a guess.
_HARMLESS = frozenset(
    {
        "abandon", "cancel", "cancelled", "close", "draft", "export", "exported", "fail", "hold", "in_progress",
        "mark_exported", "pause", "pending", "planned", "reopen_for_invoicing", "reopen_for_receiving",
        "reset-exported", "resolve", "run", "soft_close_for_invoicing", "soft_close_for_receiving", "success",
        "track_externally", "track_in_coupa", "unresolve", "void",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Placed:
    """An action with its arguments where Coupa wants them.

    :param path: path under ``/api``.
    :param params: arguments of the query string.
    :param body: arguments of the body, nested; None for no body.
    """

    path: str
    params: dict[str, Any] = field(default_factory=dict)
    body: dict[str, Any] | None = None


def known_action(resource: str, name: str) -> Action:
    """Return a documented action.

    :param resource: path of the resource under ``/api``.
    :param name: name of the action.
    :raises CoupaQueryError: the documents know no such action, or it wants a file.
    """
    action = find_action(resource, name)
    if action is None:
        names = [known.name for known in actions_of(resource)]
        raise CoupaQueryError(
            f"{name!r} is not a documented action of {resource!r}. {_near(name, names)}For a call that the documents "
            "do not know, use CoupaRequestOperator"
        )
    if action.multipart:
        raise CoupaQueryError(f"{name!r} of {resource!r} wants a file, which an action cannot send")
    return action


def place(
    action: Action, resource: str, record_id: int | str | None, arguments: Mapping[str, Any] | None = None
) -> Placed:
    """Put the id and the arguments of an action where Coupa wants them.

    :param action: the action.
    :param resource: path of the resource; where it lies below another one, with that one's id.
    :param record_id: id of the record; None for an action that has no ``:id`` in its path.
    :param arguments: values by name, dashed or underscored; for the body nested or with dots:
        ``{"dispute-reason.code": "PRICE"}``. Attributes of the record go into the body, too.
    :raises CoupaQueryError: an argument or the id is missing, or not known.
    """
    given = {_plain(name): (name, value) for name, value in (arguments or {}).items()}
    path = _path(action, resource, record_id, given)
    query = {_plain(name): name for name in action.query}
    known = find_resource(resource)
    body_names = {_plain(name) for name in action.body} | {_plain(name.split(".")[0]) for name in action.body}
    attributes = {_plain(name) for name in known.attributes} if known else set()
    params: dict[str, Any] = {}
    body: dict[str, Any] = {}
    for plain, (name, value) in given.items():
        if plain in query:
            params[query[plain]] = value
        elif plain in body_names or plain.split(".")[0] in attributes | {"custom-fields"}:
            _unfold(body, plain.split("."), value)
        else:
            names = [*query, *sorted(body_names), *sorted(attributes)]
            documented = ", ".join((*action.query, *action.body)) or "none"
            raise CoupaQueryError(
                f"{name!r} is not a documented argument of {action.name!r} of {action.resource!r} (documented: "
                f"{documented}). {_near(plain, names)}For what the documents do not know, use CoupaRequestOperator"
            )
    missing = [name for name in action.required if not _is_given(name, params, body)]
    if missing:
        raise CoupaQueryError(
            f"{action.name!r} of {action.resource!r} needs the argument {missing[0]!r}: give it in arguments"
        )
    return Placed(path, params, body or None)


def refusal_of(action: Action, status: str | None) -> str | None:
    """Say why an action is not legal in a status; None where it is, or where only Coupa knows.

    :param action: the action.
    :param status: status of the record, None where it shows none.
    """
    if status is None:
        return None
    if _spelt(status) in {_spelt(known) for known in action.forbidden_from}:
        documented = f"it is documented as impossible from {', '.join(sorted(action.forbidden_from))}"
    elif action.allowed_from and _spelt(status) not in {_spelt(known) for known in action.allowed_from}:
        documented = f"it is documented from {', '.join(sorted(action.allowed_from))} only"
    else:
        return None
    article = f" (article {action.article})" if action.article else ""
    return f"{action.name!r} is not possible in the status {status!r}: {documented}{article}"


def may_repeat(action: Action) -> bool:
    """Tell whether a second execution does no harm."""
    return action.name in _HARMLESS


async def perform(
    client: CoupaClient,
    resource: str,
    name: str,
    record_id: int | str | None = None,
    arguments: Mapping[str, Any] | None = None,
    *,
    fields: Sequence[Any] | None = None,
    again: bool = False,
) -> dict[str, Any]:
    """Carry out a documented action, once.

    :param client: an entered client.
    :param resource: path of the resource under ``/api``.
    :param name: name of the action: ``"submit"``.
    :param record_id: id of the record; None for an action that has none in its path.
    :param arguments: see :func:`place`.
    :param fields: attributes to return beside ``id``; None for ``status``, where the resource has one.
    :param again: an earlier try may have sent it.
    :return: ``id`` and the attributes asked for, as far as Coupa shows them.
    :raises CoupaQueryError: the action or an argument is not known, or one is missing.
    :raises PushError: the action is not legal in the record's status, or an earlier try may have carried it out.
    :raises CoupaValidationError: Coupa refused it.
    :raises CoupaOutcomeUnknownError: no answer came, and a repeat might do it twice.
    """
    action = known_action(resource, name)
    shape = list(fields) if fields is not None else default_fields(resource)
    placed = place(action, resource, record_id, arguments)
    return await _Performance(client, action, resource, record_id, placed, shape).run(again)


class _Performance:
    """One action on one record, on its way."""

    def __init__(
        self,
        client: CoupaClient,
        action: Action,
        resource: str,
        record_id: int | str | None,
        placed: Placed,
        fields: Sequence[Any],
    ) -> None:
        self._client = client
        self._action = action
        self._resource = resource
        self._record_id = record_id
        self._placed = placed
        self._fields = fields
        #: The record's status tells something about this action.
        self._watched = record_id is not None and bool(
            action.allowed_from or action.forbidden_from or action.leads_to
        )

    async def run(self, again: bool) -> dict[str, Any]:
        """Look, send, and look again where the answer was lost."""
        before = await self._read() if self._watched else {}
        if again and self._is_done(before):
            log.info("%s is in the status %r: an earlier try did it", self._named, before.get("status"))
            return self._shown(before)
        refusal = refusal_of(self._action, before.get("status"))
        if refusal:
            tried = " An earlier try of this task may have carried it out." if again else ""
            raise PushError(f"{self._named} was not sent: {refusal}.{tried}")
        if again and not (self._tells_not_done(before) or may_repeat(self._action)):
            raise PushError(
                f"An earlier try of this task may have carried out {self._named}, and nothing documented tells "
                "whether it did, so it was not sent a second time. Look at the record in Coupa, and start a new "
                "run if it was not done"
            )
        attempt = 0
        while True:
            attempt += 1
            try:
                return self._shown(await self._send())
            except CoupaOutcomeUnknownError as error:
                lost = error
            except CoupaValidationError as refused:
                if attempt == 1:
                    raise
                # What was sent before may have arrived late: then it is not legal any more.
                there = await self._read() if self._watched else {}
                if self._is_done(there):
                    return self._shown(there)
                raise self._unknown(
                    f"was lost, and Coupa refused it when it was sent again: {refused.message}.", refused
                ) from refused
            is_patient = await wait_in_doubt(self._client, attempt, lost)
            now = await self._read() if self._watched else {}
            if self._is_done(now) and not self._is_done(before):
                log.info("%s is done: only the answer was lost", self._named)
                return self._shown(now)
            self._check_repeat(before, now, lost)
            if not is_patient:
                raise CoupaUnavailableError(
                    f"{self._named} was sent {attempt} times without effect; the last answer was lost "
                    f"({reason_of(lost)})",
                    status=lost.status,
                ) from lost
            log.warning("%s has had no effect after a lost answer: it is sent again", self._named)

    def _tells_not_done(self, before: Mapping[str, Any]) -> bool:
        """The status excludes that an earlier try did it: done, it would be another one."""
        return bool(before.get("status") and (self._action.leads_to or self._action.allowed_from))

    def _is_done(self, record: Mapping[str, Any]) -> bool:
        status, leads_to = record.get("status"), self._action.leads_to
        return bool(status and leads_to) and _spelt(str(status)) == _spelt(str(leads_to))

    def _check_repeat(
        self, before: Mapping[str, Any], now: Mapping[str, Any], lost: CoupaOutcomeUnknownError
    ) -> None:
        """Let an action be sent again only where that does no harm.

        :raises CoupaOutcomeUnknownError: it might.
        """
        same = before.get("status") == now.get("status") and not refusal_of(self._action, now.get("status"))
        if same and may_repeat(self._action):
            return
        status = f" The record's status is {now['status']!r}." if now.get("status") else ""
        if before.get("status") != now.get("status"):
            status = f" The record's status was {before.get('status')!r} and is {now.get('status')!r} now."
        raise self._unknown(
            f"was lost ({reason_of(lost)}). It may or may not have been carried out, and a second one might do it "
            f"twice.{status}",
            lost,
        ) from lost

    def _unknown(self, what: str, cause: CoupaError) -> CoupaOutcomeUnknownError:
        return CoupaOutcomeUnknownError(
            f"The answer to {self._named} {what} Look at the record in Coupa, and start a new run if it was not done",
            status=cause.status,
            method=cause.method,
            path=cause.path,
            request_id=cause.request_id,
        )

    async def _read(self) -> dict[str, Any]:
        record_id = self._record_id
        assert record_id is not None  # noqa: S101 - watched
        return await self._client.get(self._resource, record_id, fields=_with(self._fields, "id", "status"))

    async def _send(self) -> Any:
        shape = encode_fields(_with(self._fields, "id"))
        return await self._client.call(
            self._action.method,
            self._placed.path,
            self._placed.body,
            params={**self._placed.params, "fields": shape},
        )

    def _shown(self, answer: Any) -> dict[str, Any]:
        if isinstance(answer, list) and len(answer) == 1:  # some actions answer so with the one record
            answer = answer[0]
        shown: dict[str, Any] = kept(answer, self._fields) if isinstance(answer, Mapping) else {}
        if self._record_id is not None and "id" not in shown:
            text = str(self._record_id).strip()
            shown = {"id": int(text) if text.isdecimal() else text} | shown
        return shown

    @property
    def _named(self) -> str:
        record = f" {str(self._record_id).strip()}" if self._record_id is not None else ""
        return f"{self._action.name} of {self._resource}{record}"


def _path(
    action: Action,
    resource: str,
    record_id: int | str | None,
    given: dict[str, tuple[str, Any]],
) -> str:
    """Return the path with ids in it; arguments that are a part of it are taken out of ``given``."""
    start = resource.strip("/").split("/")
    documented = action.path.strip("/").split("/")
    wants_id = ":id" in documented
    text = "" if record_id is None else str(record_id).strip()
    if wants_id and (not text or "/" in text):
        raise CoupaQueryError(f"{action.name!r} of {action.resource!r} needs a record_id, not {record_id!r}")
    if not wants_id and text:
        raise CoupaQueryError(
            f"{action.name!r} of {action.resource!r} is not about one record (path {action.path}): leave out "
            "record_id, and give what it needs in arguments"
        )
    path = []
    for segment in [*start, *documented[len(start) :]]:
        if segment == ":id":
            segment = text
        elif segment.startswith(":"):
            _, value = given.pop(_plain(segment[1:]), (segment, None))
            if value is None or "/" in str(value) or not str(value).strip():
                raise CoupaQueryError(
                    f"{action.name!r} of {action.resource!r} needs {segment[1:]!r}: give it in arguments, or as a part "
                    "of resource"
                )
            segment = str(value).strip()
        path.append(segment)
    return "/".join(path)


def _unfold(body: dict[str, Any], parts: Sequence[str], value: Any) -> None:
    """Put a value under a dotted name into a nested body."""
    *above, last = parts
    for part in above:
        body = body.setdefault(part, {})
        if not isinstance(body, dict):
            raise CoupaQueryError(f"arguments give {part!r} twice: once as a value, once with a part of it")
    body[last] = (
        {**body[last], **value} if isinstance(body.get(last), dict) and isinstance(value, dict) else value
    )


def _is_given(name: str, params: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    if name in params:
        return params[name] not in (None, "")
    value: Any = body
    for part in _plain(name).split("."):
        value = (
            next((v for k, v in value.items() if _plain(k) == part), None)
            if isinstance(value, Mapping)
            else None
        )
    return value not in (None, "")


def _with(fields: Sequence[Any], *names: str) -> list[Any]:
    return [*(name for name in names if name not in fields), *fields]


def _plain(name: str) -> str:
    return str(name).replace("_", "-")


def _spelt(status: str) -> str:
    """One spelling for the two that Coupa's documents use of one status."""
    return "cancelled" if status.lower() == "canceled" else status.lower()


def _near(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        return f"Did you mean {' or '.join(repr(match) for match in near)}? "
    return f"There are {', '.join(names)}. " if 0 < len(names) <= 20 else ""
