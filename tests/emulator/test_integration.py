"""Integration runs, errors, history records and contacts: what their calls do, and what they refuse."""

from __future__ import annotations

import pytest

RUN = {"integration-run": {"id": 7}}
ERROR = {"contact-alert-type": "Functional", "document-type": "OrderHeader", "document-id": 1, **RUN}
HISTORY = {**ERROR, "status": "Success", "integration": {"code": "ERP_PO"}}


@pytest.fixture
def coupa(coupa):
    coupa.emulator.load(
        {
            "integrations": [{"id": 1, "code": "ERP_PO", "name": "Erp Po"}],
            "integration_runs": [{"id": 7, "status": "pending", "integration": {"id": 1, "code": "ERP_PO"}}],
            "purchase_orders": [{"id": 1, "po-number": "PO-1", "exported": False}],
            "integration_contacts": [
                {"id": number, "contact-alert-type": kind, "integration": {"id": integration}}
                for number, (kind, integration) in enumerate(
                    [("Functional", 1), ("Technical", 1), ("Both", 1), ("Functional", 2)], 1
                )
            ],
        }
    )
    return coupa


def refused(answer) -> str:
    assert answer.status_code == 400
    (messages,) = answer.json()["errors"].values()
    return "; ".join(messages)


# ----------------------------------------------------------------------------------------------- runs


def test_a_run_is_created_for_an_integration_named_by_its_code(coupa):
    answer = coupa.send("POST", "integration_runs", {"integration": {"code": "ERP_PO"}})
    assert answer.status_code == 201
    run = answer.json()
    assert (run["status"], run["integration"]["code"]) == ("pending", "ERP_PO")


def test_an_unknown_code_gets_the_documented_answer(coupa):
    message = refused(coupa.send("POST", "integration_runs", {"integration": {"code": "NOPE"}}))
    assert message.startswith(
        'Unable to find valid Integration record for integration with keys {"code"=>"NOPE"}. Possible keys are ["id", '
    )


def test_a_run_without_an_integration_is_refused(coupa):
    assert refused(coupa.send("POST", "integration_runs", {})) == "Integration can't be blank"


def test_numbers_of_records_are_taken_in_either_spelling(coupa):
    assert coupa.send("PUT", "integration_runs/7/run", {"total_records": 40}).json()["total-records"] == 40
    coupa.send("PUT", "integration_runs/7", {"records-processed": "38"})
    run = coupa.send("PUT", "integration_runs/7/success").json()
    assert (run["total-records"], run["records-processed"], run["status"]) == (40, 38, "successful")
    assert run["start-time"]
    assert run["end-time"]


@pytest.mark.parametrize("value", ["many", -1, True, [4]])
def test_what_is_no_number_of_records_is_refused_and_moves_nothing(coupa, value):
    answer = coupa.send("PUT", "integration_runs/7/run", {"total_records": value})
    assert refused(answer) == "Total records is not a number"
    assert coupa.emulator.record("integration_runs", 7)["status"] == "pending"


@pytest.mark.parametrize(("errors", "status"), [(0, "successful"), (1, "errored")])
def test_a_run_finishes_by_whether_it_has_errors(coupa, errors, status):
    for _ in range(errors):
        assert coupa.send("POST", "integration_errors", ERROR).status_code == 201
    assert coupa.send("PUT", "integration_runs/7/finish").json()["status"] == status


def test_a_final_run_stays_as_it_is(coupa):
    coupa.send("PUT", "integration_runs/7/fail")
    for action in ("run", "pause", "pending", "success", "fail", "finish"):
        message = refused(coupa.send("PUT", f"integration_runs/7/{action}"))
        assert message == f"Status cannot change from failed by {action}"


def test_in_strict_mode_a_run_is_started_before_it_succeeds(coupa):
    coupa.emulator.configure(switches={"U21": "strict"})
    assert "from pending by success" in refused(coupa.send("PUT", "integration_runs/7/success"))
    coupa.send("PUT", "integration_runs/7/run")
    assert coupa.send("PUT", "integration_runs/7/success").json()["status"] == "successful"


def test_a_watermark_is_checked_and_moves_nothing(coupa):
    answer = coupa.send(
        "PUT", "integration_runs/7/max_updated_at", {"max_updated_at": "2026-11-24T00:00:00Z"}
    )
    assert (answer.status_code, answer.json()["status"]) == (200, "pending")
    answer = coupa.send("PUT", "integration_runs/7/max_updated_at", {"max_updated_at": "soon"})
    assert refused(answer) == "Max updated at is not a valid date"


# ---------------------------------------------------------------------------------- errors and history


