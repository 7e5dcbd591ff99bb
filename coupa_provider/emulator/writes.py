"""placeholder"""

from __future__ import annotations

from coupa_provider.emulator.answers import Answer, Refusal, html_page
from coupa_provider.emulator.instance import Instance
from coupa_provider.emulator.query import ListQuery
from coupa_provider.emulator.routes import Target


class Writer:
    def __init__(self, instance: Instance, target: Target, as_xml: bool) -> None:
        self._instance = instance

    def delete(self) -> Answer:
        return html_page(404, "not yet")

    def create(self, content_type: str | None, body: bytes, client_id: str) -> int:
        raise Refusal(html_page(404, "not yet"))

    def update(self, content_type: str | None, body: bytes, query: ListQuery) -> int:
        raise Refusal(html_page(404, "not yet"))
