"""What a trigger hands over, without telling it to the log."""

from __future__ import annotations

from typing import Any

_RECORDS = ("result", "records")


class QuietPayload(dict[str, Any]):
    """The payload of an event. Airflow writes each event into the log as it prints; records have no place there."""

    def __repr__(self) -> str:
        return repr({name: "..." if name in _RECORDS else value for name, value in self.items()})
