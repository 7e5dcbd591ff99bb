"""Coupa's request limit, read as a leaky bucket.

Documented are 25 requests a second, a burst of 20, and that the extra calls are queued. Read here like a
queue that leaks at the rate: a request waits until those before it have leaked; one that finds more than
``burst`` requests waiting is refused and takes no place. So 1 + 20 requests at once are served, the last
one 0.8 s later, and the 22nd gets 429.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class LeakyBucket:
    """One queue.

    :param level: requests not leaked yet.
    :param seen_at: time of the last request, in seconds of any clock that does not jump.
    """

    level: float = 0
    seen_at: float = 0

    def admit(self, now: float, rate: float, burst: float) -> float | None:
        """Take one request.

        :param now: time of its arrival.
        :param rate: requests that leak in a second.
        :param burst: requests that may wait.
        :return: seconds that the request waits, or None when it is refused.
        """
        self.level = max(0.0, self.level - (now - self.seen_at) * rate)
        self.seen_at = now
        # Clocks are not exact: the slack keeps a client that sends precisely at the rate from a 429.
        if self.level > burst + 1e-6:
            return None
        wait = self.level / rate
        self.level += 1
        return wait


@dataclass(slots=True)
class RateLimiter:
    """A bucket for each client, or one for all.

    :param buckets: by the name of the caller.
    """

    buckets: dict[str, LeakyBucket] = field(default_factory=dict)

    def admit(self, caller: str, now: float, rate: float | None, burst: float) -> float | None:
        """Take one request.

        :param caller: whose bucket counts.
        :param now: time of arrival.
        :param rate: requests a second, None for no limit.
        :param burst: requests that may wait.
        :return: seconds that the request waits, or None when it is refused.
        """
        if rate is None:
            return 0.0
        return self.buckets.setdefault(caller, LeakyBucket()).admit(now, rate, burst)
