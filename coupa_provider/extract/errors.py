"""What stops an extract."""

from __future__ import annotations


class ExtractError(Exception):
    """The records or the destination are not as they must be; nothing was published.

    The message names the record or the file, and what to do.
    """
