"""What is in the files of an instance: bytes that clients sent, or made-up ones that are always the same."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

_CHUNK = 64 * 1024
_PDF_BEGIN, _PDF_END = b"%PDF-1.7\n", b"\n%%EOF\n"


@dataclass(frozen=True, slots=True)
class FileContent:
    """The content of a file; a made-up one is never held as a whole, however large it is.

    :param size: its size in bytes.
    :param seed: decides the bytes of a made-up one.
    :param is_pdf: it begins and ends as a PDF does.
    :param given: the bytes themselves, where a client sent them.
    """

    size: int
    seed: str = ""
    is_pdf: bool = False
    given: bytes | None = None

    def chunks(self, upto: int | None = None) -> Iterator[bytes]:
        """Yield the bytes.

        :param upto: only so many.
        """
        left = self.size if upto is None else min(upto, self.size)
        for chunk in self._whole():
            if left <= 0:
                return
            yield chunk[:left]
            left -= len(chunk)

    def _whole(self) -> Iterator[bytes]:
        if self.given is not None:
            for start in range(0, self.size, _CHUNK):
                yield self.given[start : start + _CHUNK]
            return
        begin, end = (_PDF_BEGIN, _PDF_END) if self.is_pdf else (b"", b"")
        yield begin
        left = self.size - len(begin) - len(end)
        block = random.Random(self.seed).randbytes(_CHUNK - 8)  # noqa: S311 - made-up data, no secret
        number = 0
        while left > 0:
            chunk = (number.to_bytes(8, "big") + block)[:left]
            yield chunk
            left -= len(chunk)
            number += 1
        yield end
