"""One request budget for all users of a connection in this process, shared fairly with other processes.

Coupa takes 25 requests a second, queues 20 more (article 0012) and answers 429 above that. Processes on one
connection know nothing of each other, but each sees two signs: how long answers take, and 429s.

* Alone: until a 429 comes the rate climbs to the full one within a second and stays there. A slow server does
  not change that, for slow answers prove nothing.
* Crowded: after a 429 the rate is cut hard, once. If answers had become slower before it, they stand in
  Coupa's queue: from then on the number under way is a window, as in FAST TCP, which grows until about one
  request of ours waits in the queue and shrinks above that. All processes keep the same number there, so they
  get the same share, and a share that is freed empties the queue and is taken over in a few round trips.
* Crowded without such a warning: the rate is cut a little at each 429 and comes back along a cubic, as in
  CUBIC TCP: flat near where it met the limit, faster with time.

Ninety seconds without a 429 end the crowd. Moments are spread at random, so that no process always meets
the full queue.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import threading
import time
from collections.abc import Callable

#: Requests that may start at once after a pause, alone and in a crowd; well under the 20 that Coupa queues.
_BURST, _CROWDED_BURST = 5, 2
_SLOWEST = 0.5
#: Moments are promised no further ahead than this, in seconds, so that a new rate holds at once.
_HORIZON = 0.25
#: The climb: share of the full rate after the first requests, seconds to double it, the same while a queue shows.
_FIRST_SHARE, _DOUBLING, _DOUBLING_QUEUED = 0.14, 0.3, 6.0
#: What is left of the rate after the first 429 of a crowd, and after each later one.
_FIRST_CUT, _CUT = 0.2, 0.8
#: Seconds of delay that count as a queue: a first sign, and one that explains a 429 no more than so long ago.
_QUEUE_SIGN, _QUEUE_PROOF, _QUEUE_PROOF_AGE = 0.05, 0.25, 2.0
#: Own requests that should wait in Coupa's queue. They become more with time, lest a server that has become
#: slower be taken for a queue for ever: twice as many after so many seconds.
_OWN_QUEUED, _PATIENCE = 1.0, 90.0
#: The window's growth in a second while no queue shows.
_GROWTH = 0.25
#: Seconds a cubic takes back to where the 429 came; its least height, as a share of the full rate.
_PLATEAU, _CUBIC_SHARE = 6.0, 0.25
#: Seconds without a 429 after which nobody else is assumed.
_CROWD = 90.0


class Pacer:
    """Hands out moments to send at. Safe across threads and event loops; decides without I/O.

    :param requests_per_second: the full rate.
    :param clock: monotonic seconds; a test may pass its own.
    :param chance: random numbers from 0 to 1; a test may pass its own.
    """

    def __init__(
        self,
        requests_per_second: float,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.full_rate = requests_per_second
        self.rate = requests_per_second * _FIRST_SHARE
        self._clock = clock
        self._chance = chance
        self._lock = threading.Lock()
        #: Moments at hand; below 0 when some were promised ahead.
        self._credit = float(_BURST)
        self._taken_at = float("-inf")
        self._paused_until = float("-inf")
        self._adapted_at = clock()
        self._taken = 0
        self._under_way = 0
        self._crowded = False
        self._slowed_at = float("-inf")
        #: Rate at which the last 429 came; where the cubic is flat.
        self._peak = requests_per_second
        #: Requests that may be under way; None while delay is no warning.
        self._window: float | None = None
        # Seconds: the last two latencies, their usual difference, the least without a queue, the queue's part.
        self._latencies: list[float] = []
        self._noise = 0.0
        self._base = math.inf
        self._queue = 0.0
        self._queue_seen_at = float("-inf")

    def lower_to(self, requests_per_second: float) -> None:
        """Take a second configuration of the same connection into account: the lower rate counts."""
        with self._lock:
            self.full_rate = min(self.full_rate, requests_per_second)
            self.rate = min(self.rate, self.full_rate)

    def take(self) -> tuple[bool, float]:
        """Take the next moment if it is near.

        :return: whether a moment was taken, which :meth:`ended` gives back; and the seconds until it comes, or
            until it is worth asking again.
        """
        with self._lock:
            now = self._clock()
            self._adapt(now)
            pause = max((1.0 - self._credit) / self.rate, self._paused_until - now, 0.0)
            if pause > _HORIZON:
                return False, min(_HORIZON, pause - _HORIZON / 2)
            # Should answers be lost without a trace, one request goes out now and then all the same.
            full = self._window is not None and self._under_way >= max(1.0, self._window - 0.5)
            if full and now - self._taken_at < 1.0 / _SLOWEST:
                return False, 0.03 + 0.02 * self._chance()
            self._credit -= 1.0
            self._taken_at = now
            self._taken += 1
            self._under_way += 1
            return True, pause + self._chance() / self.rate if pause else 0.0

    def ended(self) -> None:
        """Note that a request for which a moment was taken is over, however it went."""
        with self._lock:
            self._under_way -= 1

    def answered(self, seconds: float) -> None:
        """Note an answer to a request that Coupa served.

        :param seconds: time from sending to the answer's end.
        """
        with self._lock:
            now = self._clock()
            self._adapt(now)
            before = self._latencies[-1] if self._latencies else None
            self._latencies = [*self._latencies[-1:], seconds]
            if before is not None:
                self._noise += 0.1 * (abs(seconds - before) - self._noise)
                # Of two, so that one light request among heavy pages does not make these look queued.
                self._base = min(self._base, max(before, seconds))
            latency = min(self._latencies)
            self._queue = max(0.0, latency - min(self._base, latency) - self._noise)
            if self._queue > _QUEUE_PROOF:
                self._queue_seen_at = now
            if not self._crowded:
                return
            if self._window is None:
                if abs(self._queue_seen_at - self._slowed_at) >= _QUEUE_PROOF_AGE:
                    return
                self._window = max(1.0, self.rate * self._base)
            wanted = _OWN_QUEUED * (1 + ((now - self._slowed_at) / _PATIENCE) ** 2)
            own = self._window * self._queue / max(latency, 1e-3)
            self._window += (wanted - own) / (2 * max(self._window, 1.0))
            if self._queue < _QUEUE_SIGN / 2:
                self._window += _GROWTH * latency
            self._window = min(max(0.5, self._window), 2 * self.full_rate * (latency + 0.1) + 2)

    def throttled(self, seconds: float, pause: float = 0.0) -> None:
        """Note a 429: slow down.

        :param seconds: time from sending to the 429. Requests in flight together fail together: what was sent
            before the last slowing down teaches nothing new.
        :param pause: seconds for which nobody may send, because Coupa said so.
        """
        with self._lock:
            now = self._clock()
            self._adapt(now)
            self._paused_until = max(self._paused_until, now + pause)
            if self._crowded and now - seconds <= self._slowed_at:
                return
            cut = _CUT if self._crowded else _FIRST_CUT
            self.rate *= cut
            self._peak = self.rate / _CUT
            self._crowded = True
            self._slowed_at = now
            if now - self._queue_seen_at >= _QUEUE_PROOF_AGE:
                self._window = None
            elif self._window is not None:
                self._window = max(0.5, self._window * cut)
            self.rate = max(min(_SLOWEST, self.full_rate), self.rate)

    @property
    def pause_left(self) -> float:
        """Seconds until anybody may send again after a 429."""
        with self._lock:
            return max(0.0, self._paused_until - self._clock())

    def _adapt(self, now: float) -> None:
        passed, self._adapted_at = now - self._adapted_at, now
        burst = _CROWDED_BURST if self._crowded else _BURST
        self._credit = min(float(burst), self._credit + passed * self.rate)
        calm = now - self._slowed_at
        if calm > _CROWD:
            self._crowded, self._window = False, None
        if not self._crowded:
            # The climb begins with the third request: the first two of a walk come one after the other.
            if self._taken >= 2 and self.rate < self.full_rate:
                doubling = _DOUBLING_QUEUED if self._queue > _QUEUE_SIGN else _DOUBLING
                self.rate *= 2 ** min(10.0, passed / doubling)
        elif self._window is not None:
            self.rate = max(_SLOWEST, 1.2 * self._window / max(0.02, min(self._latencies)))
        else:
            height = (1 - _CUT) * max(self._peak, self.full_rate * _CUBIC_SHARE)
            self.rate = max(self.rate, self._peak + height * (calm / _PLATEAU - 1) ** 3)
        self.rate = min(self.full_rate, self.rate)

    async def wait(self) -> float:
        """Wait for the next moment to send. The caller says with :meth:`ended` when the request is over.

        :return: seconds waited.
        """
        started = self._clock()
        while True:
            taken, pause = self.take()
            try:
                await asyncio.sleep(pause)
            except BaseException:
                if taken:
                    self.ended()
                raise
            # A pause that began meanwhile holds for this request too: it takes a later moment.
            if taken and not self.pause_left:
                return self._clock() - started
            if taken:
                self.ended()


def _renew_locks_after_fork() -> None:
    """Free what other threads held at the moment of a fork: neither they nor their requests exist in the child."""
    global _pacers_lock
    _pacers_lock = threading.Lock()
    for pacer in _pacers.values():
        pacer._lock = threading.Lock()
        pacer._under_way = 0


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
