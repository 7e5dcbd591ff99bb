"""``POST /api/graphql`` (article 0013): answers with HTTP 200 whatever happened, and reads only."""

from __future__ import annotations

import msgspec

from coupa_provider.emulator.answers import Answer, errors_answer, json_answer
from coupa_provider.emulator.graphql_reader import Reader, Search
from coupa_provider.emulator.instance import Instance
from coupa_provider.emulator.oauth import Token
from coupa_provider.emulator.store import decode

GRAPHQL_PATH = "/api/graphql"


class GraphQL:
    """Answers the queries to one instance.

    :param instance: the instance.
    :param search: finds records as the REST API does.
    """

    def __init__(self, instance: Instance, search: Search) -> None:
        self._instance = instance
        self._search = search

    def answer(self, body: bytes, token: Token) -> Answer:
        """Answer a request.

        :param body: JSON with ``query`` and, where needed, ``variables`` and ``operationName``.
        :param token: the access token; it is good.
        :return: ``data``, ``errors`` or both with HTTP 200; 400 for a body that is no JSON object.
        """
        # The first query pays for it, not the start of the emulator.
        from graphql import graphql_sync

        from coupa_provider.emulator.graphql_schema import schema

        try:
            asked = decode(body)
        except msgspec.DecodeError:
            asked = None
        if not isinstance(asked, dict):
            return errors_answer(400, "base", ["The body must be a JSON object"], as_xml=False)
        query, variables = asked.get("query"), asked.get("variables") or {}
        if not isinstance(query, str) or not isinstance(variables, dict):
            return json_answer(
                200, {"errors": [{"message": "query must be a text, and variables an object"}]}
            )
        result = graphql_sync(
            schema(paging_arguments=self._instance.settings.switches["U24"] == "arguments"),
            query,
            context_value=Reader(self._instance, self._search, token),
            variable_values=variables,
            operation_name=asked.get("operationName"),
        )
        return json_answer(200, result.formatted)
