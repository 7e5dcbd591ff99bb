"""Hundreds of sensors that wait for an invoice each: a crowd that a test defers, and a few that defer themselves."""

from __future__ import annotations

import os

from airflow.sdk import DAG

from coupa_provider.sensors.coupa import CoupaRecordSensor

CROWD, FEW = 497, 3
ARGUMENTS = {
    "resource": "invoices",
    "until": {"status": "approved"},
    "poke_interval": float(os.environ.get("COUPA_TEST_WAITING_INTERVAL", "15")),
    "deferrable": True,
    "coupa_conn_id": "coupa_waiting",
}

# Nothing is started of a DAG that is paused: what the triggerer has released stays as it left it.
with DAG("waiting_crowd", schedule=None, is_paused_upon_creation=True):
    CoupaRecordSensor.partial(task_id="approved", **ARGUMENTS).expand(record_id=list(range(1, CROWD + 1)))

with DAG("waiting_few", schedule=None):
    CoupaRecordSensor.partial(task_id="approved", **ARGUMENTS).expand(
        record_id=list(range(CROWD + 1, CROWD + FEW + 1))
    )
