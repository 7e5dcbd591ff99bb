"""The loop that people write: for each row a GET by its key, then a PUT or a POST, with urllib3's retries."""

from __future__ import annotations

from typing import Any

import requests
from measuring_pushes import Push, measure
from requests.adapters import HTTPAdapter
from urllib3.util import Retry


def session_of(push: Push) -> requests.Session:
    """Return a session with a token and the retries that the tutorials show."""
    session = requests.Session()
    token = session.post(
        f"{push.url}/oauth2/token",
        data={
            "grant_type": "client_credentials",
            "client_id": push.client_id,
            "client_secret": push.client_secret,
            "scope": push.scopes,
        },
    ).json()["access_token"]
    session.headers.update({"Authorization": f"Bearer {token}", "Accept": "application/json"})
    retries = Retry(total=5, backoff_factor=1, status_forcelist=(429, 500, 502, 503, 504))
    if push.repeats:
        retries = retries.new(allowed_methods=None)
    session.mount(push.url, HTTPAdapter(max_retries=retries, pool_maxsize=8))
    return session


def push_row(session: requests.Session, push: Push, row: dict[str, Any]) -> bool:
    """Push a row, and return whether that went well; if not, it is left to somebody who reads the log."""
    collection = f"{push.url}/api/{push.resource}"
    try:
        found = session.get(collection, params={push.key: row[push.key]})
        found.raise_for_status()
        if records := found.json():
            answer = session.put(f"{collection}/{records[0]['id']}", json=row)
        else:
            answer = session.post(collection, json=row)
        answer.raise_for_status()
    except requests.RequestException:
        return False
    return True


def work(push: Push) -> dict[str, bool]:
    session = session_of(push)
    return {row[push.key]: push_row(session, push, row) for row in push.rows()}


if __name__ == "__main__":
    measure(work)
