"""Hands new purchase orders to an ERP, and shows in Coupa how it went: a DAG to copy and change.

It is the sequence that Coupa describes for exports (article 0024): a record of the run, the orders that nobody exported
yet, their exported flag, the hand-over, and for each order a history record, or an error that Coupa mails to the contacts
of the integration. The record of the run ends as successful or failed, as the DAG's run does.

Needed before the first run:

* in Coupa an integration with the code below, with its contacts (Setup > Integrations);
* a connection ``coupa_default`` of the type Coupa, with the scopes ``core.purchase_order.read``,
  ``core.purchase_order.write``, ``core.integration.read`` and ``core.integration.write``;
* a place for the files: the Variable ``coupa_lake``, e.g. ``s3://aws_default@my-bucket/coupa``;
* your own ``send_to_erp`` in place of the one below.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, ObjectStoragePath, task

from coupa_provider.operators.coupa import (
    CoupaEndIntegrationRunOperator,
    CoupaMarkExportedOperator,
    CoupaReportOutcomesOperator,
    CoupaStartIntegrationRunOperator,
)
from coupa_provider.transfers.coupa_to_object_storage import CoupaToObjectStorageOperator

INTEGRATION = "ERP_PO"
FIELDS = [
    *("id", "po-number", "status", "created-at", "updated-at"),
    {"supplier": ["id", "number"]},
    {"currency": ["code"]},
    {"order-lines": ["id", "line-num", "description", "quantity", "price", "total"]},
]
# A folder for each run, named by when the run was asked for.
FOLDER = "{{ var.value.coupa_lake }}/orders_to_erp/{{ dag_run.run_after | default(dag_run.logical_date) | ts_nodash }}"


def send_to_erp(order: dict) -> None:
    """Put your own in here; an error means that the ERP did not take the order.

    A retry sends all orders again, so the ERP has to know an order that it has already, by its number for instance.
    """
    if not order["po-number"]:
        raise ValueError("The order has no number")


@task
def hand_over(extract: dict, folder: str) -> dict:
    """Hand each order over, and write down what became of it; one that fails does not stop the others."""
    outcomes = ObjectStoragePath(f"{folder}/outcomes.ndjson")
    with outcomes.open("w") as file:
        for row, line in enumerate(read_lines(extract["files"]), 1):
            order = json.loads(line)
            outcome = {"row": row, "id": order["id"], "key": {"po-number": order["po-number"]}}
            try:
                send_to_erp(order)
                outcome |= {"outcome": "created"}
            except ValueError as error:
                outcome |= {"outcome": "rejected", "errors": [str(error)]}
            file.write(json.dumps(outcome) + "\n")
    return {"resource": "purchase_orders", "outcomes": str(outcomes)}


def read_lines(files: list[str]) -> Iterator[str]:
    """Yield the lines of files, without holding them in memory."""
    for url in files:
        with ObjectStoragePath(url).open() as file:
            while line := file.readline():  # Airflow 2 lets nobody iterate over it
                yield line


with DAG(
    dag_id="coupa_orders_to_erp",
    description="New purchase orders to the ERP, with a record of the run in Coupa",
    schedule="@hourly",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    # Two runs at a time would fetch the same orders.
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["coupa"],
) as dag:
    start = CoupaStartIntegrationRunOperator(task_id="start", integration=INTEGRATION).as_setup()
    extract = CoupaToObjectStorageOperator(
        task_id="extract",
        resource="purchase_orders",
        filters={"exported": False, "status": "issued"},
        fields=FIELDS,
        file_format="ndjson",
        destination=f"{FOLDER}/orders",
    )
    count = CoupaStartIntegrationRunOperator(task_id="count", run=start.output, total_records=extract.output)
    # Before the hand-over, as Coupa describes it: an order that the ERP refuses comes out again once it was changed.
    mark = CoupaMarkExportedOperator(task_id="mark", manifest=extract.output)
    handed_over = hand_over(extract.output, FOLDER)
    report = CoupaReportOutcomesOperator(
        task_id="report", outcomes=handed_over, run=start.output, history=True
    )
    end = CoupaEndIntegrationRunOperator(task_id="end", run=start.output, results=[report.output])

    start >> extract >> count >> mark >> handed_over >> report >> end.as_teardown(setups=start)
