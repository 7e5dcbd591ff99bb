"""The window of update times ``[since, until)`` an extract covers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, slots=True)
class Window:
    """Records with ``since <= updated-at < until``; None leaves that side open.

    :param since: first instant inside, with a zone.
    :param until: first instant outside, with a zone.
    :raises ValueError: a time has no zone, or the window holds no instant.
    """

    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        for name, value in (("updated_since", self.since), ("updated_until", self.until)):
            if value is not None and value.utcoffset() is None:
                raise ValueError(_without_zone(name, value.isoformat()))
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError(
                f"The window [{self.since.isoformat()}, {self.until.isoformat()}) is empty: updated_since must "
                "be before updated_until. Under most timetables of Airflow 3 a run's data interval has no length; "
                "use CronDataIntervalTimetable, or give both bounds another way."
            )

    @classmethod
    def parse(cls, since: str | datetime | None, until: str | datetime | None) -> Window:
        """Read the bounds the way people write them in DAGs, rendered templates included.

        :param since: ISO 8601 text with an offset, or an aware datetime; None or empty text is no bound.
        :param until: as ``since``.
        :return: the window, in UTC.
        :raises ValueError: a bound is not a time, has no zone, or the window is empty.
        """
        return cls(_parse_bound("updated_since", since), _parse_bound("updated_until", until))

    @classmethod
    def of_interval(cls, start: datetime | None, end: datetime | None) -> Window:
        """Return the window of a run's data interval.

        :param start: its start, None in a run without an interval.
        :param end: its end.
        :raises ValueError: there is no interval, or it has no length.
        """
        if start is None or end is None:
            raise ValueError(
                "This run has no data interval, as runs by hand and by assets have none on Airflow 3: trigger it with a "
                "logical date, or use window='watermark' or explicit bounds."
            )
        return cls.parse(start, end)

    @classmethod
    def from_watermark(
        cls,
        watermark: datetime | None,
        *,
        first: datetime | None,
        now: datetime,
        look_back: timedelta,
        margin: timedelta,
    ) -> Window:
        """Return the window that goes on from a watermark. Its end is the next watermark.

        It begins a little before the watermark, for records whose update became visible late, and ends a little
        before now, for those that are not visible yet and for clocks that differ. It never ends before the watermark.

        :param watermark: end of the last window, None if there was none.
        :param first: where to begin then; None for the beginning.
        :param now: the time now.
        :param look_back: overlap with the last window.
        :param margin: distance from now.
        """
        until = (now - margin).astimezone(UTC).replace(microsecond=0)
        if watermark is None:
            return cls(first, until)
        return cls(watermark - look_back, max(until, watermark))

    def begun_with(self, earlier: Window) -> Window:
        """Return the window that begins where the earlier of two begins, and ends where this one ends."""
        if self.since is None or earlier.since is None:
            return Window(None, self.until)
        return Window(min(self.since, earlier.since), self.until)

    def as_text(self) -> list[str | None]:
        """Return both bounds as ISO 8601 text in UTC, None for an open side."""
        return [bound.astimezone(UTC).isoformat() if bound else None for bound in (self.since, self.until)]


def _parse_bound(name: str, value: str | datetime | None) -> datetime | None:
    if isinstance(value, str):
        text = value.strip()
        if not text:
            return None
        if text == "None":
            raise ValueError(
                f"{name} is the text 'None': its template gave no value in this run (for instance "
                "data_interval_start in a run without a data interval). Render to an empty text to leave "
                f"the bound open: {{{{ data_interval_start or '' }}}}."
            )
        try:
            value = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(
                f"{name} {text!r} is not a time in ISO 8601, such as '2026-11-23T06:00:00+00:00'."
            ) from None
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise ValueError(f"{name} must be ISO 8601 text or a datetime, not {type(value).__name__}.")
    if value.utcoffset() is None:
        raise ValueError(_without_zone(name, value.isoformat()))
    # A plain datetime, whatever class of datetime the template engine handed over.
    value = value.astimezone(UTC)
    return datetime(*value.timetuple()[:6], value.microsecond, UTC)


def _without_zone(name: str, text: str) -> str:
    return (
        f"{name} {text!r} has no time zone, so it names no instant. Write the offset, for instance "
        "'{{ ds }}T00:00:00Z' or '{{ data_interval_start }}', or pass an aware datetime."
    )
