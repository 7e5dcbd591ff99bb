"""A push gives every row one outcome, does each write once, and costs few requests."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from fsspec.implementations.local import LocalFileSystem

from coupa_provider.client.errors import CoupaCredentialsError, CoupaRetryableError
from coupa_provider.extract.destination import Destination
from coupa_provider.push.errors import PushError
from coupa_provider.push.run import Push, push_records
from coupa_provider.push.source import FileSource, RowsSource

STAMP = "2026-11-20T08:00:00-08:00"


def supplier(number: int, **attributes) -> dict:
    return {
        "name": f"Supplier {number}",
        "number": f"S-{number}",
        "account-number": f"A-{number}",
    } | attributes


def load_suppliers(emulator, numbers, **attributes) -> None:
    emulator.load(
        {
            "suppliers": [
                supplier(n, id=n, **{"updated-at": STAMP, "created-at": STAMP}, **attributes) for n in numbers
            ]
        }
    )
    emulator.reset_seen()


@pytest.fixture
def coupa(coupa):
    """The module's emulator, with payment terms and nothing else."""
    coupa.load({"payment_terms": [{"id": 1, "code": "Net 30"}]})
    coupa.configure(faults=None)
    return coupa


@pytest.fixture
def push(tmp_path, client):
    """Push rows, or lines of NDJSON: ``push(rows, "suppliers", "upsert")``."""

    def pushing(rows, resource="suppliers", operation="upsert", *, key=("number",), run="run", **options):
        folder = Destination(LocalFileSystem(), str(tmp_path / "outcomes"), f"file://{tmp_path}/outcomes")
        source = RowsSource(rows)
        if rows and isinstance(rows[0], str):
            path = tmp_path / "rows.ndjson"
            path.write_text("\n".join(rows) + "\n")
            source = FileSource(LocalFileSystem(), [str(path)], f"file://{path}")
        return push_records(client, source, Push(resource, operation, key, **options), folder, run=run)

    return pushing


