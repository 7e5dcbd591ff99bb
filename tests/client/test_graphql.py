"""What is sent as GraphQL, and how its answers are read."""

from __future__ import annotations

import json

import graphql
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coupa_provider.client.answer import Answer
from coupa_provider.client.blocking import BlockingClient
from coupa_provider.client.client import CoupaClient
from coupa_provider.client.errors import (
    CoupaGraphQLError,
    CoupaQueryError,
    CoupaScopeError,
    CoupaUnavailableError,
)
from coupa_provider.client.graphql import Operation, operations_of, read_data, request_body

TOKEN = b'{"access_token": "t0k3n-of-a-test", "expires_in": 86399}'


# ---- What is sent


@pytest.mark.parametrize(
    ("document", "operations"),
    [
        ("{ users { id } }", [Operation("query")]),
        ("query { users { id } }", [Operation("query")]),
        ("query Q($a: X = {b: {c: 1}}) @d(e: {f: [1]}) { users { id } }", [Operation("query", "Q")]),
        ("mutation { x }", [Operation("mutation")]),
        ("subscription S { x }", [Operation("subscription", "S")]),
        ("# mutation { x }\n\ufeff,query mutation { mutation }", [Operation("query", "mutation")]),
        ('{ a(b: "} mutation { x } \\" {") }', [Operation("query")]),
        ('{ a(b: """ } mutation { \\""" " "" { """) }', [Operation("query")]),
        ('{ a(b: "") } mutation M { c(d: """""") }', [Operation("query"), Operation("mutation", "M")]),
        ("fragment mutation on User { id } query A { ...mutation }", [Operation("query", "A")]),
        ("query A { a } query B { b }", [Operation("query", "A"), Operation("query", "B")]),
        ('"what it does" query A { a }', [Operation("query", "A")]),
        ("fragment F on User { id }", []),
        (" \t\n", []),
    ],
)
def test_operations_are_found(document, operations):
    assert operations_of(document) == operations


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("{ users", "ends in the middle"),
        ("query Q", "ends in the middle"),
        ("{ users } }", "'}' begins|} closes nothing"),
        ("{ users ( }", "} closes nothing"),
        ('{ users(query: "id=1) { id } }', "line 1"),
        ('{ a\n(b: """ \\""") }', "line 2"),
        ("users { id }", "'users' begins neither"),
        ("(a: 1) { b }", "'\\(' begins neither"),
        ("type User { id: ID }", "'type' begins neither"),
        ("{ a(b: 'c') }", "line 1"),
    ],
)
def test_what_is_not_graphql_is_refused(document, why):
    with pytest.raises(CoupaQueryError, match=why):
        operations_of(document)


NAMES = st.sampled_from(("a", "Q", "query", "mutation", "subscription", "fragment", "_1"))
BLANKS = st.sampled_from(
    (" ", "\n", ", ", "\ufeff ", '# } mutation { "\n', '#"""\r', "\t#'\r\n", "# subscription\n")
)
TEXTS = st.sampled_from(
    (
        '""',
        '"}"',
        '"\\"{"',
        '"\\\\"',
        '"mutation {"',
        '""""""',
        '"""}"""',
        '""" " \\""" ""{ """',
        '"""\n#\n"""',
    )
)
VALUES = st.recursive(
    TEXTS | st.sampled_from(("1", "-1.5e+10", "true", "null", "ENUM", "$v")),
    lambda below: (
        st.lists(below, max_size=2).map(lambda parts: f"[{' '.join(parts)}]")
        | st.lists(below, max_size=2).map(lambda parts: f"{{{', '.join(f'k: {part}' for part in parts)}}}")
    ),
    max_leaves=4,
)
ARGUMENTS = st.just("") | VALUES.map(lambda value: f"(x: {value})")
DIRECTIVES = st.just("") | ARGUMENTS.map(lambda arguments: f" @include{arguments}")


@st.composite
def selections(draw, depth=2):
    parts = []
    for _ in range(draw(st.integers(1, 2))):
        blank, name = draw(BLANKS), draw(NAMES)
        below = draw(selections(depth - 1)) if depth and draw(st.booleans()) else ""
        kind = draw(st.sampled_from(("field", "alias", "inline", "spread")))
        if kind == "inline":
            parts.append(f"{blank}... on {name}{draw(selections(0))}")
        elif kind == "spread":
            parts.append(f"{blank}...{name}{draw(DIRECTIVES)}")
        else:
            alias = "b:" if kind == "alias" else ""
            parts.append(f"{blank}{alias}{name}{draw(ARGUMENTS)}{draw(DIRECTIVES)}{below}")
    return "{" + " ".join(parts) + draw(BLANKS) + "}"


