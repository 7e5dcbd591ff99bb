"""Documented calls beyond reading and writing that the emulator serves; all others get a clear 404."""

from __future__ import annotations

from coupa_provider.emulator.answers import Answer
from coupa_provider.emulator.instance import Instance
from coupa_provider.emulator.routes import Target


def perform(
    instance: Instance, target: Target, method: str, query: str, body: bytes, as_xml: bool
) -> Answer | None:
    """Carry out a documented call.

    :param instance: the instance.
    :param target: record and name of the call.
    :param method: HTTP method.
    :param query: query string.
    :param body: body of the request.
    :param as_xml: the client asked for XML.
    :return: the answer, or None for a call that is not served.
    """
    return None
