"""A client for one Coupa instance. Every request goes through :meth:`CoupaClient.request`."""

from __future__ import annotations

import asyncio
import math
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from types import TracebackType
from typing import Any, BinaryIO, Self
from urllib.parse import urlsplit

import msgspec

from coupa_provider.client.answer import Answer, not_json, read_failure
from coupa_provider.client.config import CoupaConfig
from coupa_provider.client.errors import (
    CoupaAuthenticationError,
    CoupaError,
    CoupaOutcomeUnknownError,
    CoupaQueryError,
    CoupaRateLimitError,
    CoupaUnavailableError,
)
from coupa_provider.client.files import Form, check_file, content_type_of
from coupa_provider.client.graphql import GRAPHQL_PATH, read_data, request_body
from coupa_provider.client.pacing import Pacer, shared_pacer
from coupa_provider.client.page import Counters
from coupa_provider.client.query import encode_arguments, encode_fields
from coupa_provider.client.received import Received
from coupa_provider.client.retry import WITHOUT_EFFECT, Failure, RetryPolicy
from coupa_provider.client.token import (
    ACTIVATION_SECONDS,
    TOKEN_PATH,
    MemoryRefreshTokenStore,
    RefreshTokenStore,
    Token,
    TokenSource,
    shared_token_source,
)
from coupa_provider.client.transport import Transport, TransportError

#: The answer to go on with, or what went wrong; None as failure means that repeating cannot mend it.
Verdict = Answer | tuple[Failure | None, CoupaError]

_VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_PATH = re.compile(r"[A-Za-z0-9_\-:.]+(?:/[A-Za-z0-9_\-:.]+)*")
#: New tokens one request may ask for: more means that Coupa accepts none.
_MOST_RENEWALS = 3