@pytest.mark.parametrize("way", [{"integration-run": {"id": 7}}, {"integration-run-id": "7"}])
@pytest.mark.parametrize("path", ["integration_errors", "integration_errors/create_alert"])
def test_an_error_is_shown_in_its_run(coupa, path, way):
    error = {name: value for name, value in ERROR.items() if name not in RUN}
    answer = coupa.send("POST", path, {**error, **way})
    assert answer.status_code == 201
    (shown,) = coupa.get("integration_runs/7").json()["integration-errors"]
    assert (shown["id"], shown["resolved"], shown["document-id"]) == (answer.json()["id"], False, 1)
    coupa.send("PUT", f"integration_errors/{shown['id']}/resolve")
    assert coupa.get("integration_runs/7").json()["integration-errors"][0]["resolved"] is True


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("integration_errors", {**RUN}, "Contact alert type can't be blank"),
        ("integration_errors/create_alert", {"contact-alert-type": "Both"}, "can't be blank"),
        ("integration_errors", {**ERROR, "integration-run": {"id": 99}}, "find valid IntegrationRun"),
        (
            "integration_errors",
            {"contact-alert-type": "Both", "integration-run-id": 99},
            "find valid IntegrationRun",
        ),
        ("integration_errors", {**ERROR, "document-type": "Order"}, "Document type must be one of"),
        ("integration_errors", {**ERROR, "integration": {"code": "NOPE"}}, "find valid Integration record"),
        ("integration_history_records", {"contact-alert-type": "Both"}, "Document type can't be blank"),
        ("integration_history_records/create_alert", {**HISTORY, "document-id": None}, "Document ID can't"),
        (
            "integration_history_records/mark_exported",
            {**HISTORY, "document-id": 5},
            "find valid OrderHeader",
        ),
        ("integration_history_records/mark_exported", {**HISTORY, "document-type": "Supplier"}, "Supplier"),
    ],
)
def test_what_is_missing_or_unknown_is_refused(coupa, path, body, message):
    assert message in refused(coupa.send("POST", path, body))
    assert coupa.emulator.seen()["alerts"] == []
    assert coupa.emulator.ids("integration_errors") == coupa.emulator.ids("integration_history_records") == []


@pytest.mark.parametrize("kind", ["integration_errors", "integration_history_records"])
@pytest.mark.parametrize(
    ("wanted", "contacts"), [("Functional", [1, 3]), ("Technical", [2, 3]), ("Both", [1, 2, 3])]
)
def test_an_alert_is_mailed_to_the_contacts_it_is_for(coupa, kind, wanted, contacts):
    answer = coupa.send("POST", f"{kind}/create_alert", {**HISTORY, "contact-alert-type": wanted})
    assert coupa.emulator.seen()["alerts"] == [
        {"path": kind, "id": answer.json()["id"], "contacts": contacts}
    ]
    coupa.emulator.reset_seen()
    assert coupa.emulator.seen()["alerts"] == []


@pytest.mark.parametrize("kind", ["integration_errors", "integration_history_records"])
def test_a_plain_report_is_mailed_to_nobody(coupa, kind):
    assert coupa.send("POST", kind, HISTORY).status_code == 201
    assert coupa.emulator.seen()["alerts"] == []


@pytest.mark.parametrize(
    ("action", "exported", "alerts"),
    [
        ("create_alert", False, 1),
        ("mark_exported", True, 0),
        ("create_alert_and_mark_exported", True, 1),
        ("acknowledge", False, 0),
    ],
)
def test_calls_of_history_records_mail_and_mark_as_they_are_named(coupa, action, exported, alerts):
    answer = coupa.send("POST", f"integration_history_records/{action}", HISTORY)
    assert (answer.status_code, answer.json()["integration-run-id"]) == (201, 7)
    assert coupa.emulator.record("purchase_orders", 1)["exported"] is exported
    assert len(coupa.emulator.seen()["alerts"]) == alerts


def test_open_reports_of_documents_are_found(coupa):
    for number in (1, 2, 3):
        coupa.send("POST", "integration_errors", {**ERROR, "document-id": number})
    coupa.send("PUT", "integration_errors/2/resolve")
    query = {"resolved": "false", "document-type": "OrderHeader", "document-id[in]": "1,2"}
    assert coupa.ids("integration_errors", query) == [1]


def test_an_alert_is_answered_in_xml_where_that_is_asked_for(coupa, caller):
    answer = caller(coupa.emulator, None).send("POST", "integration_errors/create_alert", ERROR)
    assert answer.status_code == 201
    assert "<document-type>OrderHeader</document-type>" in answer.text
