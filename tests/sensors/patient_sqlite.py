"""Processes that write to one SQLite database wait for each other for a minute, not the usual five seconds."""

ARGUMENTS = {"timeout": 60}
