"""Pays invoices within a minute of their approval: a DAG to copy and change. For Airflow 3.

A watcher on the triggerer looks at Coupa every 20 seconds. Invoices that were approved, and are neither paid nor exported,
become events of an asset, and the events start a run. An event may come twice and tells of the past, so a run reads the
invoices anew, orders a payment for each that has none, and marks them as exported. That takes them out of all later looks.

Needed before the first run:

* a connection ``coupa_default`` of the type Coupa, with the scopes ``core.invoice.read`` and ``core.invoice.write``;
* a place for the files: the Variable ``coupa_lake``, e.g. ``s3://aws_default@my-bucket/coupa``;
* your own ``order_payment`` in place of the one below;
* a triggerer, and nobody else who marks invoices as exported (see docs/exported.md).

A run by hand pays the invoices it is told: ``{"ids": [33, 34]}``. Airflow 2 has no watchers, so there that is all it does.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, ObjectStoragePath, task, task_group

from coupa_provider.operators.coupa import CoupaMarkExportedOperator
from coupa_provider.transfers.coupa_to_object_storage import CoupaToObjectStorageOperator
from coupa_provider.triggers.coupa import CoupaRecordsEventTrigger

TO_PAY = {"status": "approved", "paid": False, "exported": False}
FIELDS = [
    *("id", "invoice-number", "gross-total", "net-due-date", "updated-at"),
    {"currency": ["code"]},
    {"supplier": ["id", "number", "name"]},
]
#: Invoices that share the tasks of a run; their ids have to fit into a URL.
TOGETHER = 200
LAKE = "{{ var.value.coupa_lake }}/payments"
# A folder for each run, named by when the run was asked for, and for each batch of it.
FOLDER = f"{LAKE}/{{{{ dag_run.run_after | default(dag_run.logical_date) | ts_nodash }}}}"

try:
    from airflow.sdk import Asset, AssetWatcher
except ImportError:
    schedule = None
    description = "Needs Airflow 3, which has asset watchers: here it only runs by hand"
else:
    trigger = CoupaRecordsEventTrigger({"invoices": TO_PAY}, poll_interval=20)
    schedule = [
        Asset("coupa_invoices_to_pay", watchers=[AssetWatcher(name="coupa_invoices", trigger=trigger)])
    ]
    description = "A payment for each invoice within a minute of its approval"


def order_payment(invoice: dict, folder: str) -> None:
    """Put your own in here. It is told the same invoice again after a failure, so it has to know which it has.

    Here it is a file for each invoice, named by the invoice's id: the first one stays.
    """
    order = ObjectStoragePath(f"{folder}/invoice-{invoice['id']}.json")
    if not order.exists():
        order.parent.mkdir(parents=True, exist_ok=True)  # folders are needed on disks only
        with order.open("w") as file:
            json.dump(invoice, file)


@task
def find_invoices(triggering_asset_events: Any = None, dag_run: Any = None) -> list[dict]:
    """Return what to ask Coupa for: the ids of all events that this run was started by, each once, in batches."""
    told = [event for events in (triggering_asset_events or {}).values() for event in events]
    ids = {record["id"] for event in told for record in event.extra.get("payload", {}).get("records", [])}
    ids |= set((dag_run.conf or {}).get("ids", []))
    ordered = sorted(ids)
    batches = [ordered[start : start + TOGETHER] for start in range(0, len(ordered), TOGETHER)]
    return [{**TO_PAY, "id[in]": batch} for batch in batches]


@task
def order_payments(extract: dict, folder: str) -> None:
    """Order a payment for each invoice of an extract."""
    for url in extract["files"]:
        with ObjectStoragePath(url).open() as file:
            while line := file.readline():  # Airflow 2 lets nobody iterate over it
                order_payment(json.loads(line), folder)


@task_group
def pay(filters: dict) -> None:
    """Read a batch of invoices, order their payments, and only then mark them: nothing is lost in between."""
    extract = CoupaToObjectStorageOperator(
        task_id="extract",
        resource="invoices",
        filters=filters,
        fields=FIELDS,
        file_format="ndjson",
        destination=f"{FOLDER}/{{{{ ti.map_index }}}}",
    )
    mark = CoupaMarkExportedOperator(task_id="mark", manifest=extract.output)
    order_payments(extract.output, f"{LAKE}/orders") >> mark


with DAG(
    dag_id="coupa_pay_approved_invoices",
    description=description,
    schedule=schedule,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    # Two runs at a time could order the same payment.
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    tags=["coupa"],
) as dag:
    pay.expand(filters=find_invoices())