class CoupaClient:
    """Talks to one instance: with a token, at the shared pace, again where that is safe.

    An asynchronous context manager, bound to the event loop it is entered on.

    :param config: the checked connection.
    :param retry: patience with failures.
    :param refresh_tokens: keeps a rotated refresh token.
    :param on_secret: told every secret that arises, before it is used, to mask it in logs.
    """

    def __init__(
        self,
        config: CoupaConfig,
        *,
        retry: RetryPolicy | None = None,
        refresh_tokens: RefreshTokenStore | None = None,
        on_secret: Callable[[str], None] | None = None,
    ) -> None:
        self.config = config
        self.retry = retry or RetryPolicy()
        self.counters = Counters()
        #: Smoothed seconds from sending to the end of the answer; it tells how many requests fill the pace.
        self.latency = 0.3
        self._latency_known = False
        self._refresh_tokens = refresh_tokens or MemoryRefreshTokenStore()
        self._on_secret = on_secret or (lambda secret: None)
        self._transport = Transport(config)

    @property
    def pacer(self) -> Pacer:
        """The budget shared with all clients of this connection in the process."""
        return shared_pacer(self.config.base_url, self.config.client_id, self.config.requests_per_second)

    @property
    def tokens(self) -> TokenSource:
        """The tokens shared with all clients of this connection in the process."""
        return shared_token_source(self.config)

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.__aexit__(kind, error, trace)

    async def get(
        self, resource: str, record_id: int | str, *, fields: Sequence[Any] | None = None
    ) -> dict[str, Any]:
        """Read one record.

        :param resource: path under ``/api``: ``"invoices"``.
        :param record_id: id of the record.
        :param fields: attributes to return, nested (article 0008); None for Coupa's default.
        :return: the record as Coupa sent it: dashed keys, decimals as text.
        :raises CoupaNotFoundError: there is none, or this client may not see it.
        """
        return await self.call("GET", _record_path(resource, record_id), params=_shape(fields)) or {}

    async def create(
        self, resource: str, record: Mapping[str, Any], *, fields: Sequence[Any] | None = None
    ) -> dict[str, Any]:
        """Create one record. It is sent once: a lost answer is reported, never answered by a second create.

        :param resource: path under ``/api``.
        :param record: attributes, dashed or underscored; decimals as ``Decimal`` or text.
        :param fields: attributes to return.
        :return: the created record.
        :raises CoupaValidationError: Coupa refused it.
        :raises CoupaOutcomeUnknownError: no answer came; the record may exist.
        """
        return await self.call("POST", resource, record, params=_shape(fields)) or {}

    async def update(
        self,
        resource: str,
        record_id: int | str,
        changes: Mapping[str, Any],
        *,
        fields: Sequence[Any] | None = None,
        repeatable: bool | None = None,
    ) -> dict[str, Any]:
        """Change attributes of one record; those not named keep their values (article 0015).

        :param resource: path under ``/api``.
        :param record_id: id of the record.
        :param changes: attributes to change.
        :param fields: attributes to return.
        :param repeatable: see :meth:`call`.
        :return: the changed record.
        :raises CoupaValidationError: Coupa refused the change.
        :raises CoupaOutcomeUnknownError: no answer came; the change may have been made.
        """
        path = _record_path(resource, record_id)
        return await self.call("PUT", path, changes, params=_shape(fields), repeatable=repeatable) or {}

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, Any] | None = None,
        repeatable: bool | None = None,
    ) -> Any:
        """Make any call that Coupa offers and decode its JSON answer.

        :param method: ``GET``, ``POST``, ``PUT``, ``PATCH`` or ``DELETE``.
        :param path: path under ``/api``: ``"invoices/33/submit"``.
        :param body: value to send as JSON; None for no body.
        :param params: query arguments, not yet encoded.
        :param repeatable: a second execution does no harm, so a lost answer may be asked for again;
            None means so for ``GET`` only.
        :return: the decoded answer, None for an empty one.
        :raises CoupaOutcomeUnknownError: no whole answer came to what is not repeatable.
        """
        value: Any = None

        def read(answer: Answer) -> None:
            nonlocal value
            value = _read_body(answer)

        await self.request(
            method, path, query=encode_arguments(params), body=body, repeatable=repeatable, check=read
        )
        return value

    async def graphql(
        self, query: str, variables: Mapping[str, Any] | None = None, *, operation_name: str | None = None
    ) -> dict[str, Any]:
        """Run a GraphQL query (article 0013). It only reads, so a lost answer is asked for again.

        :param query: GraphQL document: ``"query ($id: ID!) { user(id: $id) { login } }"``.
        :param variables: values of its variables.
        :param operation_name: the operation to run, of several.
        :return: the ``data`` of the answer.
        :raises CoupaQueryError: it does more than read, and was not sent.
        :raises CoupaGraphQLError: the answer names errors, be it with HTTP 200 and beside data.
        """
        body = request_body(query, variables, operation_name)
        data: dict[str, Any] = {}

        def read(answer: Answer) -> None:
            nonlocal data
            data = read_data(answer, self.tokens.secrets())

        await self.request("POST", GRAPHQL_PATH, body=body, repeatable=True, check=read)
        return data

    async def download(
        self, path: str, sink: BinaryIO, *, size: int | None = None, content_type: str | None = None
    ) -> Received:
        """Read a file without holding it in memory; an answer that broke off is asked for again from the start.

        :param path: path under ``/api``: ``"invoices/33/retrieve_image_scan"``; or a URL on this instance, as
            Coupa shows in ``file-url``, where it may begin with a slash.
        :param sink: binary file to write to, seekable; each try empties it. After an error its content counts for
            nothing.
        :param size: size in bytes that Coupa shows for the file; another one is a broken answer.
        :param content_type: media type that Coupa shows for it, so that JSON, XML or HTML can be a file.
        :return: size, checksum, type and name.
        :raises CoupaNotFoundError: there is no such file.
        :raises CoupaNotAFileError: Coupa answered with data about the file.
        """

        def check(answer: Answer) -> None:
            check_file(answer, size=size, content_type=content_type)

        if path.startswith("/") or "://" in path:
            place, query = _on_instance(path, self.config)
            answer = await self._send("GET", place, query, None, True, check, [self.counters], sink)
        else:
            answer = await self.request("GET", path, check=check, sink=sink)
        assert answer.received is not None, "check_file"  # noqa: S101
        return answer.received

    async def upload(
        self,
        path: str,
        file: BinaryIO,
        *,
        name: str,
        content_type: str | None = None,
        part: str = "attachment[file]",
        fields: Mapping[str, str] | None = None,
        method: str = "POST",
    ) -> Any:
        """Send a file as a multipart form, read as it is sent. It is sent once, as :meth:`create` does.

        :param path: path under ``/api``: ``"invoices/33/attachments"``.
        :param file: the file, opened for reading and seekable.
        :param name: file name that Coupa shows.
        :param content_type: media type; None to tell it by the name.
        :param part: name of the form's part with the file.
        :param fields: the form's other parts: ``{"attachment[intent]": "Internal"}``.
        :param method: ``POST``, or ``PUT`` for the scan of an invoice.
        :return: the decoded answer, None for an empty one.
        :raises CoupaValidationError: Coupa refused it.
        :raises CoupaOutcomeUnknownError: no whole answer came; Coupa may hold the file.
        """
        form = Form(part, file, name, content_type or content_type_of(name), dict(fields or {}))
        value: Any = None

        def read(answer: Answer) -> None:
            nonlocal value
            value = _read_body(answer)

        await self.request(method, path, body=form, repeatable=False, check=read)
        return value

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        body: Any = None,
        repeatable: bool | None = None,
        check: Callable[[Answer], None] | None = None,
        counters: Counters | None = None,
        sink: BinaryIO | None = None,
    ) -> Answer:
        """Send a request until it succeeds or must be given up: the one way to Coupa.

        :param method: HTTP verb.
        :param path: path under ``/api``.
        :param query: query string, encoded.
        :param body: value to send as JSON, or a form.
        :param repeatable: see :meth:`call`.
        :param check: raises :class:`CoupaUnavailableError` for an answer that is broken, so that it is
            asked for again; what it raises otherwise passes through.
        :param counters: counters of a walk, counted beside the client's own.
        :param sink: where to write a success; see :meth:`download`.
        :raises CoupaError: see :mod:`.errors`.
        """
        verb = method.upper()
        plain = path.strip("/")
        if verb not in _VERBS:
            raise CoupaQueryError(f"{method!r} is not one of {', '.join(_VERBS)}.")
        if not _PATH.fullmatch(plain) or ".." in plain:
            raise CoupaQueryError(
                f'{path!r} is not a path under /api. Write for instance "invoices/33/submit"; arguments go to params.'
            )
        content = body if body is None or isinstance(body, Form) else encode_body(body)
        full_path = f"/{plain}" if plain.startswith("qualitycollaboration/") else f"/api/{plain}"
        return await self._send(
            verb, full_path, query, content, verb == "GET" if repeatable is None else repeatable, check,
            [self.counters] + ([counters] if counters else []), sink,
        )  # fmt: skip

    async def token(self) -> Token:
        """Return a token to use now; see :class:`TokenSource`."""
        return await self.tokens.get(self._send_token_request, self._refresh_tokens, self._on_secret)

    async def _send(
        self, method: str, path: str, query: str, content: bytes | Form | None, repeatable: bool,
        check: Callable[[Answer], None] | None, tallies: Sequence[Counters], sink: BinaryIO | None = None,
    ) -> Answer:  # fmt: skip
        """Send with a token; when Coupa does not accept it, find out whether it is too young or void."""

        def judge(answer: Answer) -> Verdict:
            refusal = read_failure(answer, datetime.now(UTC), self.tokens.secrets())
            if refusal is not None:
                return _failure_of(answer), refusal
            if check is not None:
                try:
                    check(answer)
                except CoupaUnavailableError as broken:
                    return Failure.BROKEN, broken
            return answer

        # A file comes as it is: its size says whether it is whole.
        as_it_is = {"Accept": "*/*", "Accept-Encoding": "identity"}
        headers = {"Accept": "application/json"} if sink is None else as_it_is
        if isinstance(content, bytes):
            headers["Content-Type"] = "application/json"
        renewals = 0
        given_time: str | None = None
        while True:
            token = await self.token()
            headers["Authorization"] = f"Bearer {token.value}"
            try:
                answer = await self._persist(
                    method, path, query, headers, content, repeatable, judge, tallies, sink
                )
            except CoupaAuthenticationError:
                if self.tokens.may_be_too_young(token) and given_time != token.value:
                    given_time = token.value
                    await asyncio.sleep(max(1.0, ACTIVATION_SECONDS - token.age(time.monotonic())))
                elif renewals < _MOST_RENEWALS:
                    renewals += 1
                    self.tokens.reject(token)
                else:
                    raise
                _count(tallies, retried=1)
            else:
                self.tokens.accepted(token)
                return answer

    async def _send_token_request(self, form: bytes) -> Answer:
        """Send one token request. Its refusals are answers too: :class:`TokenSource` reads them."""

        def judge(answer: Answer) -> Verdict:
            failure = _failure_of(answer)
            if answer.status < 300 and answer.content_type.endswith("json"):
                try:
                    answer.json()
                except CoupaUnavailableError as broken:
                    return Failure.BROKEN, broken
            if failure is None or failure is Failure.REDIRECTED:
                return answer
            return failure, read_failure(answer, datetime.now(UTC), self.tokens.secrets()) or not_json(answer)

        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        # A refresh token may be used once: after a lost answer a second use would void it.
        repeatable = self.config.grant_type == "client_credentials"
        try:
            return await self._persist(
                "POST", TOKEN_PATH, "", headers, form, repeatable, judge, [self.counters]
            )
        except CoupaOutcomeUnknownError as error:
            raise CoupaUnavailableError(
                f"The answer to a token request was lost ({error.__cause__})", method="POST", path=TOKEN_PATH
            ) from error

    async def _persist(
        self, method: str, path: str, query: str, headers: Mapping[str, str], content: bytes | Form | None,
        repeatable: bool, judge: Callable[[Answer], Verdict], tallies: Sequence[Counters],
        sink: BinaryIO | None = None,
    ) -> Answer:  # fmt: skip
        """Send at the shared pace, again and again as the retry policy says."""
        attempt = 0
        doubtful = False
        while True:
            attempt += 1
            waited = await self.pacer.wait()
            _count(tallies, requests=1, waited_seconds=waited)
            sent = time.monotonic()
            try:
                verdict = await self._exchange(method, path, query, headers, content, judge, tallies, sink)
            finally:
                self.pacer.ended()
            if isinstance(verdict, Answer):
                return verdict
            failure, error = verdict
            if failure is None:
                raise error
            doubtful = doubtful or failure not in WITHOUT_EFFECT
            retry_after = (
                error.retry_after if isinstance(error, CoupaRateLimitError | CoupaUnavailableError) else None
            )
            delay = self.retry.next_delay(
                failure,
                attempt=attempt,
                repeatable=repeatable,
                retry_after=retry_after,
                jitter=random.random(),  # noqa: S311 - spreads callers, hides nothing
            )
            if failure is Failure.THROTTLED:
                # Without a Retry-After only this request waits: the pace alone decides about the others.
                pause = 0.0 if delay is None or retry_after is None else delay
                self.pacer.throttled(time.monotonic() - sent, pause)
            if delay is None:
                raise _final(error, method, path, attempt, doubtful and not repeatable)
            _count(tallies, retried=1)
            await asyncio.sleep(delay)

    async def _exchange(
        self, method: str, path: str, query: str, headers: Mapping[str, str], content: bytes | Form | None,
        judge: Callable[[Answer], Verdict], tallies: Sequence[Counters], sink: BinaryIO | None,
    ) -> Verdict:  # fmt: skip
        started = time.monotonic()
        try:
            answer = await self._transport.send(
                method, path, query=query, headers=headers, body=content, sink=sink
            )
        except TransportError as problem:
            timed_out = problem.failure is Failure.TIMED_OUT
            error = CoupaUnavailableError(problem.message, timed_out=timed_out, method=method, path=path)
            error.__cause__ = problem
            return problem.failure, error
        # What a file takes tells of its size, not of Coupa's queue.
        if answer.status != 429 and sink is None and not isinstance(content, Form):
            self._note_latency(time.monotonic() - started)
            if answer.status < 400:
                self.pacer.answered(time.monotonic() - started)
        size = answer.received.size if answer.received else len(answer.body)
        _count(tallies, received_bytes=size, throttled=int(answer.status == 429))
        return judge(answer)

    def _note_latency(self, seconds: float) -> None:
        weight = 0.1 if self._latency_known else 1.0
        self._latency_known = True
        self.latency += weight * (seconds - self.latency)


