"""Runs the application under uvicorn, in a thread or as the whole process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any, Literal

import uvicorn

from coupa_provider.emulator.instance import Instance
from coupa_provider.emulator.outages import Outages
from coupa_provider.emulator.server import Server

HttpParser = Literal["auto", "h11", "httptools"]


class QuietServer(uvicorn.Server):
    """A uvicorn server that leaves signals to the program around it, and stops listening during an outage.

    :param config: of uvicorn.
    :param outages: tell when no connection can be opened.
    """

    def __init__(self, config: uvicorn.Config, outages: Outages) -> None:
        super().__init__(config)
        self._outages = outages
        self._closed: socket.socket | None = None

    async def on_tick(self, counter: int) -> bool:
        """Open or close the door; uvicorn calls this ten times a second.

        :param counter: number of the call.
        :return: True when the server is to end.
        """
        if self._outages.is_refusing() != (self._closed is not None):
            await self._turn()
        return await super().on_tick(counter)

    async def _turn(self) -> None:
        if self._closed is None:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self.servers[0].close()
            # It keeps the port from others; who connects is refused, since it does not listen.
            self._closed = _bound_socket(host, port)
            return
        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(self._protocol, sock=self._closed, backlog=self.config.backlog)
        ]
        self._closed = None

    def _protocol(self) -> asyncio.Protocol:
        """Return what uvicorn makes for each connection; its own maker is hidden in its start."""
        maker: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = maker(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End, also while no connection can be opened.

        :param sockets: those that the server was given.
        """
        if self._closed is not None:
            self._closed.close()
        await super().shutdown(sockets)

    def install_signal_handlers(self) -> None:
        """Do nothing; older releases of uvicorn ask here."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing; newer releases of uvicorn ask here."""
        yield


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens, so that the port is known before the server runs.

    :param host: address to listen on.
    :param port: port; 0 for any that is free.
    :return: the socket.
    """
    listener = _bound_socket(host, port)
    listener.listen(1024)
    return listener


def _bound_socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP and without Nagle's delay: else small answers take 40 ms, head and body being two writes.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind((host, port))
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the address of a listening socket as a URL.

    :param listener: the socket.
    :return: URL without a slash at its end.
    """
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def server_for(instance: Instance, http: HttpParser = "auto") -> QuietServer:
    """Return a server for an instance.

    :param instance: what it serves.
    :param http: parser of uvicorn; by itself it takes the fastest that is installed.
    :return: the server, not running yet.
    """
    config = uvicorn.Config(
        Server(instance),
        http=http,
        log_level="error",
        access_log=False,
        # Between the application and the connection nothing may stand, or dropped connections fail.
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=65,
        timeout_graceful_shutdown=1,
        ws="none",
    )
    return QuietServer(config, instance.outages)
