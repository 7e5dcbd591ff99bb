"""Instants as Coupa prints and reads them: local offset with daylight saving, whole seconds."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

DEFAULT_ZONE = "America/Los_Angeles"

_OTHER_FORMS = ("%m/%d/%Y", "%Y/%m/%d", "%Y%m%d", "%Y%m%dT%H%M%SZ", "%d %b %Y", "%m/%d/%Y %H:%M:%S")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}\Z")


@lru_cache(maxsize=65536)
def render_instant(epoch: int, zone: ZoneInfo) -> str:
    """Return an instant as Coupa prints it.

    :param epoch: seconds since 1970 in UTC.
    :param zone: zone of the company.
    :return: for instance ``"2024-05-01T09:00:00-07:00"``.
    """
    return datetime.fromtimestamp(epoch, zone).isoformat()


def parse_instant(text: str) -> datetime:
    """Read a time from a query or a payload.

    ISO 8601 is wanted; a day alone is midnight in UTC and a time without zone is UTC. Other forms are
    read when they are unmistakable enough.

    :param text: the time as sent, possibly in quotes.
    :return: the instant, with a zone.
    :raises ValueError: when the text is not a time.
    """
    bare = text.strip().strip("'\"")
    try:
        found = datetime.fromisoformat(bare)
    except ValueError:
        found = _best_effort(bare)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _best_effort(text: str) -> datetime:
    for form in _OTHER_FORMS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise ValueError(f"{text!r} is not a time")


def parse_day(text: str) -> str:
    """Read a calendar day from a query or a payload.

    :param text: a day, or a time whose day counts as written.
    :return: the day as ``"2024-05-01"``.
    :raises ValueError: when the text is not a time.
    """
    bare = text.strip().strip("'\"")
    if _DAY.match(bare):
        return date.fromisoformat(bare).isoformat()
    return parse_instant(bare).date().isoformat()