def _final(error: CoupaError, method: str, path: str, attempts: int, doubtful: bool) -> CoupaError:
    if doubtful:
        unknown = CoupaOutcomeUnknownError(
            f"The answer to this write was lost ({error.message}). It may or may not have been executed, so it "
            "was not sent again: look the record up before you repeat it",
            status=error.status,
            method=method,
            path=path,
            request_id=error.request_id,
        )
        unknown.__cause__ = error
        return unknown
    if attempts > 1:
        error.message = f"{error.message}. Given up after {attempts} attempts"
    return error


def encode_body(value: Any) -> bytes:
    """Encode a value as JSON for Coupa: decimals as text, instants with their offset.

    :raises CoupaQueryError: it holds something that has no JSON form, or one that would mean something else:
        a number that is none, which JSON would turn into null, or an instant without a zone.
    """
    try:
        _refuse_ambiguous(value, "body")
        return msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        if isinstance(error, CoupaQueryError):
            raise
        raise CoupaQueryError(f"The body cannot be sent as JSON: {error}.") from error


def _refuse_ambiguous(value: Any, where: str) -> None:
    if isinstance(value, Mapping):
        for name, part in value.items():
            _refuse_ambiguous(part, f"{where}[{name!r}]")
    elif isinstance(value, list | tuple | set | frozenset):
        for index, part in enumerate(value):
            _refuse_ambiguous(part, f"{where}[{index}]")
    elif isinstance(value, float | Decimal) and not math.isfinite(value):
        raise CoupaQueryError(f"{where} is {value}, which is no number. Send None to clear an attribute.")
    elif isinstance(value, datetime) and value.utcoffset() is None:
        raise CoupaQueryError(
            f"{where}: {value.isoformat()} has no time zone. Add one, or send a date for a calendar day."
        )


