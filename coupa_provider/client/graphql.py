"""GraphQL at Coupa (article 0013): what may be sent, and what an answer says. Pure: no I/O here.

Coupa's GraphQL reads only, so nothing but a query leaves this machine. Its errors come with HTTP 200, as is usual
for GraphQL, so an answer counts as a success only after it was read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from coupa_provider.client.answer import Answer, not_json, presentable, read_messages
from coupa_provider.client.errors import CoupaGraphQLError, CoupaQueryError

#: Path of the one endpoint, under ``/api``.
GRAPHQL_PATH = "graphql"

_NAMED_ERRORS = 5
_OPERATIONS = ("query", "mutation", "subscription")
_CLOSERS = {"{": "}", "(": ")", "[": "]"}
#: The lexical grammar of GraphQL, as far as it takes to find where operations begin.
_TOKEN = re.compile(
    r"""
      (?P<ignored> [\t\n\r ,\ufeff]++ | \#[^\n\r]*+ )
    | (?P<text> \"{3} (?: \\\"{3} | (?!\"{3})[\s\S] )*+ \"{3} | \"(?!\"\") (?: [^\"\\\n\r] | \\[^\n\r] )*+ \" )
    | (?P<name> [_A-Za-z][_0-9A-Za-z]*+ )
    | (?P<open> [{(\[] )
    | (?P<close> [})\]] )
    | (?P<other> \.\.\. | [!$&:=@|] | -?[0-9][0-9A-Za-z.+\-]*+ )
    """,
    re.VERBOSE,
)
_ACCESS = re.compile(r"(?i)authori[sz]|permission|permitted|forbidden|access denied|scope")
_SCOPE_REMEDY = (
    "If access is what is missing: each resource in the query needs its read scope, such as core.invoice.read. Grant "
    "it to the client in Coupa (/oauth2/clients) and name it in the connection's scopes. The client's user and "
    "content groups can limit access too"
)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a GraphQL document.

    :param kind: ``query``, ``mutation`` or ``subscription``.
    :param name: its name, None without one.
    """

    kind: str
    name: str | None = None


def operations_of(document: str) -> list[Operation]:
    """Find the operations of a GraphQL document, past comments, texts and fragments.

    :param document: the text.
    :return: the operations in their order.
    :raises CoupaQueryError: it cannot be read as operations and fragments.
    """
    found: list[Operation] = []
    closers: list[str] = []
    definition = ""  # the keyword of the definition that is being read
    begun = False  # the word before was that keyword
    for kind, word in _tokens(document):
        if kind == "close":
            if not closers or closers.pop() != word:
                raise CoupaQueryError(f"The GraphQL query is not well-formed: {word} closes nothing.")
            if not closers and word == "}":
                definition = ""
        elif kind == "open":
            if not definition and word == "{":
                definition = "query"
                found.append(Operation("query"))
            elif not definition:
                raise _no_operation(word)
            closers.append(_CLOSERS[word])
        elif not closers and not definition and kind != "text":  # a text here describes what follows
            if word not in (*_OPERATIONS, "fragment"):
                raise _no_operation(word)
            definition, begun = word, True
            if definition != "fragment":
                found.append(Operation(definition))
            continue
        elif begun and kind == "name" and definition != "fragment":
            found[-1] = replace(found[-1], name=word)
        begun = False
    if closers or definition:
        raise CoupaQueryError("The GraphQL query is not well-formed: it ends in the middle.")
    return found


def _tokens(document: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(document):
        match = _TOKEN.match(document, position)
        if match is None:
            line = document.count("\n", 0, position) + 1
            raise CoupaQueryError(
                f"The GraphQL query is not well-formed: {document[position]!r} in line {line} "
                "begins nothing that GraphQL knows, or a text that does not end."
            )
        position = match.end()
        if match.lastgroup != "ignored":
            yield str(match.lastgroup), match[0]


def _no_operation(word: str) -> CoupaQueryError:
    return CoupaQueryError(
        f"The GraphQL query is not well-formed: {word!r} begins neither an operation nor a fragment."
    )


def request_body(
    query: str, variables: Mapping[str, Any] | None = None, operation_name: str | None = None
) -> dict[str, Any]:
    """Check a query and return the body of its request.

    :param query: GraphQL document.
    :param variables: values of its variables.
    :param operation_name: the operation to run, of several.
    :raises CoupaQueryError: it does more than read, or it is not clear what is to be run.
    """
    if not isinstance(query, str):
        raise CoupaQueryError(f"The GraphQL query must be a text, not {type(query).__name__}.")
    if variables is not None and not isinstance(variables, Mapping):
        raise CoupaQueryError(f"variables must be a dict of name to value, not {type(variables).__name__}.")
    operations = operations_of(query)
    for operation in operations:
        if operation.kind != "query":
            raise CoupaQueryError(
                f"{_title(operation)} was not sent: Coupa's GraphQL is read-only (article 0013). "
                "Write by create, update or call of the REST API."
            )
    if not operations:
        raise CoupaQueryError('The GraphQL query holds no operation. Write for instance "{ users { id } }".')
    names = [operation.name for operation in operations]
    if operation_name and operation_name not in names:
        raise CoupaQueryError(
            f"The GraphQL query has no operation {operation_name!r}; it has {_listed(operations)}."
        )
    if len(operations) > 1 and not operation_name:
        raise CoupaQueryError(
            f"The GraphQL query has several operations ({_listed(operations)}): say which by operation_name."
        )
    body: dict[str, Any] = {"query": query}
    if variables:
        body["variables"] = dict(variables)
    if operation_name:
        body["operationName"] = operation_name
    return body


def _title(operation: Operation) -> str:
    return f"The {operation.kind} {operation.name}" if operation.name else f"A {operation.kind}"


def _listed(operations: Collection[Operation]) -> str:
    return ", ".join(operation.name or "one without a name" for operation in operations)


def read_data(answer: Answer, secrets: Collection[str] = ()) -> dict[str, Any]:
    """Return the data of an answer, if it is whole.

    :param answer: an answer with a status of success.
    :param secrets: texts that may not appear in an error.
    :return: the data by the names or aliases of the query's fields.
    :raises CoupaGraphQLError: it names errors, be it beside data, or it holds no data.
    :raises CoupaUnavailableError: it is no JSON.
    """
    value = answer.json()
    if value is None:
        raise not_json(answer, secrets)
    data = value.get("data") if isinstance(value, Mapping) else None
    errors = _errors_of(value, answer)
    if not errors and isinstance(data, dict):
        return data
    messages = tuple(presentable(message, secrets) for message, _ in errors)
    if errors:
        said = "; ".join(messages[:_NAMED_ERRORS])
        more = f"; and {len(messages) - _NAMED_ERRORS} more" if len(messages) > _NAMED_ERRORS else ""
        text = f"Coupa answered the GraphQL query with errors: {said}{more}"
        if isinstance(data, Mapping) and any(part is not None for part in data.values()):
            text += ". Data came with them, which is not whole and therefore not returned"
        if any(_ACCESS.search(message) for message in messages):
            text += f". {_SCOPE_REMEDY}"
    else:
        text = (
            f"Coupa's answer to a GraphQL query has neither data nor errors (it is {_kind(value)}). "
            "Does this instance offer GraphQL at /api/graphql?"
        )
    raise CoupaGraphQLError(
        text,
        errors=messages,
        paths=tuple(path for _, path in errors),
        status=answer.status,
        method=answer.method,
        path=answer.path,
        request_id=answer.request_id,
    )


def _errors_of(value: Any, answer: Answer) -> list[tuple[str, str]]:
    """Return message, with its place, and path of each error; ``extensions`` are left out: they echo values."""
    if not isinstance(value, Mapping) or not (value.get("errors") or value.get("error")):
        return []
    listed = value.get("errors")
    if not (isinstance(listed, list) and listed and all(isinstance(error, Mapping) for error in listed)):
        return [(message, "") for message in read_messages(answer.body)] or [("an error without words", "")]
    found = []
    for error in listed:
        path = ".".join(map(str, error["path"])) if isinstance(error.get("path"), list) else ""
        message = str(error.get("message") or "an error without words")
        found.append((f"{message} ({place})" if (place := _place(path, error)) else message, path))
    return found


def _place(path: str, error: Mapping[str, Any]) -> str:
    if path:
        return f"at {path}"
    locations = error.get("locations")
    first = locations[0] if isinstance(locations, list) and locations else None
    return f"line {first['line']}" if isinstance(first, Mapping) and "line" in first else ""


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "an object without data" if value.get("data") is None else "an object with other data"
    return "a list" if isinstance(value, list) else "a single value"
