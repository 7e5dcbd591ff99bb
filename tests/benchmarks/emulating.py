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

    def configure(self, *, rate_limit: float | None, latency_ms: float, lost_writes: float = 0) -> None:
        """Set the rate limit, the latency, and the share of writes without an answer, half of which are carried out.

        The burst stays at Coupa's 20.
        """
        kinds = ["lost_write", "drop_before"]
        faults = {"rate": lost_writes, "kinds": kinds, "methods": ["POST", "PUT"], "seed": 5}
        settings = {
            "rate_limit": rate_limit,
            "latency": {"fixed_ms": latency_ms},
            "faults": faults if lost_writes else None,
        }
        self._call("POST", "/_emulator/configure", json.dumps(settings).encode())

    def token(self, scopes: str = "core.invoice.read") -> str:
        """Return an access token, for peers that are handed one."""
        form = {
            "grant_type": "client_credentials",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "scope": scopes,
        }
        return self._call("POST", "/oauth2/token", urlencode(form).encode())["access_token"]

    def ids_of(self, resource: str) -> list[int]:
        """Return the ids of a resource, rising."""
        return self._call("GET", f"/_emulator/ids/{resource}")

    def reset_seen(self) -> None:
        """Begin to count again."""
        self._call("POST", "/_emulator/reset_seen", b"{}")

    def throttled(self) -> int:
        """Return how many 429 were answered since ``reset_seen``."""
        return self.seen()["throttled"]

    def seen(self) -> dict[str, Any]:
        """Return what was seen since ``reset_seen``."""
        return self._call("GET", "/_emulator/seen")

    def refill(self, records: dict[str, list[dict[str, Any]]]) -> None:
        """Hold these records, by resource, beside the seeded ones, and nothing that was written before."""
        self._call("POST", "/_emulator/reset", b"{}")
        self._call("POST", "/_emulator/data", json.dumps(records).encode())

    def records(self, resource: str, fields: list[str], scope: str) -> Iterator[dict[str, Any]]:
        """Yield all records of a resource, with these attributes."""
        token, last = self.token(scope), 0
        while True:
            asked = {"id[gt]": last, "order_by": "id", "limit": 50, "fields": json.dumps(["id", *fields])}
            page = self._call("GET", f"/api/{resource}?{urlencode(asked)}", token=token)
            yield from page
            if not page:
                return
            last = page[-1]["id"]

    @cached_property
    def ids(self) -> list[int]:
        """Ids of the invoices, rising; they are made when first asked for."""
        return self.ids_of("invoices")

    def _call(self, method: str, path: str, body: bytes | None = None, token: str = "") -> Any:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"} if token else {}
        with _direct.open(Request(self.url + path, body, headers, method=method), timeout=900) as answer:
            return json.loads(answer.read())


@contextmanager
def running_emulator(invoices: int | None) -> Iterator[Emulator]:
    """Run an emulator with so many invoices; None for one without any records."""
    command = [sys.executable, "-m", "coupa_provider.emulator", "--port", "0", "--no-rate-limit"]
    records = ["--empty"] if invoices is None else ["--size", f"invoices={invoices}"]
    with subprocess.Popen([*command, *records], stdout=subprocess.PIPE, text=True) as process:
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