@st.composite
def documents(draw):
    definitions = []
    for _ in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(("", "query", "mutation", "subscription", "fragment")))
        name = draw(BLANKS) + draw(NAMES)
        if kind == "fragment":
            head = f"fragment{name} on{draw(BLANKS)}{draw(NAMES)}{draw(DIRECTIVES)}"
        elif kind:
            variables = draw(st.sampled_from(("", "($v: [Int!] = [1])", '($v: X = {y: "}", z: {}} @d)')))
            head = f"{kind}{draw(st.sampled_from((name, '')))}{variables}{draw(DIRECTIVES)}"
        else:
            head = ""
        definitions.append(head + draw(BLANKS) + draw(selections()))
    return draw(BLANKS).join(definitions)


@st.composite
def damaged(draw):
    """A document with something taken out, put in, or both."""
    text = draw(documents())
    first = draw(st.integers(0, len(text)))
    last = draw(st.integers(first, min(first + 3, len(text))))
    pieces = ("", "{", "}", "(", ")", '"', '"""', "\\", "#", "\n", " mutation ", "query", "'", "\x00", "...")
    return text[:first] + draw(st.sampled_from(pieces)) + text[last:]


def reference_operations(document: str) -> list[Operation] | None:
    """The operations that graphql-core finds; None for what it cannot read, or is a schema."""
    try:
        definitions = graphql.parse(document).definitions
    except graphql.GraphQLSyntaxError:
        return None
    found = []
    for definition in definitions:
        if isinstance(definition, graphql.OperationDefinitionNode):
            found.append(
                Operation(definition.operation.value, definition.name.value if definition.name else None)
            )
        elif not isinstance(definition, graphql.FragmentDefinitionNode):
            return None
    return found


@settings(max_examples=400, deadline=None)
@given(documents() | damaged())
def test_operations_are_those_that_another_reader_finds(document):
    expected = reference_operations(document)
    if expected is not None:
        assert operations_of(document) == expected


@settings(max_examples=200, deadline=None)
@given(documents())
def test_only_what_reads_is_sent(document):
    kinds = {operation.kind for operation in reference_operations(document) or []}
    if kinds - {"query"}:
        with pytest.raises(CoupaQueryError, match="read-only"):
            request_body(document, operation_name="a")


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet='{}()[]"\\#\n\x00 aq$:!,.é'))
def test_any_text_is_read_or_refused(document):
    refusal = ""
    try:
        operations_of(document)
    except CoupaQueryError as error:
        refusal = str(error)
    assert not refusal or "The GraphQL query is not well-formed" in refusal


def test_a_long_query_is_read_fast():
    operations_of("{" + 'a(b: "' + "x" * 1_000_000 + '") ' + "c " * 100_000 + "}")
    with pytest.raises(CoupaQueryError):
        operations_of('{ a(b: """' + '\\"""' * 200_000)


def test_the_body_holds_what_was_given():
    assert request_body("{ a }") == {"query": "{ a }"}
    assert request_body("{ a }", {}, "") == {"query": "{ a }"}
    two = "query A { a } query B { b }"
    assert request_body(two, {"x": 1}, "B") == {"query": two, "variables": {"x": 1}, "operationName": "B"}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("mutation Pay { x }",), "The mutation Pay was not sent: Coupa's GraphQL is read-only"),
        (("subscription { x }",), "A subscription was not sent"),
        (("query A { a } mutation B { b }", None, "A"), "The mutation B was not sent"),
        (("",), "holds no operation"),
        (("fragment F on User { id }",), "holds no operation"),
        (("query A { a } query B { b }",), r"several operations \(A, B\)"),
        (("query A { a } { b }", None, "C"), "no operation 'C'; it has A, one without a name"),
        ((None,), "must be a text, not NoneType"),
        (("{ a }", ["x"]), "must be a dict of name to value, not list"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments, why):
    with pytest.raises(CoupaQueryError, match=why):
        request_body(*arguments)


# ---- What comes back


def answer(value: object, content_type: str = "application/json") -> Answer:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Answer(200, {"content-type": content_type}, body, "POST", "/api/graphql")


