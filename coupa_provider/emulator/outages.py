"""Times during which every request goes wrong in one way: what happens when; the server carries it out."""

from __future__ import annotations

import threading
import time
from typing import Any

from coupa_provider.emulator.faults import WRITES, is_aimed_at
from coupa_provider.emulator.settings import REFUSED, Faults, Outage


class Outages:
    """The outages that are over, running and to come; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """End what runs, and forget all others."""
        with self._lock:
            # With begin and end by a clock that does not jump.
            self._planned: list[tuple[float, float, Outage]] = []

    def plan(self, outage: Outage) -> None:
        """Let an outage begin after its time.

        :param outage: what happens, and when from now on.
        """
        begin = time.monotonic() + outage.after_seconds
        with self._lock:
            self._planned.append((begin, begin + outage.seconds, outage))

    def choose(self, method: str, path: str) -> tuple[str, Faults] | None:
        """Decide about one request; of several outages the one that was planned first concerns it.

        :param method: HTTP method.
        :param path: path of the request.
        :return: kind of fault and its settings, or None when no outage concerns the request.
        """
        for end, outage in self._running():
            kind = outage.kind
            if kind == REFUSED:
                return kind, Faults()
            if is_aimed_at(method, path, outage.methods, outage.paths) and (
                kind != "lost_write" or method in WRITES
            ):
                # Whoever is kept waiting is so until the outage is over.
                return kind, Faults(kinds=(kind,), stall_s=end - time.monotonic())
        return None

    def is_refusing(self) -> bool:
        """Tell whether no connection can be opened now."""
        return any(outage.kind == REFUSED for _, outage in self._running())

    def _running(self) -> list[tuple[float, Outage]]:
        if not self._planned:
            return []
        now = time.monotonic()
        with self._lock:
            return [(end, outage) for begin, end, outage in self._planned if begin <= now < end]

    def report(self) -> dict[str, list[dict[str, Any]]]:
        """Return the outages that are ``over``, ``running`` and ``to_come``.

        :return: lists with ``begin`` and ``end`` in seconds since 1970 by the real clock.
        """
        now = time.monotonic()
        ahead = time.time() - now
        found: dict[str, list[dict[str, Any]]] = {"over": [], "running": [], "to_come": []}
        with self._lock:
            for begin, end, outage in self._planned:
                state = "to_come" if now < begin else "running" if now < end else "over"
                found[state].append(
                    {
                        "kind": outage.kind,
                        "paths": list(outage.paths),
                        "methods": list(outage.methods),
                        "begin": begin + ahead,
                        "end": end + ahead,
                    }
                )
        return found
