"""A run is created once, goes its way in order and ends once, whatever answers are lost and however often it is tried."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from coupa_provider.client.errors import CoupaOutcomeUnknownError, CoupaUnavailableError, CoupaValidationError
from coupa_provider.push.errors import PushError
from coupa_provider.push.integration_run import IntegrationRun, begin_run, end_run, start_run

LOST = {"kinds": ["lost_write"], "always": True, "times": 1}


@pytest.fixture(params=["lenient", "strict"])
def coupa(coupa, request):
    coupa.load({"integrations": [{"id": 1, "code": "ERP_PO"}, {"id": 2, "code": "ERP_FX"}]})
    coupa.configure(switches={"U21": request.param})
    coupa.reset_seen()
    return coupa


def run_of(coupa, run_id):
    record = coupa.record("integration_runs", run_id)
    return record["status"], record["total-records"], record["records-processed"]


@pytest.mark.parametrize(("succeeded", "status"), [(True, "successful"), (False, "failed")])
def test_a_run_with_a_known_total(coupa, client, succeeded, status):
    run = start_run(client, "ERP_PO", 40)
    assert run == IntegrationRun(run.id, "ERP_PO", "started")
    assert run_of(coupa, run.id) == ("started", 40, None)
    assert end_run(client, run.id, succeeded, 38) == IntegrationRun(run.id, "ERP_PO", status)
    assert run_of(coupa, run.id) == (status, 40, 38)
    assert coupa.ids("integration_runs") == [run.id]


def test_the_total_may_be_told_later(coupa, client):
    run = start_run(client, "ERP_PO")
    assert (run.status, run_of(coupa, run.id)) == ("pending", ("pending", None, None))
    assert begin_run(client, run.id, 12).status == "started"
    assert run_of(coupa, run.id) == ("started", 12, None)


@pytest.mark.parametrize(("succeeded", "status"), [(True, "successful"), (False, "failed")])
def test_a_run_that_was_never_begun_can_be_ended(coupa, client, succeeded, status):
    run = start_run(client, "ERP_PO")
    end_run(client, run.id, succeeded, 3, 4)
    assert run_of(coupa, run.id) == (status, 4, 3)


def test_a_paused_run_can_be_ended(coupa, client):
    run = start_run(client, "ERP_PO", 2)
    client.call("PUT", f"integration_runs/{run.id}/pause")
    assert end_run(client, run.id, True).status == "successful"


def test_an_unknown_integration_is_coupas_own_complaint(coupa, client):
    with pytest.raises(CoupaValidationError, match="Unable to find valid Integration record"):
        start_run(client, "NOPE")
    assert coupa.ids("integration_runs") == []


# ------------------------------------------------------------------------------------ repeated and lost


def test_a_step_that_was_made_is_not_made_again(coupa, client):
    run = start_run(client, "ERP_PO", 2)
    assert begin_run(client, run.id, 3).found
    assert run_of(coupa, run.id)[1] == 3
    end_run(client, run.id, True, 3)
    coupa.reset_seen()
    assert end_run(client, run.id, True, 3) == IntegrationRun(run.id, "ERP_PO", "successful", found=True)
    assert coupa.writes() == {}


@pytest.mark.parametrize("succeeded", [True, False])
def test_an_ended_run_is_not_ended_the_other_way(coupa, client, succeeded):
    run = start_run(client, "ERP_PO", 2)
    end_run(client, run.id, succeeded)
    coupa.reset_seen()
    with pytest.raises(PushError, match=f"run {run.id} of 'ERP_PO' has ended as .* opens no run again"):
        end_run(client, run.id, not succeeded)
    with pytest.raises(PushError, match="has ended as"):
        begin_run(client, run.id, 2)
    assert coupa.writes() == {}


def test_one_that_ended_with_errors_has_failed(coupa, client):
    run = start_run(client, "ERP_PO", 2)
    error = {"contact-alert-type": "Both", "integration-run": {"id": run.id}}
    client.create("integration_errors", error)
    client.call("PUT", f"integration_runs/{run.id}/finish")
    assert end_run(client, run.id, False).status == "errored"


@pytest.mark.parametrize("kind", ["lost_write", "drop_before", "truncated", "500"])
def test_lost_answers_make_no_second_run_and_no_second_step(coupa, client, kind):
    coupa.configure(faults={"rate": 0.4, "kinds": [kind], "methods": ["POST", "PUT"], "seed": 2})
    runs = [start_run(client, "ERP_PO", number) for number in range(20)]
    for run in runs:
        end_run(client, run.id, run.id % 2 == 0, 1)
    coupa.configure(faults=None)
    assert coupa.seen()["faults_served"][kind] > 10
    assert coupa.ids("integration_runs") == sorted(run.id for run in runs)
    for number, run in enumerate(runs):
        assert run_of(coupa, run.id) == ("successful" if run.id % 2 == 0 else "failed", number, 1)
    steps = {path: times for path, times in coupa.writes().items() if not path.rpartition("/")[2].isdecimal()}
    assert steps.pop("POST /api/integration_runs") == 20
    assert set(steps.values()) == {1}


def test_a_run_of_another_integration_is_not_taken_for_the_lost_one(coupa, client):
    other = start_run(client, "ERP_FX")
    earlier = start_run(client, "ERP_PO")
    coupa.configure(faults=LOST)
    run = start_run(client, "ERP_PO")
    assert run.found
    assert run.id not in (other.id, earlier.id)


def test_two_that_were_born_meanwhile_cannot_be_told_apart(coupa, client, monkeypatch):
    from coupa_provider.push import integration_run

    async def pause(*arguments) -> None:
        """Another run of the DAG comes in between."""
        rival = {"id": 900, "status": "pending", "integration": {"id": 1, "code": "ERP_PO"}}
        coupa.load({"integration_runs": [rival]})

    monkeypatch.setattr(integration_run, "pause_in_doubt", pause)
    coupa.configure(faults=LOST)
    with pytest.raises(
        CoupaOutcomeUnknownError, match=r"more than one was born meanwhile: \d+, 900\. Let only"
    ):
        start_run(client, "ERP_PO")
    assert len(coupa.ids("integration_runs")) == 2


def test_a_second_try_takes_over_the_run_of_the_first(coupa, client):
    began = datetime.now(UTC).replace(microsecond=0)
    old = {"status": "pending", "created-at": (began - timedelta(hours=1)).isoformat()}
    coupa.load({"integration_runs": [{"id": 5, **old, "integration": {"id": 1, "code": "ERP_PO"}}]})
    first = start_run(client, "ERP_PO", since=began)
    assert (first.id, first.found) != (5, True)
    assert start_run(client, "ERP_PO", since=began) == IntegrationRun(
        first.id, "ERP_PO", "pending", found=True
    )
    assert start_run(client, "ERP_FX", since=began).id != first.id


def test_a_second_try_takes_over_a_run_that_the_first_has_begun(coupa, client):
    began = datetime.now(UTC).replace(microsecond=0)
    first = start_run(client, "ERP_PO", 7, since=began)
    assert start_run(client, "ERP_PO", since=began).id != first.id  # that is another one's, at work
    assert start_run(client, "ERP_PO", 8, since=began).id != first.id
    other = start_run(client, "ERP_FX", 7, since=began)
    again = start_run(client, "ERP_FX", 7, since=began)
    assert (again.id, again.status, again.found) == (other.id, "started", True)
    assert run_of(coupa, again.id) == ("started", 7, None)


def test_a_run_that_does_not_move_is_given_up(coupa, client):
    run = start_run(client, "ERP_PO")
    coupa.configure(faults={"kinds": ["500"], "always": True, "methods": ["PUT"]})
    with pytest.raises(
        CoupaUnavailableError, match="Given up after 8 tries: The answer to this write was lost"
    ):
        begin_run(client, run.id, 1)
    assert run_of(coupa, run.id)[0] == "pending"


def test_an_answer_that_changes_nothing_is_not_believed(coupa, client, monkeypatch):
    from coupa_provider.emulator.actions import integration

    run = start_run(client, "ERP_PO")
    monkeypatch.setattr(integration, "_move_run", lambda call: call.record())
    with pytest.raises(CoupaUnavailableError, match="does not become started, it is pending"):
        begin_run(client, run.id, 1)
