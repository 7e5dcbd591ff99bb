"""A connection becomes a checked configuration, or an error that says where and what to do."""

from __future__ import annotations

import json
import traceback

import pytest

from coupa_provider.client.config import CoupaConfig
from coupa_provider.client.errors import CoupaConfigError, CoupaCredentialsError

SECRET = "s3cr3t-of-the-client"
REFRESH = "r3fr3sh-of-the-user"
PASSWORD = "pr0xy-pa55word"


def read(**fields):
    given = {"host": "acme", "login": "client-1", "password": SECRET, **fields}
    return CoupaConfig.from_fields("coupa_prod", **given)


@pytest.mark.parametrize(
    ("host", "base_url"),
    [
        ("acme", "https://acme.coupahost.com"),
        ("ACME", "https://acme.coupahost.com"),
        ("  acme  ", "https://acme.coupahost.com"),
        ("acme/", "https://acme.coupahost.com"),
        ("acme/api", "https://acme.coupahost.com"),
        ("acme-test", "https://acme-test.coupahost.com"),
        ("acme.coupahost.com", "https://acme.coupahost.com"),
        ("acme.coupahost.com.", "https://acme.coupahost.com"),
        ("acme.coupahost.com/api", "https://acme.coupahost.com"),
        ("acme.coupahost.com/api/", "https://acme.coupahost.com"),
        ("acme.coupacloud.com", "https://acme.coupacloud.com"),
        ("https://acme.coupacloud.com", "https://acme.coupacloud.com"),
        ("HTTPS://Acme.CoupaHost.com/", "https://acme.coupahost.com"),
        ("https://acme.coupahost.com/session/new", "https://acme.coupahost.com"),
        ("https://acme.coupahost.com/sessions/new", "https://acme.coupahost.com"),
        ("https://acme.coupahost.com:443", "https://acme.coupahost.com"),
        ("https://acme.coupahost.com:8443/api", "https://acme.coupahost.com:8443"),
        ("r39.coupadev.com", "https://r39.coupadev.com"),
        ("localhost:8810", "http://localhost:8810"),
        ("http://127.0.0.1:8810/", "http://127.0.0.1:8810"),
        ("https://localhost:8443", "https://localhost:8443"),
        ("[::1]:8810", "http://[::1]:8810"),
    ],
)
def test_host_as_people_write_it(host, base_url):
    assert read(host=host).base_url == base_url


@pytest.mark.parametrize(
    ("host", "port", "base_url"),
    [
        ("acme", 443, "https://acme.coupahost.com"),
        ("acme", "443", "https://acme.coupahost.com"),
        ("acme", 0, "https://acme.coupahost.com"),
        ("acme", "0", "https://acme.coupahost.com"),
        ("acme", "", "https://acme.coupahost.com"),
        ("acme", None, "https://acme.coupahost.com"),
        ("acme", 8443, "https://acme.coupahost.com:8443"),
        ("localhost", 8810, "http://localhost:8810"),
        ("localhost:8810", 443, "http://localhost:8810"),
        ("localhost:8810", 8810, "http://localhost:8810"),
    ],
)
def test_port_of_the_form(host, port, base_url):
    assert read(host=host, port=port).base_url == base_url


@pytest.mark.parametrize(
    "scopes",
    [
        "core.invoice.read core.supplier.read",
        "core.invoice.read,core.supplier.read",
        "core.invoice.read, core.supplier.read,",
        "core.invoice.read\ncore.supplier.read\r\n",
        "core.invoice.read;core.supplier.read",
        ["core.invoice.read", "core.supplier.read"],
        ["core.invoice.read core.supplier.read"],
        ["core.invoice.read", "", "core.supplier.read", "core.invoice.read"],
        ("core.invoice.read", " core.supplier.read "),
    ],
)
def test_scopes_as_list_or_text(scopes):
    assert read(extra={"scopes": scopes}).scopes == ("core.invoice.read", "core.supplier.read")


EMPTY = dict.fromkeys(
    ("scopes", "grant_type", "refresh_token", "requests_per_second", "timeout_seconds", "proxy", "verify")
)


@pytest.mark.parametrize(
    "extra",
    [
        None, "", "   ", "{}", "null", {}, EMPTY, json.dumps(EMPTY), dict.fromkeys(EMPTY, ""),
        dict.fromkeys(EMPTY, "  "), {key: [] for key in EMPTY}, {"__airflow_note": {"a": 1}},
    ],
)  # fmt: skip
def test_what_the_form_stores_for_untouched_fields_counts_as_unset(extra):
    config = read(extra=extra, port=None, schema="")
    assert config == CoupaConfig("coupa_prod", "https://acme.coupahost.com", "client-1", SECRET)
    assert (config.requests_per_second, config.timeout_seconds, config.verify, config.proxy) == (
        24,
        60,
        True,
        None,
    )


