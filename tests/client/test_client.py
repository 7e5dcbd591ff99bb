"""The one funnel: headers, pace, retries, and that nothing is written twice."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import traceback
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from coupa_provider.client.client import CoupaClient, encode_body
from coupa_provider.client.errors import (
    CoupaError,
    CoupaNotFoundError,
    CoupaOutcomeUnknownError,
    CoupaQueryError,
    CoupaRateLimitError,
    CoupaScopeError,
    CoupaUnavailableError,
    CoupaValidationError,
)
from coupa_provider.client.retry import RetryPolicy

TOKEN = b'{"access_token": "t0k3n-of-a-test", "expires_in": 86399}'
WITHOUT_EFFECT = ["503", "429", "429_seconds", "429_date"]
MAYBE_DONE = ["500", "502", "drop_before", "drop_middle", "truncated", "lost_write"]


@pytest.fixture
def use(emulator, config_for, run, quick):
    """Do something with a client of the emulator."""

    def using(work, *, retry=quick, **extra):
        async def scene():
            async with CoupaClient(config_for(emulator.url, **extra), retry=retry) as client:
                return await work(client)

        return run(scene())

    return using


@pytest.fixture
def scripted(raw_server, http, config_for, run, quick):
    """Do something with a client of a server that gives a token and then these answers."""

    def play(work, *answers, retry=quick, **extra):
        script = iter([http(200, TOKEN), *answers])
        server = raw_server(lambda request: next(script))

        async def scene():
            async with CoupaClient(config_for(server.url, **extra), retry=retry) as client:
                return await work(client)

        return server, lambda: run(scene())

    return play


def suppliers_named(emulator, name):
    return [
        record_id
        for record_id in emulator.ids("suppliers")
        if emulator.record("suppliers", record_id)["name"] == name
    ]


# ---- reading and writing


def test_get_create_update_and_call(emulator, use):
    async def work(client):
        created = await client.create("suppliers", {"name": "New & Söhne", "status": "active"})
        changed = await client.update("suppliers", created["id"], {"display-name": "NS"})
        read = await client.get("suppliers", created["id"], fields=["id", "name", "display-name"])
        listed = await client.call("GET", "suppliers", params={"name": "New & Söhne"})
        return created, changed, read, listed

    created, changed, read, listed = use(work)
    assert created["name"] == "New & Söhne"
    assert changed["display-name"] == "NS"
    assert read == {"id": created["id"], "name": "New & Söhne", "display-name": "NS"}
    assert [record["id"] for record in listed] == [created["id"]]


@pytest.mark.parametrize("switches", [{"U7": "200"}, {"U7": "201"}])
def test_both_statuses_of_a_create_are_success(emulator, use, switches):
    emulator.configure(switches=switches)
    assert use(lambda client: client.create("suppliers", {"name": "S"}))["name"] == "S"


@pytest.mark.parametrize("mode", ["empty", "object", "text"])
def test_what_comes_with_a_delete_does_not_matter(scripted, http, mode):
    body = {"empty": b"", "object": b'{"id": 1}', "text": b"Deleted"}[mode]
    server, play = scripted(lambda client: client.call("DELETE", "invoices/1"), http(200, body, "text/plain"))
    assert play() == ({"id": 1} if mode == "object" else None)
    assert len(server.requests) == 2


def test_a_page_that_people_get_is_no_successful_delete(scripted, http):
    _, play = scripted(
        lambda client: client.call("DELETE", "invoices/1"), http(200, b"<html>Sign in</html>", "text/html")
    )
    with pytest.raises(CoupaOutcomeUnknownError):
        play()


def test_an_empty_success_is_none_or_an_empty_record(scripted, http):
    async def work(client):
        return await client.call("PUT", "quote_requests/1/award"), await client.create("suppliers", {})

    _, play = scripted(work, http(200), http(201))
    assert play() == (None, {})


@pytest.mark.parametrize("status", ["400", "422"])
def test_a_refused_write_holds_coupas_messages(emulator, use, status):
    emulator.configure(switches={"U6": status})
    with pytest.raises(CoupaValidationError) as caught:
        use(lambda client: client.create("suppliers", {"supplier": {"name": "wrapped"}}))
    assert caught.value.errors
    assert caught.value.status in (400, 422)
    assert caught.value.errors[0] in caught.value.message


@pytest.mark.parametrize("body", ["errors", "html", "empty"])
def test_a_missing_record(emulator, use, body):
    emulator.configure(switches={"U5": body})
    with pytest.raises(CoupaNotFoundError) as caught:
        use(lambda client: client.get("invoices", 999_999_999))
    assert (caught.value.status, caught.value.method) == (404, "GET")
    assert caught.value.path == "/api/invoices/999999999"


@pytest.mark.parametrize("body", ["errors", "empty", "html", "error"])
def test_a_missing_scope_is_named(emulator, use, body):
    emulator.configure(switches={"U4": body})
    with pytest.raises(CoupaScopeError, match=r"core\.invoice\.read"):
        use(lambda client: client.call("GET", "invoices"), scopes="core.common.read")


# ---- what is refused before anything is sent


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("FETCH", "invoices"), ("", "invoices"), ("GET", ""), ("GET", "/"), ("GET", "invoices?limit=1"),
        ("GET", "../oauth2/token"), ("GET", "invoices/../users"), ("GET", "https://evil.example/x"),
        ("GET", "invoices//1"), ("GET", "a b"), ("GET", "invoices#x"), ("GET", "invoices%2f1"), ("GET", "rechnung/ü"),
        ("GET", "invoices\n"), ("GET", "a@b"), ("GET", "a\\b"),
    ],
)  # fmt: skip
def test_paths_and_verbs_that_cannot_be_right(emulator, use, method, path):
    with pytest.raises(CoupaQueryError):
        use(lambda client: client.call(method, path))
    assert emulator.seen()["requests_by_path"] == {}


@pytest.mark.parametrize("record_id", ["", " ", None, "7/submit", "../users"])
def test_an_id_that_leads_elsewhere_is_refused(emulator, use, record_id):
    with pytest.raises(CoupaQueryError):
        use(lambda client: client.get("invoices", record_id))
    with pytest.raises(CoupaQueryError):
        use(lambda client: client.update("invoices", record_id, {"a": 1}))
    assert emulator.seen()["requests_by_path"] == {}


@pytest.mark.parametrize(
    "body",
    [
        {"price": float("nan")}, {"lines": [{"price": float("inf")}]}, {"price": Decimal("NaN")},
        {"when": datetime(2024, 1, 1)}, [datetime(2024, 1, 1)], {"x": object()}, {"x": "\ud800"}, {"x": 1j},
    ],
)  # fmt: skip
def test_bodies_that_would_mean_something_else_are_refused(emulator, use, body):
    with pytest.raises(CoupaQueryError):
        use(lambda client: client.create("suppliers", body))
    assert emulator.seen()["requests_by_path"] == {}


def test_a_body_that_holds_itself_is_refused():
    body: list[object] = []
    body.append(body)
    with pytest.raises(CoupaQueryError):
        encode_body(body)


def test_a_body_is_exact():
    body = {
        "total": Decimal("10.50"),
        "at": datetime(2024, 1, 1, tzinfo=UTC),
        "day": date(2024, 1, 1),
        "name": "ü",
        "none": None,
        "flag": True,
    }
    assert json.loads(encode_body(body)) == {
        "total": "10.50",
        "at": "2024-01-01T00:00:00Z",
        "day": "2024-01-01",
        "name": "ü",
        "none": None,
        "flag": True,
    }


# ---- every request


def test_every_request_asks_for_json_and_carries_the_token(scripted, http):
    async def work(client):
        await client.call("GET", "invoices", params={"limit": 1})
        await client.call("PUT", "invoices/1/submit")
        await client.create("suppliers", {"name": "S"})

    server, play = scripted(work, http(200, b"[]"), http(200, b"{}"), http(201, b"{}"))
    play()
    for request in server.requests:
        assert b"\r\nAccept: application/json\r\n" in request
    for request in server.requests[1:]:
        assert b"\r\nAuthorization: Bearer t0k3n-of-a-test\r\n" in request
    assert server.lines[1:] == [
        "GET /api/invoices?limit=1 HTTP/1.1", "PUT /api/invoices/1/submit HTTP/1.1", "POST /api/suppliers HTTP/1.1",
    ]  # fmt: skip
    assert b"Content-Type: application/json" in server.requests[3]
    assert b"Content-Type" not in server.requests[1]


def test_the_odd_base_path_has_no_api_before_it(scripted, http):
    server, play = scripted(
        lambda client: client.call("GET", "/qualitycollaboration/api/v1/quality-inspections"),
        http(200, b"[]"),
    )
    play()
    assert server.lines[1] == "GET /qualitycollaboration/api/v1/quality-inspections HTTP/1.1"


# ---- reads go on


@pytest.mark.parametrize(
    "kind",
    [
        "500",
        "502",
        "503",
        "429",
        "429_seconds",
        "429_date",
        "drop_before",
        "drop_middle",
        "truncated",
        "login_redirect",
    ],
)
def test_a_read_goes_on_after_any_single_failure(emulator, use, kind):
    record_id = emulator.ids("invoices")[0]
    emulator.configure(faults={"kinds": [kind], "always": True, "times": 2, "retry_after_s": 0})
    assert use(lambda client: client.get("invoices", record_id)) == emulator.record("invoices", record_id)
    assert emulator.seen()["faults_served"] == {kind: 2}


def test_a_read_that_stalls_is_asked_again(emulator, use):
    record_id = emulator.ids("invoices")[0]
    emulator.configure(faults={"kinds": ["stall"], "always": True, "times": 1, "stall_s": 2})
    assert use(lambda client: client.get("invoices", record_id), timeout_seconds=0.3)["id"] == record_id


@pytest.mark.parametrize(
    ("kind", "error"),
    [("500", CoupaUnavailableError), ("429", CoupaRateLimitError), ("drop_before", CoupaUnavailableError),
     ("truncated", CoupaUnavailableError), ("login_redirect", CoupaUnavailableError)],
)  # fmt: skip
def test_a_failure_that_stays_ends_after_the_attempts(emulator, use, kind, error):
    emulator.configure(faults={"kinds": [kind], "always": True})
    with pytest.raises(error, match="Given up after 4 attempts"):
        use(
            lambda client: client.get("invoices", 1),
            retry=RetryPolicy(attempts=4, first_delay=0.01, longest_delay=0.02),
        )
    assert emulator.seen()["requests_by_path"]["GET /api/invoices/:id"] == 4


@pytest.mark.parametrize("status", [400, 403, 404, 405, 422])
def test_what_repeating_cannot_mend_is_asked_once(scripted, http, status):
    server, play = scripted(lambda client: client.call("GET", "invoices"), http(status))
    with pytest.raises(CoupaError):
        play()
    assert len(server.requests) == 2


def test_a_client_counts_what_it_does(emulator, use):
    emulator.configure(faults={"kinds": ["429_seconds"], "always": True, "times": 1, "retry_after_s": 0})

    async def work(client):
        await client.call("GET", "departments")
        return client.counters

    counters = use(work)
    assert (counters.requests, counters.retried, counters.throttled) == (3, 1, 1)
    assert counters.received_bytes > 100
    assert counters.waited_seconds > 0


# ---- writes are done once


@pytest.mark.parametrize("kind", WITHOUT_EFFECT)
def test_a_write_that_was_certainly_not_executed_is_sent_again(emulator, use, kind):
    emulator.configure(
        faults={"kinds": [kind], "methods": ["POST"], "always": True, "times": 2, "retry_after_s": 0}
    )
    created = use(lambda client: client.create("suppliers", {"name": "Only once"}))
    assert suppliers_named(emulator, "Only once") == [created["id"]]
    assert emulator.seen()["requests_by_path"]["POST /api/suppliers"] == 3


@pytest.mark.parametrize("kind", MAYBE_DONE)
def test_a_write_that_may_have_been_executed_is_not_sent_again(emulator, use, kind):
    emulator.configure(faults={"kinds": [kind], "methods": ["POST"], "always": True, "times": 1})
    with pytest.raises(CoupaOutcomeUnknownError) as caught:
        use(lambda client: client.create("suppliers", {"name": "Perhaps"}))
    assert "look the record up before you repeat it" in caught.value.message
    assert (caught.value.method, caught.value.path) == ("POST", "/api/suppliers")
    assert emulator.seen()["requests_by_path"]["POST /api/suppliers"] == 1
    # Executed in Coupa for some of these: once, never twice.
    assert len(suppliers_named(emulator, "Perhaps")) == (kind in ("drop_middle", "truncated", "lost_write"))


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_other_verbs_are_no_more_repeatable_than_a_create(emulator, use, method):
    record_id = emulator.ids("suppliers")[0]
    emulator.configure(faults={"kinds": ["drop_before"], "methods": [method], "always": True, "times": 1})
    with pytest.raises(CoupaOutcomeUnknownError):
        use(lambda client: client.call(method, f"suppliers/{record_id}", {"name": "x"}))
    assert emulator.seen()["requests_by_path"][f"{method} /api/suppliers/:id"] == 1


@pytest.mark.parametrize("kind", ["500", "lost_write", "truncated"])
def test_a_write_declared_repeatable_is_repeated(emulator, use, kind):
    record_id = emulator.ids("suppliers")[0]
    emulator.configure(faults={"kinds": [kind], "methods": ["PUT"], "always": True, "times": 1})
    changed = use(
        lambda client: client.call("PUT", f"suppliers/{record_id}", {"name": "Same"}, repeatable=True)
    )
    assert changed["name"] == "Same"
    assert emulator.seen()["requests_by_path"]["PUT /api/suppliers/:id"] == 2


def test_a_read_declared_not_repeatable_is_not_repeated(emulator, use):
    emulator.configure(faults={"kinds": ["500"], "always": True})
    with pytest.raises(CoupaOutcomeUnknownError):
        use(lambda client: client.call("GET", "invoices", repeatable=False))
    assert emulator.seen()["requests_by_path"]["GET /api/invoices"] == 1


def test_a_write_whose_token_was_revoked_is_done_once(emulator, use):
    async def work(client):
        await client.call("GET", "departments")
        emulator.revoke_tokens()
        return await client.create("suppliers", {"name": "After 401"})

    created = use(work)
    assert suppliers_named(emulator, "After 401") == [created["id"]]


def test_a_write_to_a_closed_port_is_not_doubtful(closed_port, config_for, run, emulator, use):
    """No connection, no effect: the error says try again, not look it up."""

    async def scene():
        async with CoupaClient(
            config_for(f"http://127.0.0.1:{closed_port}"), retry=RetryPolicy(2, 0.01)
        ) as client:
            await client.create("suppliers", {"name": "x"})

    with pytest.raises(CoupaUnavailableError, match="No connection"):
        run(scene())


# ---- pace


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_obeyed_by_all_clients_of_the_connection(emulator, config_for, run, form):
    emulator.configure(faults={"kinds": [f"429_{form}"], "always": True, "times": 1, "retry_after_s": 2})
    config = config_for(emulator.url)

    async def scene():
        async with CoupaClient(config) as one, CoupaClient(config) as other:
            await one.token()
            throttled = asyncio.create_task(one.call("GET", "departments"))
            await asyncio.sleep(0.2)
            started = time.monotonic()
            await other.call("GET", "departments")
            waited = time.monotonic() - started
            await throttled
            return waited

    # A date has whole seconds: up to one of the two may be gone.
    assert run(scene()) >= (1.7 if form == "seconds" else 0.7)


def test_a_maintenance_page_that_says_when_is_believed(scripted, http):
    server, play = scripted(
        lambda client: client.call("GET", "departments"),
        http(503, b"<title>Down</title>", "text/html", Retry_After="1"),
        http(200, b"[]"),
    )
    started = time.monotonic()
    assert play() == []
    assert time.monotonic() - started >= 1
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [429, 503])
def test_a_wait_too_long_is_left_to_airflow(scripted, http, status):
    server, play = scripted(
        lambda client: client.call("GET", "departments"), http(status, b"", "", Retry_After="3600")
    )
    with pytest.raises(CoupaError) as caught:
        play()
    assert caught.value.retry_after == 3600
    assert len(server.requests) == 2


def test_the_pace_is_kept_and_shared(emulator, config_for, run):
    config = config_for(emulator.url, requests_per_second=40)

    async def scene():
        async with CoupaClient(config) as one, CoupaClient(config) as other:
            await one.token()
            started = time.monotonic()
            await asyncio.gather(
                *((one, other)[n % 2].call("GET", "departments", params={"limit": 1}) for n in range(45))
            )
            return time.monotonic() - started

    assert run(scene()) >= (45 - 5) / 40 - 0.1
    assert emulator.seen()["throttled"] == 0


def test_at_coupas_own_limit_nothing_is_throttled(emulator, config_for, run):
    emulator.configure(rate_limit=25, burst=20)
    config = config_for(emulator.url, requests_per_second=24)

    async def scene():
        async with CoupaClient(config) as client:
            await asyncio.gather(*(client.call("GET", "departments", params={"limit": 1}) for _ in range(60)))

    run(scene())
    assert emulator.seen()["throttled"] == 0


def test_it_slows_down_where_others_use_the_budget(emulator, config_for, run):
    emulator.configure(
        rate_limit=20, burst=2, switches={"U12": "instance_html", "U11": "seconds"}, retry_after_s=1
    )
    config = config_for(emulator.url, requests_per_second=100)

    async def scene():
        async with CoupaClient(config, retry=RetryPolicy(attempts=20)) as client:
            await asyncio.gather(*(client.call("GET", "departments", params={"limit": 1}) for _ in range(15)))
            return client.pacer.rate

    assert run(scene()) < 100
    assert emulator.seen()["throttled"] > 0


# ---- secrets


def test_no_secret_in_logs_errors_or_reprs_of_a_whole_run(emulator, config_for, run, caplog, quick):
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    refresh = emulator.issue_refresh_token(
        emulator.client_id, ["core.common.read", "core.supplier.read", "offline_access"]
    )
    config = config_for(emulator.url, grant_type="refresh_token", refresh_token=refresh)
    secrets = [emulator.client_secret, refresh]
    told = [repr(config), str(config)]

    async def scene():
        async with CoupaClient(config, retry=quick, on_secret=secrets.append) as client:
            told.extend(
                [repr(client), repr(client.tokens), repr(await client.token()), repr(client._transport)]
            )
            await client.call("GET", "departments")
            for kind in ("500", "truncated", "drop_before", "revoke_token", "429", "login_redirect"):
                emulator.configure(
                    faults={"kinds": [kind], "always": True, "times": 1 if kind == "revoke_token" else 30}
                )
                try:
                    await client.call("GET", "departments")
                except CoupaError as error:
                    told.extend(["".join(traceback.format_exception(error)), repr(error), str(vars(error))])
            emulator.configure(faults=None)
            for path in ("no_such_thing", "invoices"):
                with pytest.raises(CoupaError) as caught:
                    await client.call("GET", path)
                told.append(str(caught.value))
            emulator.deactivate_client(emulator.client_id)
            with pytest.raises(CoupaError) as caught:
                await client.call("GET", "departments")
            told.append("".join(traceback.format_exception(caught.value)))

    run(scene())
    assert len(secrets) > 4
    assert any(record.name.startswith("httpcore") for record in caplog.records)
    everything = "\n".join([*told, *(record.getMessage() for record in caplog.records), caplog.text])
    for secret in secrets:
        assert len(secret) > 8
        assert secret not in everything


def test_a_server_that_echoes_the_token_cannot_make_it_known(raw_server, http, config_for, run, quick):
    def echo(request: bytes) -> bytes:
        if b"/oauth2/token" in request.split(b"\r\n")[0]:
            return http(200, TOKEN)
        return http(422, b'{"errors": ["token t0k3n-of-a-test has no right"]}')

    server = raw_server(echo)

    async def scene():
        async with CoupaClient(config_for(server.url), retry=quick) as client:
            await client.call("GET", "invoices")

    with pytest.raises(CoupaValidationError) as caught:
        run(scene())
    assert "t0k3n-of-a-test" not in f"{caught.value} {vars(caught.value)}"
    assert "token *** has no right" in caught.value.message
