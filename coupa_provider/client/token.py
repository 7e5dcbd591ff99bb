"""Access tokens: minted once, shared by all that use the same connection, renewed early.

What Coupa documents (articles 0018-0020): a token lives 24 hours and should be renewed after 20; a call
within 5 seconds of minting may fail; a refresh token lives 90 days and may be replaced on use. So a renewed
token rests for 5 seconds while the old one still serves, and a first token is used at once: should Coupa
answer 401 because it is too young, the request waits for the rest of the 5 seconds and is sent again.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import re
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import quote_plus

import msgspec

from coupa_provider.client.answer import Answer, read_failure
from coupa_provider.client.config import CoupaConfig
from coupa_provider.client.errors import (
    CoupaAuthenticationError,
    CoupaConfigError,
    CoupaError,
    CoupaRetryableError,
    CoupaScopeError,
    CoupaUnavailableError,
)

TOKEN_PATH = "/oauth2/token"  # noqa: S105 - a path
#: Rest between minting and first use (article 0018).
ACTIVATION_SECONDS = 5.0
#: A 401 on a token younger than this may mean "not active yet".
YOUNG_SECONDS = 10.0
#: Coupa advises renewal after 20 of 24 hours (article 0019).
_RENEW_AFTER_SHARE = 20 / 24
_DEFAULT_LIFETIME_SECONDS = 86399.0
#: After a refusal the same credentials are not tried again for this long, so that nothing locks the client.
_REFUSAL_MEMORY_SECONDS = 300.0
#: After a renewal that failed while the old token still serves, the next is tried no sooner than this.
_RENEWAL_REST_SECONDS = 60.0
#: Another process that has just used the refresh token may still be about to keep its successor.
_LOOKS_FOR_SUCCESSOR_SECONDS = (0.0, 0.5, 1.5)
_CODE = re.compile(r"[a-z_]{1,40}")
_TOKEN_TEXT = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Token:
    """An access token.

    :param value: the token; never printed.
    :param minted_at: monotonic seconds when it was received.
    :param lifetime: seconds from then until it expires.
    :param scope: scopes Coupa says it has; empty where it did not say.
    """

    value: str = field(repr=False)
    minted_at: float
    lifetime: float
    scope: tuple[str, ...] = ()

    def age(self, now: float) -> float:
        """Return seconds since it was minted."""
        return now - self.minted_at

    def usable(self, now: float) -> bool:
        """Tell whether it will outlive a request sent now."""
        return self.age(now) < self.lifetime - min(30.0, self.lifetime / 10)

    def due(self, now: float) -> bool:
        """Tell whether its successor should be minted."""
        return self.age(now) >= self.lifetime * _RENEW_AFTER_SHARE


class RefreshTokenStore(Protocol):
    """Keeps the newest refresh token where it survives the process. Both calls may block."""

    def load(self) -> str | None:
        """Return the newest kept token, None where there is none."""

    def save(self, token: str) -> None:
        """Keep a token in place of the one before. Must not return before it is safe."""


class MemoryRefreshTokenStore:
    """Keeps the refresh token for the life of the process only."""

    def __init__(self) -> None:
        self._token: str | None = None

    def load(self) -> str | None:
        """Return the kept token."""
        return self._token

    def save(self, token: str) -> None:
        """Keep a token."""
        self._token = token


Send = Callable[[bytes], Awaitable[Answer]]


class TokenSource:
    """The token of one set of credentials, for every thread and event loop of the process.

    :param config: credentials and scopes.
    :param clock: monotonic seconds; a test may pass its own.
    """

    def __init__(self, config: CoupaConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._clock = clock
        self._mint_lock = threading.Lock()
        self._current: Token | None = None
        self._successor: Token | None = None
        self._refusal: tuple[float, CoupaError] | None = None
        self._renewal_failed_at = float("-inf")
        #: A rotated refresh token, from its arrival until it is kept.
        self._unkept: str | None = None
        self._newest_refresh_token: str | None = None
        self._accepted = ""

    async def get(self, send: Send, store: RefreshTokenStore, on_secret: Callable[[str], None]) -> Token:
        """Return a token to use now; mint one if there is none, and a successor if it is time.

        :param send: sends a token request with this form body, with the client's retries.
        :param store: keeps a rotated refresh token.
        :param on_secret: told every new secret, before it is used, so that it can be masked.
        :raises CoupaCredentialsError: Coupa refused the credentials, now or within the last minutes.
        """
        now = self._clock()
        self._promote(now)
        current = self._current
        if current is not None and current.usable(now):
            if self._renews(current, now) and self._mint_lock.acquire(blocking=False):
                try:
                    self._successor = await self._mint(send, store, on_secret)
                except CoupaError:
                    self._renewal_failed_at = self._clock()  # the old one still serves
                finally:
                    self._mint_lock.release()
            return current
        async with _held(self._mint_lock):
            self._promote(self._clock())
            if self._current is None or not self._current.usable(self._clock()):
                self._current = await self._mint(send, store, on_secret)
            return self._current

    def accepted(self, token: Token) -> None:
        """Note that Coupa took a token: from now on it is active, whatever its age."""
        self._accepted = token.value

    def may_be_too_young(self, token: Token) -> bool:
        """Tell whether a 401 may mean that a token is not active yet, rather than void."""
        return token.age(self._clock()) < YOUNG_SECONDS and token.value != self._accepted

    def start_afresh(self) -> None:
        """Forget tokens and refusals, so that what was just changed in Coupa counts at once."""
        self._current = self._successor = self._refusal = None

    def secrets(self) -> tuple[str, ...]:
        """Return all secrets that no message may hold."""
        return tuple(
            filter(
                None,
                (
                    self._config.client_secret,
                    self._config.refresh_token,
                    self._newest_refresh_token,
                    *(token.value for token in (self._current, self._successor) if token is not None),
                ),
            )
        )

    def _renews(self, current: Token, now: float) -> bool:
        """Tell whether it is time to mint a successor; after a refusal only once the token has run out."""
        return (
            current.due(now)
            and self._successor is None
            and self._refusal is None
            and now - self._renewal_failed_at >= _RENEWAL_REST_SECONDS
        )

    def reject(self, token: Token) -> None:
        """Drop a token that Coupa no longer accepts; one that came after it stays."""
        if self._current is not None and self._current.value == token.value:
            self._current, self._successor = self._successor, None

    def _promote(self, now: float) -> None:
        successor = self._successor
        if successor is not None and (
            successor.age(now) >= ACTIVATION_SECONDS or self._current is None or not self._current.usable(now)
        ):
            self._current, self._successor = successor, None

    async def _mint(self, send: Send, store: RefreshTokenStore, on_secret: Callable[[str], None]) -> Token:
        if self._refusal is not None:
            refused_at, error = self._refusal
            if self._clock() - refused_at < _REFUSAL_MEMORY_SECONDS:
                raise error.with_traceback(None)
            self._refusal = None
        try:
            if self._config.grant_type == "refresh_token":
                return await self._refresh(send, store, on_secret)
            return await self._mint_by_secret(send, on_secret, self._config.scopes)
        except CoupaRetryableError:
            raise
        except CoupaError as error:
            self._refusal = (self._clock(), error)
            raise

    async def _mint_by_secret(
        self, send: Send, on_secret: Callable[[str], None], scopes: tuple[str, ...]
    ) -> Token:
        answer = await send(self._form({"grant_type": "client_credentials", "scope": " ".join(scopes)}))
        facts = self._read(answer)
        if facts.get("error") == "invalid_scope" and scopes:
            raise await self._explain_scopes(send, on_secret, answer)
        return await self._accept(answer, facts, on_secret)

    async def _explain_scopes(
        self, send: Send, on_secret: Callable[[str], None], refused: Answer
    ) -> CoupaScopeError:
        """One scope too many fails the whole request: ask once without any, to tell which."""
        message = (
            f"Coupa refused the scopes asked for: {', '.join(self._config.scopes)}. One that the client was not "
            f"granted is enough. {_where_scopes(self._config)}"
        )
        try:
            granted = (await self._mint_by_secret(send, on_secret, ())).scope
        except CoupaError:
            granted = ()
        missing = [scope for scope in self._config.scopes if scope not in granted] if granted else []
        if missing:
            message += f". Not granted: {', '.join(missing)}"
        return CoupaScopeError(message, status=refused.status, method="POST", path=TOKEN_PATH)

    async def _refresh(self, send: Send, store: RefreshTokenStore, on_secret: Callable[[str], None]) -> Token:
        kept = self._unkept or await asyncio.to_thread(store.load)
        candidates = [kept or self._config.refresh_token or ""]
        while True:
            used = self._newest_refresh_token = candidates[-1]
            answer = await send(self._form({"grant_type": "refresh_token", "refresh_token": used}))
            facts = self._read(answer)
            if facts.get("error") == "invalid_grant":
                newest = await self._successor_of_another(candidates, store)
                if newest is not None:
                    candidates.append(newest)
                    continue
            rotated = facts.get("refresh_token")
            if isinstance(rotated, str) and rotated and rotated != used:
                self._newest_refresh_token = self._unkept = rotated
                await asyncio.to_thread(on_secret, rotated)
            if self._unkept is not None:
                # Kept before the access token is used: losing it would lock this connection out. Should that
                # fail, this process at least still has it.
                await asyncio.to_thread(store.save, self._unkept)
                self._unkept = None
            return await self._accept(answer, facts, on_secret)

    async def _successor_of_another(self, used: list[str], store: RefreshTokenStore) -> str | None:
        """Return a refresh token that another process got for one of these in the meantime."""
        for pause in _LOOKS_FOR_SUCCESSOR_SECONDS:
            await asyncio.sleep(pause)
            newest = await asyncio.to_thread(store.load)
            if newest and newest not in used:
                return newest
        return None

    def _form(self, fields: Mapping[str, str]) -> bytes:
        everything = {
            "client_id": self._config.client_id,
            "client_secret": self._config.client_secret,
            **{name: value for name, value in fields.items() if value},
        }
        return "&".join(f"{name}={quote_plus(value)}" for name, value in everything.items()).encode()

    def _read(self, answer: Answer) -> dict[str, Any]:
        try:
            facts = msgspec.json.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return {}
        return facts if isinstance(facts, dict) else {}

    async def _accept(
        self, answer: Answer, facts: Mapping[str, Any], on_secret: Callable[[str], None]
    ) -> Token:
        value = facts.get("access_token")
        if answer.status >= 300 or not isinstance(value, str) or not value:
            raise self._refused(answer, facts)
        await asyncio.to_thread(on_secret, value)
        if not _TOKEN_TEXT.fullmatch(value):
            raise CoupaUnavailableError(
                f"{self._config.instance} gave a token that cannot stand in a header: it holds a blank, a line end or "
                "letters beyond ASCII",
                status=answer.status,
                method="POST",
                path=TOKEN_PATH,
            )
        lifetime = _lifetime(facts.get("expires_in"))
        scope = facts.get("scope")
        scopes = tuple(scope.replace(",", " ").split()) if isinstance(scope, str) else ()
        return Token(value=value, minted_at=self._clock(), lifetime=lifetime, scope=scopes)

    def _refused(self, answer: Answer, facts: Mapping[str, Any]) -> CoupaError:
        where: dict[str, Any] = {"status": answer.status, "method": "POST", "path": TOKEN_PATH}
        code = str(facts.get("error") or "")
        if not _CODE.fullmatch(code):
            code = ""  # words of a server may hold anything, even the secret
        instance = self._config.instance
        if 300 <= answer.status < 400:
            return CoupaUnavailableError(
                f"{instance} redirected the token request instead of answering it. Check the field 'host'",
                **where,
            )
        if code == "invalid_grant":
            return CoupaAuthenticationError(
                "Coupa no longer accepts the refresh token: it lives 90 days and may be used once. Obtain a new one "
                "with the scope offline_access and put it into the connection's field 'refresh_token', or use "
                "grant type client_credentials",
                **where,
            )
        if code == "invalid_scope":
            return CoupaScopeError(
                f"Coupa grants this client no scope. {_where_scopes(self._config)}", **where
            )
        if code in ("unsupported_grant_type", "unauthorized_client"):
            return CoupaAuthenticationError(
                f"Coupa does not allow this client the grant type {self._config.grant_type} ({code}). Change the "
                "field 'grant_type', or the client in Coupa",
                **where,
            )
        if code == "invalid_client" or answer.status in (400, 401, 403):
            return CoupaAuthenticationError(
                f"Coupa at {instance} did not accept the client{f' ({code})' if code else ''}: the client id or "
                "the client secret is wrong, or the client is inactive. Compare them with Setup > Integrations > "
                f"OAuth2/OpenID Connect Clients ({self._config.base_url}/oauth2/clients)",
                **where,
            )
        if answer.status == 404 or answer.status < 300:
            # Not a CoupaNotFoundError: to callers that means that a record does not exist.
            return CoupaConfigError(
                f"Connection {self._config.conn_id!r}, field 'host': {instance} does not answer like a Coupa instance, "
                f"there is no token at {TOKEN_PATH}. Write the name or host of a Coupa instance",
                field="host",
                **where,
            )
        failure = read_failure(answer, datetime.now(UTC), self.secrets())
        return failure or CoupaUnavailableError("No token", **where)


def _lifetime(expires_in: object) -> float:
    """Return the seconds a token lives; what Coupa documents where the answer says nothing sensible."""
    try:
        seconds = float(expires_in)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return _DEFAULT_LIFETIME_SECONDS
    return seconds if math.isfinite(seconds) and seconds > 0 else _DEFAULT_LIFETIME_SECONDS


def _where_scopes(config: CoupaConfig) -> str:
    return f"The scopes granted to it are listed in Coupa at {config.base_url}/oauth2/clients"


@asynccontextmanager
async def _held(lock: threading.Lock) -> AsyncIterator[None]:
    """Hold a thread's lock without blocking the event loop: holders may live on another loop."""
    while not lock.acquire(blocking=False):  # noqa: ASYNC110 - an Event belongs to one loop
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        lock.release()


_sources: dict[str, TokenSource] = {}
_sources_lock = threading.Lock()


def shared_token_source(config: CoupaConfig) -> TokenSource:
    """Return the process's one token source for these credentials and scopes."""
    parts = (
        config.base_url, config.client_id, config.client_secret, config.grant_type, config.refresh_token or "",
        " ".join(config.scopes),
    )  # fmt: skip
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    with _sources_lock:
        return _sources.setdefault(key, TokenSource(config))


def _renew_locks_after_fork() -> None:
    """Free what another thread held at the moment of a fork: that thread does not exist in the child."""
    global _sources_lock
    _sources_lock = threading.Lock()
    for source in _sources.values():
        source._mint_lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_locks_after_fork)


def forget_tokens() -> None:
    """Forget all tokens and refusals of this process, so that the next request mints anew."""
    with _sources_lock:
        _sources.clear()
