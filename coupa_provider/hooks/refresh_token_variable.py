"""Keeps a rotated refresh token in an Airflow Variable, where it survives the task.

A task cannot write to its connection, and Airflow's state stores keep plain text that every viewer may read.
A Variable is encrypted at rest, and one whose key holds the word "token" is masked in logs and UI.
"""

from __future__ import annotations

import hashlib
import sys
from typing import Any

from coupa_provider.client.config import CoupaConfig


class RefreshTokenVariable:
    """The newest refresh token that grew out of the one in a connection.

    The key follows from the instance, the client and the connection's own refresh token: a new token put into
    the connection starts afresh, and the test button, which runs under a passing connection id, finds it too.

    :param config: the connection.
    """

    def __init__(self, config: CoupaConfig) -> None:
        seed = "\0".join((config.base_url, config.client_id, config.refresh_token or ""))
        self.key = f"coupa_refresh_token_{hashlib.sha256(seed.encode()).hexdigest()[:16]}"

    def load(self) -> str | None:
        """Return the kept token, None where there is none."""
        value = _variable().get(self.key, None)
        return str(value) if value else None

    def save(self, token: str) -> None:
        """Keep a token in place of the one before."""
        _variable().set(self.key, token, description="Refresh token of Coupa, kept by airflow-provider-coupa")


def _variable() -> Any:
    """Return the Variable class that works here: tasks ask their supervisor, servers the database."""
    if hasattr(sys.modules.get("airflow.sdk.execution_time.task_runner"), "SUPERVISOR_COMMS"):
        from airflow.providers.common.compat.sdk import Variable

        return Variable
    from airflow.models.variable import Variable as VariableModel

    return VariableModel