def _read_body(answer: Answer) -> Any:
    try:
        return answer.json()
    except CoupaUnavailableError:
        # What comes with a successful DELETE is not documented, and nothing in it is needed.
        if answer.method == "DELETE" and "html" not in answer.content_type:
            return None
        raise


def _on_instance(url: str, config: CoupaConfig) -> tuple[str, str]:
    """Return path and query of a URL that Coupa gave."""
    parts, base = urlsplit(url), urlsplit(config.base_url)
    if parts.netloc and (parts.scheme, parts.netloc.lower()) != (base.scheme, base.netloc.lower()):
        raise CoupaQueryError(
            f"The file is at {parts.hostname}, and the token is for {config.instance} only: nothing was sent."
        )
    return parts.path, parts.query


def _record_path(resource: str, record_id: int | str) -> str:
    """Return the path of a record. An empty id would lead to the list, one with a slash to an action."""
    text = str(record_id).strip()
    if record_id is None or not text or "/" in text:
        raise CoupaQueryError(f"{record_id!r} is not the id of a record of {resource}.")
    return f"{resource.strip('/')}/{text}"


def _shape(fields: Sequence[Any] | None) -> dict[str, str]:
    encoded = encode_fields(fields)
    return {"fields": encoded} if encoded else {}


def _failure_of(answer: Answer) -> Failure | None:
    """What a refusing status means for sending again; None for what repeating cannot mend."""
    if answer.status == 429:
        return Failure.THROTTLED
    if answer.status == 503:
        return Failure.REFUSED
    if answer.status in (408, 504):
        return Failure.TIMED_OUT
    if answer.status >= 500:
        return Failure.BROKEN
    if 300 <= answer.status < 400:
        return Failure.REDIRECTED
    return None


def _count(tallies: Sequence[Counters], **increments: float) -> None:
    for tally in tallies:
        for name, increment in increments.items():
            setattr(tally, name, getattr(tally, name) + increment)
