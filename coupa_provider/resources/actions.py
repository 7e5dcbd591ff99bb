"""Read what Coupa documents about its calls beyond reading and writing: submit, approve, void and the like.

Which calls there are, and where, says the catalog. ``actions.json`` adds what each wants and does, as far as
Coupa's articles and its OpenAPI description say so; they say little about statuses, and then nothing
stands here. An instance may know more, so nothing here may be used to refuse what an instance takes, but
for a status in which a call can only fail.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from coupa_provider.resources.catalog import Resource, find_resource, resource_paths

_WRITES = frozenset(("index", "show", "create", "update", "destroy"))
_TWIN = re.compile(r"(?:patch|put|post)_")
# Records of their own that hang below another, not calls that do something to it.
_BELOW = ("attachments", "expense_artifacts")


@dataclass(frozen=True, slots=True)
class Action:
    """One documented call that changes a record or makes something of it.

    :param resource: catalog path of the resource, for instance ``"invoices"``.
    :param name: name of the call: ``"submit"``. Twins for PUT and PATCH are one call.
    :param method: HTTP method.
    :param path: path under ``/api``: ``"invoices/:id/submit"``; some have no ``:id``.
    :param query: arguments that Coupa wants in the query string.
    :param body: documented arguments of the body, dashed, with dots for nesting. A call may take more:
        many take the attributes of the record.
    :param required: those of both that it cannot do without.
    :param multipart: it takes a file.
    :param allowed_from: documented statuses in which it is legal; empty where not documented.
    :param forbidden_from: statuses in which it is surely illegal; empty where none is sure.
    :param leads_to: status afterwards, None where not documented or not always the same.
    :param article: number of Coupa's article, None where only OpenAPI describes it.
    """

    resource: str
    name: str
    method: str
    path: str
    query: tuple[str, ...] = ()
    body: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    multipart: bool = False
    allowed_from: frozenset[str] = frozenset()
    forbidden_from: frozenset[str] = frozenset()
    leads_to: str | None = None
    article: str | None = None


def find_action(resource: str, name: str) -> Action | None:
    """Return a documented call.

    :param resource: path of the resource; ids may stand in it: ``"users/7/business_groups"``.
    :param name: name of the call.
    :return: the call, or None when the documents know none of that name. An instance may know more.
    """
    found = find_resource(resource)
    return _actions(found.path).get(name) if found is not None else None


def actions_of(resource: str) -> list[Action]:
    """Return the documented calls of a resource.

    :param resource: path of the resource.
    :return: calls by name; empty when there are none.
    """
    found = find_resource(resource)
    return list(_actions(found.path).values()) if found is not None else []


def all_actions() -> list[Action]:
    """Return the documented calls of all resources.

    :return: calls by resource and name.
    """
    return [action for path in resource_paths() for action in actions_of(path)]


def plain_name(name: str) -> str:
    """Return the name of a call without the method that tells twins apart in the catalog.

    :param name: name in the catalog: ``"put_void"``.
    :return: name of the call: ``"void"``.
    """
    return _TWIN.sub("", name, count=1)


@cache
def _facts() -> dict[str, dict[str, dict[str, Any]]]:
    text = files("coupa_provider.resources").joinpath("actions.json").read_text(encoding="utf-8")
    facts: dict[str, dict[str, dict[str, Any]]] = json.loads(text)
    return facts


@cache
def _actions(path: str) -> Mapping[str, Action]:
    resource = find_resource(path)
    if resource is None:
        return {}
    facts = _facts().get(path, {})
    return {
        name: _action(resource, name, call, facts.get(name, {}))
        for name, call in sorted(_calls(resource).items())
    }


def _calls(resource: Resource) -> dict[str, str]:
    """Verb and path of each call. Of twins the one with an id goes first, and then the one with PUT."""
    calls: dict[str, str] = {}
    for name, call in resource.actions.items():
        plain = plain_name(name)
        if name in _WRITES or plain.endswith(_BELOW) or call.startswith(("GET ", "DELETE ")):
            continue
        calls[plain] = max(calls.get(plain, call), call, key=lambda text: (":id/" in text, text[:3] == "PUT"))
    return calls


def _action(resource: Resource, name: str, call: str, facts: Mapping[str, Any]) -> Action:
    method, _, path = call.partition(" ")
    return Action(
        resource=resource.path,
        name=name,
        method=method,
        path=path,
        query=tuple(facts.get("query", ())),
        body=tuple(facts.get("body", ())),
        required=tuple(facts.get("required", ())),
        multipart=facts.get("multipart", False),
        allowed_from=frozenset(facts.get("allowed_from", ())),
        forbidden_from=frozenset(facts.get("forbidden_from", ())),
        leads_to=facts.get("leads_to"),
        article=resource.article,
    )