def outcomes_of(account) -> list[dict]:
    with open(account.outcomes.removeprefix("file://"), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def executed(emulator) -> Counter:
    """Writes that were carried out, by verb."""
    counts: Counter = Counter()
    for write, times in emulator.writes().items():
        counts[write.split(" ")[0]] += times
    return counts


def test_rows_are_created_updated_or_left_alone(coupa, push):
    load_suppliers(coupa, range(1, 21))
    rows = [supplier(n) for n in range(1, 11)]
    rows += [supplier(n, **{"account-number": f"B-{n}"}) for n in range(11, 21)]
    rows += [supplier(n, **{"payment-term": {"code": "Net 30"}}) for n in range(21, 31)]
    account = push(rows)
    assert account.records == 30
    assert account.counts == {"created": 10, "updated": 10, "unchanged": 10, "rejected": 0, "unknown": 0}
    assert executed(coupa) == {"POST": 10, "PUT": 10}
    assert coupa.record("suppliers", 11)["account-number"] == "B-11"
    assert account.rejected_file is None
    lines = outcomes_of(account)
    assert [line["row"] for line in lines] == list(range(1, 31))
    assert lines[0] | {"at": None} == {
        "row": 1, "outcome": "unchanged", "id": 1, "key": {"number": "S-1"}, "errors": [], "not_taken": [], "at": None
    }  # fmt: skip
    created = coupa.record("suppliers", lines[29]["id"])
    assert (created["number"], created["payment-term"]["code"]) == ("S-30", "Net 30")


def test_only_what_differs_is_sent(coupa, push, monkeypatch):
    load_suppliers(coupa, [1])
    coupa.configure(switches={"U19": "clears"})
    push([supplier(1, **{"account-number": "new", "name": "Supplier 1"})])
    # Somebody else's change between look-up and update stays: the name was not sent.
    assert coupa.record("suppliers", 1)["account-number"] == "new"
    again = push([supplier(1, **{"account-number": "new"})], run="next")
    assert again.counts["unchanged"] == 1


def test_ten_thousand_unchanged_records_cost_a_fortieth_of_single_look_ups(coupa, push):
    load_suppliers(coupa, range(1, 10_001))
    account = push([json.dumps(supplier(n)) for n in range(1, 10_001)])
    assert account.counts["unchanged"] == 10_000
    assert executed(coupa) == {}
    assert account.requests <= 10_000 / 40
    print(f"10,000 unchanged rows: {account.requests} requests, {account.seconds} s")


def mixed_rows() -> tuple[list[str], dict[int, set[str]]]:
    """10,000 lines, and for each the outcomes it may have."""
    lines: list[str] = []
    expected: dict[int, set[str]] = {}

    def add(row: dict | str, *outcomes: str) -> None:
        lines.append(row if isinstance(row, str) else json.dumps(row))
        expected[len(lines)] = set(outcomes)

    for n in range(1, 10_001):
        kind = n % 20
        if kind < 7:
            add(supplier(n), "unchanged")
        elif kind < 11:
            add(supplier(n, **{"account-number": f"changed {n}"}), "updated")
        elif kind < 16:
            add(supplier(n, **{"payment-term": {"code": "Net 30"}}), "created")
        elif kind == 16:
            # Entries without an id would be added twice by a second update, so a lost one may stay unknown.
            add(supplier(n, diversities=[{"country": {"code": "US"}}]), "updated", "unknown")
        elif kind == 17:
            add(supplier(n, **{"payment-term": {"code": "no such term"}}), "rejected")
        elif kind == 18:
            wrong = [
                '{"number": "broken',
                json.dumps({"name": "without a key"}),
                json.dumps(supplier(n, nmae="misspelt")),
                json.dumps(supplier(n, **{"on-hold": "perhaps"})),
                json.dumps(supplier(n - 1)),  # the same key as the row before
            ]
            add(wrong[n // 20 % 5], "rejected")
        else:
            add(supplier(n, name=f"Supplier {n - 18}"), "rejected")  # its name has already been taken
    return lines, expected


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_outcome_in_one_file_and_the_sums_right(coupa, push):
    """10,000 rows while one write in ten is lost, before or after it was carried out."""
    lines, expected = mixed_rows()
    there = [n for n in range(1, 10_001) if n % 20 < 11 or n % 20 == 16]
    load_suppliers(coupa, there)
    coupa.configure(
        faults={"rate": 0.1, "kinds": ["lost_write", "drop_before"], "methods": ["POST", "PUT"], "seed": 5}
    )
    account = push(lines)
    coupa.configure(faults=None)
    assert account.records == 10_000 == sum(account.counts.values())
    found = {line["row"]: line for line in outcomes_of(account)}
    assert found.keys() == expected.keys()
    wrong = [found[row] for row, outcomes in expected.items() if found[row]["outcome"] not in outcomes]
    assert wrong == []
    assert Counter(line["outcome"] for line in found.values()) == account.counts
    assert all(account.counts[outcome] > 0 for outcome in account.counts)
    # Once: each key is there once, and as many creates were carried out as rows were created.
    numbers = Counter(coupa.record("suppliers", record_id)["number"] for record_id in coupa.ids("suppliers"))
    created = [line for line in found.values() if line["outcome"] == "created"]
    assert set(numbers.values()) == {1}
    assert len(numbers) == len(there) + len(created) == len(there) + executed(coupa)["POST"]
    for line in created:
        assert coupa.record("suppliers", line["id"])["number"] == line["key"]["number"]
    for line in (line for line in found.values() if line["outcome"] == "unknown"):
        assert len(coupa.record("suppliers", line["id"])["diversities"]) <= 1
    # Each rejected row says why, and stands in the file that can be mended.
    rejected = {row: line for row, line in found.items() if line["outcome"] == "rejected"}
    assert all(line["errors"] for line in rejected.values())
    with open(account.rejected_file.removeprefix("file://"), encoding="utf-8") as file:
        returned = [json.loads(line) for line in file]
    assert [row["_row"] for row in returned] == sorted(rejected)
    assert all(row["_errors"] == rejected[row["_row"]]["errors"] for row in returned)
    print(account.counts, f"{account.requests} requests, {account.seconds} s", coupa.seen()["faults_served"])


def test_mended_rows_are_pushed_from_the_rejected_file(coupa, push, tmp_path):
    bad = {**supplier(1), "payment-term": {"code": "nothing"}}
    account = push([json.dumps(bad), json.dumps(supplier(2)), '{"number": '])
    assert account.counts | {"unchanged": 0} == {
        "created": 1, "updated": 0, "unchanged": 0, "rejected": 2, "unknown": 0
    }  # fmt: skip
    with open(account.rejected_file.removeprefix("file://"), encoding="utf-8") as file:
        text = file.read()
    mended = text.replace("nothing", "Net 30").splitlines()
    again = push(mended, run="mended")
    assert again.counts["created"] == 1
    assert again.counts["rejected"] == 1
    assert "mend it" in again.samples[0]["errors"][0]


def test_a_task_cleared_after_its_end_tries_the_rejected_rows_again(coupa, push):
    rows = [{**supplier(1), "payment-term": {"code": "Net 60"}}, supplier(2)]
    assert push(rows).counts["rejected"] == 1
    coupa.load({"payment_terms": [{"id": 2, "code": "Net 60"}]})
    coupa.reset_seen()
    account = push(rows)
    assert account.counts == {"created": 2, "updated": 0, "unchanged": 0, "rejected": 0, "unknown": 0}
    assert executed(coupa) == {"POST": 1}
    assert account.rejected_file is None
    third = push(rows)
    assert third.requests == 0


def test_the_next_try_finds_the_account_however_the_arguments_are_written(coupa, push):
    first = push([supplier(1)], undocumented=["b", "a"], key=["number"])
    again = push([supplier(1)], "/suppliers", undocumented={"a", "b"}, key=("number",))
    assert (again.outcomes, again.requests) == (first.outcomes, 0)


def test_another_run_with_the_same_rows_looks_at_coupa_again(coupa, push):
    assert push([supplier(1)], run="monday").counts["created"] == 1
    coupa.configure()
    coupa.load({"suppliers": [supplier(1, id=coupa.ids("suppliers")[0], **{"account-number": "by hand"})]})
    assert push([supplier(1)], run="tuesday").counts["updated"] == 1


@pytest.mark.parametrize("kinds", [["lost_write"], ["drop_before"], ["502"], ["truncated"], ["stall"]])
def test_a_create_whose_answer_was_lost_is_looked_up(coupa, push, kinds):
    coupa.configure(
        faults={
            "rate": 0.3,
            "kinds": kinds,
            "methods": ["POST"],
            "paths": ["suppliers"],
            "seed": 2,
            "stall_s": 0.1,
        }
    )
    account = push([supplier(n) for n in range(1, 101)], operation="create")
    assert account.counts["created"] == 100
    assert executed(coupa) == {"POST": 100}
    assert coupa.seen()["faults_served"][kinds[0]] > 10


@pytest.mark.parametrize("kinds", [["lost_write"], ["drop_before"]])
def test_without_a_key_a_lost_create_is_unknown_and_never_repeated(coupa, push, kinds):
    coupa.configure(
        faults={"rate": 0.2, "kinds": kinds, "methods": ["POST"], "paths": ["suppliers"], "seed": 4}
    )
    rows = [{"name": f"Nameless {n}"} for n in range(100)]
    account = push(rows, operation="create", key=None)
    lost = coupa.seen()["faults_served"][kinds[0]]
    assert account.counts | {"unchanged": 0} == {
        "created": 100 - lost, "updated": 0, "unchanged": 0, "rejected": 0, "unknown": lost
    }  # fmt: skip
    assert executed(coupa)["POST"] == (100 if kinds == ["lost_write"] else 100 - lost)
    again = push(rows, operation="create", key=None)
    assert (again.requests, again.counts) == (0, account.counts)


def test_what_exists_is_not_created_again_and_what_does_not_is_not_updated(coupa, push):
    load_suppliers(coupa, [1])
    made = push([supplier(1), supplier(2)], operation="create")
    assert outcomes_of(made)[0]["errors"] == ["a record with this key exists: 1"]
    changed = push([supplier(2, name="New"), supplier(3)], operation="update", run="update")
    assert [line["outcome"] for line in outcomes_of(changed)] == ["updated", "rejected"]
    assert outcomes_of(changed)[1]["errors"] == ["there is no record with this key"]


def test_a_record_on_which_coupa_crashes_does_not_stop_the_others(coupa, push):
    coupa.configure(faults={"always": True, "kinds": ["500"], "methods": ["PUT"], "paths": ["suppliers/3"]})
    load_suppliers(coupa, range(1, 6))
    account = push([supplier(n, **{"account-number": "x"}) for n in range(1, 6)])
    assert (account.counts["updated"], account.counts["rejected"]) == (4, 1)
    assert "not available" in account.samples[0]["errors"][0]


def test_a_record_that_is_there_after_all_is_not_called_rejected(coupa, push, monkeypatch):
    """The last try is answered by an internal error though it was carried out: the look-up after it tells."""
    from coupa_provider.push import run as module

    look_up = module.look_up
    calls = []

    async def arrived_late(client, resource, wanted, fields):
        calls.append(len(wanted))
        if len(calls) == client.retry.attempts + 1:  # one look-up before the first try, and one after each
            load_suppliers(coupa, [1])
        return await look_up(client, resource, wanted, fields)

    monkeypatch.setattr(module, "look_up", arrived_late)
    coupa.configure(faults={"always": True, "kinds": ["500"], "methods": ["POST"], "paths": ["suppliers"]})
    account = push([supplier(1)], operation="create")
    assert account.counts["created"] == 1
    assert coupa.ids("suppliers") == [1]


def test_a_record_on_which_every_create_crashes_is_rejected_after_a_last_look(coupa, push):
    coupa.configure(faults={"always": True, "kinds": ["500"], "methods": ["POST"], "paths": ["suppliers"]})
    account = push([supplier(1)])
    assert account.counts["rejected"] == 1
    assert account.samples[0]["errors"][0].startswith(
        "Coupa failed on it each time, and it is not there as it was sent"
    )


def test_when_each_answer_is_lost_the_error_tells_how(coupa, push):
    coupa.configure(
        faults={"always": True, "kinds": ["drop_before"], "methods": ["POST"], "paths": ["suppliers"]}
    )
    with pytest.raises(CoupaRetryableError, match=r"Row 1 was sent 8 times .* The connection to .* broke"):
        push([supplier(1)])


def test_an_outage_fails_the_task_and_the_next_try_goes_on(coupa, push):
    rows = [supplier(n) for n in range(1, 201)]
    coupa.configure(faults={"always": True, "kinds": ["503"], "methods": ["POST"], "after": 60})
    with pytest.raises(CoupaRetryableError):
        push(rows)
    coupa.configure(faults=None)
    done = executed(coupa)["POST"]
    assert 40 <= done <= 60
    assert push(rows).counts["created"] == 200
    assert executed(coupa) == {"POST": 200}


def test_a_missing_permission_stops_the_push(coupa, push):
    coupa.add_client(coupa.client_id, coupa.client_secret, ["core.supplier.read"])
    with pytest.raises(CoupaCredentialsError, match=r"core\.supplier\.write"):
        push([supplier(1)])


def test_what_coupa_leaves_out_is_told(coupa, push):
    coupa.configure(switches={"U20": "ignored"})
    account = push([supplier(1, **{"payment-term": {"code": "missing"}}), supplier(2)])
    assert account.counts["created"] == 2
    assert account.not_taken == {"payment-term": 1}
    assert outcomes_of(account)[0]["not_taken"] == ["payment-term"]


def test_a_record_that_somebody_else_creates_meanwhile_is_updated(coupa, push, monkeypatch):
    """The look-up finds nothing, the create meets 'already been taken': look again, then update."""
    from coupa_provider.push import run as module

    look_up = module.look_up
    calls = []

    async def late(client, resource, wanted, fields):
        found = await look_up(client, resource, wanted, fields)
        if not calls:
            load_suppliers(coupa, [1], **{"account-number": "theirs"})
        calls.append(len(found))
        return found

    monkeypatch.setattr(module, "look_up", late)
    account = push([supplier(1)])
    assert (account.counts["updated"], calls) == (1, [1, 1])
    assert coupa.ids("suppliers") == [1]


def test_two_rows_that_name_one_record_in_different_forms_do_not_overwrite_each_other(coupa, push):
    coupa.load({"suppliers": [{"id": 1, "name": "S", "number": "S-1"}]})
    rows = [
        {
            "invoice-number": "I-1",
            "supplier": {"number": "S-1"},
            "comments": None,
            "net-due-date": "2026-11-24",
        },
        {"invoice-number": "I-1", "supplier": {"id": 1}, "net-due-date": "2026-11-25"},
    ]
    push(rows[:1], "invoices", key=None, run="first")
    account = push(rows, "invoices", key=None, run="both")
    assert account.counts | {"rejected": 1} == account.counts
    assert account.samples[0]["errors"] == ["the same record as row 1"] or account.samples[0]["errors"] == [
        "the same record as row 2"
    ]


def test_lines_without_an_id_do_not_double_those_of_an_existing_document(coupa, push):
    coupa.load({"suppliers": [{"id": 1, "name": "S", "number": "S-1"}]})
    rows = [
        {
            "invoice-number": "I-1",
            "supplier": {"number": "S-1"},
            "invoice-lines": [{"description": "a", "price": "2.50"}],
        }
    ]
    made = push(rows, "invoices", key=None)
    made_id = outcomes_of(made)[0]["id"]
    assert push(rows, "invoices", key=None, run="again").counts["unchanged"] == 1
    rows[0]["invoice-lines"][0]["price"] = "3.00"
    account = push(rows, "invoices", key=None, run="changed")
    assert account.counts["rejected"] == 1
    assert "lines without an id would be added" in account.samples[0]["errors"][0]
    assert len(coupa.record("invoices", made_id)["invoice-lines"]) == 1
    more = push(rows, "invoices", "update", key=None, run="add")
    assert more.counts["updated"] == 1
    assert len(coupa.record("invoices", made_id)["invoice-lines"]) == 2


def test_empty_values_are_kept_or_cleared(coupa, push):
    load_suppliers(coupa, [1])
    rows = [{"number": "S-1", "account-number": None}]
    assert push(rows).counts["unchanged"] == 1
    assert push(rows, empty="clear", run="clear").counts["updated"] == 1
    assert coupa.record("suppliers", 1)["account-number"] is None


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"operation": "delete"}, "operation must be one of create, update, upsert"),
        ({"key": ["nmber"]}, "key names 'nmber'"),
        ({"key": "number"}, "key must be a list"),
        ({"resource": "budget_lines", "key": None}, "needs a key"),
        ({"empty": "null"}, 'empty must be "keep" or "clear"'),
        ({"undocumented": "mine"}, "undocumented must be a list"),
    ],
)
def test_wrong_arguments_fail_before_anything_is_sent(coupa, push, arguments, told):
    with pytest.raises(PushError, match=told):
        push([supplier(1)], **arguments)
    assert coupa.seen()["requests"] == 0
