"""Read an answer: what it says, and what kind of failure it is. Pure: no I/O here.

Every body that the documents or public code show is read without a crash: ``errors`` as object, list or
text, ``error`` as text, XML, HTML, nothing, and JSON cut short.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from html import escape, unescape
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec

from coupa_provider.client.errors import (
    CoupaAuthenticationError,
    CoupaError,
    CoupaNotFoundError,
    CoupaRateLimitError,
    CoupaScopeError,
    CoupaUnavailableError,
    CoupaValidationError,
)
from coupa_provider.client.received import Received
from coupa_provider.resources import find_resource, resource_paths

_EXCERPT_CHARACTERS = 300
#: As much of an error body as is looked at: more explains nothing, and searching it takes long.
_LOOKED_AT_BYTES = 65536
_MARKUP_CHARACTERS = 8192
#: What msgspec raises for a body that is no whole JSON, or one nested too deep to be meant well.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_REQUEST_ID_HEADERS = ("x-request-id", "x-correlation-id", "x-amzn-trace-id")
_TOKEN_LIKE = re.compile(
    r"(?i)(bearer\s+|(?:access|refresh)_token\W{1,5}|client_secret\W{1,5})[\w.~+/=%-]{8,}"
)


_SECRET_NAME = re.compile(r"(?i)token|secret|password")


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, read to its end.

    :param status: HTTP status.
    :param headers: headers with lower-case names.
    :param body: the whole body, decompressed.
    :param method: verb of the request.
    :param path: path of the request, without its query.
    :param received: the file that came in place of a body, written away; None for other answers.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    method: str
    path: str
    received: Received | None = None

    @property
    def content_type(self) -> str:
        """Media type in lower case without parameters, empty where none was given."""
        return self.headers.get("content-type", "").split(";")[0].strip().lower()

    @property
    def request_id(self) -> str | None:
        """The id Coupa gave the request, where it gave one (none is documented)."""
        return next((self.headers[name] for name in _REQUEST_ID_HEADERS if name in self.headers), None)

    def json(self) -> Any:
        """Decode the body.

        :return: the value, or None for an empty body, as ``return_object=none`` gives.
        :raises CoupaUnavailableError: it is HTML, cut short, or otherwise no JSON.
        """
        if not self.body.strip():
            return None
        try:
            return msgspec.json.decode(self.body)
        except _UNREADABLE:
            raise not_json(self) from None


def not_json(answer: Answer, secrets: Collection[str] = ()) -> CoupaUnavailableError:
    """Return the error for a body that should be JSON and is not."""
    kind = answer.content_type or "an unnamed type"
    return CoupaUnavailableError(
        f"Coupa answered with a body that is no whole JSON (content type {kind}, {len(answer.body)} bytes)",
        **_details(answer, secrets),
    )


def retry_after_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return how long the server asks to wait, from ``Retry-After`` in seconds or as a date.

    A date is held against the server's own ``Date``, so that a wrong clock on either side does no harm.

    :param headers: headers with lower-case names.
    :param now: the present, aware, for a server that does not say its own.
    :return: seconds, never negative; None where the header is absent or unreadable.
    """
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d+)?", text):
        return float(text)
    moment = _http_date(text)
    return (
        max(0.0, (moment - (_http_date(headers.get("date", "")) or now)).total_seconds()) if moment else None
    )


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else None


def read_failure(answer: Answer, now: datetime, secrets: Collection[str] = ()) -> CoupaError | None:
    """Turn an answer into the error it stands for.

    :param answer: the answer.
    :param now: the present, aware, to read a ``Retry-After`` date.
    :param secrets: texts that may not appear in an error.
    :return: the error, or None if the answer is a success.
    """
    status = answer.status
    if 200 <= status < 300:
        return None
    details = _details(answer, secrets)
    messages = tuple(_redact(message, secrets) for message in read_messages(answer.body))
    said = f": {'; '.join(_shortened(message) for message in messages[:5])}" if messages else ""
    if status == 429:
        wait = retry_after_seconds(answer.headers, now)
        return CoupaRateLimitError("Coupa's rate limit is used up", retry_after=wait, **details)
    if 300 <= status < 400:
        return CoupaUnavailableError(
            "Coupa redirected the request, perhaps to a login or maintenance page; redirects are not followed. "
            "If it stays so, check the instance's host in the connection",
            **details,
        )
    if status == 401:
        return CoupaAuthenticationError(f"Coupa did not accept the access token{said}", **details)
    if status == 403:
        return CoupaScopeError(f"Coupa refused access{said}. {_scope_remedy(answer)}", **details)
    if status == 404:
        return CoupaNotFoundError(f"Coupa has no such record or path{said}{_suggestion(answer)}", **details)
    if status >= 500 or status == 408:
        return CoupaUnavailableError(
            f"Coupa is not available{said}",
            timed_out=status in (408, 504),
            retry_after=retry_after_seconds(answer.headers, now),
            **details,
        )
    return CoupaValidationError(f"Coupa refused the request{said}", errors=messages, **details)


