"""One request budget for all users of a connection in this process.

Coupa takes 25 requests a second and queues 20 more (article 0012). The pacer hands out moments at an even
rate. When Coupa answers 429 all the same, somebody else is using the budget: the pacer slows down at once
and comes back slowly, so that processes which know nothing of each other settle on a share.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable

#: Requests that may start at once after a pause; well under the 20 that Coupa queues.
_BURST = 5
_SLOWDOWN = 0.7
_SLOWEST = 0.5
#: Regained per second without a 429, as a share of the full rate.
_RECOVERY = 0.04


class Pacer:
    """Hands out moments to send at, evenly spaced. Safe across threads and event loops.

    :param requests_per_second: the full rate.
    :param clock: monotonic seconds; a test may pass its own.
    """

    def __init__(self, requests_per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.full_rate = requests_per_second
        self.rate = requests_per_second
        self._clock = clock
        self._lock = threading.Lock()
        self._next = 0.0
        self._paused_until = 0.0
        self._slowed_at = float("-inf")
        self._recovered_at = clock()

    def lower_to(self, requests_per_second: float) -> None:
        """Take a second configuration of the same connection into account: the lower rate counts."""
        with self._lock:
            self.full_rate = min(self.full_rate, requests_per_second)
            self.rate = min(self.rate, self.full_rate)

    def reserve(self) -> float:
        """Take the next moment and return the seconds until it comes; 0 for now."""
        with self._lock:
            now = self._clock()
            self._recover(now)
            interval = 1.0 / self.rate
            self._next = max(self._next, now - (_BURST - 1) * interval, self._paused_until) + interval
            return max(0.0, self._next - interval - now)

    def throttled(self, pause: float) -> None:
        """Note a 429: slow down, and let nobody send for a while.

        :param pause: seconds.
        """
        with self._lock:
            now = self._clock()
            self._recover(now)
            self._paused_until = max(self._paused_until, now + pause)
            # Requests in flight together fail together: that is one lesson, not ten.
            if now - self._slowed_at >= 1.0:
                self.rate = max(min(_SLOWEST, self.full_rate), self.rate * _SLOWDOWN)
                self._slowed_at = now

    @property
    def pause_left(self) -> float:
        """Seconds until anybody may send again after a 429."""
        with self._lock:
            return max(0.0, self._paused_until - self._clock())

    def _recover(self, now: float) -> None:
        calm = now - max(self._recovered_at, self._slowed_at)
        if calm > 0:
            self.rate = min(self.full_rate, self.rate + self.full_rate * _RECOVERY * calm)
        self._recovered_at = now

    async def wait(self) -> float:
        """Wait for the next moment to send.

        :return: seconds waited.
        """
        started = self._clock()
        while True:
            await asyncio.sleep(self.reserve())
            # A 429 that came while this request waited holds for it too: it takes a later moment.
            if not self.pause_left:
                return self._clock() - started


def _renew_locks_after_fork() -> None:
    """Free what another thread held at the moment of a fork: that thread does not exist in the child."""
    global _pacers_lock
    _pacers_lock = threading.Lock()
    for pacer in _pacers.values():
        pacer._lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_locks_after_fork)

_pacers: dict[tuple[str, str], Pacer] = {}
_pacers_lock = threading.Lock()


def shared_pacer(base_url: str, client_id: str, requests_per_second: float) -> Pacer:
    """Return the process's one pacer for a client of an instance.

    :param base_url: the instance.
    :param client_id: the OAuth client, by which Coupa is assumed to count.
    :param requests_per_second: wanted rate; where two callers differ the lower one counts for both.
    """
    with _pacers_lock:
        pacer = _pacers.setdefault((base_url, client_id), Pacer(requests_per_second))
    pacer.lower_to(requests_per_second)
    return pacer
