"""One request, one answer; every way of not getting one is told apart, on real sockets."""

from __future__ import annotations

import asyncio
import gzip
import logging
import time

import pytest

from coupa_provider.client.config import CoupaConfig
from coupa_provider.client.errors import CoupaConfigError, CoupaQueryError
from coupa_provider.client.retry import Failure
from coupa_provider.client.transport import USER_AGENT, Transport, TransportError


@pytest.fixture
def send(run):
    def sender(config, method="GET", path="/api/x", **options):
        async def scene():
            async with Transport(config) as transport:
                return await transport.send(method, path, headers={"Accept": "application/json"}, **options)

        return run(scene())

    return sender


@pytest.fixture
def failing(send):
    def failed(config, **options) -> TransportError:
        with pytest.raises(TransportError) as caught:
            send(config, **options)
        return caught.value

    return failed


def remote(**extra) -> CoupaConfig:
    return CoupaConfig.from_fields(
        "c", host=extra.pop("host", "acme"), login="i", password="secret-1", extra=extra
    )


def test_an_answer_is_read_whole_and_plain(raw_server, http, config_for, send):
    body = gzip.compress(b"[1]" * 1000)
    server = raw_server(
        http(201, body, "application/json; charset=utf-8", Content_Encoding="gzip", X_Request_Id="r")
    )
    answer = send(config_for(server.url), "POST", "/api/x", query="a=%2B", body=b"{}")
    assert (answer.status, answer.body) == (201, b"[1]" * 1000)
    assert (answer.method, answer.path) == ("POST", "/api/x")
    assert answer.headers["x-request-id"] == "r"
    assert server.lines == ["POST /api/x?a=%2B HTTP/1.1"]
    assert USER_AGENT.encode() in server.requests[0]
    assert server.requests[0].endswith(b"\r\n\r\n{}")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(raw_server, http, config_for, send, status):
    elsewhere = raw_server(http(200, b"[]"))
    server = raw_server(http(status, b"", "", Location=f"{elsewhere.url}/api/x"))
    assert send(config_for(server.url)).status == status
    assert elsewhere.requests == []


@pytest.mark.parametrize(
    "path", ["//evil.example/x", "@evil.example/x", "api/x", ".evil.example/x", ":80@evil.example/", ""]
)
def test_no_path_leads_to_another_host(raw_server, http, config_for, path, run):
    server = raw_server(http(200, b"[]"))

    async def scene():
        async with Transport(config_for(server.url)) as transport:
            return await transport.send("GET", path, headers={})

    if path.startswith("/"):
        assert run(scene()).status == 200
        assert server.lines == [f"GET {path} HTTP/1.1"]
        return
    with pytest.raises(CoupaQueryError):
        run(scene())
    assert server.requests == []


def test_a_closed_port(closed_port, config_for, failing):
    problem = failing(config_for(f"http://127.0.0.1:{closed_port}"))
    assert problem.failure is Failure.NOT_SENT
    assert "No connection to 127.0.0.1" in problem.message
    assert "'host'" in problem.message


def test_an_unknown_host_name(failing):
    problem = failing(remote(host="https://no-such-instance.invalid", timeout_seconds=10))
    assert problem.failure is Failure.NOT_SENT
    assert "no-such-instance.invalid is not known" in problem.message
    assert "'host'" in problem.message


def test_a_dead_proxy_is_blamed_and_its_password_hidden(closed_port, failing):
    problem = failing(remote(proxy=f"http://user:pr0xy-pw@127.0.0.1:{closed_port}"))
    assert problem.failure is Failure.NOT_SENT
    assert f"the proxy 127.0.0.1:{closed_port}" in problem.message
    assert "'proxy'" in problem.message
    assert "'host'" not in problem.message
    assert "pr0xy-pw" not in f"{problem} {problem!r} {problem.__cause__!r}"


def test_a_proxy_of_unknown_name(failing):
    problem = failing(remote(proxy="http://no-such-proxy.invalid:3128"))
    assert problem.failure is Failure.NOT_SENT
    assert "no-such-proxy.invalid" in problem.message
    assert "'proxy'" in problem.message


