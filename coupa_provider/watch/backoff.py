"""How long to leave Coupa alone after failures. A pure decision."""

from __future__ import annotations

#: No pause is longer, unless the interval itself is.
LONGEST_SECONDS = 900.0


def pause_after(failures: int, interval: float, retry_after: float | None = None) -> float:
    """Return the seconds until the next look.

    :param failures: looks in a row that failed; 0 after one that did not.
    :param interval: seconds between looks otherwise.
    :param retry_after: seconds that Coupa asked to wait; None where it did not say.
    """
    longest = max(interval, LONGEST_SECONDS)
    pause = min(interval * 2.0 ** min(failures, 64), longest)
    return min(max(pause, retry_after or 0.0), longest)
