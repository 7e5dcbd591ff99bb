"""This provider, as a DAG uses it: ``execute`` of its operator, with journal and outcomes on this machine."""

from __future__ import annotations

import json
from pathlib import Path

from measuring_pushes import Push, measure

from coupa_provider.transfers.object_storage_to_coupa import ObjectStorageToCoupaOperator


def work(push: Push) -> dict[str, bool]:
    operator = ObjectStorageToCoupaOperator(
        task_id="push",
        resource=push.resource,
        source=f"file://{push.source}",
        operation="upsert",
        key=[push.key],
        fail_on=1.0,
    )
    summary = operator.execute({})
    with Path(summary["outcomes"].removeprefix("file://")).open() as file:
        outcomes = map(json.loads, file)  # one at a time: their memory is not the operator's
        return {one["key"][push.key]: one["outcome"] not in ("rejected", "unknown") for one in outcomes}


if __name__ == "__main__":
    measure(work)
