"""All that reports lineage, one after the other, and one task that fails."""

from __future__ import annotations

from airflow.sdk import DAG

from coupa_provider.operators.coupa import (
    CoupaGatherManifestsOperator,
    CoupaPlanPartitionsOperator,
    CoupaSweepDeletionsOperator,
)
from coupa_provider.transfers.coupa_manifest_to_database import CoupaManifestToDatabaseOperator
from coupa_provider.transfers.coupa_to_object_storage import CoupaToObjectStorageOperator
from coupa_provider.transfers.object_storage_to_coupa import ObjectStorageToCoupaOperator

LAKE = "{{ dag_run.conf['lake'] }}"

with DAG("lineage", schedule=None):
    extract = CoupaToObjectStorageOperator(
        task_id="extract",
        resource="invoices",
        destination=f"{LAKE}/invoices",
        explode={"invoice-lines": None},
        window="watermark",
    )
    for database in ("postgresql", "duckdb"):
        extract >> CoupaManifestToDatabaseOperator(
            task_id=f"load_{database}",
            manifest=extract.output,
            table="invoices" if database == "duckdb" else "coupa.invoices",
            child_tables={"invoice_lines": "lines"},
            adbc_conn_id=database,
        )
    extract >> CoupaSweepDeletionsOperator(
        task_id="sweep", manifest=extract.output, destination=f"{LAKE}/deletions"
    )
    plan = CoupaPlanPartitionsOperator(task_id="plan", resource="suppliers", partitions=2)
    partition = CoupaToObjectStorageOperator.partial(
        task_id="partition", resource="suppliers", fields=["id", "name"], destination=f"{LAKE}/suppliers"
    ).expand(partition=plan.output)
    CoupaGatherManifestsOperator(
        task_id="gather", manifests=partition.output, destination=f"{LAKE}/suppliers"
    )
    # One file that Coupa takes, one of which it refuses a row, and an extract that goes back.
    pushes = {
        "push": {"source": f"{LAKE}/departments.csv", "resource": "departments"},
        "push_some": {"source": f"{LAKE}/some.ndjson", "resource": "departments"},
    }
    for name, arguments in pushes.items():
        ObjectStorageToCoupaOperator(task_id=name, **arguments)
    names = CoupaToObjectStorageOperator(
        task_id="names",
        resource="suppliers",
        fields=["id", "name"],
        destination=f"{LAKE}/names",
        file_format="ndjson",
    )
    ObjectStorageToCoupaOperator(
        task_id="push_back", resource="suppliers", source=names.output, operation="update", key=["id"]
    )
    CoupaToObjectStorageOperator(
        task_id="refused",
        resource="invoices",
        destination=f"{LAKE}/refused",
        coupa_conn_id="coupa_refused",
    )