def read_messages(body: bytes) -> list[str]:
    """Return the messages in an error body, of whatever form; empty where there are none.

    Messages under ``warnings`` are left out: they do not say why a request failed.
    """
    text = body.decode("utf-8", "replace").strip()
    if not text:
        return []
    if text[0] in '{["':
        try:
            return list(dict.fromkeys(_flatten(msgspec.json.decode(body))))
        except _UNREADABLE:
            return []
    if text[0] == "<":
        text = text[:_MARKUP_CHARACTERS]
        inner = re.findall(r"<error\b[^>]*>(.*?)</error>", text, re.S | re.I)
        inner = inner or re.findall(r"<title\b[^>]*>(.*?)</title>", text, re.S | re.I)
        cleaned = (re.sub(r"<!\[CDATA\[(.*?)\]\]>", r"\1", part, flags=re.S) for part in inner)
        return [unescape(part).strip() for part in cleaned if part.strip()]
    return [_shortened(text)]


def _flatten(value: Any, label: str = "") -> list[str]:
    if isinstance(value, Mapping):
        if not label and ("errors" in value or "error" in value):
            described = value.get("error_description")
            found = _flatten(value.get("errors"), "errors") + _flatten(value.get("error"), "error")
            return found + ([str(described)] if described else [])
        return [
            message
            for key, part in value.items()
            if key != "warnings" and not _SECRET_NAME.search(str(key))
            for message in _flatten(part, str(key))
        ]
    if isinstance(value, list | tuple):
        return [message for part in value for message in _flatten(part, label or "errors")]
    return [str(value)] if value not in (None, "") else []


def _scope_remedy(answer: Answer) -> str:
    resource = find_resource(answer.path.removeprefix("/api/").split("?")[0].rstrip("/"))
    if resource is None:
        resource = find_resource(answer.path.removeprefix("/api/").split("/")[0])
    scope = (resource.read_scope if answer.method == "GET" else resource.write_scope) if resource else None
    needed = f"It usually needs the scope {scope}" if scope else "A scope may be missing"
    return (
        f"{needed}: grant it to the client in Coupa (/oauth2/clients) and name it in the connection's scopes. "
        "The client's user and content groups can limit access too"
    )


def _suggestion(answer: Answer) -> str:
    """Name the resources that an unknown path resembles; empty for a path the documents know."""
    plain = answer.path.removeprefix("/api/").strip("/")
    first = plain.split("/")[0]
    if find_resource(plain) or find_resource(plain.rpartition("/")[0]) or find_resource(first):
        return ""
    near = difflib.get_close_matches(first, resource_paths(), n=3)
    return f". The documents know no resource of that name; did you mean {' or '.join(near)}?" if near else ""


def _details(answer: Answer, secrets: Collection[str]) -> dict[str, Any]:
    # Redacted before it is shortened, so that no secret is cut in two and missed.
    shown = _shortened(_redact(answer.body[:_LOOKED_AT_BYTES].decode("utf-8", "replace").strip(), secrets))
    return {
        "status": answer.status,
        "method": answer.method,
        "path": answer.path,
        "request_id": answer.request_id,
        # The body of a success is data, not an explanation: it stays out of logs.
        "excerpt": shown if shown and answer.status >= 300 else None,
    }


def presentable(text: str, secrets: Collection[str] = ()) -> str:
    """Return Coupa's words as an error may show them: without secrets, and not too many."""
    return _shortened(_redact(text, secrets))


def _shortened(text: str) -> str:
    return text[:_EXCERPT_CHARACTERS] + ("…" if len(text) > _EXCERPT_CHARACTERS else "")


def _redact(text: str, secrets: Collection[str]) -> str:
    for secret in secrets:
        if len(secret) < 4:
            continue
        # A server echoes what it was sent: as it is, as in a form or URL, as in JSON, as in a page.
        in_json = msgspec.json.encode(secret).decode()[1:-1]
        for shown in (secret, quote_plus(secret), quote(secret, safe=""), in_json, escape(secret)):
            text = text.replace(shown, "***")
    return _TOKEN_LIKE.sub(r"\1***", text)
