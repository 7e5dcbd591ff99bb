"""Read the body of a write: JSON with dashed or underscored keys, or a multipart form with a file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

import msgspec

from coupa_provider.emulator.attributes import dashed

# Digits of a number are kept as they were sent: a float would change them.
_decoder = msgspec.json.Decoder(float_hook=str)
_FORM_NAME = re.compile(r"[^\[\]]+")


class PayloadError(Exception):
    """A body that cannot be read at all.

    :param status: HTTP status of the answer.
    :param message: what is wrong.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a multipart form.

    :param name: file name.
    :param content_type: its type.
    :param content: all of it.
    """

    name: str
    content_type: str
    content: bytes


def read_json_payload(
    content_type: str | None, body: bytes, singulars: tuple[str, ...], unwrap: bool
) -> dict[str, Any]:
    """Read a JSON body of one object.

    :param content_type: header of that name.
    :param body: the body; empty is an object without attributes.
    :param singulars: names that a wrapped payload would have as its only key.
    :param unwrap: accept a wrapped payload, see switch U34.
    :return: the object with dashed keys.
    :raises PayloadError: when it is something else.
    """
    if not body.strip():
        return {}
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind in ("application/xml", "text/xml"):
        raise PayloadError(415, "This emulator takes payloads in JSON only.")
    if kind != "application/json":
        raise PayloadError(415, "Content-Type must be application/json.")
    try:
        payload = _decoder.decode(body)
    except msgspec.DecodeError as error:
        raise PayloadError(400, f"The payload is not JSON: {error}") from None
    if not isinstance(payload, dict):
        raise PayloadError(400, "The payload must be one object.")
    payload = dashed_keys(payload)
    name = next(iter(payload)) if len(payload) == 1 else ""
    if name in singulars and isinstance(payload[name], dict):
        if not unwrap:
            raise PayloadError(400, f"The payload must not be wrapped in {name}.")
        return dict(payload[name])
    return dict(payload)


def dashed_keys(value: Any) -> Any:
    """Return JSON with keys in wire form; a leading underscore marks an order, as ``_delete``, and stays.

    :param value: decoded JSON.
    :return: a copy.
    """
    if isinstance(value, dict):
        return {
            name if name.startswith("_") else dashed(name): dashed_keys(below)
            for name, below in value.items()
        }
    if isinstance(value, list):
        return [dashed_keys(one) for one in value]
    return value


def read_form(content_type: str, body: bytes) -> tuple[dict[str, Any], dict[str, Upload]]:
    """Read a multipart form.

    :param content_type: header of that name, with the boundary.
    :param body: the body.
    :return: texts and files by the last word of their name: ``attachment[intent]`` is ``intent``.
    :raises PayloadError: when it is no form.
    """
    parser = BytesParser(policy=HTTP)
    message = parser.parsebytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    if not message.is_multipart():
        raise PayloadError(400, "The multipart form cannot be read.")
    texts: dict[str, Any] = {}
    files: dict[str, Upload] = {}
    for part in message.iter_parts():
        names = _FORM_NAME.findall(str(part.get_param("name", "", header="content-disposition")))
        name = dashed(names[-1]) if names else ""
        content = part.get_payload(decode=True)
        plain = content if isinstance(content, bytes) else b""
        file_name = part.get_filename()
        if file_name is not None:
            files[name] = Upload(file_name, part.get_content_type(), plain)
        else:
            texts[name] = plain.decode("utf-8", "replace")
    return texts, files
