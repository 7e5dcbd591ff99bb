"""Everything that handles secrets, in one run: what works, what fails, and what fails badly."""

from __future__ import annotations

import os

import pendulum
from airflow.providers.common.compat.sdk import DAG, task

from coupa_provider.hooks.coupa import CoupaHook
from coupa_provider.notifications.coupa import CoupaIntegrationErrorNotifier
from coupa_provider.operators.coupa import (
    CoupaActionOperator,
    CoupaCreateOperator,
    CoupaEndIntegrationRunOperator,
    CoupaGetOperator,
    CoupaGraphQLOperator,
    CoupaMarkExportedOperator,
    CoupaReportOutcomesOperator,
    CoupaRequestOperator,
    CoupaStartIntegrationRunOperator,
    CoupaSweepDeletionsOperator,
    CoupaUpdateOperator,
    CoupaUploadAttachmentOperator,
)
from coupa_provider.sensors.coupa import CoupaRecordSensor
from coupa_provider.transfers.coupa_attachments_to_object_storage import (
    CoupaAttachmentsToObjectStorageOperator,
)
from coupa_provider.transfers.coupa_to_object_storage import CoupaToObjectStorageOperator
from coupa_provider.transfers.object_storage_to_coupa import ObjectStorageToCoupaOperator

LANDING = f"file://{os.environ['CANARY_LANDING']}"
#: What is pushed and attached, and what is fetched of it: files, so that no value of theirs is Airflow's.
FILES = f"file://{os.environ['CANARY_FILES']}"
INVOICE = int(os.environ["CANARY_INVOICE"])
#: Stands in records that are written here, and so in the DAG and its rendered fields, and nowhere else.
WRITTEN = os.environ["CANARY_WRITTEN"]
QUOTED = os.environ["CANARY_QUOTED"]
GOOD = {"coupa_conn_id": "coupa_good"}
CREATED = "{{ ti.xcom_pull(task_ids='create')['id'] }}"

