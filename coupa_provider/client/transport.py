"""The only module that speaks HTTP. It sends one request and reads one answer, with no second thoughts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Coroutine, Mapping
from types import TracebackType
from typing import Any, BinaryIO, Self
from urllib.parse import urlsplit

import httpx

from coupa_provider import __version__
from coupa_provider.client.answer import Answer
from coupa_provider.client.config import CoupaConfig
from coupa_provider.client.errors import CoupaConfigError, CoupaQueryError
from coupa_provider.client.files import Form, receive
from coupa_provider.client.retry import Failure

USER_AGENT = f"airflow-provider-coupa/{__version__}"
_MOST_CONNECTIONS = 100
_CHUNK_BYTES = 256 * 1024
#: An exchange that was cancelled and has not ended after so long is cancelled again.
_OBEYS_SECONDS = 1.0


class TransportError(Exception):
    """No whole answer came.

    :param failure: what that means for repeating the request.
    :param message: cause and, where it is one of set-up, the remedy.
    """

    def __init__(self, failure: Failure, message: str) -> None:
        super().__init__(message)
        self.failure = failure
        self.message = message


class Transport:
    """An HTTP connection pool to one instance and no other; bound to one event loop.

    :param config: instance, time limit, proxy and certificates.
    """

    def __init__(self, config: CoupaConfig) -> None:
        self._base_url = config.base_url
        self._conn_id = config.conn_id
        self._host = urlsplit(config.base_url).hostname or ""
        proxy = urlsplit(config.proxy) if config.proxy else None
        #: Host and port of the connection's proxy, without the password that may stand before them.
        self._proxy = proxy.netloc.rpartition("@")[2] if proxy else ""
        _quiet_request_lines(self._host)
        # A loopback emulator needs no certificates, whose loading costs more than many requests to it.
        verify: bool | ssl.SSLContext = config.base_url.startswith("https") and config.verify is not False
        if isinstance(config.verify, str) and verify:
            verify = ssl.create_default_context(cafile=config.verify)
        self._client = httpx.AsyncClient(
            verify=verify,
            proxy=config.proxy,
            trust_env=not config.loopback,
            timeout=httpx.Timeout(config.timeout_seconds, pool=None),
            follow_redirects=False,
            limits=httpx.Limits(
                max_connections=_MOST_CONNECTIONS, max_keepalive_connections=_MOST_CONNECTIONS
            ),
            headers={"User-Agent": USER_AGENT},
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Mapping[str, str],
        body: bytes | Form | None = None,
        sink: BinaryIO | None = None,
    ) -> Answer:
        """Send one request and read its answer to the end.

        :param method: verb.
        :param path: path from the root of the instance; nothing in it can lead to another host.
        :param query: query string, encoded.
        :param headers: headers of this request.
        :param body: bytes or a form to send.
        :param sink: where to write the body of a success as it comes; None to keep it in the answer.
        :raises TransportError: no whole answer came.
        :raises CoupaQueryError: the path is not a plain path.
        :raises CoupaConfigError: the instance's certificate is not trusted.
        """
        return await _until_it_obeys(self._send(method, path, query, headers, body, sink))

    async def _send(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes | Form | None,
        sink: BinaryIO | None,
    ) -> Answer:
        try:
            url = httpx.URL(self._base_url + path + (f"?{query}" if query else ""))
        except httpx.InvalidURL as error:
            raise CoupaQueryError(
                f"The query for {path} cannot be sent ({error}): it has {len(query)} characters. Ask for less at a "
                "time, for instance with fewer values in a list."
            ) from None
        if not path.startswith("/") or url.host != httpx.URL(self._base_url).host:
            raise CoupaQueryError(f"{path!r} is not a path on {self._host}.")
        try:
            request = self._client.build_request(method, url, headers=dict(headers), **_content(body))
            response = await self._client.send(request, stream=sink is not None)
            if sink is not None:
                return await self._receive(response, method, path, sink)
        except httpx.HTTPError as error:
            raise self._explain(error) from error
        # A response and its stream refer to each other: untied, the body is freed with its last user and does
        # not wait for the garbage collector, which comes rarely in a process as large as Airflow's.
        del response.stream
        return Answer(
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=response.content,
            method=method,
            path=path,
        )

    async def _receive(self, response: httpx.Response, method: str, path: str, sink: BinaryIO) -> Answer:
        """Write a success to a sink; what is refused is read as ever."""
        headers = {name.lower(): value for name, value in response.headers.items()}
        try:
            if response.is_success and response.status_code != 204:
                received = await receive(response.aiter_bytes(_CHUNK_BYTES), headers, sink)
                return Answer(response.status_code, headers, b"", method, path, received)
            return Answer(response.status_code, headers, await response.aread(), method, path)
        finally:
            await response.aclose()

    def _explain(self, error: httpx.HTTPError) -> TransportError:
        text = str(error) or type(error).__name__
        if isinstance(error, httpx.ProxyError | httpx.UnsupportedProtocol):
            return TransportError(
                Failure.NOT_SENT,
                f"The proxy did not let the request through ({text}). Check the field 'proxy'",
            )
        if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
            cause = "Check the field 'proxy'" if self._proxy else "A firewall, or a proxy is needed"
            return TransportError(
                Failure.NOT_SENT, f"No connection to {self._peer} within the time limit. {cause}"
            )
        if isinstance(error, httpx.ConnectError):
            return TransportError(Failure.NOT_SENT, self._explain_connect(error, text))
        if isinstance(error, httpx.TimeoutException):
            return TransportError(Failure.TIMED_OUT, f"{self._host} did not answer within the time limit")
        return TransportError(
            Failure.BROKEN, f"The connection to {self._host} broke before the answer was whole ({text})"
        )

    @property
    def _peer(self) -> str:
        """The machine that connections are opened to."""
        return f"the proxy {self._proxy}" if self._proxy else self._host

    def _explain_connect(self, error: httpx.ConnectError, text: str) -> str:
        if "CERTIFICATE_VERIFY_FAILED" in text:
            raise CoupaConfigError(
                f"Connection {self._conn_id!r}, field 'verify': the certificate of {self._host} is not trusted "
                f"({text}). If a proxy or private authority signs it, give the path of that CA bundle.",
                field="verify",
            ) from None
        if "SSL" in text.upper():
            return (
                f"The TLS connection to {self._host} failed ({text}). If a proxy or private authority signs its "
                "certificate, set the field 'verify' to the path of that CA bundle"
            )
        if any(
            word in text
            for word in (
                "Name or service not known",
                "nodename",
                "getaddrinfo",
                "No address",
                "Temporary failure in name",
            )
        ):
            if self._proxy:
                return f"The host name of {self._peer} is not known. Check the field 'proxy'"
            return f"The host name {self._host} is not known. Check the instance in the field 'host'"
        if self._proxy:
            return f"No connection to {self._peer} ({text}). Check the field 'proxy'"
        return f"No connection to {self._host} ({text}). Check the field 'host', or whether a proxy is needed"


async def _until_it_obeys(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Wait for an exchange; when the waiting is cancelled, cancel the exchange as often as it takes.

    Two requests may be given the same idle connection. If both are cancelled at once, anyio up to 4.13 can forget to
    wake the one that waits for the connection's lock to clean up. It would wait for ever, and all who wait for it.
    """
    exchange = asyncio.create_task(work)
    try:
        await asyncio.wait((exchange,))
    except asyncio.CancelledError:
        while not exchange.done():
            exchange.cancel()
            # A second order to the one who waits changes nothing: the first is raised when the exchange has ended.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait((exchange,), timeout=_OBEYS_SECONDS)
        if not exchange.cancelled():
            exchange.exception()  # nobody wants to know any more
        raise
    return exchange.result()


def _content(body: bytes | Form | None) -> dict[str, Any]:
    """Return httpx's arguments for a body."""
    if isinstance(body, Form):
        return {"data": body.fields, "files": {body.part: (body.name, body.file, body.content_type)}}
    return {"content": body}


class _HostFilter(logging.Filter):
    """Drops httpx's line per request for one host: it would print every query, many times a second."""

    def __init__(self, host: str) -> None:
        super().__init__()
        self.host = host

    def filter(self, record: logging.LogRecord) -> bool:
        args = record.args if isinstance(record.args, tuple) else ()
        return not any(isinstance(arg, httpx.URL) and arg.host == self.host for arg in args)


def _quiet_request_lines(host: str) -> None:
    logger = logging.getLogger("httpx")
    if not any(isinstance(known, _HostFilter) and known.host == host for known in logger.filters):
        logger.addFilter(_HostFilter(host))