def test_all_fields_given(tmp_path, certificate):
    config = read(
        login=" client-1\n",
        extra=json.dumps(
            {
                "grant_type": "Refresh_Token",
                "refresh_token": REFRESH,
                "requests_per_second": "12.5",
                "timeout_seconds": 30,
                "proxy": " http://user:pw@proxy.example.com:3128 ",
                "verify": str(certificate),
            }
        ),
    )
    assert config.client_id == "client-1"
    assert (config.grant_type, config.refresh_token) == ("refresh_token", REFRESH)
    assert (config.requests_per_second, config.timeout_seconds) == (12.5, 30.0)
    assert config.proxy == "http://user:pw@proxy.example.com:3128"
    assert config.verify == str(certificate)
    assert config.instance == "acme.coupahost.com"
    assert not config.loopback


@pytest.mark.parametrize(("word", "value"), [("true", True), ("FALSE", False), (False, False), (True, True)])
def test_verify_as_word_or_flag(word, value):
    assert read(extra={"verify": word}).verify is value


BAD = [
    # (id, field, fields, a part of what is said, a part of the remedy)
    ("host missing", "host", {"host": None}, "missing", "acme.coupahost.com"),
    ("host empty", "host", {"host": ""}, "missing", "acme.coupahost.com"),
    ("host blank", "host", {"host": "   "}, "missing", "acme.coupahost.com"),
    ("host no text", "host", {"host": 5}, "not text", "acme.coupahost.com"),
    ("host with blank", "host", {"host": "acme corp"}, "blank", "acme.coupahost.com"),
    ("host of two lines", "host", {"host": "acme\nevil"}, "blank", "acme.coupahost.com"),
    ("host with backslash", "host", {"host": "https:\\\\acme"}, "blank", "acme.coupahost.com"),
    ("host with nul", "host", {"host": "acme\x00"}, "control", "acme.coupahost.com"),
    ("host plain http", "host", {"host": "http://acme.coupahost.com"}, "in clear", "Use https"),
    ("host http to private address", "host", {"host": "http://10.0.0.1"}, "in clear", "Use https"),
    ("host like localhost", "host", {"host": "http://localhost.evil.com"}, "in clear", "Use https"),
    ("host any address", "host", {"host": "http://0.0.0.0:8810"}, "in clear", "Use https"),
    ("host ftp", "host", {"host": "ftp://acme.coupahost.com"}, "no scheme", "Use https"),
    ("host with user", "host", {"host": f"https://client-1:{SECRET}@acme.coupahost.com"}, "password", "Client secret"),
    ("host with odd user", "host", {"host": f"https://x:{SECRET}/@acme.coupahost.com"}, "not a host", "acme.coupahost.com"),
    ("host with mail", "host", {"host": "me@acme.com"}, "user", "Client ID"),
    ("host with resource", "host", {"host": "https://acme.coupahost.com/api/invoices"}, "after the host", "nothing after"),
    ("host with query", "host", {"host": "acme.coupahost.com?limit=5"}, "after the host", "nothing after"),
    ("host with fragment", "host", {"host": "acme.coupahost.com#top"}, "after the host", "nothing after"),
    ("host of slashes", "host", {"host": "//acme"}, "after the host", "nothing after"),
    ("host is scheme only", "host", {"host": "https://"}, "not a host", "acme.coupahost.com"),
    ("host with underscore", "host", {"host": "acme_test"}, "not a host", "acme.coupahost.com"),
    ("host with umlaut", "host", {"host": "müller"}, "not a host", "acme.coupahost.com"),
    ("host of empty labels", "host", {"host": "acme..coupahost.com"}, "not a host", "acme.coupahost.com"),
    ("host too long", "host", {"host": "a" * 64}, "not a host", "acme.coupahost.com"),
    ("host open bracket", "host", {"host": "https://[::1"}, "not a host", "acme.coupahost.com"),
    ("host port beyond", "host", {"host": "acme:99999"}, "not a host", "acme.coupahost.com"),
    ("host port zero", "host", {"host": "acme:0"}, "not a host", "acme.coupahost.com"),
    ("host port a word", "host", {"host": "acme:https"}, "not a host", "acme.coupahost.com"),
    ("port beyond", "port", {"port": 65536}, "no port", "Leave it empty"),
    ("port negative", "port", {"port": -1}, "no port", "Leave it empty"),
    ("port a word", "port", {"port": "https"}, "no port", "Leave it empty"),
    ("port a flag", "port", {"port": True}, "no port", "Leave it empty"),
    ("port differs", "port", {"host": "localhost:8810", "port": 8811}, "8811", "Leave the port empty"),
    ("schema http", "schema", {"schema": "http"}, "in clear", "Use https"),
    ("schema unknown", "schema", {"schema": "coupa"}, "no scheme", "Use https"),
    ("schema no text", "schema", {"schema": 1}, "not text", "Leave it empty"),
    ("login missing", "login", {"login": None}, "missing", "OAuth2/OpenID Connect"),
    ("login blank", "login", {"login": " "}, "missing", "OAuth2/OpenID Connect"),
    ("login a number", "login", {"login": 123}, "not text", "quotes"),
    ("login in two parts", "login", {"login": "client 1"}, "blank", "Copy it again"),
    ("password missing", "password", {"password": None}, "missing", "OAuth2/OpenID Connect"),
    ("password masked", "password", {"password": "***"}, "mask", "Type the value"),
    ("password masked long", "password", {"password": "**********"}, "mask", "Type the value"),
    ("password with line end", "password", {"password": f"{SECRET}\nx"}, "line end", "Copy it again"),
    ("password with odd dash", "password", {"password": f"{SECRET}\u2013"}, "never issues", "Copy it again"),
    ("extra no JSON", "extra", {"extra": '{"refresh_token": "' + REFRESH}, "not valid JSON", '{"scopes"'),
    ("extra deep", "extra", {"extra": "[" * 100_000}, "not valid JSON", '{"scopes"'),
    ("extra a list", "extra", {"extra": "[1]"}, "not a JSON object", '{"scopes"'),
    ("extra a number", "extra", {"extra": 7}, "not a JSON object", '{"scopes"'),
    ("extra misspelt", "scope", {"extra": {"scope": "core.invoice.read"}}, "no such field", "'scopes'"),
    ("extra dashed", "refresh-token", {"extra": {"refresh-token": REFRESH}}, "no such field", "'refresh_token'"),
    ("extra capital", "Proxy", {"extra": {"Proxy": f"http://u:{PASSWORD}@p"}}, "no such field", "'proxy'"),
    ("scopes a number", "scopes", {"extra": {"scopes": 5}}, "neither text nor a list", "core.invoice.read"),
    ("scopes an object", "scopes", {"extra": {"scopes": {"a": 1}}}, "neither text nor a list", "core.invoice.read"),
    ("scopes of numbers", "scopes", {"extra": {"scopes": [1]}}, "neither text nor a list", "core.invoice.read"),
    ("scopes a JSON text", "scopes", {"extra": {"scopes": '["core.invoice.read"]'}}, "no scope", "core.invoice.read"),
    ("scopes a star", "scopes", {"extra": {"scopes": "*"}}, "no scope", "core.invoice.read"),
    ("grant unknown", "grant_type", {"extra": {"grant_type": "password"}}, "not known", "client_credentials"),
    ("grant a number", "grant_type", {"extra": {"grant_type": 1}}, "not known", "client_credentials"),
    ("refresh token missing", "refresh_token", {"extra": {"grant_type": "refresh_token"}}, "needs one", "offline_access"),
    ("refresh token no text", "refresh_token", {"extra": {"refresh_token": 5}}, "not text", "Paste the token"),
    ("refresh token masked", "refresh_token", {"extra": {"refresh_token": "****"}}, "mask", "Type the value"),
    ("refresh token torn", "refresh_token", {"extra": {"refresh_token": f"{REFRESH} x"}}, "blank", "Copy it again"),
    ("rate zero", "requests_per_second", {"extra": {"requests_per_second": 0}}, "out of range", "up to 25"),
    ("rate beyond Coupa's", "requests_per_second", {"extra": {"requests_per_second": 26}}, "out of range", "up to 25"),
    ("rate negative", "requests_per_second", {"extra": {"requests_per_second": -3}}, "out of range", "up to 25"),
    ("rate not a number", "requests_per_second", {"extra": {"requests_per_second": "nan"}}, "out of range", "up to 25"),
    ("rate endless", "requests_per_second", {"extra": {"requests_per_second": "inf"}}, "out of range", "up to 25"),
    ("rate a word", "requests_per_second", {"extra": {"requests_per_second": "fast"}}, "not a number", "up to 25"),
    ("rate a flag", "requests_per_second", {"extra": {"requests_per_second": True}}, "not a number", "up to 25"),
    ("rate a list", "requests_per_second", {"extra": {"requests_per_second": [5]}}, "not a number", "up to 25"),
    ("timeout zero", "timeout_seconds", {"extra": {"timeout_seconds": 0}}, "out of range", "up to 600"),
    ("timeout beyond", "timeout_seconds", {"extra": {"timeout_seconds": 601}}, "out of range", "up to 600"),
    ("timeout a word", "timeout_seconds", {"extra": {"timeout_seconds": "60s"}}, "not a number", "up to 600"),
    ("proxy no URL", "proxy", {"extra": {"proxy": f"user:{PASSWORD}@proxy"}}, "not a URL", "http://proxy"),
    ("proxy no host", "proxy", {"extra": {"proxy": "http://:3128"}}, "not a URL", "http://proxy"),
    ("proxy odd port", "proxy", {"extra": {"proxy": f"http://u:{PASSWORD}@proxy:x"}}, "not a URL", "http://proxy"),
    ("proxy no text", "proxy", {"extra": {"proxy": 3128}}, "not a URL", "http://proxy"),
    ("proxy ftp", "proxy", {"extra": {"proxy": f"ftp://u:{PASSWORD}@proxy:21"}}, "scheme", "http://proxy"),
    ("verify a number", "verify", {"extra": {"verify": 0}}, "neither", "CA bundle"),
    ("verify no file", "verify", {"extra": {"verify": "/nowhere/ca.pem"}}, "cannot be opened", "CA bundle"),
    ("verify a word", "verify", {"extra": {"verify": "no"}}, "cannot be opened", "CA bundle"),
    ("verify a folder", "verify", {"extra": {"verify": "/"}}, "cannot be opened", "CA bundle"),
    ("verify with nul", "verify", {"extra": {"verify": "a\x00b"}}, "cannot be opened", "CA bundle"),
    ("verify no certificates", "verify", {"extra": {"verify": __file__}}, "holds no certificates", "CA bundle"),
    ("verify a pasted one", "verify", {"extra": {"verify": "-----BEGIN CERTIFICATE-----\n" + "A" * 5000}}, "cannot be opened", "CA bundle"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "fields", "said", "remedy"), [case[1:] for case in BAD], ids=[c[0] for c in BAD]
)
def test_a_wrong_field_is_named_with_the_connection_and_the_remedy(field, fields, said, remedy):
    with pytest.raises(CoupaConfigError) as caught:
        read(**fields)
    error = caught.value
    assert error.field == field
    assert error.message.startswith(f"Connection 'coupa_prod', field {field!r}: ")
    assert said in error.message
    assert remedy in error.message
    assert error.message.endswith(".")
    assert len(error.message) < 500
    assert isinstance(error, CoupaCredentialsError)
    assert isinstance(error, ValueError)
    # Neither the message nor what a traceback prints below it.
    everything = "".join(line for line in traceback.format_exception(error) if not line.startswith("  File"))
    for secret in (SECRET, REFRESH, PASSWORD):
        assert secret not in str(error)
        assert secret not in everything


def test_there_are_enough_bad_cases():
    assert len(BAD) >= 45


def test_socks_without_its_package_is_a_wrong_configuration(monkeypatch):
    from coupa_provider.client import config

    monkeypatch.setattr(config, "find_spec", lambda name: None)
    with pytest.raises(CoupaConfigError, match=r"field 'proxy'.*Install httpx\[socks\]"):
        read(extra={"proxy": "socks5://proxy:1080"})


def test_an_emulator_may_be_asked_faster_than_coupa():
    assert read(host="localhost", extra={"requests_per_second": 5000}).requests_per_second == 5000
    assert read(host="localhost").loopback


def test_secrets_are_not_printed():
    config = read(
        extra={
            "grant_type": "refresh_token",
            "refresh_token": REFRESH,
            "proxy": f"http://u:{PASSWORD}@proxy:3128",
        }
    )
    for shown in (repr(config), str(config), f"{config}"):
        for secret in (SECRET, REFRESH, PASSWORD):
            assert secret not in shown
        assert "acme.coupahost.com" in shown


def test_a_configuration_cannot_be_changed():
    with pytest.raises(AttributeError):
        read().base_url = "https://evil.example"  # type: ignore[misc]
