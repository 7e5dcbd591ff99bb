"""Everything that handles secrets, in one run: what works, what fails, and what fails badly."""

from __future__ import annotations

import os

import pendulum
from airflow.providers.common.compat.sdk import DAG, task

from coupa_provider.hooks.coupa import CoupaHook
from coupa_provider.operators.coupa import CoupaMarkExportedOperator, CoupaSweepDeletionsOperator
from coupa_provider.transfers.coupa_to_object_storage import CoupaToObjectStorageOperator

LANDING = f"file://{os.environ['CANARY_LANDING']}"

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