@pytest.mark.parametrize("status", [403, 407, 502])
def test_a_proxy_that_refuses(raw_server, http, failing, status):
    server = raw_server(http(status))
    problem = failing(remote(proxy=f"http://user:pr0xy-pw@127.0.0.1:{server.port}"))
    assert problem.failure is Failure.NOT_SENT
    assert str(status) in problem.message
    assert "'proxy'" in problem.message
    assert server.lines == ["CONNECT acme.coupahost.com:443 HTTP/1.1"]


def test_a_self_signed_certificate_is_refused_at_once_with_the_remedy(tls_server, send):
    with pytest.raises(
        CoupaConfigError, match=r"CERTIFICATE_VERIFY_FAILED.*path of that CA bundle"
    ) as refusal:
        send(remote(host=f"https://localhost:{tls_server()}"))
    assert refusal.value.field == "verify"


def test_a_given_authority_or_none_at_all_accepts_it(tls_server, certificate, send):
    port = tls_server()
    assert send(remote(host=f"https://localhost:{port}", verify=str(certificate))).body == b"[]"
    assert send(remote(host=f"https://localhost:{port}", verify=False)).body == b"[]"


def test_plain_http_where_tls_is_expected(raw_server, http, failing):
    server = raw_server(http(200, b"[]"))
    problem = failing(remote(host=f"https://127.0.0.1:{server.port}"))
    assert problem.failure is Failure.NOT_SENT
    assert "TLS" in problem.message


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n[1",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[1",
        b"no http at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
    ],
)
def test_an_answer_that_breaks_off_or_makes_no_sense(raw_server, config_for, failing, answer):
    server = raw_server(answer)
    problem = failing(config_for(server.url))
    assert problem.failure is Failure.BROKEN
    assert "broke before the answer was whole" in problem.message


def test_an_answer_that_does_not_come(emulator, config_for, failing):
    emulator.configure(latency={"fixed_ms": 3000})
    emulator.configure(faults={"kinds": ["stall"], "always": True, "stall_s": 1})
    problem = failing(config_for(emulator.url, timeout_seconds=0.3))
    assert problem.failure is Failure.TIMED_OUT
    assert "time limit" in problem.message


def test_a_query_too_long_for_a_url_is_refused_before_it_is_sent(raw_server, http, config_for, run):
    server = raw_server(http(200, b"[]"))

    async def scene():
        async with Transport(config_for(server.url)) as transport:
            await transport.send("GET", "/api/x", query="a=" + "1" * 70_000, headers={})

    with pytest.raises(CoupaQueryError, match="70002 characters"):
        run(scene())
    assert server.requests == []


def test_a_proxy_in_the_environment_does_not_come_before_this_machine(
    raw_server, http, config_for, send, monkeypatch, closed_port
):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port}")
    server = raw_server(http(200, b"[]"))
    assert send(config_for(server.url)).status == 200


def test_no_line_a_request_from_httpx_but_those_of_other_hosts_stay(
    raw_server, http, config_for, send, caplog, monkeypatch
):
    import httpx

    monkeypatch.setattr(logging.getLogger("httpx"), "filters", [])
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="httpx")  # Airflow, if another test has loaded it, sets it higher
    server, other = raw_server(http(200, b"[]")), raw_server(http(200, b"[]"))
    send(config_for(server.url), query="supplier=Acme")
    httpx.get(f"http://localhost:{other.port}/elsewhere", trust_env=False)
    lines = [record.getMessage() for record in caplog.records if record.name == "httpx"]
    assert any("/elsewhere" in line for line in lines)
    assert not any("Acme" in line for line in lines)


@pytest.mark.parametrize("again", [False, True])
def test_an_exchange_that_does_not_obey_is_cancelled_again(config_for, closed_port, monkeypatch, run, again):
    """The first order to end is lost, as a lock below httpx may lose it; a second one of the caller's changes nothing."""
    orders = []

    async def deaf(*arguments, **options):
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                orders.append(time.monotonic())
                if len(orders) == 2:
                    raise

    async def scene() -> float:
        async with Transport(config_for(f"http://127.0.0.1:{closed_port}")) as transport:
            monkeypatch.setattr(transport._client, "send", deaf)
            request = asyncio.create_task(transport.send("GET", "/api/suppliers", headers={}))
            for _ in range(1 + again):
                await asyncio.sleep(0.05)
                request.cancel()
            begun = time.monotonic()
            with pytest.raises(asyncio.CancelledError):
                await request
            return time.monotonic() - begun

    assert run(scene()) < 10
    assert len(orders) == 2
