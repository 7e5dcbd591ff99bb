"""A file that came with an answer."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Received:
    """A file that came with an answer and was written away.

    :param size: its size in bytes.
    :param sha256: checksum of its content, in hexadecimal.
    :param content_type: media type in lower case, empty where none was given.
    :param name: file name as Coupa gave it, which nobody may trust; None where it gave none.
    :param beginning: its first bytes.
    :param ending: its last bytes.
    """

    size: int
    sha256: str
    content_type: str
    name: str | None
    beginning: bytes = field(repr=False)
    ending: bytes = field(repr=False)
