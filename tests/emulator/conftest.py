from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from coupa_provider.emulator import Emulator


class Caller:
    """Talks to an emulator the way any HTTP client does."""

    def __init__(self, emulator: Emulator, accept: str | None = "application/json") -> None:
        self.emulator = emulator
        # Certificates take longer to load than a test takes, and nothing here needs them.
        self.http = httpx.Client(base_url=emulator.url, timeout=10, trust_env=False, verify=False)
        self.accept = accept
        self.authorize()

    def token(self, **form: str) -> httpx.Response:
        given = {
            "grant_type": "client_credentials",
            "client_id": self.emulator.client_id,
            "client_secret": self.emulator.client_secret,
            **form,
        }
        return self.http.post("/oauth2/token", data=given)

    def authorize(self, **form: str) -> None:
        self.bearer = self.token(**form).json()["access_token"]

    def headers(self) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {self.bearer}"}
        return {**headers, "Accept": self.accept} if self.accept else headers

    def get(self, path: str, query: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
        return self.http.get(f"/api/{path}", params=query, headers={**self.headers(), **headers})

    def ids(self, path: str, query: dict[str, Any]) -> list[int]:
        """Ids of all pages of a list."""
        found: list[int] = []
        while True:
            page = self.get(path, {**query, "fields": '["id"]', "offset": len(found)})
            assert page.status_code == 200, page.text
            found += [record["id"] for record in page.json()]
            if len(page.json()) < 50:
                return found

    def send(self, method: str, path: str, payload: Any = None, **query: Any) -> httpx.Response:
        content = None if payload is None else json.dumps(payload)
        headers = {**self.headers(), "Content-Type": "application/json"}
        return self.http.request(method, f"/api/{path}", content=content, params=query, headers=headers)


@pytest.fixture
def caller() -> type[Caller]:
    return Caller


@pytest.fixture(scope="session")
def seeded() -> Iterator[Caller]:
    """An emulator with seeded data that tests only read."""
    with Emulator(seed=7, scale=0.2, rate_limit=None) as emulator:
        yield Caller(emulator)


@pytest.fixture(scope="module")
def module_emulator() -> Iterator[Emulator]:
    with Emulator(seed=3, empty=True, rate_limit=None) as emulator:
        yield emulator


@pytest.fixture
def coupa(module_emulator: Emulator) -> Caller:
    """An emulator without records, as it was at its start; clients stay."""
    module_emulator.reset()
    return Caller(module_emulator)
