"""What one GraphQL query reads, as far as its token allows."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from coupa_provider.emulator.instance import Instance
from coupa_provider.emulator.oauth import Token, allows
from coupa_provider.emulator.query import PAGE
from coupa_provider.emulator.store import Record, decode
from coupa_provider.resources import Resource

Search = Callable[[Resource, str], list[bytes]]
"""Gives the records that a query string of the REST API finds in a collection."""

_PAGING = re.compile(r"(?:\A|&)(?:limit|offset)=[^&]*")


class ReadError(Exception):
    """What a field of a query cannot be answered for; it becomes an error in the answer."""


class Reference(dict[str, Any]):
    """What a record shows of another one. The rest is looked up if a query asks for it."""

    home: Resource | None = None


@dataclass(frozen=True, slots=True)
class Reader:
    """What one query may read.

    :param instance: the instance.
    :param search: finds records as the REST API does.
    :param token: the access token.
    """

    instance: Instance
    search: Search
    token: Token

    def one(self, resource: Resource, record_id: str) -> Record | None:
        """Return a record, or None for a missing one where switch U25 says so.

        :raises ReadError: the token has no scope for it, or it is missing.
        """
        self._check_scope(resource)
        record = self.instance.store.record(resource.path, int(record_id)) if record_id.isdecimal() else None
        if record is None and self.instance.settings.switches["U25"] == "errors":
            raise ReadError(f"There is no record with id {record_id} in {resource.path}")
        return record

    def page(self, resource: Resource, query: str, limit: int | None, offset: int | None) -> list[Record]:
        """Return a page of a collection.

        :raises ReadError: the token has no scope for it.
        :raises QueryError: Coupa would refuse the query.
        """
        self._check_scope(resource)
        if self.instance.settings.switches["U24"] == "arguments":
            query = f"{_PAGING.sub('', query)}&limit={PAGE if limit is None else limit}&offset={offset or 0}"
        return [decode(body) for body in self.search(resource, query)]

    def complete(self, reference: Reference) -> None:
        """Add what the record itself holds to what another one shows of it, once.

        :raises ReadError: the token has no scope for it.
        """
        home, record_id = reference.home, reference.get("id")
        if home is not None and isinstance(record_id, int):
            self._check_scope(home)
            reference.home = None
            for name, value in (self.instance.store.record(home.path, record_id) or {}).items():
                reference.setdefault(name, value)

    def _check_scope(self, resource: Resource) -> None:
        if not allows(self.token, resource.read_scope):
            raise ReadError(
                f"Not authorized to read {resource.path}: the token lacks the scope {resource.read_scope}"
            )
