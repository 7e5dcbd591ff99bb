"""Files on their way to and from Coupa, and how to tell a file from what only came in its place."""

from __future__ import annotations

import hashlib
import mimetypes
import re
from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any, BinaryIO
from urllib.parse import unquote

from coupa_provider.client.answer import Answer
from coupa_provider.client.errors import CoupaNotAFileError, CoupaNotFoundError, CoupaUnavailableError
from coupa_provider.client.in_thread import in_thread
from coupa_provider.client.received import Received

#: A PDF says within its last bytes that it is whole.
_PDF_END_BYTES = 1024
_EXTENDED_NAME = re.compile(r"(?i)filename\*\s*=\s*utf-8'[^']*'([^;\s]+)")


@dataclass(frozen=True, slots=True)
class Form:
    """A multipart form with one file.

    :param part: name of the part with the file: ``"attachment[file]"``.
    :param file: the file, opened for reading; it is sent from its beginning.
    :param name: file name that Coupa shows.
    :param content_type: its media type.
    :param fields: the other parts, as text.
    """

    part: str
    file: BinaryIO
    name: str
    content_type: str
    fields: Mapping[str, str] = field(default_factory=dict)


def content_type_of(name: str) -> str:
    """Return the media type that a file's name stands for."""
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


async def receive(chunks: AsyncIterable[bytes], headers: Mapping[str, str], sink: BinaryIO) -> Received:
    """Write a body away as it comes, in place of what an earlier try has written.

    :param chunks: the body.
    :param headers: headers of the answer, with lower-case names.
    :param sink: where to write; it is emptied first.
    """
    digest = hashlib.sha256()
    size = 0
    beginning = ending = b""

    def take(chunk: bytes) -> None:
        digest.update(chunk)
        sink.write(chunk)

    sink.seek(0)
    sink.truncate()
    async for chunk in chunks:
        await in_thread(take, chunk)
        size += len(chunk)
        beginning = beginning or chunk[:_PDF_END_BYTES]
        ending = (ending + chunk[-_PDF_END_BYTES:])[-_PDF_END_BYTES:]
    await in_thread(sink.flush)
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    return Received(size, digest.hexdigest(), kind, _file_name(headers), beginning, ending)


def check_file(answer: Answer, *, size: int | None, content_type: str | None) -> None:
    """Make sure that an answer is a file, and a whole one as far as that can be told.

    :param answer: the answer, its body received.
    :param size: size in bytes that Coupa shows for the file; None where it shows none.
    :param content_type: media type that Coupa shows for it; None where it shows none.
    :raises CoupaNotFoundError: there is none.
    :raises CoupaNotAFileError: it is data about the file.
    :raises CoupaUnavailableError: it is a page, or a file cut short; asking again may mend it.
    """
    received = answer.received
    details: dict[str, Any] = {"status": answer.status, "method": answer.method, "path": answer.path}
    if received is None or answer.status == 204:
        raise CoupaNotFoundError("Coupa answered that there is no file", **details)
    kind = received.content_type
    named = "filename" in answer.headers.get("content-disposition", "").lower()
    expected = received.size == size and kind == (content_type or "").lower()
    if not named and not expected:
        start = received.beginning.lstrip()[:15].lower()
        if kind == "text/html" or start.startswith((b"<!doctype html", b"<html")):
            raise CoupaUnavailableError("Coupa answered with a page instead of the file", **details)
        if kind.endswith(("/json", "+json", "/xml")):
            raise CoupaNotAFileError(
                f"Coupa answered with data instead of the file (content type {kind}, {received.size} bytes)",
                **details,
            )
    if size is not None and received.size != size:
        raise CoupaUnavailableError(
            f"Coupa sent {received.size:,} bytes of a file that it shows with {size:,}", **details
        )
    if size is None and not received.size:
        raise CoupaUnavailableError("Coupa sent an empty file", **details)
    if size is None and received.beginning.startswith(b"%PDF-") and b"%%EOF" not in received.ending:
        raise CoupaUnavailableError(f"Coupa sent {received.size:,} bytes of a PDF without its end", **details)


def _file_name(headers: Mapping[str, str]) -> str | None:
    disposition = headers.get("content-disposition", "")
    if not disposition:
        return None
    # The extended form, where there is one, has the letters that the plain one replaces (RFC 6266).
    if extended := _EXTENDED_NAME.search(disposition):
        return unquote(extended[1], "utf-8", "replace")
    message = Message()
    message["Content-Disposition"] = disposition
    return message.get_filename()
