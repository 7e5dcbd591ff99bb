"""Airflow's own HttpOperator with a pagination_function, a token in its headers and a filter that writes."""

from __future__ import annotations

import json
from typing import Any

import requests
from airflow.providers.http.operators.http import HttpOperator
from measuring import PAGE, Task, measure


def work(task: Task) -> int:
    query = {"id[lt_or_eq]": task.last_id, "order_by": "id", "dir": "asc", "limit": PAGE}
    task.folder.mkdir()
    offset = 0

    def next_page(response: requests.Response) -> dict[str, Any] | None:
        nonlocal offset
        received = len(response.json())
        offset += received
        return {"data": {**query, "offset": offset}} if received == PAGE else None

    def write(responses: list[requests.Response]) -> int:
        written = 0
        with (task.folder / "invoices.ndjson").open("w") as file:
            for response in responses:
                for record in response.json():
                    file.write(json.dumps(record) + "\n")
                    written += 1
        return written

    operator = HttpOperator(
        task_id="invoices",
        method="GET",
        endpoint="api/invoices",
        data=query,
        headers={"Authorization": f"Bearer {task.token}", "Accept": "application/json"},
        pagination_function=next_page,
        response_filter=write,
    )
    return operator.execute({})


if __name__ == "__main__":
    measure(work)
