"""The Coupa that all candidates read: an emulator in a process of its own, so its CPU time is nobody's."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

RATE_LIMIT = 25.0
CLIENT_ID = "emulator"
CLIENT_SECRET = "emulator-secret"

_direct = build_opener(ProxyHandler({}))


@dataclass(frozen=True)
class Emulator:
    """A running emulator.

    :param url: its address.
    """

    url: str

    def configure(self, *, rate_limit: float | None, latency_ms: float) -> None:
        """Set the rate limit and the latency; the burst stays at Coupa's 20."""
        settings = {"rate_limit": rate_limit, "latency": {"fixed_ms": latency_ms}}
        self._call("POST", "/_emulator/configure", json.dumps(settings).encode())

    def token(self) -> str:
        """Return an access token, for peers that are handed one."""
        form = {
            "grant_type": "client_credentials",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "scope": "core.invoice.read",
        }
        return self._call("POST", "/oauth2/token", urlencode(form).encode())["access_token"]

    def reset_seen(self) -> None:
        """Begin to count again."""
        self._call("POST", "/_emulator/reset_seen", b"{}")

    def throttled(self) -> int:
        """Return how many 429 were answered since ``reset_seen``."""
        return self._call("GET", "/_emulator/seen")["throttled"]

    @cached_property
    def ids(self) -> list[int]:
        """Ids of the invoices, rising; they are made when first asked for."""
        return self._call("GET", "/_emulator/ids/invoices")

    def _call(self, method: str, path: str, body: bytes | None = None) -> Any:
        with _direct.open(Request(self.url + path, data=body, method=method), timeout=900) as answer:
            return json.loads(answer.read())


@contextmanager
def running_emulator(invoices: int) -> Iterator[Emulator]:
    """Run an emulator with so many invoices."""
    command = [sys.executable, "-m", "coupa_provider.emulator", "--port", "0", "--no-rate-limit"]
    with subprocess.Popen(
        [*command, "--size", f"invoices={invoices}"], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield Emulator(_url_in(process.stdout))
        finally:
            process.terminate()


def _url_in(greeting: Iterator[str]) -> str:
    for line in greeting:
        if match := re.match(r"\s*url\s+(\S+)", line):
            return match[1]
    raise RuntimeError("the emulator did not start")
