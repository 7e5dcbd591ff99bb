"""From a connection's fields to a checked configuration.

One constructor, :meth:`CoupaConfig.from_fields`, looks at every field. Its errors name the connection,
the field and the remedy, and never hold a secret.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import logging
import math
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, NoReturn
from urllib.parse import SplitResult, urlsplit

from coupa_provider.client.errors import CoupaConfigError

log = logging.getLogger(__name__)

#: Coupa publishes 25 requests a second (article 0012); the default leaves it a little room.
PUBLISHED_REQUESTS_PER_SECOND = 25.0
DEFAULT_REQUESTS_PER_SECOND = 24.0
DEFAULT_TIMEOUT_SECONDS = 60.0
LONGEST_TIMEOUT_SECONDS = 600.0
GRANT_TYPES = ("client_credentials", "refresh_token")

_EXTRAS = (
    "scopes", "grant_type", "refresh_token", "requests_per_second", "timeout_seconds", "proxy", "verify",
)  # fmt: skip
#: What people paste after the host: harmless endings that are taken off (article 0021 names the second).
_PATH_ENDINGS = ("", "/api", "/session/new", "/sessions/new")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_SCOPE = re.compile(r"[A-Za-z0-9_.:-]+")
_MASK = re.compile(r"\*{3,}")


@dataclass(frozen=True, slots=True)
class CoupaConfig:
    """All a client needs to know, checked.

    :param conn_id: id of the connection it came from, for messages.
    :param base_url: scheme, host and port: ``"https://acme.coupahost.com"``; no path, no trailing slash.
    :param client_id: OAuth client id.
    :param client_secret: OAuth client secret; never printed.
    :param scopes: scopes to ask for, in order, without repeats; empty asks for all the client has.
    :param grant_type: ``client_credentials`` or ``refresh_token``.
    :param refresh_token: first refresh token of that grant; never printed.
    :param requests_per_second: ceiling of this process's requests on this connection.
    :param timeout_seconds: longest wait for a connection, and for each piece of an answer.
    :param proxy: URL of a proxy, None to follow the environment; never printed, it may hold a password.
    :param verify: True for the usual certificates, False for none, or the path of a CA bundle.
    """

    conn_id: str
    base_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scopes: tuple[str, ...] = ()
    grant_type: str = "client_credentials"
    refresh_token: str | None = field(default=None, repr=False)
    requests_per_second: float = DEFAULT_REQUESTS_PER_SECOND
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    proxy: str | None = field(default=None, repr=False)
    verify: bool | str = True

    @property
    def instance(self) -> str:
        """Host, with the port where it is not the usual one: ``"acme.coupahost.com"``."""
        return urlsplit(self.base_url).netloc

    @property
    def loopback(self) -> bool:
        """True for an emulator on this machine."""
        return _is_loopback(urlsplit(self.base_url).hostname or "")

    @classmethod
    def from_fields(
        cls,
        conn_id: str,
        *,
        host: str | None,
        login: str | None,
        password: str | None,
        port: int | str | None = None,
        schema: str | None = None,
        extra: Mapping[str, Any] | str | None = None,
    ) -> CoupaConfig:
        """Build a configuration from the fields of an Airflow connection.

        Nulls and empty texts, which Airflow's form stores for every field left alone, count as unset.

        :param conn_id: id of the connection.
        :param host: ``"acme"``, ``"acme.coupahost.com"`` or a URL; a trailing slash or ``/api`` is taken off.
        :param login: OAuth client id.
        :param password: OAuth client secret.
        :param port: port, for an emulator; 0 counts as unset because Airflow 3.3.1's test button sends it.
        :param schema: ``http`` or ``https`` where the host does not say.
        :param extra: the connection's extra, as mapping or as JSON text.
        :raises CoupaConfigError: a field is missing or wrong.
        """
        reader = _Reader(conn_id, extra)
        base_url = reader.base_url(host, port, schema)
        client_id = reader.credential("client id", "login", login)
        client_secret = reader.credential("client secret", "password", password)
        grant_type = reader.grant_type()
        return cls(
            conn_id=conn_id,
            base_url=base_url,
            client_id=client_id,
            client_secret=client_secret,
            scopes=reader.scopes(),
            grant_type=grant_type,
            refresh_token=reader.refresh_token(required=grant_type == "refresh_token"),
            requests_per_second=reader.requests_per_second(base_url),
            timeout_seconds=reader.timeout_seconds(),
            proxy=reader.proxy(),
            verify=reader.verify(),
        )


class _Reader:
    """Reads the fields of one connection, each with its own checks."""

    def __init__(self, conn_id: str, extra: Mapping[str, Any] | str | None) -> None:
        self.conn_id = conn_id
        self.extra = self._read_extra(extra)

    def fail(self, name: str, problem: str, remedy: str) -> NoReturn:
        raise CoupaConfigError(
            f"Connection {self.conn_id!r}, field {name!r}: {problem}. {remedy}.", field=name
        )

    def _read_extra(self, extra: Mapping[str, Any] | str | None) -> dict[str, Any]:
        remedy = 'Write an object such as {"scopes": "core.invoice.read"}'
        if isinstance(extra, str):
            readable, extra = _read_json(extra) if extra.strip() else (True, {})
            if not readable:
                self.fail("extra", "it is not valid JSON", remedy)
        if not extra:
            return {}
        if not isinstance(extra, Mapping):
            self.fail("extra", "it is not a JSON object", remedy)
        for key in extra:
            if key in _EXTRAS or _unset(extra[key]):
                continue
            near = difflib.get_close_matches(str(key).lower().replace("-", "_"), _EXTRAS, n=1, cutoff=0.8)
            if near:
                self.fail(str(key), "there is no such field", f"Did you mean {near[0]!r}")
            log.warning(
                "Connection %r: nothing reads the extra field %r. There are: %s",
                self.conn_id,
                key,
                ", ".join(_EXTRAS),
            )
        return {key: extra[key] for key in _EXTRAS if key in extra and not _unset(extra[key])}

    def base_url(self, host: str | None, port: int | str | None, schema: str | None) -> str:
        remedy = 'Write the instance\'s name ("acme"), its host ("acme.coupahost.com") or its URL'
        text = self._text("host", host, remedy)
        if not text:
            self.fail("host", "the instance is missing", remedy)
        if re.search(r"[\s\\\x00-\x1f]", text):
            self.fail("host", "it holds a blank or a control character", remedy)
        parts, url_port = _split(text if "://" in text else f"//{text}")
        if parts is None or url_port == 0:
            self.fail("host", "it is not a host or URL", remedy)
        if parts.username is not None or parts.password is not None:
            self.fail(
                "host", "it holds a user or password",
                "Put the client id in the field Client ID and the secret in Client secret",
            )  # fmt: skip
        if parts.query or parts.fragment or parts.path.rstrip("/").lower() not in _PATH_ENDINGS:
            self.fail("host", "there is something after the host name", f"{remedy}, with nothing after it")
        name = self._host_name(parts, remedy)
        scheme = self._scheme(parts.scheme, schema, name)
        own_port = self._port(port)
        if url_port is not None and own_port not in (None, 443, url_port):
            self.fail("port", f"the host says {url_port}, the port says {own_port}", "Leave the port empty")
        final_port = url_port or own_port
        if final_port in (None, 443 if scheme == "https" else 80):
            return f"{scheme}://{name}"
        return f"{scheme}://{name}:{final_port}"

    def _host_name(self, parts: SplitResult, remedy: str) -> str:
        name = (parts.hostname or "").rstrip(".")
        if _is_loopback(name):
            return f"[{name}]" if ":" in name else name
        if "." not in name:
            name = f"{name}.coupahost.com"
        if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
            self.fail("host", "it is not a host name", remedy)
        return name

    def _scheme(self, in_url: str, schema: str | None, name: str) -> str:
        loopback = _is_loopback(name.strip("[]"))
        asked = in_url or self._text("schema", schema, "Leave it empty, or write https").lower()
        scheme = asked or ("http" if loopback else "https")
        if scheme not in ("http", "https"):
            self.fail("host" if in_url else "schema", f"{scheme!r} is no scheme Coupa speaks", "Use https")
        if scheme == "http" and not loopback:
            self.fail(
                "host" if in_url else "schema",
                "http would send the secret in clear",
                "Use https; http is for an emulator on this machine (localhost, 127.0.0.1) only",
            )
        return scheme

    def _port(self, port: int | str | None) -> int | None:
        if _unset(port) or port in (0, "0"):
            return None
        try:
            number = int(str(port))
        except ValueError:
            number = -1
        if not 0 < number < 65536:
            self.fail("port", f"{port!r} is no port", "Leave it empty, or give a number from 1 to 65535")
        return number

    def _text(self, name: str, value: object, remedy: str) -> str:
        if value is not None and not isinstance(value, str):
            # Connections written as JSON can hold anything.
            self.fail(name, f"it is not text but {type(value).__name__}", remedy)
        return (value or "").strip()

    def credential(self, label: str, name: str, value: str | None) -> str:
        where = "It is shown in Coupa under Setup > Integrations > OAuth2/OpenID Connect Clients"
        text = self._text(name, value, f"Put it in quotes. {where}")
        if not text:
            self.fail(name, f"the {label} is missing", where)
        if _MASK.fullmatch(text):
            self.fail(
                name,
                f"the {label} is a mask, not a value",
                "Type the value itself, not the stars shown for it",
            )
        if re.search(r"[\s\x00-\x1f\x7f]", text):
            self.fail(
                name,
                f"the {label} holds a blank, a line end or a control character",
                f"Copy it again. {where}",
            )
        if not text.isascii():
            self.fail(name, f"the {label} holds characters Coupa never issues", f"Copy it again. {where}")
        return text

    def scopes(self) -> tuple[str, ...]:
        value = self.extra.get("scopes")
        remedy = "Write names such as core.invoice.read, parted by blanks, commas or lines, or as a JSON list"
        if value is None:
            return ()
        if isinstance(value, str):
            items = re.split(r"[\s,;]+", value)
        elif isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            items = [part for item in value for part in re.split(r"[\s,;]+", item)]
        else:
            self.fail("scopes", "it is neither text nor a list of texts", remedy)
        for item in filter(None, items):
            if not _SCOPE.fullmatch(item):
                self.fail("scopes", f"{item!r} is no scope", remedy)
        return tuple(dict.fromkeys(filter(None, items)))

    def grant_type(self) -> str:
        value = str(self.extra.get("grant_type", "client_credentials")).strip().lower()
        if value not in GRANT_TYPES:
            self.fail("grant_type", f"{value!r} is not known", f"Use one of: {', '.join(GRANT_TYPES)}")
        return value

    def refresh_token(self, *, required: bool) -> str | None:
        if "refresh_token" not in self.extra:
            if required:
                self.fail(
                    "refresh_token", "grant type refresh_token needs one",
                    "Obtain one with the scope offline_access, or use grant type client_credentials",
                )  # fmt: skip
            return None
        value = self.extra["refresh_token"]
        if not isinstance(value, str):
            self.fail("refresh_token", "it is not text", "Paste the token that Coupa returned")
        return self.credential("refresh token", "refresh_token", value)

    def _number(self, name: str, default: float, top: float, why: str) -> float:
        value = self.extra.get(name, default)
        remedy = f"Give a number above 0 and up to {top:g}{why}, or leave it empty for {default:g}"
        if isinstance(value, bool):
            self.fail(name, "it is not a number", remedy)
        try:
            number = float(value)
        except (TypeError, ValueError):
            self.fail(name, f"{value!r} is not a number", remedy)
        if not (math.isfinite(number) and 0 < number <= top):
            self.fail(name, f"{value!r} is out of range", remedy)
        return number

    def requests_per_second(self, base_url: str) -> float:
        loopback = _is_loopback(urlsplit(base_url).hostname or "")
        # An emulator may run without a limit; Coupa's own is published and shared by all integrations.
        top = 10_000.0 if loopback else PUBLISHED_REQUESTS_PER_SECOND
        why = "" if loopback else ", the limit Coupa publishes"
        return self._number("requests_per_second", DEFAULT_REQUESTS_PER_SECOND, top, why)

    def timeout_seconds(self) -> float:
        return self._number("timeout_seconds", DEFAULT_TIMEOUT_SECONDS, LONGEST_TIMEOUT_SECONDS, "")

    def proxy(self) -> str | None:
        value = self.extra.get("proxy")
        remedy = "Write a URL such as http://proxy.example.com:3128"
        if value is None:
            return None
        parts = _split(value.strip())[0] if isinstance(value, str) else None
        if parts is None or not parts.hostname:
            self.fail("proxy", "it is not a URL", remedy)
        if parts.scheme not in ("http", "https", "socks5", "socks5h"):
            self.fail("proxy", "its scheme is not http, https or socks5", remedy)
        if parts.scheme.startswith("socks") and find_spec("socksio") is None:
            self.fail(
                "proxy", "SOCKS needs the package socksio, which is not installed", "Install httpx[socks]"
            )
        return str(value).strip()

    def verify(self) -> bool | str:
        value = self.extra.get("verify", True)
        remedy = "Use true, false (for tests only) or the path of a CA bundle that exists where tasks run"
        if isinstance(value, bool):
            return value
        if not isinstance(value, str):
            self.fail("verify", "it is neither true, false nor a path", remedy)
        word = value.strip().lower()
        if word in ("true", "false"):
            return word == "true"
        path = value.strip()
        try:
            ssl.create_default_context(cafile=path)
        except (OSError, ValueError) as error:
            shown = path if len(path) <= 200 else f"{path[:40]}…"
            # ssl.SSLError is an OSError too: a file that is there but holds no certificate.
            problem = "holds no certificates" if isinstance(error, ssl.SSLError) else "cannot be opened"
            self.fail("verify", f"the file {shown!r} {problem}", remedy)
        return path


def _read_json(text: str) -> tuple[bool, Any]:
    """Tell whether a text is JSON, and return its value.

    The parser's exception holds the text, secrets and all: it ends here and does not travel as a context.
    """
    try:
        return True, json.loads(text)
    except (ValueError, RecursionError):
        return False, None


def _split(text: str) -> tuple[SplitResult | None, int | None]:
    """Return the parts of a URL and its port, or None for parts that cannot be read."""
    try:
        parts = urlsplit(text)
        return parts, parts.port
    except ValueError:
        return None, None


def _unset(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip()) or value in ([], {})


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
