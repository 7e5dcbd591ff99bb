"""Names for files whose own names come from people and may hold anything."""

from __future__ import annotations

import unicodedata

_MOST_BYTES = 120
_PLAIN = frozenset(" ._-()+,@=&'")


def safe_name(name: str | None) -> str:
    """Return a name that is one part of a path on any filesystem, and looks like the one given.

    Letters, digits and marks of all scripts stay. Folders before it are cut off; what means something in paths, URLs,
    shells or patterns becomes ``_``; it does not begin or end with dots or blanks, and is 120 bytes long at most.

    :param name: a name from elsewhere; None or nothing usable gives ``"file"``.
    """
    text = unicodedata.normalize("NFC", name or "").replace("\\", "/").rstrip("/").rpartition("/")[2]
    safe = "".join(
        letter if unicodedata.category(letter)[0] in "LNM" or letter in _PLAIN else "_" for letter in text
    ).strip(". ")
    stem, dot, ending = safe.rpartition(".")
    if not stem or len(ending.encode()) > 16:
        stem, dot, ending = safe, "", ""
    room = _MOST_BYTES - len((dot + ending).encode())
    stem = stem.encode()[:room].decode("utf-8", "ignore").rstrip(". ")
    return stem + dot + ending if stem.strip("_") or ending else "file"
