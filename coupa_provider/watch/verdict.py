"""What a look at Coupa says to somebody who waits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self


class State(StrEnum):
    """How it stands; everything but ``WAITING`` ends the wait."""

    WAITING = "waiting"
    MET = "met"
    #: It can not come true any more.
    NEVER = "never"
    #: Coupa will not answer this question, however often it is asked.
    REFUSED = "refused"
    #: Coupa could not be asked for too long.
    GAVE_UP = "gave_up"
    #: The predicate raised.
    BROKEN = "broken"
    TIMED_OUT = "timed_out"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How it stands, why, and what was found.

    :param state: how it stands.
    :param reason: a sentence for the log and for people, without its full stop.
    :param result: what the wait gives when it is met, as JSON values.
    """

    state: State
    reason: str
    result: Any = None

    @property
    def final(self) -> bool:
        """Whether the wait is over."""
        return self.state is not State.WAITING

    def timed_out(self) -> Self:
        """Return that the time is up while it stood like this."""
        return replace(self, state=State.TIMED_OUT, reason=f"The time is up. {self.reason}")

    def to_event(self) -> dict[str, Any]:
        """Return the verdict as JSON values."""
        return {"state": self.state.value, "reason": self.reason, "result": self.result}

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_event` gave."""
        return cls(State(event["state"]), event["reason"], event.get("result"))
