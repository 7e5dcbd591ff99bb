"""One documented call beyond reading and writing, as its handlers see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import parse_qsl

from coupa_provider.emulator.answers import Answer, Refusal, errors_answer, not_found
from coupa_provider.emulator.instance import Instance
from coupa_provider.emulator.payloads import PayloadError, read_json_payload
from coupa_provider.emulator.routes import Target
from coupa_provider.emulator.store import Record
from coupa_provider.emulator.xml import singular
from coupa_provider.resources.actions import plain_name

#: A record that is answered as any other, a list, or an answer that is complete.
Done = Record | list[Record] | Answer


@dataclass(frozen=True, slots=True)
class ActionCall:
    """A call and what it needs.

    :param instance: the instance.
    :param target: record and name of the call.
    :param query: query string as sent.
    :param content_type: header of that name.
    :param body: body of the request.
    :param as_xml: the client asked for XML.
    """

    instance: Instance
    target: Target
    query: str
    content_type: str | None
    body: bytes
    as_xml: bool

    @property
    def path(self) -> str:
        """Catalog path of the resource."""
        return self.target.resource.path

    @property
    def action(self) -> str:
        """Name of the call in the catalog."""
        return self.target.action or ""

    @property
    def name(self) -> str:
        """Name of the call, the same for twins: the catalog's ``put_void`` is ``void`` too."""
        return plain_name(self.action)

    @property
    def key(self) -> str:
        """Name of the resource in error bodies."""
        return singular(self.target.resource.xml_root)

    @property
    def arguments(self) -> dict[str, str]:
        """Arguments of the query string."""
        return dict(parse_qsl(self.query, keep_blank_values=True))

    def record(self) -> Record:
        """Return the record that the call is about.

        :raises Refusal: there is none.
        """
        record = self.instance.store.record(self.path, self.target.record_id or 0)
        if record is None:
            message = f"There is no {self.key} with id {self.target.record_id}."
            raise Refusal(not_found(self.key, message, self.instance.settings.switches, self.as_xml))
        return record

    def keep(self, record: Record) -> Record:
        """Keep a changed record with a new ``updated-at`` and return it."""
        record["updated-at"] = self.instance.stamp()
        self.instance.store.put(self.path, record)
        return record

    def payload(self) -> Record:
        """Return the JSON object in the body, empty without one.

        :raises Refusal: the body is something else.
        """
        try:
            return read_json_payload(self.content_type, self.body, (), unwrap=False)
        except PayloadError as error:
            raise Refusal(errors_answer(error.status, self.key, [str(error)], self.as_xml)) from None

    def refuse(self, *messages: str) -> NoReturn:
        """End the call with Coupa's answer to what its state or arguments forbid."""
        raise Refusal(errors_answer(400, self.key, list(messages), self.as_xml))


Handler = Callable[[ActionCall], Done | None]
