"""What stops a load."""

from __future__ import annotations


class LoadError(Exception):
    """The database refused, or went away; the tables are as they were.

    The message names the table and what was done to it, and says so if a commit may have taken effect. It holds no
    value of a record but ids.
    """


class TableError(LoadError):
    """The extract and the table do not fit each other, so another try fails the same way."""
