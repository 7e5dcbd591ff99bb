"""The clock that a test can set: what is stamped with it, and how drift goes by it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from coupa_provider.emulator.settings import SettingError
from coupa_provider.emulator.stamps import parse_instant

NIGHT = datetime(2025, 3, 30, 2, 0, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def invoices(coupa):
    old = "2024-01-01T00:00:00Z"
    coupa.emulator.load({"invoices": [{"id": n, "exported": False, "updated-at": old} for n in range(1, 41)]})


def updated(coupa, path: str, number: int) -> datetime:
    return parse_instant(coupa.emulator.record(path, number)["updated-at"])


def test_every_write_is_stamped_with_it(coupa):
    coupa.emulator.set_clock(NIGHT)
    assert coupa.emulator.now() == NIGHT
    made = coupa.send("POST", "departments", {"name": "Night shift"}).json()
    assert parse_instant(made["created-at"]) == parse_instant(made["updated-at"]) == NIGHT
    coupa.emulator.advance(61.5)
    assert coupa.send("PUT", f"departments/{made['id']}", {"name": "Day shift"}).status_code == 200
    assert updated(coupa, "departments", made["id"]) == NIGHT + timedelta(seconds=61)
    assert coupa.send("PUT", "invoices/7", exported="true").status_code == 200
    assert updated(coupa, "invoices", 7) == NIGHT + timedelta(seconds=61)
    coupa.emulator.load({"invoices": [{"id": 99}]})
    assert updated(coupa, "invoices", 99) == NIGHT + timedelta(seconds=61)
    coupa.emulator.load({"integration_runs": [{"id": 5, "status": "pending", "updated-at": None}]})
    assert coupa.send("PUT", "integration_runs/5/run").status_code == 200
    assert updated(coupa, "integration_runs", 5) == NIGHT + timedelta(seconds=61)


def test_drift_goes_by_it_each_change_at_its_time(coupa):
    coupa.emulator.configure(
        drift={
            "resource": "invoices",
            "updates_per_s": 24 / 86400,
            "inserts_per_s": 2 / 86400,
            "deletes_per_s": 1 / 86400,
        }
    )
    coupa.emulator.set_clock(NIGHT)
    coupa.emulator.advance(10 * 86400)
    log = coupa.emulator.drift_log()
    # The last one of each kind may be due by a hair after the end.
    assert 239 <= len(log["updated"]) <= 240
    assert 19 <= len(log["inserted"]) <= 20
    assert 9 <= len(log["deleted"]) <= 10
    seconds = [event["at"] - NIGHT.timestamp() for event in log["updated"]]
    assert seconds == pytest.approx([3600 * n for n in range(1, len(seconds) + 1)], abs=1.1)
    last = {event["id"]: event["at"] for event in log["updated"]}
    gone = {event["id"] for event in log["deleted"]}
    assert last.keys() - gone
    for number in last.keys() - gone:
        assert updated(coupa, "invoices", number).timestamp() == int(last[number])


def test_while_it_stands_still_nothing_drifts(coupa):
    coupa.emulator.set_clock(NIGHT)
    coupa.emulator.configure(drift={"resource": "invoices", "updates_per_s": 500})
    time.sleep(0.3)
    assert coupa.emulator.drift_log()["updated"] == []
    coupa.emulator.set_clock(None)
    time.sleep(0.3)
    assert coupa.emulator.drift_log()["updated"]


def test_tokens_and_limits_do_not_go_by_it(coupa):
    coupa.emulator.configure(token_ttl_s=3600)
    coupa.authorize()
    coupa.emulator.set_clock(NIGHT)
    coupa.emulator.advance(10 * 86400)
    assert coupa.get("invoices").status_code == 200


def test_the_real_time_comes_back(coupa):
    coupa.emulator.set_clock(NIGHT)
    coupa.emulator.reset()
    assert abs(coupa.emulator.now().timestamp() - time.time()) < 5


def test_it_is_set_over_http_as_well(coupa):
    def clock(**body):
        return coupa.http.post("/_emulator/clock", json=body)

    assert coupa.http.get("/_emulator/clock").json()["is_set"] is False
    assert clock(now="2025-03-30T02:00:00Z").json() == {"now": "2025-03-30T02:00:00+00:00", "is_set": True}
    assert clock(advance=90).json()["now"] == "2025-03-30T02:01:30+00:00"
    assert coupa.emulator.now() == NIGHT + timedelta(seconds=90)
    for body in ({"now": "noon"}, {"now": "2025-03-30T02:00:00"}, {"advance": "1"}, {"advance": -1}):
        answer = clock(**body)
        assert (answer.status_code, "error" in answer.json()) == (400, True)
    assert clock(now=None).json()["is_set"] is False
    assert clock(advance=1).status_code == 400


def test_it_does_not_go_back_by_itself(coupa):
    with pytest.raises(SettingError, match="set it before it is moved"):
        coupa.emulator.advance(1)
    coupa.emulator.set_clock(NIGHT)
    with pytest.raises(SettingError, match="forward only"):
        coupa.emulator.advance(-1)
    with pytest.raises(SettingError, match="with a zone"):
        coupa.emulator.set_clock(datetime(2025, 3, 30))
    assert coupa.emulator.now() == NIGHT
