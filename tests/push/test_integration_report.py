"""Each record's report is made once: its alert is a mail to people, whatever answers are lost and however often it is killed."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
from fsspec.implementations.local import LocalFileSystem

from coupa_provider.client.errors import CoupaUnavailableError
from coupa_provider.extract.destination import Destination
from coupa_provider.push.errors import PushError
from coupa_provider.push.integration_alert import send_alert
from coupa_provider.push.integration_report import report_outcomes
from coupa_provider.push.integration_reporting import Reporting, document_type_of
from tests.forked_try import ForkedTry

ERP = {"id": 1, "code": "ERP_SUPPLIER"}
RUN = 70


def outcome(row, what="created", **more):
    return {"row": row, "outcome": what, "id": None, "key": {"number": f"S-{row}"}, "errors": []} | more


def rejected(row, **more):
    return outcome(row, "rejected", **{"errors": ["Name has already been taken"], **more})


@pytest.fixture
def coupa(coupa):
    coupa.load(
        {
            "integrations": [ERP, {"id": 2, "code": "ERP_PO"}],
            "integration_runs": [{"id": RUN, "status": "started", "integration": ERP}],
            "integration_contacts": [{"id": 5, "contact-alert-type": "Functional", "integration": ERP}],
        }
    )
    coupa.reset_seen()
    return coupa


@pytest.fixture
def folder(tmp_path):
    return Destination(LocalFileSystem(), str(tmp_path), f"file://{tmp_path}")


@pytest.fixture
def report(client, folder):
    """Write an outcome file and report it: ``report([outcome(1), rejected(2)], history=True)``."""

    def run(outcomes, **how):
        text = "".join(json.dumps(line) + "\n" for line in outcomes)
        folder.fs.pipe_file(folder.path_of("outcomes.ndjson"), text.encode())
        how = {"resource": "suppliers", "integration": "ERP_SUPPLIER", "run_id": RUN, **how}
        return report_outcomes(client, folder, "outcomes.ndjson", Reporting(**how))

    return run


def alerted(coupa) -> Counter:
    """How often each record was mailed about, by its external id."""
    alerts = coupa.seen()["alerts"]
    return Counter(coupa.record(alert["path"], alert["id"])["external-id"] for alert in alerts)


def open_report(number, **more):
    return {
        "id": number, "resolved": False, "document-type": "Supplier", "document-id": 12, "status": "Error",
        "integration": ERP, "integration-run-id": 60, **more,
    }  # fmt: skip


# ------------------------------------------------------------------------------------- what is reported


def test_each_rejected_record_is_told_to_people(coupa, report):
    done = report(
        [outcome(1, id=11), rejected(2), rejected(3, id=13, errors=["a", "b"]), outcome(4, "unknown")]
    )
    assert (done.records, done.alerts, done.recorded, done.resolved) == (4, 3, 0, 0)
    assert done.counts == {"created": 1, "updated": 0, "unchanged": 0, "rejected": 2, "unknown": 1}
    errors = [coupa.record("integration_errors", number) for number in coupa.ids("integration_errors")]
    assert sorted((it["external-id"], it["document-id"]) for it in errors) == [
        ("S-2", None),
        ("S-3", 13),
        ("S-4", None),
    ]
    told = {it["external-id"]: it["responses"][0] for it in errors}
    assert told["S-2"]["response-code"] == "row 2"
    assert [told[key]["response-message"][:29] for key in ("S-2", "S-3", "S-4")] == [
        "Name has already been taken",
        "a; b",
        "It is not known whether the r",
    ]
    for error in errors:
        assert (error["document-type"], error["status"], error["contact-alert-type"]) == (
            "Supplier",
            "Error",
            "Functional",
        )
        assert (error["integration"]["code"], error["integration-run-id"]) == ("ERP_SUPPLIER", RUN)
    assert {tuple(alert["contacts"]) for alert in coupa.seen()["alerts"]} == {(5,)}
    assert len(coupa.record("integration_runs", RUN)["integration-errors"]) == 3


def test_history_is_kept_if_it_is_asked_for_and_mailed_to_nobody(coupa, report):
    done = report(
        [outcome(1, id=11), outcome(2, "updated", id=12), outcome(3, "unchanged", id=13)], history=True
    )
    assert (done.recorded, done.alerts, coupa.seen()["alerts"]) == (3, 0, [])
    records = [
        coupa.record("integration_history_records", it) for it in coupa.ids("integration_history_records")
    ]
    assert sorted(
        (it["document-id"], it["status"], it["responses"][0]["response-message"]) for it in records
    ) == [
        (11, "Success", "created"),
        (12, "Success", "updated"),
        (13, "Success", "unchanged"),
    ]
    assert coupa.ids("integration_errors") == []


@pytest.mark.parametrize("answer", ["object", "array"])
@pytest.mark.parametrize("path", ["integration_errors", "integration_history_records"])
def test_what_is_mended_is_resolved(coupa, report, path, answer):
    coupa.configure(switches={"U22": answer})
    stay = [
        {"document-id": 13},  # rejected again
        {"document-id": 99},  # not in this push
        {"document-type": "User"},
        {"integration": {"id": 2, "code": "ERP_PO"}},
        {"status": "Success"},
        {"integration-run-id": RUN},
    ]
    coupa.load({path: [open_report(1), open_report(2, integration=None), open_report(3, resolved=True)]})
    coupa.load({path: [open_report(number, **more) for number, more in enumerate(stay, 10)]})
    done = report([outcome(1, "updated", id=12), rejected(2, id=13)])
    assert done.resolved == 2
    resolved = {it for it in coupa.ids(path) if coupa.record(path, it)["resolved"]}
    assert resolved == {1, 2, 3}
    assert {write for write in coupa.writes() if write.startswith("PUT")} == {
        f"PUT /api/{path}/1/resolve",
        f"PUT /api/{path}/2/resolve",
    }


def test_one_that_was_rejected_as_new_is_resolved_by_its_key(coupa, report):
    report([rejected(1), rejected(2)])
    coupa.load({"integration_runs": [{"id": 71, "status": "started", "integration": ERP}]})
    done = report([outcome(5, id=15, key={"number": "s-1"}), rejected(6, key={"number": "S-2"})], run_id=71)
    assert (done.resolved, done.alerts) == (1, 1)
    states = {
        (it["external-id"], it["integration-run-id"]): it["resolved"]
        for it in (coupa.record("integration_errors", number) for number in coupa.ids("integration_errors"))
    }
    assert states == {("S-1", RUN): True, ("S-2", RUN): False, ("S-2", 71): False}


def test_it_takes_few_requests(coupa, client, report):
    client.token()
    done = report([outcome(row, id=row) for row in range(1, 491)])
    # By id among errors and history records, and by key among errors.
    assert done.requests == coupa.seen()["requests"] == 3 * 10


@pytest.mark.parametrize(
    ("resource", "kind"),
    [
        ("purchase_orders", "OrderHeader"),
        ("suppliers", "Supplier"),
        ("exchange_rates", "ExchangeRate"),
        ("invoices", "InvoiceHeader"),
        ("coupa_pay/payments", "CoupaPay::Payment"),
        ("currencies", None),
        ("no_such", None),
    ],
)
def test_a_resource_has_coupas_document_type(resource, kind):
    assert document_type_of(resource) == kind


def test_records_of_no_document_type_are_reported_without_one(coupa, report):
    done = report([outcome(1, id=11), rejected(2)], resource="currencies")
    assert done.alerts == 1
    (number,) = coupa.ids("integration_errors")
    assert coupa.record("integration_errors", number)["document-type"] is None


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            {"contact_alert_type": "functional"},
            "must be one of Functional, Technical, Both, not 'functional'",
        ),
        ({"resource": "currencies", "history": True}, "keeps no history of 'currencies'"),
    ],
)
def test_what_cannot_be_meant_is_refused(coupa, report, how, message):
    with pytest.raises(PushError, match=message):
        report([rejected(1)], **how)
    assert coupa.seen()["requests"] == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2, is no outcome"),
        ('{"row": 2, "outcome": "lost"}', "line 2: 'lost' is none of created, "),
    ],
)
def test_a_file_of_something_else_is_refused(client, folder, line, message):
    folder.fs.pipe_file(folder.path_of("o.ndjson"), f"{json.dumps(outcome(1))}\n{line}\n".encode())
    with pytest.raises(PushError, match=message):
        report_outcomes(client, folder, "o.ndjson", Reporting("suppliers", "ERP_SUPPLIER", RUN))
    with pytest.raises(PushError, match=r"There is no outcome file file://.*nowhere\.ndjson"):
        report_outcomes(client, folder, "nowhere.ndjson", Reporting("suppliers", "ERP_SUPPLIER", RUN))


# ----------------------------------------------------------------------------------------------- once


def test_a_second_try_sends_nothing(coupa, report):
    outcomes = [outcome(1, id=11), rejected(2), outcome(3, id=12)]
    coupa.load({"integration_errors": [open_report(9)]})
    first = report(outcomes, history=True)
    coupa.reset_seen()
    second = report(outcomes, history=True)
    assert (
        (second.alerts, second.recorded, second.resolved)
        == (first.alerts, first.recorded, first.resolved)
        == (1, 2, 1)
    )
    assert coupa.seen()["requests"] == 0


def test_another_run_tells_again(coupa, report):
    coupa.load({"integration_runs": [{"id": 71, "status": "started", "integration": ERP}]})
    outcomes = [rejected(2)]
    report(outcomes)
    report(outcomes, run_id=71)
    assert alerted(coupa) == {"S-2": 2}


@pytest.mark.parametrize("kind", ["lost_write", "drop_middle", "truncated", "drop_before", "500", "503"])
def test_a_lost_answer_never_mails_twice(coupa, report, kind):
    outcomes = [rejected(row) if row % 3 else outcome(row, id=row) for row in range(1, 301)]
    coupa.configure(faults={"rate": 0.2, "kinds": [kind], "methods": ["POST"], "seed": 3})
    done = report(outcomes, history=True)
    assert coupa.seen()["faults_served"][kind] > 30
    assert (done.alerts, done.recorded) == (200, 100)
    assert alerted(coupa) == {f"S-{row}": 1 for row in range(1, 301) if row % 3}
    assert len(coupa.ids("integration_history_records")) == 100


def test_records_of_one_key_are_told_apart_by_their_rows(coupa, report):
    outcomes = [rejected(row, key={"name": "Müller, Söhne & Co"}) for row in range(1, 41)] + [
        rejected(41, key={})
    ]
    coupa.configure(faults={"rate": 0.3, "kinds": ["lost_write"], "methods": ["POST"], "seed": 5})
    assert report(outcomes).alerts == 41
    assert alerted(coupa) == {"Müller, Söhne & Co": 40, "row 41": 1}


def test_alerts_that_never_come_through_fail_the_try_and_the_next_goes_on(coupa, report):
    outcomes = [rejected(row) for row in range(1, 101)]
    coupa.configure(faults={"always": True, "kinds": ["500"], "methods": ["POST"], "after": 30})
    with pytest.raises(CoupaUnavailableError):
        report(outcomes)
    coupa.configure(faults=None)
    assert report(outcomes).alerts == 100
    assert alerted(coupa) == {f"S-{row}": 1 for row in range(1, 101)}


def test_what_coupa_refuses_is_named_after_the_others_are_told(coupa, report):
    outcomes = [rejected(1), outcome(2, id=None), outcome(3, id=13)]
    with pytest.raises(
        PushError, match=r"reports of 1 of 3 suppliers: .*Document ID can't be blank.* Rows 2;"
    ):
        report(outcomes, history=True)
    assert alerted(coupa) == {"S-1": 1}
    assert len(coupa.ids("integration_history_records")) == 1


def test_when_all_are_refused_it_stops_early(coupa, report):
    with pytest.raises(
        PushError, match=r"so it is not about single ones: .*Unable to find valid IntegrationRun"
    ):
        report([rejected(row) for row in range(1, 1001)], run_id=999)
    assert coupa.seen()["requests"] < 100


TRY = """
import sys
from fsspec.implementations.local import LocalFileSystem
from coupa_provider.client.blocking import BlockingClient
from coupa_provider.client.config import CoupaConfig
from coupa_provider.client.retry import RetryPolicy
from coupa_provider.extract.destination import Destination
from coupa_provider.push.integration_report import report_outcomes
from coupa_provider.push.integration_reporting import Reporting

