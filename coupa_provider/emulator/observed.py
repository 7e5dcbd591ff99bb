"""What the server saw, for tests that judge how a client behaved."""

from __future__ import annotations

import re
import threading
from collections import Counter, deque
from typing import Any

_ID = re.compile(r"/\d+(?=/|\Z)")
_RECENT = 500


class Observed:
    """Counts of one instance; safe to read from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Begin again at zero. Requests that are under way stay in flight."""
        with self._lock:
            self._paths: Counter[str] = Counter()
            self._statuses: Counter[str] = Counter()
            self._faults: Counter[str] = Counter()
            self._recent: deque[dict[str, Any]] = deque(maxlen=_RECENT)
            self._second: deque[float] = deque()
            self._most_in_one_second = 0
            self._in_flight: int = getattr(self, "_in_flight", 0)
            self._most_in_flight = self._in_flight
            self._tokens = 0
            self._refreshed = 0
            self._throttled = 0
            self._queued = 0
            self._bytes = 0
            self._api_requests = 0
            self._writes: Counter[str] = Counter()
            self._alerts: list[dict[str, Any]] = []

    def arrived(self, method: str, path: str, query: str, now: float) -> None:
        """Note a request.

        :param method: HTTP method.
        :param path: path without query.
        :param query: query string; not kept for the token endpoint, where it may hold a secret.
        :param now: time in seconds of a clock that does not jump.
        """
        is_api = path.startswith(("/api/", "/qualitycollaboration/"))
        with self._lock:
            self._paths[f"{method} {_ID.sub('/:id', path)}"] += 1
            self._in_flight += 1
            self._most_in_flight = max(self._most_in_flight, self._in_flight)
            if not is_api:
                return
            self._api_requests += 1
            self._recent.append({"method": method, "path": path, "query": query, "at": now})
            self._second.append(now)
            while self._second[0] <= now - 1.0:
                self._second.popleft()
            self._most_in_one_second = max(self._most_in_one_second, len(self._second))

    def left(self, status: int | None, size: int) -> None:
        """Note the end of a request.

        :param status: status answered, None when the connection was dropped before one.
        :param size: bytes of body sent.
        """
        with self._lock:
            self._in_flight -= 1
            self._bytes += size
            self._statuses[str(status) if status else "dropped"] += 1
            if status == 429:
                self._throttled += 1

    def executed(self, method: str, path: str) -> None:
        """Note a write that was carried out, whether its answer arrives or not.

        :param method: HTTP method.
        :param path: path without query.
        """
        with self._lock:
            self._writes[f"{method} {path}"] += 1

    def writes(self) -> dict[str, int]:
        """Return how often each write was carried out: ``{"PUT /api/invoices/7": 1}``."""
        with self._lock:
            return dict(self._writes)

    def alerted(self, alert: dict[str, Any]) -> None:
        """Note an alert, which Coupa mails to the contacts of an integration.

        :param alert: ``path`` and ``id`` of the record it is about, and the ids of the ``contacts``.
        """
        with self._lock:
            self._alerts.append(alert)

    def fault(self, kind: str) -> None:
        """Note an injected fault.

        :param kind: its kind.
        """
        with self._lock:
            self._faults[kind] += 1

    def queued(self) -> None:
        """Note a request that the rate limit made wait."""
        with self._lock:
            self._queued += 1

    def token(self, refreshed: bool) -> None:
        """Note a minted access token.

        :param refreshed: it was got by a refresh token.
        """
        with self._lock:
            self._tokens += 1
            self._refreshed += refreshed

    def report(self) -> dict[str, Any]:
        """Return all counts."""
        with self._lock:
            return {
                "requests": self._api_requests,
                "requests_by_path": dict(self._paths),
                "statuses": dict(self._statuses),
                "most_in_one_second": self._most_in_one_second,
                "most_in_flight": self._most_in_flight,
                "in_flight": self._in_flight,
                "tokens_minted": self._tokens,
                "tokens_refreshed": self._refreshed,
                "throttled": self._throttled,
                "queued": self._queued,
                "bytes": self._bytes,
                "faults_served": dict(self._faults),
                "alerts": list(self._alerts),
                "recent": list(self._recent),
            }
