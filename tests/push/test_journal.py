"""The journal outlives the process that writes it."""

from __future__ import annotations

import json

import fsspec
import msgspec
import pytest
from fsspec.implementations.local import LocalFileSystem

from coupa_provider.extract.destination import Destination
from coupa_provider.push.journal import Journal


@pytest.fixture(params=["local", "object storage"])
def folder(request, tmp_path):
    if request.param == "local":
        yield Destination(LocalFileSystem(), f"{tmp_path}/journal", f"file://{tmp_path}/journal")
    else:
        fs = fsspec.filesystem("memory")
        yield Destination(fs, "/bucket/journal", "memory://bucket/journal")
        fs.store.clear()


def names(folder: Destination) -> list[str]:
    return sorted(path.rpartition("/")[2] for path in folder.fs.ls(folder.root, detail=False))


def test_a_folder_that_is_not_there_holds_nothing(folder):
    assert Journal(folder).outcomes == {}


def test_what_is_noted_is_there_for_the_next(folder):
    first = Journal(folder)
    first.note({"marked": [3, 1], "gone": [2**40]})
    first.note({"marked": [7]})
    assert list(first.ids("marked")) == [1, 3, 7]
    second = Journal(folder)
    assert list(second.ids("marked")) == [1, 3, 7]
    assert list(second.ids("gone")) == [2**40]
    assert list(second.ids("refused")) == []
    second.note({"marked": [9]})
    assert [name[:7] for name in names(folder)] == ["000000-", "000001-", "000002-"]
    assert list(Journal(folder).ids("marked")) == [1, 3, 7, 9]


def test_nothing_is_written_for_nothing(folder):
    journal = Journal(folder)
    journal.note({})
    journal.note({"marked": [], "gone": []})
    journal.note({"marked": [1]})
    assert len(names(folder)) == 1


def test_two_tries_at_once_lose_no_note(folder):
    """A task taken for dead may still be at work when its second try begins."""
    one, two = Journal(folder), Journal(folder)
    one.note({"marked": [1]})
    two.note({"marked": [2]})
    assert len(names(folder)) == 2
    assert list(Journal(folder).ids("marked")) == [1, 2]


def test_a_line_holds_outcome_time_and_ids_alone(folder):
    Journal(folder).note({"marked": [1, 2]})
    (line,) = folder.fs.cat_file(folder.path_of(names(folder)[0])).splitlines()
    entry = json.loads(line)
    assert entry.pop("at").endswith("Z")
    assert entry == {"outcome": "marked", "ids": [1, 2]}


def test_what_others_leave_in_the_folder_is_passed_over(folder):
    Journal(folder).note({"marked": [1]})
    for name in (".000001-ab12cd34.ndjson.tmp", "README.txt", "000002.ndjson"):
        folder.fs.pipe_file(folder.path_of(name), b'{"outcome":"marked","at":"2026-11-23T')
    assert list(Journal(folder).ids("marked")) == [1]


def test_a_damaged_journal_is_not_read_as_an_empty_one(folder):
    Journal(folder).note({"marked": [1]})
    folder.fs.pipe_file(folder.path_of("000001-ab12cd34.ndjson"), b'{"outcome":"marked","at":"2026')
    with pytest.raises(msgspec.DecodeError):
        Journal(folder)
