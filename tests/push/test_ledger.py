"""The account of a push outlives every moment at which its process may end."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st

from coupa_provider.extract import segments
from coupa_provider.extract.destination import Destination
from coupa_provider.push.ledger import OUTCOMES, OUTCOMES_NAME, Ledger, Settled

ROWS = range(1, 9)


@pytest.fixture
def folder(tmp_path):
    return Destination(LocalFileSystem(), str(tmp_path / "run"), f"file://{tmp_path}/run")


def outcomes(ledger: Ledger) -> dict[int, str]:
    return {one.row: one.outcome for one in ledger.settled()}


STEPS = st.lists(
    st.tuples(st.just("note"), st.sampled_from(ROWS), st.sampled_from(OUTCOMES))
    | st.tuples(st.just("wait"), st.sampled_from(ROWS), st.sampled_from(OUTCOMES))
    | st.tuples(st.just("intend"), st.sampled_from(ROWS), st.sampled_from(["create", "update"]))
    | st.tuples(st.just("end"), st.just(0), st.just(""))
    | st.tuples(st.just("kill"), st.just(0), st.just("")),
    max_size=14,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_whatever_was_noted_is_there_after_a_kill(tmp_path_factory, steps):
    root = tmp_path_factory.mktemp("ledger") / "run"
    folder = Destination(LocalFileSystem(), str(root), f"file://{root}")
    settled: dict[int, str] = {}
    waiting: dict[int, str] = {}
    intended: dict[int, str] = {}
    ledger = Ledger(folder)
    for step, row, what in [*steps, ("kill", 0, "")]:
        if step in ("note", "wait"):
            ledger.note([Settled(row=row, outcome=what)], wait=step == "wait")
            waiting[row] = what
        elif step == "intend":
            ledger.note(intent=what, rows=[row])
            intended[row] = what
        elif step == "end":
            # A push ends when each row has an outcome.
            missing = intended.keys() - settled.keys() - waiting.keys()
            ledger.note([Settled(row=row, outcome="unknown") for row in missing])
            waiting |= dict.fromkeys(missing, "unknown")
            ledger.end()
        if step in ("note", "intend", "end"):  # what waited has gone with it
            settled |= waiting
            waiting = {}
        assert outcomes(ledger) == dict(sorted({**settled, **waiting}.items()))
        assert ledger.counts() == dict.fromkeys(OUTCOMES, 0) | Counter({**settled, **waiting}.values())
        if step in ("end", "kill"):
            ledger.close()
            ledger = Ledger(folder)
            waiting = {}
        if step == "end":
            settled = {row: what for row, what in settled.items() if what != "rejected"}
            intended = {}  # of rows with an outcome nobody asks
        found = ledger.intents(list(ROWS))
        assert {row: kind for row, kind in found.items() if row not in settled} == {
            row: kind for row, kind in intended.items() if row not in settled
        }
        assert ledger.is_settled(list(ROWS)) == settled.keys() | waiting.keys()
    ledger.close()


@pytest.mark.parametrize("writes", range(6))
def test_a_kill_within_the_end_loses_nothing(folder, monkeypatch, writes):
    """The end writes a note, then the outcomes, then removes the notes: each may be the last thing that happens."""
    ledger = Ledger(folder)
    ledger.note(intent="create", rows=[1, 2, 3])
    ledger.note([Settled(row=1, outcome="created", id=7), Settled(row=2, outcome="rejected", errors=["no"])])
    ledger.note([Settled(row=3, outcome="unknown", errors=["lost"])])
    left = iter(range(writes))
    real_write, real_remove = segments._write_to_disk, Path.unlink

    def step(real):
        def stepping(*arguments, **options):
            if next(left, None) is None:
                raise KeyboardInterrupt
            return real(*arguments, **options)

        return stepping

    monkeypatch.setattr(segments, "_write_to_disk", step(real_write))
    monkeypatch.setattr(Path, "unlink", step(real_remove))
    with pytest.raises(KeyboardInterrupt):
        ledger.end()
    monkeypatch.undo()
    ledger.close()
    again = Ledger(folder)
    # Only before the note of the end the try had not ended.
    assert outcomes(again) == {1: "created", 3: "unknown"} | ({} if writes else {2: "rejected"})
    assert again.intents([2]) == ({} if writes else {2: "create"})
    again.end()
    assert [path for path in Path(folder.root).rglob("*") if path.is_file()] == [
        Path(folder.root) / OUTCOMES_NAME
    ]


def test_an_older_outcome_gives_way_to_a_newer_one(folder):
    first = Ledger(folder)
    first.note([Settled(row=1, outcome="rejected", errors=["no"]), Settled(row=2, outcome="created", id=9)])
    first.end()
    second = Ledger(folder)
    assert outcomes(second) == {2: "created"}
    second.note(intent="update", rows=[1])
    second.note([Settled(row=1, outcome="updated", id=8, not_taken=["status"])])
    second.end()
    third = Ledger(folder)
    assert outcomes(third) == {1: "updated", 2: "created"}
    assert third.not_taken() == {"status": 1}
    assert next(third.settled("updated")).id == 8


def test_what_is_kept_of_an_outcome_comes_back_whole(folder):
    one = Settled(
        row=3, outcome="unknown", id=7, key={"number": "S-1"}, errors=["a", "b"], not_taken=["x", "y"]
    )
    two = Settled(row=1, outcome="created", not_taken=["y"])
    ledger = Ledger(folder)
    ledger.note([one, two])
    assert ledger.not_taken() == {"x": 1, "y": 2}
    url = ledger.end()
    assert url == f"{folder.url}/{OUTCOMES_NAME}"
    lines = (Path(folder.root) / OUTCOMES_NAME).read_bytes().splitlines()
    assert [msgspec.json.decode(line, type=Settled) for line in lines] == [two, one]
    assert set(msgspec.json.decode(lines[0])) == {"row", "outcome", "id", "key", "errors", "not_taken", "at"}
    assert list(Ledger(folder).settled()) == [two, one]


def test_outcomes_of_many_rows_come_in_their_order(folder):
    ledger = Ledger(folder)
    rows = [n * 7919 % 3001 for n in range(1, 3001)]
    ledger.note([Settled(row=row, outcome=OUTCOMES[row % 5]) for row in rows])
    assert [one.row for one in ledger.settled()] == sorted(rows)
    assert [one.row for one in ledger.settled("rejected", "unknown")] == [
        row for row in sorted(rows) if row % 5 > 2
    ]


def test_a_key_is_claimed_by_the_first_row(folder):
    ledger = Ledger(folder)
    assert [ledger.claim(*claim) for claim in [("a", 1), ("b", 2), ("a", 3), ("a", 1), ("\ud800", 4), ("\ud800", 5)]] == [
        1, 2, 1, 1, 4, 4,
    ]  # fmt: skip
    ledger.close()
    assert Ledger(folder).claim("a", 9) == 9  # a claim is of one try


def test_outcomes_that_can_be_found_out_again_wait_for_a_thousand(folder):
    ledger = Ledger(folder)
    for row in range(999):
        ledger.note([Settled(row=row, outcome="unchanged")], wait=True)
    assert not Path(folder.root).exists()
    ledger.note([Settled(row=999, outcome="unchanged")], wait=True)
    assert len(list((Path(folder.root) / "_journal").iterdir())) == 1
    assert ledger.counts()["unchanged"] == 1000


def test_an_unfinished_note_and_foreign_files_are_no_notes(folder):
    ledger = Ledger(folder)
    ledger.note([Settled(row=1, outcome="created")])
    journal = Path(folder.root) / "_journal"
    (journal / ".000009-ab.ndjson.tmp").write_text("{")
    (journal / "notes.txt").write_text("mine")
    assert outcomes(Ledger(folder)) == {1: "created"}


def test_a_damaged_note_is_not_passed_over(folder):
    ledger = Ledger(folder)
    ledger.note([Settled(row=1, outcome="created")])
    (note,) = (Path(folder.root) / "_journal").iterdir()
    note.write_text('{"note": "outcome", "settled": {"row": 1')
    with pytest.raises(msgspec.DecodeError):
        Ledger(folder)


def test_more_notes_than_their_numbers_have_digits_stay_in_order(folder):
    ledger = Ledger(folder)
    ledger._segments._next = 999_999
    ledger.note([Settled(row=1, outcome="rejected")])
    ledger.note([Settled(row=1, outcome="created")])
    assert outcomes(Ledger(folder)) == {1: "created"}


def test_a_try_that_was_taken_for_dead_does_not_overwrite_notes(folder):
    one, other = Ledger(folder), Ledger(folder)
    one.note([Settled(row=1, outcome="created")])
    other.note([Settled(row=2, outcome="created")])
    assert outcomes(Ledger(folder)) == {1: "created", 2: "created"}


def test_in_object_storage(tmp_path):
    fs = MemoryFileSystem()
    folder = Destination(fs, f"/lake{tmp_path}", f"memory://lake{tmp_path}")
    ledger = Ledger(folder)
    ledger.note(intent="create", rows=[1, 2])
    ledger.note([Settled(row=1, outcome="created")])
    again = Ledger(folder)
    assert (outcomes(again), again.intents([1, 2])) == ({1: "created"}, {1: "create", 2: "create"})
    again.note([Settled(row=2, outcome="rejected")])
    again.end()
    assert fs.find(folder.root) == [folder.path_of(OUTCOMES_NAME)]
    assert outcomes(Ledger(folder)) == {1: "created"}


MEASURE = """
import re, sys, tempfile
from fsspec.implementations.local import LocalFileSystem
from coupa_provider.extract.destination import Destination
from coupa_provider.push.ledger import Ledger, Settled

count = int(sys.argv[1])
with tempfile.TemporaryDirectory() as root:
    ledger = Ledger(Destination(LocalFileSystem(), root, root))
    for start in range(1, count, 1000):
        rows = range(start, start + 1000)
        for row in rows:
            ledger.claim(f"number=s-{row}", row)
        ledger.note(intent="create", rows=rows)
        ledger.note([Settled(row=row, outcome="created", id=row, key={"number": f"S-{row}"}) for row in rows])
    ledger.close()
    again = Ledger(Destination(LocalFileSystem(), root, root))
    assert again.counts()["created"] == count == sum(1 for _ in again.settled())
    again.end()
print(re.search(r"VmHWM:\\\\s+(\\\\d+)", open("/proc/self/status").read())[1])
""".replace("\\\\", "\\")


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_memory_does_not_grow_with_the_rows():
    def peak_kb(count: int) -> int:
        command = [sys.executable, "-c", MEASURE, str(count)]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert peak_kb(400_000) < 1.2 * peak_kb(40_000)
