"""What the tests of the client share: configurations, an emulator a module, raw servers, an event loop."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coupa_provider.client import pacing, token
from coupa_provider.client.config import CoupaConfig
from coupa_provider.client.retry import RetryPolicy
from coupa_provider.emulator import Emulator

SECRET = "emulator-secret"
#: Fails and tries again without a wait that a test would notice.
QUICK = RetryPolicy(first_delay=0.01, longest_delay=0.05)


class RawServer:
    """Answers each connection with fixed bytes, and keeps what it was sent."""

    def __init__(self, answer: bytes | Callable[[bytes], bytes]) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    request = self._read(connection)
                    self.requests.append(request)
                    connection.sendall(self.answer(request) if callable(self.answer) else self.answer)
                except OSError:
                    continue

    def _read(self, connection: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            if data.startswith(b"\x16"):
                return data  # the start of TLS, which this server does not speak
            part = connection.recv(65536)
            if not part:
                return data
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        while len(body) < length:
            body += connection.recv(65536)
        return head + b"\r\n\r\n" + body

    @property
    def lines(self) -> list[str]:
        """First line of each request."""
        return [request.split(b"\r\n", 1)[0].decode() for request in self.requests]

    def close(self) -> None:
        self._listener.close()


def _http(status: int, body: bytes = b"", content_type: str = "application/json", **headers: str) -> bytes:
    """Write an HTTP answer."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"Content-Type: {content_type}"] if content_type else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _config_for(url: str, *, login: str = "emulator", password: str = SECRET, **extra: object) -> CoupaConfig:
    """Make a configuration for a server on this machine, fast unless said otherwise."""
    return CoupaConfig.from_fields(
        "coupa_test", host=url, login=login, password=password, extra={"requests_per_second": 2000, **extra}
    )


def _run(work):
    """Run a coroutine on a loop of its own, with an end in case it hangs."""

    async def limited():
        return await asyncio.wait_for(work, 60)

    return asyncio.run(limited())


@pytest.fixture(scope="session")
def quick() -> RetryPolicy:
    """Patience without waits that a test would notice."""
    return QUICK


@pytest.fixture(scope="session")
def http():
    """Write HTTP answers: ``http(200, b"[]")``."""
    return _http


@pytest.fixture(scope="session")
def run():
    """Run a coroutine on a loop of its own."""
    return _run


@pytest.fixture(scope="session")
def config_for():
    """Make configurations: ``config_for(url, scopes="...")``."""
    return _config_for


@pytest.fixture
def closed_port() -> int:
    """A port on which nobody listens."""
    return _closed_port()


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    """Forget the tokens and paces of the test before."""
    token.forget_tokens()
    pacing._pacers.clear()


@pytest.fixture(scope="session")
def _one_emulator() -> Iterator[Emulator]:
    with Emulator(rate_limit=None, scale=0.2) as running:
        yield running


@pytest.fixture
def emulator(_one_emulator: Emulator) -> Emulator:
    """An emulator without a rate limit, in its first state."""
    _one_emulator.reset()
    _one_emulator.add_client(_one_emulator.client_id, _one_emulator.client_secret)
    return _one_emulator


@pytest.fixture
def raw_server() -> Iterator[Callable[[bytes | Callable[[bytes], bytes]], RawServer]]:
    """Start raw servers."""
    started: list[RawServer] = []

    def start(answer: bytes | Callable[[bytes], bytes]) -> RawServer:
        started.append(RawServer(answer))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for localhost in ``cert.pem``, with its key in ``key.pem`` beside it."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem"),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return folder / "cert.pem"


@pytest.fixture
def tls_server(certificate):
    """An HTTPS server with a self-signed certificate; returns its port."""
    started = []

    def start() -> int:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, certificate.with_name("key.pem"))
        loop = asyncio.new_event_loop()

        async def serve(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]")
            await writer.drain()
            writer.close()

        server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0, ssl=context))
        loop.set_exception_handler(lambda *_: None)
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        started.append((loop, server, thread))
        return server.sockets[0].getsockname()[1]

    yield start
    for loop, server, thread in started:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
