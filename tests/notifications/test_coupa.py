"""The notifier tells the contacts of an integration once, and never hides what the task failed of."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import DAG, BaseNotifier, mask_secret

from coupa_provider.client import pacing
from coupa_provider.client.token import forget_tokens
from coupa_provider.emulator import Emulator
from coupa_provider.notifications.coupa import CoupaIntegrationErrorNotifier

RUN = {"run_id": 7, "integration": "ERP_PO"}
SECRET = "canary-of-the-notifier"


@pytest.fixture
def coupa(monkeypatch):
    forget_tokens()
    pacing._pacers.clear()
    with Emulator(empty=True, rate_limit=None) as coupa:
        erp = {"id": 1, "code": "ERP_PO"}
        coupa.load(
            {
                "integrations": [erp],
                "integration_runs": [{"id": 7, "status": "started", "integration": erp}],
                "integration_contacts": [{"id": 3, "contact-alert-type": "Technical", "integration": erp}],
            }
        )
        connection = {
            "conn_type": "coupa",
            "host": coupa.url,
            "login": coupa.client_id,
            "password": coupa.client_secret,
        }
        monkeypatch.setenv(
            "AIRFLOW_CONN_COUPA_DEFAULT", json.dumps(connection | {"extra": {"requests_per_second": 1000}})
        )
        yield coupa


@pytest.fixture
def context():
    ti = SimpleNamespace(dag_id="nightly", task_id="push", run_id="r1", map_index=-1)
    return {"ti": ti, "dag": DAG("nightly", schedule=None), "exception": ValueError("boom")}


def told(coupa) -> list[tuple[str, str]]:
    errors = [coupa.record(it["path"], it["id"]) for it in coupa.seen()["alerts"]]
    return [(it["contact-alert-type"], it["responses"][0]["response-message"]) for it in errors]


def test_the_contacts_are_told_once(coupa, context):
    for _ in range(2):
        CoupaIntegrationErrorNotifier(run=RUN)(context)
    assert told(coupa) == [("Technical", "Task push of the Airflow DAG nightly has failed in its run r1.")]
    (alert,) = coupa.seen()["alerts"]
    assert (alert["path"], alert["contacts"]) == ("integration_errors", [3])
    assert coupa.record("integration_errors", alert["id"])["external-id"] == "nightly/r1/push/-1"


def test_the_message_is_the_users(coupa, context):
    given = {"message": "{{ ti.task_id }}: {{ exception }}", "contact_alert_type": "Both"}
    CoupaIntegrationErrorNotifier(run=RUN, **given)(context)
    assert told(coupa) == [("Both", "push: boom")]


def test_it_leaves_the_context_as_it_is(coupa, context):
    """Airflow puts templated arguments into the context under their names; none may hide what is there."""
    assert not {"ti", "run_id", "dag_run", "exception", "params"} & set(
        CoupaIntegrationErrorNotifier.template_fields
    )
    assert issubclass(CoupaIntegrationErrorNotifier, BaseNotifier)


def test_a_masked_secret_is_not_mailed(coupa, context):
    mask_secret(SECRET)
    CoupaIntegrationErrorNotifier(run=RUN, message=f"refused: {SECRET}")(context)
    assert told(coupa) == [("Technical", "refused: ***")]


def test_a_lost_answer_is_not_mailed_twice(coupa, context, monkeypatch):
    from coupa_provider.client.retry import RetryPolicy

    monkeypatch.setattr("coupa_provider.client.client.RetryPolicy", lambda: RetryPolicy(first_delay=0.01))
    coupa.configure(faults={"always": True, "kinds": ["lost_write"], "methods": ["POST"], "times": 1})
    CoupaIntegrationErrorNotifier(run=RUN)(context)
    assert len(told(coupa)) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"run": None}, "AirflowFailException: run must be the result of the task that started"),
        ({"run": {**RUN, "run_id": 99}}, "CoupaValidationError: .*Unable to find valid IntegrationRun"),
        ({"run": RUN, "contact_alert_type": "all"}, "PushError: contact_alert_type must be one of"),
        ({"run": RUN, "coupa_conn_id": "coupa_nowhere"}, "The conn_id `coupa_nowhere` isn't defined"),
    ],
)
def test_what_goes_wrong_is_logged_and_not_raised(coupa, context, caplog, capsys, arguments, message):
    with caplog.at_level(logging.ERROR):
        CoupaIntegrationErrorNotifier(**arguments)(context)
    text = caplog.text + capsys.readouterr().out  # Airflow 3.3 logs past the standard library
    assert "Coupa was not told of the failure" in text
    import re

    assert re.search(message, text)
    assert coupa.client_secret not in text
    assert told(coupa) == []
