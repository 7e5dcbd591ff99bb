"""Processes that write to one SQLite database wait for each other for a minute, not the usual five seconds."""

from __future__ import annotations

ARGUMENTS = {"timeout": 60}
