"""What is sent back: one small type, and the bodies of everything that is not data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from coupa_provider.emulator.file_content import FileContent
from coupa_provider.emulator.store import encode
from coupa_provider.emulator.switches import Switches
from coupa_provider.emulator.xml import errors_to_xml

JSON = "application/json; charset=utf-8"
XML = "application/xml; charset=utf-8"
HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"


@dataclass(slots=True)
class Answer:
    """One HTTP answer.

    :param status: HTTP status.
    :param body: all of the body.
    :param content_type: its type.
    :param headers: further headers.
    :param file: a file that is sent in place of the body.
    :param shows: catalog path and stored bodies of the records that were read for it.
    """

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    file: FileContent | None = None
    shows: tuple[str, Sequence[bytes]] | None = None

    @property
    def size(self) -> int:
        """Bytes of body or file."""
        return len(self.body) if self.file is None else self.file.size


class Refusal(Exception):
    """Ends the work on a request with an answer that is not the one asked for.

    :param answer: what to send.
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"HTTP {answer.status}")
        self.answer = answer


def json_answer(status: int, value: Any) -> Answer:
    """Answer with JSON.

    :param status: HTTP status.
    :param value: plain objects.
    :return: the answer.
    """
    return Answer(status, encode(value))


def html_page(status: int, title: str) -> Answer:
    """Answer as proxies and maintenance pages do.

    :param status: HTTP status.
    :param title: shown text.
    :return: the answer.
    """
    text = f"<html><head><title>{escape(title)}</title></head><body><h1>{escape(title)}</h1></body></html>\n"
    return Answer(status, text.encode(), HTML)


def errors_answer(status: int, key: str, messages: list[str], as_xml: bool) -> Answer:
    """Answer with Coupa's error body.

    :param status: HTTP status.
    :param key: singular name of the resource, dashed.
    :param messages: what is wrong.
    :param as_xml: the client asked for XML.
    :return: the answer.
    """
    if as_xml:
        return Answer(status, errors_to_xml(messages), XML)
    return json_answer(status, {"errors": {key: messages}})


def refused_access(status: int, message: str, switches: Switches, as_xml: bool) -> Answer:
    """Answer 401 or 403 with the body that switch U4 sets.

    :param status: HTTP status.
    :param message: what is wrong.
    :param switches: position of the switches.
    :param as_xml: the client asked for XML.
    :return: the answer.
    """
    mode = switches["U4"]
    if mode == "empty":
        answer = Answer(status, b"", TEXT)
    elif mode == "html":
        answer = html_page(status, message)
    elif mode == "error":
        answer = json_answer(status, {"error": message})
    else:
        answer = errors_answer(status, "base", [message], as_xml)
    if status == 401:
        answer.headers["www-authenticate"] = 'Bearer realm="emulator"'
    return answer


def not_found(key: str, message: str, switches: Switches, as_xml: bool) -> Answer:
    """Answer 404 for an unknown id with the body that switch U5 sets.

    :param key: singular name of the resource.
    :param message: what is wrong.
    :param switches: position of the switches.
    :param as_xml: the client asked for XML.
    :return: the answer.
    """
    mode = switches["U5"]
    if mode == "empty":
        return Answer(404, b"", TEXT)
    if mode == "html":
        return html_page(404, "The page you were looking for does not exist")
    return errors_answer(404, key, [message], as_xml)