def test_whole_data_is_returned():
    assert read_data(answer({"data": {"user": None, "users": []}})) == {"user": None, "users": []}
    assert read_data(answer({"data": {}, "errors": []})) == {}
    assert read_data(answer({"data": {"a": 1}, "errors": None, "extensions": {"cost": 3}})) == {"a": 1}


def test_errors_are_raised_with_their_places():
    errors = [
        {
            "message": "Field 'lgin' doesn't exist",
            "locations": [{"line": 2, "column": 5}],
            "path": ["query", "x"],
        },
        {"message": "Timeout", "path": ["users", 0, "manager"], "extensions": {"value": "a payload"}},
        {"message": "Parse error", "locations": [{"line": 3, "column": 1}]},
        {"locations": []},
    ]
    with pytest.raises(CoupaGraphQLError) as caught:
        read_data(answer({"errors": errors}))
    assert caught.value.errors == (
        "Field 'lgin' doesn't exist (at query.x)",
        "Timeout (at users.0.manager)",
        "Parse error (line 3)",
        "an error without words",
    )
    assert caught.value.paths == ("query.x", "users.0.manager", "", "")
    assert "; ".join(caught.value.errors) in str(caught.value)
    assert "[POST /api/graphql] (HTTP 200)" in str(caught.value)
    assert "payload" not in str(caught.value)


def test_data_beside_errors_is_not_returned_and_not_shown():
    value = {"data": {"user": {"login": "s-payload"}, "users": None}, "errors": [{"message": "Boom"}]}
    with pytest.raises(CoupaGraphQLError, match=r"Boom\. Data came with them, which is not whole") as caught:
        read_data(answer(value))
    assert "s-payload" not in str(caught.value)
    with pytest.raises(CoupaGraphQLError) as caught:
        read_data(answer({"data": {"users": None}, "errors": [{"message": "Boom"}]}))
    assert "Data came" not in str(caught.value)


def test_many_errors_are_counted():
    with pytest.raises(CoupaGraphQLError, match="e4; and 7 more") as caught:
        read_data(answer({"errors": [{"message": f"e{number}"} for number in range(12)]}))
    assert len(caught.value.errors) == 12


@pytest.mark.parametrize(
    "message",
    ["You are not authorized", "Unauthorised", "User lacks permission", "insufficient_scope", "Forbidden"],
)
def test_refused_access_gets_a_hint_at_scopes(message):
    with pytest.raises(CoupaGraphQLError, match=r"its read scope, such as core\.invoice\.read"):
        read_data(answer({"data": None, "errors": [{"message": message}]}))


def test_other_errors_get_no_hint():
    with pytest.raises(CoupaGraphQLError) as caught:
        read_data(answer({"errors": [{"message": "Field 'x' doesn't exist on type 'User'"}]}))
    assert "scope" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"errors": {"base": ["No such thing"]}}, "No such thing"),
        ({"errors": ["One", "Two"]}, "One; Two"),
        ({"errors": "One text"}, "One text"),
        ({"error": "invalid_request", "error_description": "Odd"}, "invalid_request; Odd"),
        ({"errors": [{"message": "A"}, "B"]}, "A; B"),
        ({"errors": {"warnings": ["w"]}}, "an error without words"),
    ],
)
def test_errors_of_another_form_are_errors_too(value, said):
    with pytest.raises(CoupaGraphQLError, match=f"with errors: {said}"):
        read_data(answer(value))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ([{"data": {"a": 1}}], "a list"),
        ([], "a list"),
        ("text", "a single value"),
        ({"user": {"login": "payload"}}, "an object without data"),
        ({"data": None}, "an object without data"),
        ({"data": [1]}, "an object with other data"),
    ],
)
def test_what_holds_no_data_is_no_success(value, kind):
    with pytest.raises(CoupaGraphQLError, match=rf"neither data nor errors \(it is {kind}\)") as caught:
        read_data(answer(value))
    assert (caught.value.errors, "payload" in str(caught.value)) == ((), False)


@pytest.mark.parametrize("body", [b"", b" ", b"null", b'{"data": {"a"', b"<html>Sign in</html>"])
def test_what_is_no_json_may_be_asked_for_again(body):
    with pytest.raises(CoupaUnavailableError, match="no whole JSON"):
        read_data(answer(body, "text/html"))


