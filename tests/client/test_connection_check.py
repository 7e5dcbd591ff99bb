"""The test button: which instance, how long the token lives and what could be read, or cause and remedy."""

from __future__ import annotations

import time

import pytest

from coupa_provider.client.client import CoupaClient
from coupa_provider.client.config import CoupaConfig
from coupa_provider.client.connection_check import _duration, check_connection
from coupa_provider.client.retry import RetryPolicy

TWO_TRIES = RetryPolicy(attempts=2, first_delay=0.01)


@pytest.fixture
def check(run):
    def checking(config):
        async def scene():
            async with CoupaClient(config, retry=TWO_TRIES) as client:
                return await check_connection(client)

        good, message = run(scene())
        assert config.client_secret not in message
        assert message.count("\n") == 0
        return good, message

    return checking


def remote(**extra):
    host = extra.pop("host", "acme")
    return CoupaConfig.from_fields(
        "c", host=host, login="i", password="a-secret-1", extra={"timeout_seconds": 10, **extra}
    )


def test_what_works_is_said(emulator, config_for, check):
    config = config_for(emulator.url)
    good, message = check(config)
    assert good is True
    assert message.startswith(f"Reached {config.instance}; the token lives 24 h; read ")
    assert "(one record)" in message
    assert "Scopes: " in message
    assert " more" in message
    # One token, one record of one resource.
    assert emulator.seen()["requests"] == 1


def test_it_reads_what_the_scopes_allow(emulator, config_for, check):
    good, message = check(config_for(emulator.url, scopes="core.invoice.read"))
    assert good is True
    assert "read invoices (one record). Scopes: core.invoice.read" in message


def test_an_empty_resource_is_no_failure(config_for, check):
    from coupa_provider.emulator import Emulator

    with Emulator(empty=True) as bare:
        good, message = check(config_for(bare.url))
    assert good is True
    assert "no record there" in message


def test_coupa_need_not_say_the_scopes(emulator, config_for, check):
    emulator.configure(switches={"U33": "absent"})
    good, message = check(config_for(emulator.url))
    assert good is True
    assert "Coupa did not say which scopes it has" in message


def test_a_client_without_a_read_scope_is_told_what_to_grant(emulator, config_for, check):
    emulator.add_client("mute", "mute-secret", ["openid"])
    emulator.configure(switches={"U33": "absent"})
    good, message = check(config_for(emulator.url, login="mute", password="mute-secret"))
    assert good is False
    assert "may not read any of: departments, suppliers, invoices" in message
    assert "HTTP 403" in message
    assert f"{emulator.url}/oauth2/clients" in message


@pytest.mark.parametrize("wrong", [{"login": "nobody"}, {"password": "wr0ng-secret"}])
def test_a_wrong_id_or_secret(emulator, config_for, check, wrong):
    good, message = check(config_for(emulator.url, **wrong))
    assert good is False
    assert "the client id or the client secret is wrong, or the client is inactive" in message
    assert "(HTTP 401)" in message


def test_a_scope_not_granted(emulator, config_for, check):
    emulator.add_client("narrow", "narrow-secret", ["core.invoice.read"])
    good, message = check(
        config_for(
            emulator.url, login="narrow", password="narrow-secret", scopes="core.invoice.read core.user.read"
        )
    )
    assert good is False
    assert "Not granted: core.user.read" in message


def test_what_was_mended_in_coupa_counts_at_once(emulator, config_for, check):
    emulator.add_client("late", "late-secret", ["core.invoice.read"], active=False)
    config = config_for(
        emulator.url, login="late", password="late-secret", scopes="core.invoice.read core.user.read"
    )
    assert "inactive" in check(config)[1]
    emulator.add_client("late", "late-secret", ["core.invoice.read"])
    assert "Not granted: core.user.read" in check(config)[1]
    emulator.add_client("late", "late-secret", ["core.invoice.read", "core.user.read"])
    assert check(config)[0] is True


def test_a_closed_port(closed_port, config_for, check):
    good, message = check(config_for(f"http://127.0.0.1:{closed_port}"))
    assert good is False
    assert "No connection to 127.0.0.1" in message
    assert "'host'" in message


def test_an_unknown_host_name(check):
    started = time.monotonic()
    good, message = check(remote(host="https://no-such-instance.invalid"))
    assert good is False
    assert "The host name no-such-instance.invalid is not known" in message
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"<html>Welcome"), (404, b"<html>Nothing here"), (200, b"[]")]
)
def test_a_server_that_is_not_coupa(raw_server, http, config_for, check, status, body):
    server = raw_server(http(status, body, "text/html"))
    good, message = check(config_for(server.url))
    assert good is False
    assert "does not answer like a Coupa instance" in message
    assert "'host'" in message


def test_a_server_that_sends_elsewhere(raw_server, http, config_for, check):
    server = raw_server(http(302, b"", "", Location="https://login.example"))
    good, message = check(config_for(server.url))
    assert good is False
    assert "redirected" in message
    assert "'host'" in message


def test_an_api_that_is_down(emulator, config_for, check):
    emulator.configure(faults={"kinds": ["502"], "always": True})
    good, message = check(config_for(emulator.url))
    assert good is False
    assert "Reached" in message
    assert "failed: Coupa is not available: Bad Gateway" in message
    assert "(HTTP 502)" in message


def test_an_answer_that_is_no_list(raw_server, http, config_for, check):
    token = http(200, b'{"access_token": "t0k3n", "expires_in": 90}')
    server = raw_server(lambda request: token if b"oauth2" in request else http(200, b'{"a": 1}'))
    good, message = check(config_for(server.url))
    assert good is False
    assert "did not come as a list" in message
    assert "lives 2 min" in message


def test_a_dead_proxy(closed_port, check):
    good, message = check(remote(proxy=f"http://user:pr0xy-pw@127.0.0.1:{closed_port}"))
    assert good is False
    assert f"the proxy 127.0.0.1:{closed_port}" in message
    assert "'proxy'" in message
    assert "pr0xy-pw" not in message


def test_a_proxy_that_wants_a_password(raw_server, http, check):
    server = raw_server(http(407))
    good, message = check(remote(proxy=server.url))
    assert good is False
    assert "407" in message
    assert "'proxy'" in message


def test_a_certificate_that_nobody_vouches_for(tls_server, check):
    good, message = check(remote(host=f"https://localhost:{tls_server()}"))
    assert good is False
    assert "CERTIFICATE_VERIFY_FAILED" in message
    assert "field 'verify'" in message
    assert "give the path of that CA bundle" in message


def test_tls_that_is_none(raw_server, http, check):
    server = raw_server(http(200))
    good, message = check(remote(host=f"https://127.0.0.1:{server.port}"))
    assert good is False
    assert "TLS" in message


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(86399, "24 h"), (7200, "2 h"), (3600, "1 h"), (90, "2 min"), (600, "10 min"), (30, "30 s")],
)
def test_how_long_is_said(seconds, said):
    assert _duration(seconds) == said
