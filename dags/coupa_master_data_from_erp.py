"""Brings exchange rates and suppliers from files of an ERP into Coupa: a DAG to copy and change.

For each file Coupa gets a record of the run, the rows are created or updated, each once, and each row that Coupa rejects
becomes an error that Coupa mails to the contacts of the integration. If a run fails, for whatever cause, its technical
contacts get a mail, too. What was rejected lies beside the file, to be mended and pushed again.

Needed before the first run:

* in Coupa an integration for each file, with the code below, and its contacts (Setup > Integrations);
* a connection ``coupa_default`` of the type Coupa, with the write scopes of what is pushed, ``core.integration.read`` and
  ``core.integration.write``;
* where the ERP leaves its files: the Variable ``coupa_inbox``, e.g. ``s3://aws_default@my-bucket/from_erp``. The file of a
  day is ``<inbox>/2026-11-24/suppliers.csv``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, TaskGroup

from coupa_provider.notifications.coupa import CoupaIntegrationErrorNotifier
from coupa_provider.operators.coupa import (
    CoupaEndIntegrationRunOperator,
    CoupaReportOutcomesOperator,
    CoupaStartIntegrationRunOperator,
)
from coupa_provider.transfers.object_storage_to_coupa import ObjectStorageToCoupaOperator

# Coupa's names of what the files hold, the file and the integration.
FILES = {
    "exchange_rates": {"file": "rates.csv", "integration": "ERP_FX"},
    "suppliers": {"file": "suppliers.csv", "integration": "ERP_SUPPLIER"},
}
DAY = "{{ dag_run.run_after | default(dag_run.logical_date) | ds }}"
INBOX = f"{{{{ var.value.coupa_inbox }}}}/{DAY}"

with DAG(
    dag_id="coupa_master_data_from_erp",
    description="Exchange rates and suppliers into Coupa, with a record of each run there",
    schedule="0 5 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    # Two runs at a time would look for the same records, and both create them.
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["coupa"],
) as dag:
    for resource, options in FILES.items():
        with TaskGroup(resource):
            start = CoupaStartIntegrationRunOperator(
                task_id="start", integration=options["integration"]
            ).as_setup()
            push = ObjectStorageToCoupaOperator(
                task_id="push",
                resource=resource,
                source=f"{INBOX}/{options['file']}",
                operation="upsert",
                fail_on="any",
            )
            report = CoupaReportOutcomesOperator(task_id="report", outcomes=push.output, run=start.output)
            end = CoupaEndIntegrationRunOperator(
                task_id="end",
                run=start.output,
                results=[push.output],
                # It fails if anything before it did, so one mail tells of all of it.
                on_failure_callback=CoupaIntegrationErrorNotifier(run=start.output),
            )
            start >> push >> report >> end.as_teardown(setups=start)
