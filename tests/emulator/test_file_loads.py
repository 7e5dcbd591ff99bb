"""CSV files: put onto the file server, picked up, archived, loaded row by row, and told of by data file sources."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coupa_provider.emulator import Emulator
from coupa_provider.emulator.csv_rows import MOST_BYTES, MOST_ROWS, UnreadableFile, read_csv
from coupa_provider.emulator.file_load import KINDS
from coupa_provider.emulator.file_loader import FileLoader, begin_load
from coupa_provider.emulator.instance import Instance
from coupa_provider.emulator.rules import written_attributes
from coupa_provider.emulator.settings import SettingError

from .conftest import Caller

COLOURS = "Lookup,Name,External Ref Num,Active\nColours,Red,1,Yes\nColours,Green,2,No\n"


@pytest.fixture
def files(coupa: Caller) -> Caller:
    """An emulator that takes files at once, with one lookup."""
    coupa.emulator.configure(file_pick_up_s=0)
    coupa.emulator.load({"lookups": [{"id": 1, "name": "Colours"}]})
    return coupa


def wait_for(condition: Callable[[], Any], seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)
    return found


def loads(emulator: Emulator) -> list[dict[str, Any]]:
    path = "data_file_sources"
    return [record for one in emulator.ids(path) if (record := emulator.record(path, one))]


def ended(emulator: Emulator, number: int = 1) -> list[dict[str, Any]]:
    """Wait until so many loads have ended, and return them."""
    over = ("done", "Failed")
    return wait_for(lambda: [load for load in loads(emulator) if load["status"] in over][number - 1 :])[-1:]


def load(caller: Caller, path: str, content: bytes | str) -> dict[str, Any]:
    """Have a file loaded, and return its data file source."""
    before = sum(one["status"] in ("done", "Failed") for one in loads(caller.emulator))
    caller.emulator.put_file(path, content)
    return ended(caller.emulator, before + 1)[0]


def test_a_file_lives_through_its_statuses(coupa: Caller) -> None:
    emulator = coupa.emulator
    emulator.load({"lookups": [{"id": 1, "name": "Colours"}]})
    emulator.configure(file_pick_up_s=0.4, file_rows_per_s=1000)
    rows = "".join(f"Colours,Colour {n},{n}\n" for n in range(700))
    text = f"Lookup,Name,External Ref Num\n{rows}"
    emulator.put_file("./Incoming/LookupValues/colours.csv", text)
    assert emulator.files() == ["Incoming/LookupValues/colours.csv"]
    seen: list[str] = []
    progress: list[int | None] = []
    while not seen or seen[-1] != "done":
        for one in coupa.get("data_file_sources").json():
            # Archived before it is loaded, as Coupa does.
            assert emulator.files() == ["Incoming/Archive/LookupValues/colours.csv"]
            if not seen or seen[-1] != one["status"]:
                seen.append(one["status"])
            progress.append(one["progress"])
    # A slow client may miss one.
    assert seen == [
        status for status in ("Pending", "Submitted to Resque", "Loading", "done") if status in seen
    ]
    assert len(seen) >= 3
    assert any(number is not None and 0 < number < 700 for number in progress)
    [shown] = loads(emulator)
    assert {
        name: shown[name]
        for name in (
            "type",
            "source-for",
            "file-file-name",
            "file-file-size",
            "result-text",
            "progress",
            "records-count",
        )
    } == {
        "file-file-size": str(len(text)),
        "type": "BackgroundCsvFileLoad",
        "source-for": "LookupValue",
        "file-file-name": "_Incoming_LookupValues_colours.csv",
        "result-text": "700 rows processed, creating 700 new rows and updating 0 rows.",
        "progress": 700,
        "records-count": 700,
    }
    assert (shown["upload-errors"], shown["upload-errors-count"]) == ([], 0)
    assert shown["start-time"] <= shown["end-time"]
    assert len(emulator.ids("lookup_values")) == 700


def test_rows_create_update_and_fail_by_the_rules_of_writes(files: Caller) -> None:
    files.emulator.load({"lookup_values": [{"id": 5, "name": "Red", "lookup": {"id": 1}}]})
    shown = load(
        files,
        "Incoming/LookupValues/mixed.csv",
        'Lookup,Name*,External Ref Num,Description\nColours,RED,1,"warm, and\nbright"\nColours,Blue,2,\n'
        "Colours,blue,3,\nColours,,4,\nNo such,Pink,5,\nColours,Grey\n",
    )
    # The number is looked for first: none has number 1, so Red is new, and its name taken.
    assert shown["result-text"] == "6 rows processed, creating 1 new rows and updating 0 rows."
    told = [
        (error["row"], error["first-column"], error["field-with-error"], error["value"])
        for error in shown["upload-errors"]
    ]
    assert told == [
        (2, "Colours", "name", "RED"),
        (4, "Colours", "name", "blue"),
        (5, "Colours", "name", ""),
        (6, "No such", "lookup", "No such"),
        (7, "Colours", None, None),
    ]
    messages = [error["field-errors"] for error in shown["upload-errors"]]
    assert messages[:3] == [["Name has already been taken"]] * 2 + [["Name can't be blank"]]
    assert messages[3][0].startswith("Unable to find valid Lookup record for lookup with keys")
    assert messages[4] == ["Row corrupt or invalid."]
    assert (shown["status"], shown["upload-errors-count"], shown["records-count"]) == ("done", 5, 6)
    again = load(files, "Incoming/LookupValues/more.csv", "Lookup,External Ref Num,Name\nColours,2,Navy\n")
    assert again["result-text"] == "1 rows processed, creating 0 new rows and updating 1 rows."
    [blue] = [one for one in files.emulator.ids("lookup_values") if one != 5]
    assert files.emulator.record("lookup_values", blue)["name"] == "Navy"


@pytest.mark.parametrize(
    ("folder", "path", "data", "text", "result"),
    [
        ("Suppliers", "suppliers", {"suppliers": [{"id": 3, "name": "A", "number": "S-1"}]},
         "Number,Name\nS-1,B\nS-2,C\n", (1, 1)),
        ("Suppliers", "suppliers", {"suppliers": [{"id": 3, "name": "A", "number": "S-1"}]},
         "ID,Name\n3,B\n", (0, 1)),
        ("ExchangeRates", "exchange_rates", {"currencies": [{"id": 1, "code": "USD"}, {"id": 2, "code": "EUR"}]},
         "From Currency,To Currency,Rate,Rate Date\nUSD,EUR,0.91,2026-11-24\n", (1, 0)),
        ("Accounts", "accounts",
         {"account_types": [{"id": 1, "name": "Ace"}],
          "accounts": [{"id": 9, "code": "SF-Ops", "account-type": {"id": 1}, "segment-1": "SF", "segment-2": "Ops"}]},
         "Account Type Name,Segment 1,Segment 2,Name\nAce,SF,Ops,Operations\nAce,SF,IT,Computers\n", (1, 1)),
        ("Users", "users", {"users": [{"id": 2, "login": "vp", "email": "vp@example.com"}]},
         "Login,Email,Firstname,Lastname\nvp,vp@example.com,V,P\nap,ap@example.com,A,P\n", (1, 1)),
    ],
)  # fmt: skip
def test_kinds_of_files(files: Caller, folder, path, data, text, result) -> None:
    files.emulator.load(data)
    shown = load(files, f"Incoming/{folder}/file.csv", text)
    assert shown["upload-errors"] == []
    assert (shown["records-created"], shown["records-updated"]) == result
    assert len(files.emulator.ids(path)) == len(data.get(path, ())) + result[0]


def test_exchange_rates_are_only_added(files: Caller) -> None:
    files.emulator.load({"currencies": [{"id": 1, "code": "USD"}, {"id": 2, "code": "EUR"}]})
    text = "From Currency,To Currency,Rate,Rate Date\nUSD,EUR,0.91,2026-11-24\n"
    load(files, "Incoming/ExchangeRates/a.csv", text)
    again = load(files, "Incoming/ExchangeRates/b.csv", text)
    assert [error["field-errors"] for error in again["upload-errors"]] == [
        ["Rate date has already been taken"]
    ]


def test_an_id_that_is_not_there(files: Caller) -> None:
    shown = load(files, "Incoming/Suppliers/a.csv", "Id,Name\n77,B\n")
    assert shown["upload-errors"][0]["field-errors"] == ["There is no record with id 77"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "The file has no header, or a quote in it is not closed."),
        (b'Lookup,Name\nColours,"Red\n', "The file has no header, or a quote in it is not closed."),
        ("Lookup,Näme\n".encode("latin-1"), "The file is not UTF-8."),
        (b"Lookup,Nmae,Weight\nColours,Red,1\n", "Unknown columns: Nmae, Weight."),
        (b"Lookup,Name\n" + b"Colours,Red\n" * (MOST_ROWS + 1), "The file has more than 5,000 rows."),
    ],
)
def test_a_file_that_cannot_be_read_fails_whole(files: Caller, content: bytes, told: str) -> None:
    shown = load(files, "Incoming/LookupValues/bad.csv", content)
    assert (shown["status"], shown["result-text"]) == ("Failed", told)
    assert files.emulator.ids("lookup_values") == []
    assert files.emulator.files() == ["Incoming/Archive/LookupValues/bad.csv"]


def test_a_file_may_have_eight_megabytes() -> None:
    with pytest.raises(UnreadableFile, match="larger than 8 MB"):
        read_csv(b"x" * (MOST_BYTES + 1), written_attributes("Supplier"))


def test_documents_are_picked_up_and_said_not_to_be_loaded(files: Caller) -> None:
    shown = load(files, "Incoming/Invoices/a.csv", "Invoice Number\n4711\n")
    assert (shown["status"], shown["source-for"]) == ("Failed", "InvoiceHeader")
    assert "does not load files for InvoiceHeader" in shown["result-text"]


def test_several_files_go_in_the_order_of_their_names_and_one_after_the_other(coupa: Caller) -> None:
    emulator = coupa.emulator
    emulator.load({"lookups": [{"id": 1, "name": "Colours"}]})
    emulator.configure(file_pick_up_s=3600, file_rows_per_s=0)
    for name in ("9", "10", "a"):
        emulator.put_file(f"Incoming/LookupValues/colours_{name}.csv", f"Lookup,Name\nColours,{name}\n")
    emulator.put_file("Incoming/Colours/x.csv", COLOURS)
    emulator.configure(file_pick_up_s=0)
    wait_for(lambda: any(load["status"] == "Loading" for load in loads(emulator)))
    time.sleep(0.2)
    assert [(load["file-file-name"][-8:], load["status"]) for load in loads(emulator)] == [
        ("s_10.csv", "Loading"),
        ("rs_9.csv", "Submitted to Resque"),
        ("rs_a.csv", "Submitted to Resque"),
    ]
    # A folder that Coupa does not know is never looked into.
    assert "Incoming/Colours/x.csv" in emulator.files()
    emulator.configure(file_rows_per_s=1000)
    wait_for(lambda: {load["status"] for load in loads(emulator)} == {"done"})
    names = [emulator.record("lookup_values", one)["name"] for one in emulator.ids("lookup_values")]
    assert names == ["10", "9", "a"]


@pytest.mark.parametrize(
    ("mode", "archived"),
    [
        ("incoming_archive", "Incoming/Archive/LookupValues/a.csv"),
        ("archive_incoming", "Archive/Incoming/LookupValues/a.csv"),
    ],
)
def test_u27_where_the_archive_is(files: Caller, mode: str, archived: str) -> None:
    files.emulator.configure(switches={"U27": mode})
    load(files, "Incoming/LookupValues/a.csv", COLOURS)
    assert files.emulator.files() == [archived]


@pytest.mark.parametrize("mode", ["json", "multipart"])
def test_u23_body_of_load_from_sftp(coupa: Caller, mode: str) -> None:
    coupa.emulator.configure(switches={"U23": mode})
    coupa.emulator.load({"lookups": [{"id": 1, "name": "Colours"}]})
    coupa.emulator.put_file("Incoming/LookupValues/colours.csv", COLOURS)
    given = {"source-for": "LookupValue", "file-file-name": "colours.csv"}
    path = "/api/data_file_sources/load_from_sftp"
    as_form = {name: (None, value) for name, value in given.items()}
    how: dict[str, dict[str, Any]] = {"json": {"json": given}, "multipart": {"files": as_form}}
    other = "json" if mode == "multipart" else "multipart"
    assert coupa.http.post(path, headers=coupa.headers(), **how[other]).status_code == 415
    answer = coupa.http.post(path, headers=coupa.headers(), **how[mode])
    assert (answer.status_code, answer.json()["status"]) == (201, "Pending")
    assert answer.json()["file-file-name"] == "_Incoming_LookupValues_colours.csv"
    assert ended(coupa.emulator)[0]["records-created"] == 2
    gone = coupa.http.post(path, headers=coupa.headers(), **how[mode])
    assert (gone.status_code, "There is no file colours.csv" in gone.text) == (400, True)


def test_a_file_in_the_body_of_a_call(coupa: Caller) -> None:
    coupa.emulator.load({"lookups": [{"id": 1, "name": "Colours"}]})
    path = "/api/data_file_sources/load_file"
    sent = {"files": {"file": ("a b.csv", COLOURS.encode(), "text/csv")}}
    answer = coupa.http.post(path, headers=coupa.headers(), data={"source-for": "LookupValue"}, **sent)
    assert (answer.status_code, answer.json()["file-file-name"]) == (201, "a_b.csv")
    assert ended(coupa.emulator)[0]["records-created"] == 2
    for data, told in (
        ({}, "Source for can't be blank"),
        ({"source-for": "Colour"}, "Source for must be one of"),
    ):
        refused = coupa.http.post(path, headers=coupa.headers(), data=data, **sent)
        assert (refused.status_code, told in refused.text) == (400, True)
    empty = coupa.http.post(path, headers=coupa.headers(), files={"source-for": (None, "LookupValue")})
    assert "File can't be blank" in empty.text
    assert coupa.http.post(path, headers=coupa.headers(), json={}).status_code == 415


@pytest.mark.parametrize(
    "path",
    [
        "colours.csv",
        "Incoming/colours.csv",
        "Outgoing/X/a.csv",
        "Incoming/../a.csv",
        "Incoming/Archive/a.csv",
    ],
)
def test_a_place_where_no_file_goes(coupa: Caller, path: str) -> None:
    with pytest.raises(SettingError, match="files are put into a folder"):
        coupa.emulator.put_file(path, "")


def test_over_the_control_endpoint(files: Caller) -> None:
    put = files.http.put("/_emulator/files/Incoming/LookupValues/colours.csv", content=COLOURS)
    assert put.status_code == 201
    assert ended(files.emulator)[0]["records-created"] == 2
    assert files.http.get("/_emulator/files").json() == ["Incoming/Archive/LookupValues/colours.csv"]
    assert files.http.put("/_emulator/files/colours.csv", content=COLOURS).status_code == 400


def test_a_folder_of_this_machine_is_the_file_server_and_stays(tmp_path: Path) -> None:
    with Emulator(empty=True, files=tmp_path, file_pick_up_s=0, rate_limit=None) as emulator:
        emulator.load({"lookups": [{"id": 1, "name": "Colours"}]})
        folder = tmp_path / "Incoming" / "LookupValues"
        folder.mkdir(parents=True)
        (folder / "colours.csv").write_text(COLOURS)
        assert ended(emulator)[0]["records-created"] == 2
    assert [path.name for path in tmp_path.rglob("*.csv")] == ["colours.csv"]


def test_a_reset_drops_files_and_loads(coupa: Caller) -> None:
    coupa.emulator.configure(file_pick_up_s=0, file_rows_per_s=0)
    coupa.emulator.put_file("Incoming/LookupValues/colours.csv", COLOURS)
    wait_for(lambda: loads(coupa.emulator))
    coupa.emulator.reset()
    assert coupa.emulator.files() == []
    time.sleep(0.2)
    assert loads(coupa.emulator) == []


HEADERS = (
    "Id",
    "Number",
    "Name",
    "Status",
    "PO Method",
    "On Hold",
    "Savings Pct",
    "Payment Term",
    "Primary Contact Email",
)
CELL = st.one_of(
    st.sampled_from(("", " ", "1", "S-1", "active", "yes", "Net 30", "a@b.cd", "12a", "-1e5", "NULL")),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=12),
)


@given(
    header=st.lists(st.sampled_from(HEADERS), min_size=1, max_size=4, unique=True),
    rows=st.lists(st.lists(CELL, min_size=1, max_size=5), max_size=8),
)
@settings(max_examples=150, deadline=None)
def test_whatever_stands_in_a_file_each_row_is_accounted_for(
    header: list[str], rows: list[list[str]]
) -> None:
    instance = Instance(empty=True, data={"suppliers": [{"id": 1, "name": "Fishy", "number": "S-1"}]})
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([header, *rows])
    number = begin_load(instance, KINDS["Suppliers"], "x.csv", text.getvalue().encode())
    loader, now = FileLoader(instance), time.monotonic()
    for step in range(10):
        loader.carry_on(now + step)
    shown = instance.record("data_file_sources", number)
    assert shown is not None
    assert (shown["status"], shown["records-count"], instance.loads) == ("done", len(rows), [])
    bad = [error["row"] for error in shown["upload-errors"]]
    assert bad == sorted(set(bad))
    assert shown["records-created"] + shown["records-updated"] + len(bad) == len(rows)
    assert len(instance.ids("suppliers")) == 1 + shown["records-created"]
    instance.store.close()
