"""The time that records are stamped with: the real one, or one that a test sets and moves."""

from __future__ import annotations

import time
from datetime import datetime

from coupa_provider.emulator.settings import SettingError


class Clock:
    """Tells the time of the instance. Tokens, limits and delays go by the real time, whatever it shows."""

    def __init__(self) -> None:
        self._shown: float | None = None

    @property
    def is_set(self) -> bool:
        """Whether a test has set it; it then stands still until it is moved."""
        return self._shown is not None

    def now(self) -> float:
        """Return seconds since 1970."""
        return time.time() if self._shown is None else self._shown

    def set(self, instant: datetime | None) -> None:
        """Show another time from now on.

        :param instant: the time, with a zone; None for the real one.
        :raises SettingError: when it has no zone.
        """
        if instant is not None and instant.utcoffset() is None:
            raise SettingError("the clock is set to a time with a zone, as 2026-03-30T02:00:00Z")
        self._shown = None if instant is None else instant.timestamp()

    def advance(self, seconds: float) -> None:
        """Move it forward.

        :param seconds: how far.
        :raises SettingError: when it was not set before, or would go back.
        """
        if self._shown is None:
            raise SettingError("the clock shows the real time; set it before it is moved")
        if seconds < 0:
            raise SettingError("the clock goes forward only; set it to another time to go back")
        self._shown += seconds
