"""The connection to the emulator of a test's module."""

from __future__ import annotations

import json

import pytest

from coupa_provider.client import pacing
from coupa_provider.client.token import forget_tokens
from coupa_provider.emulator import Emulator


@pytest.fixture
def coupa(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The module's ``emulator`` in its first state, behind the connection ``coupa_default``."""
    forget_tokens()
    pacing._pacers.clear()
    emulator.reset()
    emulator.add_client(emulator.client_id, emulator.client_secret)  # with all scopes again
    connection = {
        "conn_type": "coupa",
        "host": emulator.url,
        "login": emulator.client_id,
        "password": emulator.client_secret,
        "extra": {"requests_per_second": 2000},
    }
    monkeypatch.setenv("AIRFLOW_CONN_COUPA_DEFAULT", json.dumps(connection))
    return emulator