def test_no_secret_is_shown():
    error = {"message": "Bad token s3cret/of-mine and Bearer abcdefghijkl"}
    with pytest.raises(CoupaGraphQLError) as caught:
        read_data(answer({"errors": [error]}), ["s3cret/of-mine"])
    assert caught.value.errors == ("Bad token *** and Bearer ***",)
    assert "s3cret" not in str(caught.value)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda below: (
    st.lists(below, max_size=3)
    | st.dictionaries(st.sampled_from(("data", "errors", "error", "message", "path", "locations")), below)
)))  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_any_json_is_data_or_an_error(value):
    whole = isinstance(value, dict) and isinstance(value.get("data"), dict)
    if whole and not value.get("errors") and not value.get("error"):
        assert read_data(answer(value)) == value["data"]
    else:
        with pytest.raises((CoupaGraphQLError, CoupaUnavailableError)):
            read_data(answer(value))


# ---- Through the funnel


@pytest.fixture
def ask(emulator, config_for, run, quick):
    """Run a query with a client of the emulator."""

    def asking(query, variables=None, **options):
        async def scene():
            async with CoupaClient(config_for(emulator.url), retry=quick) as client:
                return await client.graphql(query, variables, **options)

        return run(scene())

    return asking


def test_a_query_with_variables(emulator, ask):
    query = "query One($id: ID!) { user(id: $id) { login } } query Other { users { id } }"
    login = emulator.record("users", 3)["login"]
    assert ask(query, {"id": 3}, operation_name="One") == {"user": {"login": login}}


def test_the_blocking_client_asks_the_same(emulator, config_for):
    with BlockingClient(config_for(emulator.url)) as client:
        assert client.graphql('{ users(query: "id[in]=1,2") { id } }') == {"users": [{"id": 1}, {"id": 2}]}
        with pytest.raises(CoupaGraphQLError, match="Cannot query field 'lgin'"):
            client.graphql("{ users { lgin } }")


def test_a_mutation_never_leaves(emulator, ask):
    with pytest.raises(CoupaQueryError, match="read-only"):
        ask("mutation { createUser { id } }")
    assert emulator.seen()["requests_by_path"] == {}


@pytest.mark.parametrize(
    "kind", ["500", "503", "429", "drop_before", "drop_middle", "truncated", "lost_write"]
)
def test_a_lost_answer_is_asked_for_again(emulator, ask, kind):
    emulator.configure(faults={"always": True, "kinds": [kind], "paths": ["graphql"], "times": 2})
    assert ask("{ user(id: 1) { id } }") == {"user": {"id": 1}}
    assert emulator.seen()["requests_by_path"]["POST /api/graphql"] == 3


@pytest.mark.parametrize(
    "script", [[b"<html>Maintenance</html>", b'{"data": {"a": 1}}'], [b"", b'{"data": {"a": 1}}']]
)
def test_html_with_200_is_asked_for_again(raw_server, http, config_for, quick, run, script):
    answers = iter([http(200, TOKEN), *(http(200, body) for body in script)])
    server = raw_server(lambda request: next(answers))

    async def scene():
        async with CoupaClient(config_for(server.url), retry=quick) as client:
            return await client.graphql("{ a }")

    assert run(scene()) == {"a": 1}
    assert server.lines[1:] == ["POST /api/graphql HTTP/1.1"] * 2


def test_errors_are_not_asked_for_again_and_hide_the_token(raw_server, http, config_for, quick, run):
    echo = json.dumps({"errors": [{"message": "Not authorized: t0k3n-of-a-test"}]}).encode()
    answers = iter([http(200, TOKEN), http(200, echo)])
    server = raw_server(lambda request: next(answers))

    async def scene():
        async with CoupaClient(config_for(server.url), retry=quick) as client:
            return await client.graphql("{ a }")

    with pytest.raises(CoupaGraphQLError, match=r"Not authorized: \*\*\*") as caught:
        run(scene())
    assert "t0k3n" not in str(caught.value)
    assert len(server.lines) == 2


def test_a_status_of_failure_stays_what_it_is(raw_server, http, config_for, quick, run):
    server = raw_server(
        lambda request: http(200, TOKEN) if b"oauth2" in request else http(403, b'{"error": "No"}')
    )

    async def scene():
        async with CoupaClient(config_for(server.url), retry=quick) as client:
            return await client.graphql("{ a }")

    with pytest.raises(CoupaScopeError, match="A scope may be missing"):
        run(scene())
