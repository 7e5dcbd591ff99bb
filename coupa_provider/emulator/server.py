"""The ASGI application: token endpoint, Core API, control endpoint, and everything that goes wrong on demand.

Starlette serves what is called seldom. Calls to ``/api`` take a short way of their own, because the
emulator must not be slower than the clients that are measured against it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from coupa_provider.emulator.answers import Answer, html_page, json_answer, refused_access
from coupa_provider.emulator.api import Api, Call, wants_xml
from coupa_provider.emulator.control import control_routes
from coupa_provider.emulator.drift import TICK_S
from coupa_provider.emulator.faults import WRITES
from coupa_provider.emulator.file_loader import FileLoader
from coupa_provider.emulator.graphql import GRAPHQL_PATH
from coupa_provider.emulator.instance import Instance
from coupa_provider.emulator.oauth import OAuthError, Verdict
from coupa_provider.emulator.observed import Observed
from coupa_provider.emulator.settings import REFUSED, Settings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LOGIN_PAGE = "/sessions/new"
_OFFSET = re.compile(r"(?:\A|&)offset=(\d+)")
_API = ("/api/", "/qualitycollaboration/")


class Server:
    """ASGI application of one instance.

    :param instance: the instance.
    """

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._api = Api(instance)
        self._loader = FileLoader(instance)
        self._jitter = random.Random(instance.settings.latency.seed)  # noqa: S311 - delay, no secret
        self._rest = Starlette(
            routes=[
                Route("/oauth2/token", self._token, methods=["POST"]),
                Route("/oauth2/access_tokens", self._token_alias, methods=["POST"]),
                Route("/oauth2/authorizations/new", self._consent, methods=["GET"]),
                Route(LOGIN_PAGE, _login_page, methods=["GET"]),
                *control_routes(instance),
            ],
            lifespan=self._lifespan,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        path: str = scope["path"]
        if path.startswith("/_emulator"):
            await self._rest(scope, receive, send)
            return
        observed = self._instance.observed
        counted = _CountedSend(send, observed)
        query = scope["query_string"].decode("latin-1")
        observed.arrived(scope["method"], path, query, time.monotonic())
        try:
            if path.startswith(_API):
                await self._serve_api(scope, query, receive, counted)
            elif await self._fault(scope, path, None, receive, counted) is None:
                await self._rest(scope, receive, counted)
        finally:
            counted.done()

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(self._drift())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _drift(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(min(TICK_S, self._instance.timed_changes.seconds_to_next()))
            now = time.monotonic()
            self._instance.tick(now - last)
            self._loader.carry_on(now)
            last = now

    # ---- Core API

    async def _serve_api(self, scope: Scope, query: str, receive: Receive, send: _CountedSend) -> None:
        instance, settings = self._instance, self._instance.settings
        method, path = scope["method"], scope["path"]
        headers = _headers(scope)
        as_xml = wants_xml(headers.get("accept"))
        now = time.monotonic()
        verdict = instance.authority.judge(headers.get("authorization"), settings, now)
        wait = self._admit(verdict, settings, now)
        if wait is None:
            await _send(_too_many(settings), send)
            return
        if wait > 0:
            instance.observed.queued()
            await asyncio.sleep(wait)
        # Read whole before anything is dropped, or the close would reset the connection at times.
        body = await _body(receive) if method in WRITES else b""
        kind = await self._fault(scope, path, verdict, receive, send)
        if kind in _BEFORE:
            return
        if verdict.token is None:
            answer = refused_access(verdict.status or 401, verdict.message, settings.switches, as_xml)
            await _send(answer, send)
            return
        delay = self._delay(query, settings)
        timed_out = settings.switches["U13"] == "504" and delay >= settings.request_time_limit_s
        if delay > 0:
            await asyncio.sleep(settings.request_time_limit_s if timed_out else delay)
        answer = self._api.answer(Call(method, path, query, headers, body, verdict.token))
        if method in WRITES and path != GRAPHQL_PATH and answer.status < 300:
            instance.observed.executed(method, path)
        if answer.shows is not None and kind is None and not timed_out:
            # Before it is sent: no other answer can come between this read and what it sets off.
            instance.timed_changes.count_read(*answer.shows)
        if timed_out:
            # The gateway gave up; the application did its work all the same.
            answer = html_page(504, "Gateway Timeout")
        if kind == "lost_write":
            await _drop(receive, send)
        elif kind == "drop_middle":
            await _send(answer, send, upto=answer.size // 2)
            await _drop(receive, send)
        elif kind == "truncated":
            await _send(answer, send, upto=max(answer.size // 2, 1), as_if_whole=True)
        else:
            await _send(answer, send)

    def _admit(self, verdict: Verdict, settings: Settings, now: float) -> float | None:
        per_client = settings.switches["U12"].startswith("client")
        caller = verdict.caller if per_client else ""
        return self._instance.limiter.admit(caller, now, settings.rate_limit, settings.burst)

    def _delay(self, query: str, settings: Settings) -> float:
        latency = settings.latency
        milliseconds = latency.fixed_ms
        if latency.jitter_ms:
            milliseconds += self._jitter.random() * latency.jitter_ms
        per_1000 = latency.per_1000_offset_ms
        if settings.switches["U14"] == "slow":
            per_1000 += settings.slow_offset_ms_per_1000
        if per_1000:
            match = _OFFSET.search(query)
            milliseconds += per_1000 * (int(match[1]) if match else 0) / 1000
        return milliseconds / 1000

    async def _fault(
        self, scope: Scope, path: str, verdict: Verdict | None, receive: Receive, send: _CountedSend
    ) -> str | None:
        """Choose a fault and, unless it needs the real answer, serve it."""
        found = self._instance.choose_fault(scope["method"], path)
        if found is None:
            return None
        kind, faults = found
        if verdict is None and kind not in _BEFORE:
            # The token endpoint knows only faults that do not need an answer.
            kind = "drop_before"
        if kind == "revoke_token" and (verdict is None or verdict.token is None):
            return None
        self._instance.observed.fault(kind)
        if kind in ("drop_before", REFUSED):
            # Connections that are open when new ones begin to be refused end with their next request.
            await _drop(receive, send)
        elif kind == "stall":
            await asyncio.sleep(faults.stall_s)
            await _drop(receive, send)
        elif kind == "revoke_token" and verdict is not None and verdict.token is not None:
            self._instance.authority.revoke(verdict.token)
            switches = self._instance.settings.switches
            as_xml = wants_xml(_headers(scope).get("accept"))
            await _send(
                refused_access(int(switches["U32"]), "The token was revoked.", switches, as_xml), send
            )
        elif kind in _BEFORE:
            await _send(_fault_answer(kind, faults.retry_after_s), send)
        return kind

    # ---- OAuth

    async def _token_alias(self, request: Request) -> Response:
        if self._instance.settings.switches["U31"] == "404":
            return _response(html_page(404, "The page you were looking for does not exist"))
        return await self._token(request)

    async def _token(self, request: Request) -> Response:
        instance = self._instance
        form = dict(parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True))
        content_type = request.headers.get("content-type", "application/x-www-form-urlencoded")
        if content_type.startswith("application/x-www-form-urlencoded"):
            form.update(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True))
        try:
            granted = instance.authority.grant(
                form, request.headers.get("authorization"), instance.settings, time.monotonic()
            )
        except OAuthError as error:
            return _response(error.answer())
        instance.observed.token(form.get("grant_type") == "refresh_token")
        answer = json_answer(200, granted)
        answer.headers["cache-control"] = "no-store"
        return _response(answer)

    async def _consent(self, request: Request) -> Response:
        """Stands for the page on which a user consents; here everybody does, at once."""
        form = dict(request.query_params)
        try:
            code = self._instance.authority.authorize(form, time.monotonic())
        except OAuthError as error:
            return _response(error.answer())
        back = {"code": code, **({"state": form["state"]} if "state" in form else {})}
        joint = "&" if "?" in form["redirect_uri"] else "?"
        return RedirectResponse(f"{form['redirect_uri']}{joint}{urlencode(back)}", 302)


# Faults that need no work of the API; the other ones spoil the answer that it made.
_BEFORE = frozenset(
    (
        "500",
        "502",
        "503",
        "429",
        "429_seconds",
        "429_date",
        "drop_before",
        "stall",
        "login_redirect",
        "revoke_token",
        REFUSED,
    )
)


class _CountedSend:
    """The ``send`` of a request, which has it counted before the client can know the end of its answer."""

    def __init__(self, send: Send, observed: Observed) -> None:
        self.send = send
        self._observed = observed
        self._status: int | None = None
        self._size = 0
        self._is_done = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
        else:
            self._size += len(message.get("body", b""))
            if not message.get("more_body"):
                self.done()
        await self.send(message)

    def done(self) -> None:
        """Count the request, once."""
        if not self._is_done:
            self._is_done = True
            self._observed.left(self._status, self._size)


def _headers(scope: Scope) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        found[key] = f"{found[key]},{text}" if key in found else text
    return found


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            break
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    return b"".join(parts)


async def _send(
    answer: Answer, send: _CountedSend, upto: int | None = None, as_if_whole: bool = False
) -> None:
    """Send an answer, or its first bytes: then it stays open, unless its length is said to be theirs."""
    size = min(answer.size, upto) if upto is not None and as_if_whole else answer.size
    headers = [
        (b"content-type", answer.content_type.encode()),
        (b"content-length", str(size).encode()),
        *((name.encode(), value.encode()) for name, value in answer.headers.items()),
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    stays_open = upto is not None and not as_if_whole
    if answer.file is None:
        await send({"type": "http.response.body", "body": answer.body[:upto], "more_body": stays_open})
        return
    for chunk in answer.file.chunks(upto):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    if not stays_open:
        await send({"type": "http.response.body"})


async def _drop(receive: Receive, send: _CountedSend) -> None:
    """Close the connection under the client, which ASGI itself has no word for."""
    # uvicorn's `send` is a method of the object that holds the transport.
    transport = getattr(getattr(send.send, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionError("dropped on purpose; under uvicorn this closes the connection")
    send.done()
    transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass


def _too_many(settings: Settings) -> Answer:
    if settings.switches["U12"].endswith("html"):
        answer = html_page(429, "Too Many Requests")
    else:
        answer = json_answer(429, {"error": "Rate limit exceeded"})
    if settings.switches["U11"] == "seconds":
        answer.headers["retry-after"] = str(settings.retry_after_s)
    elif settings.switches["U11"] == "date":
        answer.headers["retry-after"] = formatdate(time.time() + settings.retry_after_s, usegmt=True)
    return answer


def _fault_answer(kind: str, retry_after_s: int) -> Answer:
    if kind == "login_redirect":
        answer = html_page(302, "Redirected")
        answer.headers["location"] = LOGIN_PAGE
        return answer
    if kind.startswith("429"):
        answer = json_answer(429, {"error": "Rate limit exceeded"})
        if kind == "429_seconds":
            answer.headers["retry-after"] = str(retry_after_s)
        elif kind == "429_date":
            answer.headers["retry-after"] = formatdate(time.time() + retry_after_s, usegmt=True)
        return answer
    titles = {"500": "Internal Server Error", "502": "Bad Gateway", "503": "Down for maintenance"}
    return html_page(int(kind), titles[kind])


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, {**answer.headers, "content-type": answer.content_type})


async def _login_page(request: Request) -> Response:
    return HTMLResponse("<html><head><title>Sign in</title></head><body><form>Sign in</form></body></html>")
