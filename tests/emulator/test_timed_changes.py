"""Records that change at a set time, or after they were read a set number of times."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from coupa_provider.emulator import Emulator
from coupa_provider.emulator.instance import Instance
from coupa_provider.emulator.settings import SettingError
from coupa_provider.emulator.stamps import parse_instant
from coupa_provider.emulator.timed_changes import Change

if TYPE_CHECKING:
    from tests.emulator.conftest import Caller

OLD = "2026-03-01T08:00:00Z"
APPROVED = {"status": "approved"}


@pytest.fixture
def invoices(coupa: Caller) -> Caller:
    """Five invoices that wait for approval."""
    waiting = [{"id": n, "status": "pending_approval", "updated-at": OLD} for n in range(1, 6)]
    coupa.emulator.load({"invoices": waiting})
    return coupa


def status(coupa: Caller, number: int = 1) -> Any:
    return coupa.get(f"invoices/{number}").json()["status"]


def until(happened: Callable[[], Any], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


class TestAtOnce:
    def test_the_record_and_its_time(self, invoices: Caller) -> None:
        invoices.emulator.change(
            "invoices", 1, {"status": "approved", "supplier": {"id": 9, "name": "Fishy"}}
        )
        shown = invoices.get("invoices/1").json()
        assert (shown["status"], shown["supplier"]) == ("approved", {"id": 9, "name": "Fishy"})
        assert abs(parse_instant(shown["updated-at"]).timestamp() - time.time()) < 5
        assert invoices.ids("invoices", {"status": "approved"}) == [1]
        assert invoices.ids("invoices", {"updated-at[gt]": OLD}) == [1]

    def test_nothing_is_validated(self, invoices: Caller) -> None:
        invoices.emulator.change("invoices", 2, {"status": "no such status", "own-field": "x"})
        assert status(invoices, 2) == "no such status"
        assert invoices.ids("invoices", {"own-field": "x"}) == [2]

    def test_the_time_can_be_given(self, invoices: Caller) -> None:
        invoices.emulator.change("invoices", 1, {**APPROVED, "updated-at": OLD})
        assert invoices.get("invoices/1").json()["updated-at"] == OLD

    def test_the_object_may_be_used_again(self, invoices: Caller) -> None:
        attributes = {"status": "approved"}
        invoices.emulator.change("invoices", 1, attributes, after_reads=1)
        attributes["status"] = "voided"
        status(invoices)
        assert status(invoices) == "approved"

    def test_a_set_clock_stamps_it(self, invoices: Caller) -> None:
        invoices.emulator.set_clock(parse_instant("2026-03-30T02:00:00Z"))
        invoices.emulator.change("invoices", 1, APPROVED)
        record = invoices.emulator.record("invoices", 1) or {}
        assert parse_instant(record["updated-at"]) == parse_instant("2026-03-30T02:00:00Z")


class TestByTime:
    def test_at_its_time(self, invoices: Caller) -> None:
        begin = time.time()
        invoices.emulator.change("invoices", 1, APPROVED, after_seconds=0.3)
        [pending] = invoices.emulator.changes()["pending"]
        assert (pending["resource"], pending["id"], pending["attributes"]) == ("invoices", 1, APPROVED)
        assert abs(pending["due"] - begin - 0.3) < 0.05
        assert status(invoices) == "pending_approval"
        until(lambda: invoices.emulator.changes()["done"])
        [done] = invoices.emulator.changes()["done"]
        # Within 50 ms on a quiet machine; the rest is for one that is busy with other tests.
        assert -0.01 < done["at"] - pending["due"] < 0.25
        assert invoices.emulator.changes()["pending"] == []
        assert status(invoices) == "approved"

    def test_several_happen_in_the_order_of_their_times(self, invoices: Caller) -> None:
        for text, seconds in (("paid", 0.15), ("approved", 0.1), ("draft", 0.05)):
            invoices.emulator.change("invoices", 1, {"status": text}, after_seconds=seconds)
        until(lambda: len(invoices.emulator.changes()["done"]) == 3)
        done = invoices.emulator.changes()["done"]
        assert [one["attributes"]["status"] for one in done] == ["draft", "approved", "paid"]
        assert status(invoices) == "paid"

    def test_a_clock_that_stands_still_does_not_hold_it(self, invoices: Caller) -> None:
        invoices.emulator.set_clock(parse_instant("2026-03-30T02:00:00Z"))
        invoices.emulator.change("invoices", 1, APPROVED, after_seconds=0.05)
        until(lambda: invoices.emulator.changes()["done"])

    def test_a_record_that_is_gone_by_then(self, invoices: Caller) -> None:
        invoices.emulator.load({"departments": [{"id": 7, "name": "A"}]})
        invoices.emulator.change("departments", 7, {"name": "B"}, after_seconds=0.05)
        invoices.emulator._instance.store.delete("departments", 7)
        until(lambda: invoices.emulator.changes()["missed"])
        assert invoices.emulator.changes()["done"] == []
        assert invoices.emulator.record("departments", 7) is None

    def test_reset_drops_what_is_to_come(self, invoices: Caller) -> None:
        invoices.emulator.change("invoices", 1, APPROVED, after_seconds=0.1)
        invoices.emulator.change("invoices", 1, APPROVED, after_reads=1)
        invoices.emulator.reset()
        assert invoices.emulator.changes() == {"pending": [], "done": [], "missed": []}
        invoices.emulator.load({"invoices": [{"id": 1, "status": "draft"}]})
        time.sleep(0.2)
        assert [status(invoices), status(invoices)] == ["draft", "draft"]

    def test_a_thousand_to_come_cost_little(self) -> None:
        instance = Instance(empty=True, data={"invoices": [{"id": n} for n in range(1000)]})
        for number in range(1000):
            instance.plan(Change("invoices", number, APPROVED, after_seconds=3600))
            instance.plan(Change("invoices", number, APPROVED, after_reads=2))
        begin = time.perf_counter()
        for _ in range(1000):
            instance.tick(0.05)
        assert time.perf_counter() - begin < 0.25  # measured: 0.001 s
        bodies = [body for n in range(50) if (body := instance.store.body("invoices", n))]
        begin = time.perf_counter()
        instance.timed_changes.count_read("invoices", bodies)
        assert time.perf_counter() - begin < 0.05  # measured: 0.0003 s
        assert len(instance.timed_changes.report()["pending"]) == 2000
        instance.store.close()


class TestByReads:
    @pytest.mark.parametrize(
        ("path", "query"),
        [
            ("invoices/1", {}),
            ("invoices/1", {"fields": '["status"]'}),
            ("invoices", {}),
            ("invoices", {"id[in]": "1,4"}),
            ("invoices", {"fields": '["status"]', "order_by": "id"}),
            ("invoices", {"return_object": "limited"}),
        ],
    )
    @pytest.mark.parametrize("reads", [1, 3])
    def test_after_so_many(self, invoices: Caller, path: str, query: dict[str, str], reads: int) -> None:
        invoices.emulator.change("invoices", 1, APPROVED, after_reads=reads)
        for left in range(reads, 0, -1):
            [pending] = invoices.emulator.changes()["pending"]
            assert pending["reads_left"] == left
            assert "approved" not in invoices.get(path, query).text
        [done] = invoices.emulator.changes()["done"]
        assert (done["id"], done["attributes"]) == (1, APPROVED)
        assert abs(done["at"] - time.time()) < 5
        assert (invoices.emulator.record("invoices", 1) or {})["status"] == "approved"

    def test_xml_counts_and_each_client(self, invoices: Caller, caller: type[Caller]) -> None:
        invoices.emulator.change("invoices", 1, APPROVED, after_reads=2)
        other = caller(invoices.emulator, accept="application/xml")
        assert ">pending_approval<" in other.get("invoices", {"id": "1"}).text
        assert status(invoices) == "pending_approval"
        assert ">approved<" in other.get("invoices/1").text

    def test_what_does_not_show_the_record_does_not_count(self, invoices: Caller) -> None:
        invoices.emulator.change("invoices", 1, APPROVED, after_reads=1)
        invoices.get("invoices/2")
        invoices.get("invoices", {"id[in]": "2,3"})
        invoices.get("invoices", {"status": "voided"})
        invoices.get("invoices", {"offset": "1", "order_by": "id"})
        invoices.get("invoices/1", {"fields": "no list"})
        invoices.send("PUT", "invoices/1", {"internal-note": "x"})
        invoices.emulator.record("invoices", 1)
        assert status(invoices) == "pending_approval"
        assert status(invoices) == "approved"

    @pytest.mark.parametrize("kind", ["503", "drop_before", "drop_middle", "truncated"])
    def test_an_answer_that_never_came_does_not_count(self, invoices: Caller, kind: str) -> None:
        invoices.emulator.change("invoices", 1, APPROVED, after_reads=1)
        invoices.emulator.configure(faults={"always": True, "kinds": [kind]})
        with contextlib.suppress(httpx.TransportError):
            invoices.get("invoices/1")
        invoices.emulator.configure(faults=None)
        assert status(invoices) == "pending_approval"
        assert status(invoices) == "approved"

    def test_several_of_one_record(self, invoices: Caller) -> None:
        for text, reads in (("paid", 4), ("approved", 2), ("voided", 4)):
            invoices.emulator.change("invoices", 1, {"status": text}, after_reads=reads)
        seen = [status(invoices) for _ in range(5)]
        assert seen == ["pending_approval", "pending_approval", "approved", "approved", "voided"]

    def test_each_record_has_its_own_count(self, invoices: Caller) -> None:
        for number in (1, 2, 3):
            invoices.emulator.change("invoices", number, APPROVED, after_reads=number)
        for approved in ([], [1], [1, 2], [1, 2, 3]):
            shown = invoices.get("invoices", {"id[in]": "1,2,3,4"}).json()
            assert sorted(one["id"] for one in shown if one["status"] == "approved") == approved

    def test_many_at_once_see_as_many_old_ones(self, invoices: Caller) -> None:
        from concurrent.futures import ThreadPoolExecutor

        invoices.emulator.change("invoices", 1, APPROVED, after_reads=20)
        with ThreadPoolExecutor(8) as pool:
            seen = list(pool.map(lambda _: status(invoices), range(40)))
        assert (seen.count("pending_approval"), seen.count("approved")) == (20, 20)


class TestAdding:
    def test_it_appears_with_the_id_that_was_told(self, invoices: Caller) -> None:
        number = invoices.emulator.add("invoices", APPROVED, after_seconds=0.15)
        assert number not in invoices.emulator.ids("invoices")
        assert invoices.send("POST", "departments", {"name": "A"}).json()["id"]
        before = time.time()
        until(lambda: number in invoices.emulator.ids("invoices"))
        shown = invoices.get(f"invoices/{number}").json()
        assert shown["status"] == "approved"
        assert parse_instant(shown["created-at"]).timestamp() >= int(before)
        [done] = invoices.emulator.changes()["done"]
        assert (done["resource"], done["id"], done["record"]) == ("invoices", number, APPROVED)

    def test_no_other_record_gets_its_id(self, invoices: Caller) -> None:
        assert invoices.emulator.add("departments", {"id": 5, "name": "E"}, after_seconds=60) == 5
        assert invoices.emulator.add("departments", {"name": "F"}, after_seconds=60) == 6
        assert invoices.send("POST", "departments", {"name": "A"}).json()["id"] == 7

    def test_at_once_and_below_another_record(self, invoices: Caller) -> None:
        number = invoices.emulator.add("suppliers/7/addresses", {"city": "Hull"})
        record = invoices.emulator.record("suppliers/:supplier_id/addresses", number) or {}
        assert record["city"] == "Hull"

    def test_it_can_be_changed_before_it_is_there(self, invoices: Caller) -> None:
        number = invoices.emulator.add("invoices", {"status": "draft"}, after_seconds=0.05)
        invoices.emulator.change("invoices", number, APPROVED, after_reads=1)
        until(lambda: number in invoices.emulator.ids("invoices"))
        assert [status(invoices, number), status(invoices, number)] == ["draft", "approved"]


class TestRefused:
    @pytest.mark.parametrize(
        ("arguments", "when", "message"),
        [
            (("invoice", 1, {}), {}, "no resource 'invoice'"),
            (("invoices", 99, {}), {}, "there is no record 99 of invoices"),
            (("invoices", "1", {}), {}, "the id of a record is a whole number, not '1'"),
            (("invoices", 1, ["status"]), {}, "attributes is an object"),
            (("invoices", 1, {"id": 2}), {}, "cannot change"),
            (("invoices", 1, {"updated-at": "soon"}), {}, "'soon' is not a time"),
            (("invoices", 1, {"status": object()}), {}, "object"),
            (("invoices", 1, {}), {"after_seconds": -1}, "after_seconds is a number of seconds"),
            (("invoices", 1, {}), {"after_seconds": "3"}, "after_seconds is a number of seconds"),
            (("invoices", 1, {}), {"after_reads": 0}, "after_reads is a whole number from 1 on"),
            (("invoices", 1, {}), {"after_seconds": 1, "after_reads": 1}, "not both"),
        ],
    )
    def test_what_cannot_be(
        self, invoices: Caller, arguments: tuple[Any, ...], when: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(SettingError, match=message):
            invoices.emulator.change(*arguments, **when)
        assert invoices.emulator.changes() == {"pending": [], "done": [], "missed": []}

    def test_what_cannot_be_added(self, invoices: Caller) -> None:
        with pytest.raises(SettingError, match="name the parent"):
            invoices.emulator.add("suppliers/:supplier_id/addresses", {})
        with pytest.raises(SettingError, match="record is an object"):
            invoices.emulator.add("invoices", [])


class TestOverHttp:
    def post(self, coupa: Caller, body: Any) -> httpx.Response:
        return coupa.http.post("/_emulator/changes", json=body)

    def test_one_and_several(self, invoices: Caller) -> None:
        answer = self.post(invoices, {"resource": "invoices", "id": 1, "attributes": APPROVED})
        assert (answer.status_code, answer.json()) == (201, {"ids": [1]})
        assert status(invoices) == "approved"
        several = [
            {"resource": "invoices", "id": 2, "attributes": APPROVED, "after_reads": 1},
            {"resource": "invoices", "id": 3, "attributes": APPROVED, "after_seconds": 60},
            {"resource": "invoices", "record": {"status": "new"}, "after_seconds": 60},
        ]
        assert self.post(invoices, several).json() == {"ids": [2, 3, 6]}
        told = invoices.http.get("/_emulator/changes").json()
        assert [(one["id"], "due" in one, one.get("reads_left")) for one in told["pending"]] == [
            (3, True, None),
            (6, True, None),
            (2, False, 1),
        ]
        assert [one["id"] for one in told["done"]] == [1]

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ({"resource": "invoices", "id": 1}, "attributes is missing"),
            ({"resource": "invoices", "id": 1, "attributes": {}, "after": 1}, "a change has no after"),
            ({"resource": "invoices", "record": {}, "after_reads": 1}, "a change has no after_reads"),
            ({"resource": 7, "id": 1, "attributes": {}}, "resource is a catalog path"),
            ([7], "a JSON object or a list of them"),
        ],
    )
    def test_what_cannot_be_is_refused_whole(self, invoices: Caller, body: Any, message: str) -> None:
        good = {"resource": "invoices", "id": 1, "attributes": APPROVED}
        answer = self.post(invoices, [good, body] if isinstance(body, dict) else body)
        assert answer.status_code == 400
        assert message in answer.json()["error"]
        assert status(invoices) == "pending_approval"


def test_what_is_planned_before_the_start() -> None:
    emulator = Emulator(empty=True, data={"invoices": [{"id": 1, "status": "draft"}]})
    emulator.change("invoices", 1, APPROVED, after_seconds=0.01)
    with emulator:
        until(lambda: emulator.changes()["done"])
        assert (emulator.record("invoices", 1) or {})["status"] == "approved"
