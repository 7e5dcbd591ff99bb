"""Whether and when a failed request is sent again. A pure decision, made in one place."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Failure(Enum):
    """What went wrong with one attempt, by what is known about its effect."""

    THROTTLED = "Coupa refused it for its rate"
    NOT_SENT = "it never reached Coupa"
    REFUSED = "Coupa was not available"
    REDIRECTED = "it was redirected"
    TIMED_OUT = "no answer came in time"
    BROKEN = "the answer was lost, cut short or an internal error"


#: After these the request has certainly had no effect, so even a write may be sent again.
WITHOUT_EFFECT = frozenset({Failure.THROTTLED, Failure.NOT_SENT, Failure.REFUSED})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patient a client is.

    :param attempts: tries of one request before it fails, the first included.
    :param first_delay: upper end of the first wait, in seconds; it doubles with each failure.
    :param longest_delay: upper end of any wait of our own choosing, in seconds.
    :param longest_retry_after: longest ``Retry-After`` that is waited for, in seconds.
    """

    attempts: int = 6
    first_delay: float = 1.0
    longest_delay: float = 60.0
    longest_retry_after: float = 300.0

    def next_delay(
        self,
        failure: Failure,
        *,
        attempt: int,
        repeatable: bool,
        retry_after: float | None = None,
        jitter: float = 1.0,
    ) -> float | None:
        """Decide on another attempt.

        :param failure: what went wrong.
        :param attempt: number of the attempt that failed, from 1.
        :param repeatable: a second execution would do no harm (reads, and writes declared so).
        :param retry_after: seconds the server asked to wait.
        :param jitter: a random number from 0 to 1, which spreads the callers.
        :return: seconds to wait, or None to give up.
        """
        if not repeatable and failure not in WITHOUT_EFFECT:
            return None
        if attempt >= self.attempts:
            return None
        if failure is Failure.TIMED_OUT and attempt >= max(2, self.attempts // 2):
            return None  # each costs the whole time limit; the caller may ask for less instead
        if retry_after is not None:
            if retry_after > self.longest_retry_after:
                return None
            # A wait of no length, as a date just past asks for, would use up all attempts in a moment.
            return max(retry_after, self.first_delay * attempt / 2) + jitter * self.first_delay / 4
        ceiling = min(self.longest_delay, self.first_delay * 2.0 ** (attempt - 1))
        return ceiling * (0.5 + 0.5 * jitter)
