"""The token endpoint: clients, grants, access and refresh tokens.

Only the decisions are here; requests are read and answers sent by the server module.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

from coupa_provider.emulator.answers import Answer, json_answer
from coupa_provider.emulator.settings import Settings
from coupa_provider.resources import find_resource, resource_paths

REFRESH_TTL_S = 90 * 86400
CODE_TTL_S = 600
OFFLINE = "offline_access"

_BEYOND_CATALOG = (
    "core.invoice.create",
    "core.invoice.delete",
    "core.invoice.approval.write",
    "core.invoice.approval.bypass",
    "core.legacy.read",
    "core.custom_objects.read_write",
    "openid",
    "profile",
    "email",
    "login",
    OFFLINE,
)


def all_scopes() -> list[str]:
    """Return every scope that the emulated instance knows."""
    found = set(_BEYOND_CATALOG)
    for path in resource_paths():
        resource = find_resource(path)
        if resource is not None:
            found |= {scope for scope in (resource.read_scope, resource.write_scope) if scope}
    return sorted(found)


@dataclass(slots=True)
class Client:
    """An OAuth client as an administrator made it.

    :param id: its identifier.
    :param secret: its secret.
    :param scopes: scopes granted to it.
    :param active: False when it was switched off.
    """

    id: str
    secret: str
    scopes: frozenset[str]
    active: bool = True


@dataclass(slots=True)
class Token:
    """An access token.

    :param client_id: whose it is.
    :param scopes: what it may do.
    :param minted_at: when, on a clock that does not jump.
    :param expires_at: until when.
    :param revoked: it was taken back.
    :param family: refresh tokens that descend from one consent share this.
    """

    client_id: str
    scopes: frozenset[str]
    minted_at: float
    expires_at: float
    revoked: bool = False
    family: str | None = None


@dataclass(slots=True)
class RefreshToken:
    """A refresh token.

    :param client_id: whose it is.
    :param scopes: what access tokens got by it may do.
    :param expires_at: until when.
    :param family: see :class:`Token`.
    :param used: it was replaced.
    """

    client_id: str
    scopes: frozenset[str]
    expires_at: float
    family: str
    used: bool = False


@dataclass(slots=True)
class Code:
    """An authorization code.

    :param client_id: whose it is.
    :param scopes: what the user consented to.
    :param redirect_uri: where it was sent.
    :param expires_at: until when.
    :param challenge: PKCE challenge, or None.
    :param method: PKCE method, ``S256`` or ``plain``.
    """

    client_id: str
    scopes: frozenset[str]
    redirect_uri: str
    expires_at: float
    challenge: str | None = None
    method: str = "plain"


class OAuthError(Exception):
    """An error of the token endpoint.

    :param error: code as in RFC 6749.
    :param description: words for people.
    :param status: HTTP status.
    """

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(error)
        self.error = error
        self.description = description
        self.status = status

    def answer(self) -> Answer:
        """Return it as an answer."""
        return json_answer(self.status, {"error": self.error, "error_description": self.description})


@dataclass(slots=True)
class Verdict:
    """Whether a bearer token opens the door.

    :param token: the token when it is good.
    :param caller: whose requests they are, for the rate limit.
    :param status: HTTP status of a refusal, None for a good token.
    :param message: why it is refused.
    """

    token: Token | None
    caller: str
    status: int | None = None
    message: str = ""


@dataclass
class Authority:
    """All clients and tokens of an instance.

    :param clients: by id.
    """

    clients: dict[str, Client] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._tokens: dict[str, Token] = {}
        self._refresh: dict[str, RefreshToken] = {}
        self._codes: dict[str, Code] = {}
        self._key = secrets.token_bytes(32)

    def add_client(
        self, client_id: str, secret: str, scopes: Collection[str] | None, active: bool = True
    ) -> None:
        """Make or replace a client.

        :param client_id: its identifier.
        :param secret: its secret.
        :param scopes: granted scopes; None for all there are.
        :param active: False for one that is switched off.
        """
        granted = frozenset(all_scopes() if scopes is None else scopes)
        with self._lock:
            self.clients[client_id] = Client(client_id, secret, granted, active)

    def deactivate_client(self, client_id: str) -> None:
        """Switch a client off.

        :param client_id: its identifier.
        """
        with self._lock:
            self.clients[client_id].active = False

    def revoke_tokens(self) -> int:
        """Take back every access token.

        :return: how many were alive.
        """
        with self._lock:
            alive = [token for token in self._tokens.values() if not token.revoked]
            for token in alive:
                token.revoked = True
            return len(alive)

    def issued(self) -> set[str]:
        """Return every access and refresh token given out that has not long expired."""
        with self._lock:
            return {*self._tokens, *self._refresh}

    def issue_refresh_token(self, client_id: str, scopes: Collection[str], now: float) -> str:
        """Make a refresh token as if a user had consented.

        :param client_id: whose it is.
        :param scopes: what the user consented to.
        :param now: time on a clock that does not jump.
        :return: the token.
        """
        return self._new_refresh(client_id, frozenset(scopes), secrets.token_hex(8), now)

    def authorize(self, form: Mapping[str, str], now: float) -> str:
        """Give consent at once and make an authorization code.

        :param form: arguments of the consent page.
        :param now: time.
        :return: the code.
        :raises OAuthError: when client, scope or response type are wrong.
        """
        client = self.clients.get(form.get("client_id", ""))
        if client is None or not client.active:
            raise OAuthError("invalid_client", "There is no such client.", 401)
        if form.get("response_type") != "code":
            raise OAuthError("unsupported_response_type", "Only response_type=code is supported.")
        if not form.get("redirect_uri"):
            raise OAuthError("invalid_request", "redirect_uri is missing.")
        code = secrets.token_urlsafe(24)
        with self._lock:
            self._codes[code] = Code(
                client.id,
                _wanted_scopes(client, form.get("scope")),
                form["redirect_uri"],
                now + CODE_TTL_S,
                form.get("code_challenge"),
                form.get("code_challenge_method", "plain"),
            )
        return code

    def grant(
        self, form: Mapping[str, str], authorization: str | None, settings: Settings, now: float
    ) -> dict[str, Any]:
        """Answer a request at the token endpoint.

        :param form: arguments of the body and of the query string together.
        :param authorization: header of that name, for Basic credentials.
        :param settings: position of the switches and life of tokens.
        :param now: time.
        :return: the token answer.
        :raises OAuthError: when nothing is granted.
        """
        grant_type = form.get("grant_type")
        if not grant_type:
            raise OAuthError("invalid_request", "grant_type is missing.")
        client = self._authenticate(form, authorization, settings)
        if grant_type == "client_credentials":
            return self._answer(client, _wanted_scopes(client, form.get("scope")), None, None, settings, now)
        if grant_type == "authorization_code":
            return self._by_code(client, form, settings, now)
        if grant_type == "refresh_token":
            return self._by_refresh(client, form, settings, now)
        raise OAuthError("unsupported_grant_type", f"The grant type {grant_type} is not supported.")

    def _authenticate(self, form: Mapping[str, str], authorization: str | None, settings: Settings) -> Client:
        client_id, secret = form.get("client_id"), form.get("client_secret")
        if authorization and authorization.lower().startswith("basic "):
            client_id, secret = _basic(authorization)
        if not client_id:
            raise OAuthError("invalid_request", "client_id is missing.")
        client = self.clients.get(client_id)
        if client is None or not hmac.compare_digest(client.secret.encode(), (secret or "").encode()):
            raise OAuthError(
                "invalid_client",
                "Unknown client, wrong secret or unsupported credentials.",
                int(settings.switches["U1"]),
            )
        if not client.active:
            raise OAuthError("invalid_client", "The client is switched off.", int(settings.switches["U32"]))
        return client

    def _by_code(
        self, client: Client, form: Mapping[str, str], settings: Settings, now: float
    ) -> dict[str, Any]:
        if not form.get("code"):
            raise OAuthError("invalid_request", "code is missing.")
        with self._lock:
            code = self._codes.pop(form["code"], None)
        fits = (
            code is not None
            and code.client_id == client.id
            and code.expires_at > now
            and code.redirect_uri == form.get("redirect_uri")
            and _verifies(code, form.get("code_verifier", ""))
        )
        if code is None or not fits:
            raise OAuthError("invalid_grant", "The code is not valid any more, or was for something else.")
        family = secrets.token_hex(8)
        refresh = self._new_refresh(client.id, code.scopes, family, now) if OFFLINE in code.scopes else None
        return self._answer(client, code.scopes, refresh, family, settings, now)

    def _by_refresh(
        self, client: Client, form: Mapping[str, str], settings: Settings, now: float
    ) -> dict[str, Any]:
        text = form.get("refresh_token")
        if not text:
            raise OAuthError("invalid_request", "refresh_token is missing.")
        mode = settings.switches["U3"]
        with self._lock:
            held = self._refresh.get(text)
            if held is None or held.client_id != client.id or held.expires_at <= now or held.used:
                if held is not None and held.used and mode == "reuse_detect":
                    self._revoke_family(held.family)
                raise OAuthError("invalid_grant", "The refresh token is not valid any more.")
            scopes = held.scopes
            if form.get("scope"):
                scopes = frozenset(form["scope"].split(" "))
                if not scopes <= held.scopes:
                    # A refresh that fails costs the refresh token, as Coupa documents.
                    held.used = True
                    raise OAuthError("invalid_scope", "More was asked for than the user consented to.")
            refresh = text
            if mode != "keep":
                held.used = True
                refresh = self._new_refresh(client.id, held.scopes, held.family, now)
            return self._answer(client, scopes, refresh, held.family, settings, now)

    def _revoke_family(self, family: str) -> None:
        for refresh in self._refresh.values():
            if refresh.family == family:
                refresh.used = True
        for token in self._tokens.values():
            if token.family == family:
                token.revoked = True

    def _new_refresh(self, client_id: str, scopes: frozenset[str], family: str, now: float) -> str:
        text = secrets.token_urlsafe(32)
        with self._lock:
            self._refresh[text] = RefreshToken(client_id, scopes, now + REFRESH_TTL_S, family)
        return text

    def _answer(
        self,
        client: Client,
        scopes: frozenset[str],
        refresh: str | None,
        family: str | None,
        settings: Settings,
        now: float,
    ) -> dict[str, Any]:
        scope_text = " ".join(sorted(scopes))
        text = self._sign(
            {"sub": client.id, "scope": scope_text, "jti": secrets.token_hex(8)}, settings.token_length
        )
        with self._lock:
            for known, token in list(self._tokens.items()):
                if token.expires_at <= now - 60:
                    del self._tokens[known]
            self._tokens[text] = Token(client.id, scopes, now, now + settings.token_ttl_s, family=family)
        answer: dict[str, Any] = {
            "access_token": text,
            "token_type": "bearer",
            "expires_in": int(settings.token_ttl_s),
        }
        if settings.switches["U33"] == "echoed":
            answer["scope"] = scope_text
        if refresh is not None:
            answer["refresh_token"] = refresh
        return answer

    def _sign(self, claims: dict[str, str], least_length: int) -> str:
        head = _base64url(b'{"alg":"HS256","typ":"JWT"}')
        missing = least_length - len(_base64url(json.dumps(claims).encode())) - len(head) - 45
        if missing > 0:
            claims = {**claims, "pad": "x" * (missing * 3 // 4 + 1)}
        body = _base64url(json.dumps(claims).encode())
        signature = hmac.new(self._key, f"{head}.{body}".encode(), hashlib.sha256).digest()
        return f"{head}.{body}.{_base64url(signature)}"

    def judge(self, authorization: str | None, settings: Settings, now: float) -> Verdict:
        """Judge the ``Authorization`` header of a request.

        :param authorization: the header, or None.
        :param settings: position of the switches.
        :param now: time.
        :return: the verdict.
        """
        kind, _, text = (authorization or "").partition(" ")
        if kind.lower() != "bearer" or not text:
            return Verdict(None, "", 401, "A bearer token is needed.")
        token = self._tokens.get(text.strip())
        if token is None:
            return Verdict(None, "", 401, "The token is not valid.")
        caller = token.client_id
        switches = settings.switches
        client = self.clients.get(caller)
        if token.revoked or client is None or not client.active:
            return Verdict(None, caller, int(switches["U32"]), "The token was revoked.")
        if token.expires_at <= now:
            return Verdict(None, caller, 401, "The token has expired.")
        if switches["U2"] == "401" and now - token.minted_at < settings.activation_delay_s:
            return Verdict(None, caller, 401, "The token is not active yet.")
        return Verdict(token, caller)

    def revoke(self, token: Token) -> None:
        """Take back one access token.

        :param token: the token.
        """
        token.revoked = True


def _wanted_scopes(client: Client, text: str | None) -> frozenset[str]:
    """Scopes are parted by one space; one that is not granted fails the whole request."""
    if not text:
        return client.scopes
    wanted = frozenset(text.split(" "))
    if not wanted <= client.scopes:
        raise OAuthError("invalid_scope", "A scope is unknown or not granted to the client.")
    return wanted


def _basic(authorization: str) -> tuple[str, str]:
    try:
        plain = base64.b64decode(authorization[6:].strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise OAuthError("invalid_request", "The Basic credentials cannot be read.") from None
    client_id, _, secret = plain.partition(":")
    # RFC 6749 has both form-encoded, but many clients send them as they are.
    return (unquote_plus(client_id), unquote_plus(secret)) if "%" in plain else (client_id, secret)


def _verifies(code: Code, verifier: str) -> bool:
    if code.challenge is None:
        return True
    shown = verifier
    if code.method == "S256":
        shown = _base64url(hashlib.sha256(verifier.encode()).digest())
    return hmac.compare_digest(shown, code.challenge)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def allows(token: Token, scope: str | None, others: Collection[str] = ()) -> bool:
    """Tell whether a token may do something.

    :param token: the token.
    :param scope: scope that grants it; None when no scope is published for it.
    :param others: further scopes that grant it.
    :return: True when it may.
    """
    if scope is None:
        return True
    base, _, right = scope.rpartition(".")
    coarse = f"{base}.read_write" if right in ("read", "write") else scope
    return not token.scopes.isdisjoint({scope, coarse, *others})