with DAG("canary", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC"), catchup=False) as dag:
    for conn_id in ("coupa_good", "coupa_refresh", "coupa_wrong_secret", "coupa_proxy", "coupa_bad_scopes"):
        CoupaToObjectStorageOperator(
            task_id=f"extract_{conn_id}",
            coupa_conn_id=conn_id,
            resource="departments",
            destination=f"{LANDING}/{conn_id}",
            file_format="ndjson",
            updated_since="2020-01-01T00:00:00Z",
        )

    # What continues keeps notes: a watermark in Airflow's state store, parts, a journal, a list of deletions.
    window = CoupaToObjectStorageOperator(
        task_id="window",
        coupa_conn_id="coupa_good",
        resource="invoices",
        filters={"exported": False},
        destination=f"{LANDING}/window",
        window="watermark",
    )
    mark = CoupaMarkExportedOperator(task_id="mark", coupa_conn_id="coupa_good", manifest=window.output)
    sweep = CoupaSweepDeletionsOperator(
        task_id="sweep",
        coupa_conn_id="coupa_good",
        manifest=[window.output],
        destination=f"{LANDING}/deletions",
    )
    mark >> sweep

    # Files to records: with a run in Coupa around it that tells of the rejected rows, and mails of the failure.
    ObjectStorageToCoupaOperator(
        task_id="push", resource="suppliers", source=f"{FILES}/good.csv", key=["number"], **GOOD
    )
    ObjectStorageToCoupaOperator(
        task_id="push_wrong_secret",
        coupa_conn_id="coupa_wrong_secret",
        resource="suppliers",
        source=f"{FILES}/good.csv",
    )
    start = CoupaStartIntegrationRunOperator(task_id="start", integration="ERP_SUPPLIER", **GOOD).as_setup()
    push = ObjectStorageToCoupaOperator(
        task_id="push_rejected", resource="suppliers", source=f"{FILES}/bad.ndjson", key=["number"], **GOOD
    )
    report = CoupaReportOutcomesOperator(task_id="report", outcomes=push.output, run=start.output, **GOOD)
    end = CoupaEndIntegrationRunOperator(
        task_id="end",
        run=start.output,
        results=[push.output],
        on_failure_callback=CoupaIntegrationErrorNotifier(run=start.output, **GOOD),
        **GOOD,
    )
    start >> push >> report >> end.as_teardown(setups=start)

    # Single calls: done, lost on the way and looked up, refused by Coupa, refused here.
    create = CoupaCreateOperator(
        task_id="create",
        resource="suppliers",
        record={"name": f"{WRITTEN} Inc", "number": "C-1", "website": f"https://{WRITTEN}.example.com"},
        **GOOD,
    )
    update = CoupaUpdateOperator(
        task_id="update",
        resource="suppliers",
        record_id=CREATED,
        changes={"account-number": f"{WRITTEN}-2"},
        **GOOD,
    )
    get = CoupaGetOperator(task_id="get", resource="suppliers", record_id=CREATED, **GOOD)
    request = CoupaRequestOperator(
        task_id="request", method="PUT", path=f"suppliers/{CREATED}", body={"tax-id": WRITTEN}, **GOOD
    )
    create >> update >> get >> request

    # Waiting, on the worker and on the triggerer, whose log tells of each event.
    for task_id, deferrable, conn_id in (
        ("wait", False, "coupa_good"),
        ("wait_deferred", True, "coupa_good"),
        ("wait_wrong_secret", True, "coupa_wrong_secret"),
    ):
        request >> CoupaRecordSensor(
            task_id=task_id,
            resource="suppliers",
            record_id=CREATED,
            until={"number": "C-1"},
            fields=["id", "number", "website"],
            poke_interval=1,
            deferrable=deferrable,
            coupa_conn_id=conn_id,
        )
    CoupaCreateOperator(
        task_id="create_lost",
        resource="projects",
        record={"name": "Canary", "description": WRITTEN},
        **GOOD,
    )
    CoupaCreateOperator(
        task_id="create_refused",
        resource="suppliers",
        record={"name": f"{WRITTEN} Ltd", "number": "C-2", "payment-term": {"code": QUOTED}},
        **GOOD,
    )
    CoupaRequestOperator(
        task_id="request_refused", method="POST", path="suppliers", body={"website": WRITTEN}, **GOOD
    )
    CoupaActionOperator(
        task_id="act",
        resource="invoices",
        action="dispute",
        record_id=INVOICE,
        arguments={"comment": WRITTEN},
        **GOOD,
    )
    CoupaActionOperator(
        task_id="act_refused",
        resource="invoices",
        action="dispute",
        record_id=INVOICE,
        arguments={"coment": WRITTEN},
        **GOOD,
    )
    query = "query One($id: ID!) { supplier(id: $id) { id %s } }"
    for name, attribute in (("graphql", "status"), ("graphql_refused", "noSuchAttribute")):
        CoupaGraphQLOperator(task_id=name, query=query % attribute, variables={"id": 1}, **GOOD)

    attach = CoupaUploadAttachmentOperator(
        task_id="attach", resource="invoices", record_id=INVOICE, file=f"{FILES}/note.txt", **GOOD
    )
    attach >> CoupaAttachmentsToObjectStorageOperator(
        task_id="attachments", manifest=window.output, destination=f"{FILES}/attached", **GOOD
    )

    @task
    def hook_by_hand() -> str:
        hook = CoupaHook("coupa_good")
        print(hook, vars(hook), hook.config, hook.get_conn(), hook.get_conn().token())
        return hook.test_connection()[1]

    @task
    def refusal() -> None:
        CoupaHook("coupa_good").create("suppliers", {"no-such": "attribute"})

    @task
    def error_page() -> None:
        CoupaHook("coupa_good").get("invoices", 10**9)

    hook_by_hand()
    refusal()
    error_page()
