"""Every body is read without a crash, and no error made of it holds a secret."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coupa_provider.client.answer import Answer, not_json, read_failure, read_messages, retry_after_seconds
from coupa_provider.client.errors import (
    CoupaAuthenticationError,
    CoupaError,
    CoupaNotFoundError,
    CoupaRateLimitError,
    CoupaScopeError,
    CoupaUnavailableError,
    CoupaValidationError,
)

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
SECRET = 'S3cr3t+/="&<é>\\x'


def answer(status=400, body=b"", headers=None, method="GET", path="/api/invoices"):
    return Answer(status, headers or {}, body, method, path)


@pytest.mark.parametrize(
    ("body", "messages"),
    [
        (b"", []),
        (b"  \n ", []),
        (b'{"errors": {"user": ["Login has already been taken", "Email has already been taken"]}}',
         ["Login has already been taken", "Email has already been taken"]),
        (b'{"errors": {"order-header": "Supplier missing"}}', ["Supplier missing"]),
        (b'{"errors": ["one", "two", "one"]}', ["one", "two"]),
        (b'{"errors": "text"}', ["text"]),
        (b'{"error": "text"}', ["text"]),
        (b'{"error": {"message": "deep"}}', ["deep"]),
        (b'{"error": "invalid_client", "error_description": "No such client"}', ["invalid_client", "No such client"]),
        (b'{"errors": {"warnings": ["only this"]}}', []),
        (b'{"errors": {"warnings": ["not this"], "account": ["this"]}}', ["this"]),
        (b'{"errors": null}', []),
        (b'{"errors": {}}', []),
        (b'{"errors": [{"invoice": ["a"]}, ["b"], 5]}', ["a", "b", "5"]),
        (b'["a", {"b": "c"}]', ["a", "c"]),
        (b'"just text"', ["just text"]),
        (b"<errors><error>Name taken</error><error><![CDATA[A & B]]></error></errors>", ["Name taken", "A & B"]),
        (b'<?xml version="1.0"?><errors><error class="x">A &amp; B</error></errors>', ["A & B"]),
        (b"<html><head><title>Down for maintenance</title></head><body>x</body></html>", ["Down for maintenance"]),
        (b"<html><body>no title</body></html>", []),
        (b"<errors><error>cut sho", []),
        (b'{"errors": {"user": ["cut sho', []),
        (b'{"errors": "\xff\xfe"}', []),
        (b"plain words", ["plain words"]),
        (b"\xff\xfe\x00", ["\ufffd\ufffd\x00"]),
    ],
)  # fmt: skip
def test_messages_of_every_form(body, messages):
    assert read_messages(body) == messages


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, CoupaUnavailableError), (304, CoupaUnavailableError), (400, CoupaValidationError),
        (401, CoupaAuthenticationError), (403, CoupaScopeError), (404, CoupaNotFoundError),
        (405, CoupaValidationError), (406, CoupaValidationError), (408, CoupaUnavailableError),
        (409, CoupaValidationError), (418, CoupaValidationError), (422, CoupaValidationError),
        (429, CoupaRateLimitError), (500, CoupaUnavailableError), (502, CoupaUnavailableError),
        (503, CoupaUnavailableError), (504, CoupaUnavailableError), (599, CoupaUnavailableError),
    ],
)  # fmt: skip
def test_each_status_is_one_kind_of_error(status, kind):
    failure = read_failure(
        answer(status, b'{"errors": {"x": ["y"]}}', {"x-request-id": "r-1"}, "PUT", "/api/invoices/1"), NOW
    )
    assert type(failure) is kind
    assert (failure.status, failure.method, failure.path) == (status, "PUT", "/api/invoices/1")
    assert failure.request_id == "r-1"
    assert failure.excerpt == '{"errors": {"x": ["y"]}}'
    if kind is CoupaValidationError:
        assert failure.errors == ("y",)
        assert ": y" in failure.message


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_success_is_no_failure(status):
    assert read_failure(answer(status, b"anything"), NOW) is None


@pytest.mark.parametrize(("status", "timed_out"), [(408, True), (504, True), (500, False), (503, False)])
def test_time_outs_are_told_apart(status, timed_out):
    assert read_failure(answer(status), NOW).timed_out is timed_out


def test_a_missing_scope_is_named():
    reading = read_failure(answer(403, path="/api/invoices/7"), NOW)
    writing = read_failure(answer(403, method="PUT", path="/api/invoices/7"), NOW)
    assert "core.invoice.read" in reading.message
    assert "core.invoice.write" in writing.message
    unknown = read_failure(answer(403, path="/api/no_such/7"), NOW)
    assert "A scope may be missing" in unknown.message
    assert "/oauth2/clients" in unknown.message


@given(
    st.integers(200, 599),
    st.one_of(
        st.binary(max_size=200),
        st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["errors", "error", "warnings", "error_description", "user"]),
                    inner,
                    max_size=3,
                )
            ),
        ).map(lambda value: json.dumps(value).encode()),
        st.text("<>/error![CDATA]&; title", max_size=80).map(str.encode),
    ),
    st.dictionaries(
        st.sampled_from(["retry-after", "content-type", "x-request-id", "date"]),
        st.text(max_size=30),
        max_size=4,
    ),
    st.sampled_from(["GET", "POST", "DELETE"]),
    st.text(max_size=20),
)
@settings(max_examples=500)
def test_nothing_that_comes_breaks_the_reading(status, body, headers, method, path):
    given_answer = Answer(status, headers, body, method, path)
    failure = read_failure(given_answer, NOW, [SECRET])
    assert (failure is None) == (200 <= status < 300)
    if failure is not None:
        assert isinstance(failure, CoupaError)
        assert str(failure)
        wait = getattr(failure, "retry_after", None)
        assert wait is None or wait >= 0
    try:
        given_answer.json()
    except CoupaUnavailableError as error:
        assert error.status == status  # noqa: PT017


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_retry_after_breaks_the_reading(text, date):
    wait = retry_after_seconds({"retry-after": text, "date": date}, NOW)
    assert wait is None or 0 <= wait < 1e12


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "9999999999"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 99999999999999999999:28:00 GMT"}, None),
        ({"retry-after": "Wed, 01 May 2024 12:00:30"}, None),
        ({"retry-after": "0"}, 0),
        ({"retry-after": " 7 "}, 7),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "Wed, 01 May 2024 12:00:30 GMT"}, 30),
        ({"retry-after": "Wed, 01 May 2024 14:00:30 +0200"}, 30),
        ({"retry-after": "Wed, 01 May 2024 11:00:00 GMT"}, 0),
        # This machine's clock is an hour off: the server's own counts.
        ({"retry-after": "Wed, 01 May 2024 13:00:30 GMT", "date": "Wed, 01 May 2024 13:00:00 GMT"}, 30),
        ({"retry-after": "Wed, 01 May 2024 11:00:30 GMT", "date": "Wed, 01 May 2024 11:00:00 GMT"}, 30),
        ({"retry-after": "Wed, 01 May 2024 12:00:30 GMT", "date": "nonsense"}, 30),
    ],
)
def test_retry_after_in_seconds_or_as_a_date(headers, wait):
    assert retry_after_seconds(headers, NOW) == wait


@pytest.mark.parametrize("status", [429, 503, 502])
def test_the_error_holds_how_long_to_wait(status):
    moment = format_datetime(NOW + timedelta(seconds=9), usegmt=True)
    assert read_failure(answer(status, headers={"retry-after": moment}), NOW).retry_after == 9
    assert read_failure(answer(status), NOW).retry_after is None


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 500_000,
        b'{"errors":' * 100_000,
        b"<error>" * 300_000,
        b"<errors><error>" + b"<![CDATA[" * 100_000,
        b"<title>" * 300_000,
        b"x" * 3_000_000,
        b'{"errors": "' + b"y" * 3_000_000 + b'"}',
        b"9" * 5000,
        b'{"errors": 1e999}',
    ],
)
def test_bodies_made_to_hurt_are_read_soon(body):
    started = time.monotonic()
    failure = read_failure(answer(500, body), NOW, [SECRET, "another secret"])
    assert time.monotonic() - started < 2
    assert len(str(failure)) < 3000


@pytest.mark.parametrize(
    "body", [b"[" * 500_000, b"<html>", b'[{"id": 1', b"\xff", b"1e999", b'"\\ud800"', b"}"]
)
def test_a_body_that_is_no_json_is_said_to_be_so(body):
    with pytest.raises(CoupaUnavailableError, match="no whole JSON") as caught:
        Answer(200, {"content-type": "text/html; charset=x"}, body, "GET", "/api/x").json()
    assert "text/html" in caught.value.message
    assert caught.value.excerpt is None


def test_an_empty_body_is_none():
    assert answer(200, b" \n").json() is None
    assert answer(200, b'{"a": "1.10"}').json() == {"a": "1.10"}


def test_the_body_of_a_success_is_data_and_stays_out_of_errors():
    error = not_json(answer(200, b'[{"iban": "DE00 1234", "name": "Jane'))
    assert "DE00" not in str(error)
    assert error.excerpt is None


ECHOES = [
    "secret is {}",
    '{{"error": "client_secret {} is wrong"}}',
    "<title>{}</title>",
    "<errors><error>{}</error></errors>",
    '{{"errors": {{"x": ["{}"]}}}}',
    "{}",
    "x" * 290 + "{}",
    "access_token=" + "A" * 1180 + " {}",
]


def disguises(secret):
    from html import escape
    from urllib.parse import quote, quote_plus

    return [
        secret,
        quote_plus(secret),
        quote(secret, safe=""),
        json.dumps(secret, ensure_ascii=False)[1:-1],
        escape(secret),
    ]


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 429, 500, 503])
@pytest.mark.parametrize("echo", ECHOES)
def test_a_secret_that_the_server_echoes_is_hidden(status, echo):
    for shown in disguises(SECRET):
        failure = read_failure(answer(status, echo.format(shown).encode()), NOW, [SECRET])
        told = f"{failure} {failure!r} {vars(failure)}"
        assert shown not in told
        assert shown[:12] not in told
        assert SECRET not in told


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer eyJhbGciOi.J9-_abc~+/==",
        '{"access_token":"eyJhbGciOiJ9abc"}',
        "{'refresh_token': 'eyJhbGciOiJ9abc'}",
        "client_secret=eyJhbGciOiJ9abc%2B&x=1",
        "client_secret=ey%2BJhbGciOiJ9abc&x=1",
        '"refresh_token" : "eyJhbGciOiJ9abc"',
    ],
)
def test_what_looks_like_a_token_is_hidden_even_if_nobody_knows_it(text):
    failure = read_failure(answer(400, text.encode()), NOW)
    assert "hbGciOi" not in str(failure)
    assert "***" in str(failure)


def test_very_short_texts_are_not_taken_for_secrets():
    assert read_failure(answer(400, b'{"errors": "a b c"}'), NOW, ["a", ""]).errors == ("a b c",)


def test_the_content_type_and_request_id_are_found():
    found = answer(headers={"content-type": "Application/JSON; charset=utf-8", "x-amzn-trace-id": "t"})
    assert found.content_type == "application/json"
    assert found.request_id == "t"
    assert answer().content_type == ""
    assert answer().request_id is None
