"""The loop that people write: requests, offsets, and a line per record."""

from __future__ import annotations

import json

import requests
from measuring import PAGE, Task, measure


def work(task: Task) -> int:
    session = requests.Session()
    token = session.post(
        f"{task.url}/oauth2/token",
        data={
            "grant_type": "client_credentials",
            "client_id": task.client_id,
            "client_secret": task.client_secret,
            "scope": "core.invoice.read",
        },
    ).json()["access_token"]
    session.headers.update({"Authorization": f"Bearer {token}", "Accept": "application/json"})
    task.folder.mkdir()
    offset = 0
    with (task.folder / "invoices.ndjson").open("w") as file:
        while True:
            response = session.get(
                f"{task.url}/api/invoices",
                params={
                    "id[lt_or_eq]": task.last_id,
                    "order_by": "id",
                    "dir": "asc",
                    "limit": PAGE,
                    "offset": offset,
                },
            )
            response.raise_for_status()
            records = response.json()
            for record in records:
                file.write(json.dumps(record) + "\n")
            offset += len(records)
            if len(records) < PAGE:
                return offset


if __name__ == "__main__":
    measure(work)
