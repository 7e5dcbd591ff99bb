"""Bounds of a window, as people and templates write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pendulum
import pytest

from coupa_provider.extract.window import Window

SIX = datetime(2026, 11, 23, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T06:00:00Z",
        "2026-11-23T06:00:00+00:00",
        "2026-11-23 06:00:00+00:00",
        "2026-11-23T07:00:00+01:00",
        " 2026-11-23T06:00:00Z ",
        "20261123T060000Z",
        SIX,
        SIX.astimezone(timezone(timedelta(hours=-8))),
        pendulum.datetime(2026, 11, 23, 7, tz="Europe/Berlin"),
    ],
)
def test_bounds_are_read(text: str | datetime) -> None:
    window = Window.parse(text, None)
    assert window == Window(SIX, None)
    assert type(window.since) is datetime
    assert window.as_text() == ["2026-11-23T06:00:00+00:00", None]


def test_no_bounds() -> None:
    assert Window.parse(None, " ") == Window.parse("", None) == Window()


@pytest.mark.parametrize(
    ("since", "until", "message"),
    [
        ("2026-11-23", None, r"updated_since '2026-11-23T00:00:00' has no time zone.*\{\{ ds \}\}T00:00:00Z"),
        (None, datetime(2026, 11, 23), "updated_until .* has no time zone"),
        ("None", None, r"updated_since is the text 'None'.*data_interval_start or ''"),
        ("yesterday", None, "updated_since 'yesterday' is not a time in ISO 8601"),
        (SIX, SIX, "is empty: updated_since must be before updated_until"),
        (SIX, "2026-11-23T05:00:00Z", "is empty"),
        (5, None, "updated_since must be ISO 8601 text or a datetime, not int"),
    ],
)
def test_wrong_bounds_are_refused_with_a_remedy(since: object, until: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Window.parse(since, until)


def test_a_window_needs_zones() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        Window(datetime(2026, 1, 1))
