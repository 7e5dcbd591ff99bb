"""Runs the application under uvicorn, in a thread or as the whole process."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Literal

import uvicorn

from coupa_provider.emulator.instance import Instance
from coupa_provider.emulator.server import Server

HttpParser = Literal["auto", "h11", "httptools"]


class QuietServer(uvicorn.Server):
    """A uvicorn server that leaves signals to the program around it."""

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
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP and without Nagle's delay: else small answers take 40 ms, head and body being two writes.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind((host, port))
    listener.listen(1024)
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
    return QuietServer(config)
