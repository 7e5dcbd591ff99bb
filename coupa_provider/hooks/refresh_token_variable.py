"""Keeps a rotated refresh token in an Airflow Variable, where it survives the task.

A task cannot write to its connection, and Airflow's state stores keep plain text that every viewer may read.
A Variable is encrypted at rest, and one whose key holds the word "token" is masked in the UI. On its way
there, though, Airflow 3's supervisor prints it at DEBUG level as it is: so it travels and lies encrypted with
a key drawn from the client secret, which whoever may use the token knows anyway.
"""

from __future__ import annotations

import base64
import hashlib
import logging

from cryptography.fernet import Fernet, InvalidToken

from coupa_provider.client.config import CoupaConfig
from coupa_provider.hooks.variable import variable_class

log = logging.getLogger(__name__)


class RefreshTokenVariable:
    """The newest refresh token that grew out of the one in a connection.

    The key follows from the instance, the client and the connection's own refresh token: a new token put into
    the connection starts afresh, and the test button, which runs under a passing connection id, finds it too.

    :param config: the connection.
    """

    def __init__(self, config: CoupaConfig) -> None:
        seed = "\0".join((config.base_url, config.client_id, config.refresh_token or ""))
        self.key = f"coupa_refresh_token_{hashlib.sha256(seed.encode()).hexdigest()[:16]}"
        key = hashlib.sha256(
            b"airflow-provider-coupa refresh token\0" + config.client_secret.encode()
        ).digest()
        self._cipher = Fernet(base64.urlsafe_b64encode(key))

    def load(self) -> str | None:
        """Return the kept token, None where there is none."""
        value = variable_class().get(self.key, None)
        if not value:
            return None
        try:
            return self._cipher.decrypt(str(value).encode()).decode()
        except InvalidToken:
            log.warning(
                "The refresh token kept in the Variable %s cannot be read, perhaps because the client secret was "
                "changed. The connection's own is used; if Coupa refuses it, put a new one there.",
                self.key,
            )
            return None

    def save(self, token: str) -> None:
        """Keep a token in place of the one before."""
        value = self._cipher.encrypt(token.encode()).decode()
        variable_class().set(
            self.key, value, description="Refresh token of Coupa, kept by airflow-provider-coupa"
        )