url, folder = sys.argv[1:]
config = CoupaConfig.from_fields(
    "coupa_test", host=url, login="emulator", password="emulator-secret", extra={"requests_per_second": 400}
)
with BlockingClient(config, retry=RetryPolicy(first_delay=0.02, longest_delay=0.1)) as client:
    client.token()
    print("begins", flush=True)
    place = Destination(LocalFileSystem(), folder, f"file://{folder}")
    done = report_outcomes(client, place, "outcomes.ndjson", Reporting("suppliers", "ERP_SUPPLIER", 70, history=True))
print(done.alerts, done.recorded)
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_killed_task_mails_once(coupa, folder):
    """25 tries are killed within their first moments while one answer in ten is lost; the last one may end."""
    outcomes = [rejected(row) if row % 2 else outcome(row, id=row) for row in range(1, 1201)]
    text = "".join(json.dumps(line) + "\n" for line in outcomes)
    folder.fs.pipe_file(folder.path_of("outcomes.ndjson"), text.encode())
    coupa.configure(
        faults={
            "rate": 0.1,
            "kinds": ["lost_write"],
            "methods": ["POST"],
            "paths": ["integration_"],
            "seed": 11,
        }
    )
    moments = random.Random(4)
    sent = []
    for _ in range(25):
        ForkedTry(TRY, coupa.url, folder.root).kill(after=moments.uniform(0, 0.6))
        sent.append(len(coupa.seen()["alerts"]))
    assert len({count for count in sent if 0 < count < 600}) >= 8
    assert ForkedTry(TRY, coupa.url, folder.root).end() == ["600 600"]
    assert alerted(coupa) == {f"S-{row}": 1 for row in range(1, 1201) if row % 2}
    assert len(coupa.ids("integration_history_records")) == 600
    assert coupa.seen()["faults_served"]["lost_write"] > 50
    print(f"25 kills, alerts at each: {sent}")


# ------------------------------------------------------------------------------------ about a run itself


def test_an_alert_about_a_run_is_sent_once(coupa, client):
    def send(message="Task push failed", about="dag.push"):
        return send_alert(client, "ERP_SUPPLIER", RUN, message, about=about, contact_alert_type="Technical")

    assert send() is True
    assert send() is False
    assert send(about="dag.other") is True
    assert alerted(coupa) == {"dag.push": 1, "dag.other": 1}
    (first, _) = (coupa.record("integration_errors", number) for number in coupa.ids("integration_errors"))
    assert (first["contact-alert-type"], first["responses"][0]["response-message"]) == (
        "Technical",
        "Task push failed",
    )


def test_an_alert_whose_answer_is_lost_is_looked_for(coupa, client):
    coupa.configure(faults={"always": True, "kinds": ["lost_write"], "methods": ["POST"], "times": 1})
    assert send_alert(client, "ERP_SUPPLIER", RUN, "x", about="y" * 300, contact_alert_type="Both") is True
    assert alerted(coupa) == {"y" * 255: 1}
