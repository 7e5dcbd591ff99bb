"""CoupaHook on real connections, against the emulator and a real metadata database."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from coupa_provider.client import pacing
from coupa_provider.client import token as token_module
from coupa_provider.client.errors import CoupaConfigError, CoupaNotFoundError
from coupa_provider.client.retry import RetryPolicy
from coupa_provider.emulator import Emulator
from coupa_provider.hooks.coupa import CoupaHook
from coupa_provider.hooks.refresh_token_variable import RefreshTokenVariable

numbers = itertools.count()


@pytest.fixture(scope="module")
def emulator():
    with Emulator(rate_limit=None, scale=0.2) as running:
        yield running


@pytest.fixture(autouse=True)
def _first_state(emulator):
    emulator.reset()
    token_module.forget_tokens()
    pacing._pacers.clear()


@pytest.fixture
def connect(emulator, monkeypatch):
    """Make a connection in the environment, as deployments do, and return its id."""

    def connecting(**changes) -> str:
        conn_id = f"coupa_{next(numbers)}"
        fields = {
            "conn_type": "coupa", "host": emulator.url, "login": emulator.client_id,
            "password": emulator.client_secret, "extra": {"requests_per_second": 2000}, **changes,
        }  # fmt: skip
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))
        return conn_id

    return connecting


@pytest.fixture
def hook(connect):
    made = CoupaHook(connect())
    yield made
    made.close()


pytestmark = pytest.mark.airflow


def test_nothing_is_read_or_sent_before_the_first_call(emulator):
    CoupaHook("no_such_connection")
    assert emulator.seen()["requests_by_path"] == {}
    assert CoupaHook().coupa_conn_id == "coupa_default"


def test_read_create_update_and_call(emulator, hook):
    created = hook.create("suppliers", {"name": "By hook"}, fields=["id", "name"])
    assert created["name"] == "By hook"
    assert hook.update("suppliers", created["id"], {"name": "Changed"})["name"] == "Changed"
    assert hook.get("suppliers", created["id"], fields=["name"])["name"] == "Changed"
    assert hook.call("GET", "suppliers", params={"name": "Changed", "limit": 5})[0]["id"] == created["id"]
    assert emulator.record("suppliers", created["id"])["name"] == "Changed"
    with pytest.raises(CoupaNotFoundError):
        hook.get("suppliers", 999_999_999)


def test_a_walk_yields_every_record_once(emulator, hook):
    ids = [record["id"] for record in hook.walk("invoices", fields=["id"])]
    assert sorted(ids) == emulator.ids("invoices")
    status = emulator.record("invoices", ids[0])["status"]
    chosen = list(hook.walk("invoices", filters={"status": status}, fields=["id", "status"]))
    assert {record["status"] for record in chosen} == {status}
    assert 0 < len(chosen) < len(ids)


def test_pages_come_as_sent_with_counters(emulator, hook):
    with hook.pages("suppliers", fields=["id", "name"]) as pages:
        raw = [bytes(record) for page in pages for record in page.records]
        assert pages.counters.records == len(raw) == len(emulator.ids("suppliers"))
    assert all(set(json.loads(record)) == {"id", "name"} for record in raw)


def test_get_conn_is_the_client_behind_it(hook):
    assert len(hook.get_conn().call("GET", "departments", params={"limit": 2})) == 2
    assert hook.get_conn() is hook.get_conn()


def test_a_closed_hook_may_be_used_again(hook):
    hook.close()
    assert len(hook.call("GET", "departments", params={"limit": 1})) == 1
    hook.close()
    assert len(hook.call("GET", "departments", params={"limit": 1})) == 1


def test_the_asynchronous_client(emulator, connect):
    hook = CoupaHook(connect())

    async def scene():
        async with hook.aclient() as client:
            return await client.call("GET", "departments", params={"limit": 3})

    assert len(asyncio.run(scene())) == 3


def test_hooks_of_one_connection_share_their_token(emulator, connect):
    conn_id = connect()
    for _ in range(3):
        CoupaHook(conn_id).call("GET", "departments", params={"limit": 1})
    assert emulator.seen()["tokens_minted"] == 1


def test_scopes_and_other_extras_reach_the_client(emulator, connect):
    extra = {"scopes": ["core.invoice.read"], "requests_per_second": 12, "timeout_seconds": None, "proxy": ""}
    config = CoupaHook(connect(extra=extra)).config
    assert (config.scopes, config.requests_per_second, config.timeout_seconds) == (
        ("core.invoice.read",),
        12,
        60,
    )


def test_a_connection_as_uri(emulator, monkeypatch):
    port = emulator.url.rpartition(":")[2]
    monkeypatch.setenv(
        "AIRFLOW_CONN_COUPA_URI", f"coupa://{emulator.client_id}:{emulator.client_secret}@localhost:{port}/"
    )
    assert len(CoupaHook("coupa_uri").call("GET", "departments", params={"limit": 1})) == 1


def test_a_wrong_connection_is_told_with_its_id_and_field(connect):
    conn_id = connect(host="")
    with pytest.raises(CoupaConfigError, match=f"Connection '{conn_id}', field 'host'"):
        CoupaHook(conn_id).get("invoices", 1)
    assert CoupaHook(conn_id).test_connection()[0] is False


def test_the_test_button_says_what_works(emulator, connect):
    good, message = CoupaHook(connect()).test_connection()
    assert good is True
    assert f"Reached {emulator.url.removeprefix('http://')}; the token lives 24 h; read" in message


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"password": "wr0ng-secret"}, "client secret is wrong"),
        ({"password": None}, "field 'password'"),
        ({"host": "http://acme.coupahost.com"}, "field 'host'"),
        ({"host": "http://127.0.0.1:9"}, "No connection to 127.0.0.1"),
        ({"extra": {"scopes": "no.such.scope"}}, "no.such.scope"),
    ],
)
def test_the_test_button_says_what_to_mend(connect, changes, said):
    good, message = CoupaHook(connect(**changes)).test_connection()
    assert good is False
    assert said in message
    assert "wr0ng-secret" not in message


def test_a_connection_that_is_not_there_is_a_failed_test():
    good, message = CoupaHook("no_such_connection").test_connection()
    assert good is False
    assert "could not be tried out" in message


def test_the_test_button_leaves_the_patience_of_the_hook(connect):
    patience = RetryPolicy(attempts=3)
    hook = CoupaHook(connect(), retry=patience)
    hook.test_connection()
    assert hook.get_conn().client.retry is patience
    plain = CoupaHook(connect())
    plain.test_connection()
    assert plain.get_conn().client.retry == RetryPolicy()


# ---- refresh tokens in a Variable of the metadata database


@pytest.fixture
def refreshing(emulator, connect):
    def making() -> CoupaHook:
        token = emulator.issue_refresh_token(emulator.client_id, ["core.common.read", "offline_access"])
        extra = {"grant_type": "refresh_token", "refresh_token": token, "requests_per_second": 2000}
        return CoupaHook(connect(extra=extra))

    return making


def test_a_rotated_refresh_token_survives_in_a_variable(emulator, refreshing):
    from airflow.models.variable import Variable

    hook = refreshing()
    store = RefreshTokenVariable(hook.config)
    assert store.load() is None
    kept = [hook.config.refresh_token]
    for _ in range(3):
        assert len(hook.call("GET", "departments", params={"limit": 1})) == 1
        kept.append(store.load())
        assert kept[-1] not in Variable.get(store.key)
        token_module.forget_tokens()  # as in the next task's process
    assert len(set(kept)) == 4
    assert None not in kept


def test_it_is_not_in_clear_in_the_database(refreshing):
    from airflow.models.variable import Variable
    from airflow.utils.session import create_session

    hook = refreshing()
    hook.call("GET", "departments", params={"limit": 1})
    store = RefreshTokenVariable(hook.config)
    with create_session() as session:
        row = session.query(Variable).filter(Variable.key == store.key).one()
        assert row.is_encrypted
        assert store.load() not in row._val


def test_one_that_cannot_be_read_any_more_is_passed_over(refreshing, caplog):
    from airflow.models.variable import Variable

    hook = refreshing()
    store = RefreshTokenVariable(hook.config)
    Variable.set(store.key, "encrypted with another client secret")
    assert store.load() is None
    assert store.key in caplog.text
    assert len(hook.call("GET", "departments", params={"limit": 1})) == 1
    assert store.load()


def test_its_name_tells_nothing_and_lets_airflow_mask_it(refreshing):
    try:
        from airflow.sdk._shared.secrets_masker import should_hide_value_for_key
    except ImportError:  # before Airflow 3.2
        from airflow.utils.log.secrets_masker import should_hide_value_for_key

    config = refreshing().config
    store = RefreshTokenVariable(config)
    assert should_hide_value_for_key(store.key)
    for secret in (config.client_secret, config.refresh_token):
        assert secret not in store.key
    assert RefreshTokenVariable(refreshing().config).key != store.key


def test_the_test_button_finds_and_keeps_it_under_another_connection_id(emulator, refreshing, connect):
    hook = refreshing()
    hook.call("GET", "departments", params={"limit": 1})
    store = RefreshTokenVariable(hook.config)
    before = store.load()
    twin = CoupaHook(
        connect(
            extra={
                "grant_type": "refresh_token",
                "refresh_token": hook.config.refresh_token,
                "requests_per_second": 2000,
            }
        )
    )
    good, message = twin.test_connection()
    assert good is True, message
    assert store.load() not in (None, before)
    assert emulator.seen()["tokens_refreshed"] == 2


def test_importing_the_hook_is_cheap():
    """Airflow imports every hook to draw its forms: the client is loaded with the first call."""
    script = (
        "import sys, coupa_provider.hooks.coupa\n"
        "heavy = [n for n in sys.modules if n.startswith(('coupa_provider.client', 'pyarrow'))]\n"
        "sys.exit(repr(heavy) if heavy else 0)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
