"""A try that ends anywhere is gone on with, and the result is that of a run nobody disturbed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coupa_provider.client.errors import CoupaIncompleteError, CoupaUnavailableError
from coupa_provider.client.id_ranges import LAST_ID, IdRange, IdRanges
from coupa_provider.client.page import Counters, Page
from coupa_provider.extract.destination import Destination, Publication, StagedFile
from coupa_provider.extract.errors import ExtractError
from coupa_provider.extract.manifest import Manifest
from coupa_provider.extract.manifest_reader import ManifestReader
from coupa_provider.extract.run import extract_pages
from coupa_provider.extract.unfinished import Unfinished, fingerprint

IDS = range(1, 121)
RUN = {"run": "dag/run/task/-1", "request": "r1"}


class Killed(BaseException):
    """What a kill looks like from within, when there is a within."""


def source(covered: Sequence[IdRange] = (), seed: int = 0) -> list[Page]:
    """Give pages for what is not covered, in any order, as a walk does."""
    gaps = IdRanges(covered).gaps(0, LAST_ID)
    rng = random.Random(seed)
    pages = []
    for low, high in gaps:
        while low < min(high, IDS[-1]):
            upto = min(low + rng.randint(1, 12), high, IDS[-1])
            ids = list(range(low + 1, upto + 1))
            texts = [
                msgspec.Raw(
                    msgspec.json.encode(
                        {
                            "id": n,
                            "name": f"S{n}",
                            "odd": n % 3,
                            "invoice-lines": [{"id": n * 10, "line-num": 1}] * (n % 3),
                        }
                    )
                )
                for n in ids
            ]
            pages.append(Page(texts, ids, low, upto))
            low = upto
        if low < high:
            pages.append(Page([], [], low, high))
    rng.shuffle(pages)
    return pages


def folder_at(root: Path, protocol: str = "file") -> Destination:
    fs = fsspec.filesystem(protocol, skip_instance_cache=True)
    return Destination(fs, str(root), f"{protocol}://{root}")


def ending(pages: list[Page], after: int, error: BaseException | None) -> Iterator[Page]:
    for place, page in enumerate(pages):
        if place == after and error is not None:
            raise error
        yield page


def attempt(
    folder: Destination, *, after: int = 0, error: BaseException | None = None, seed: int = 0, **options: Any
) -> Manifest:
    found = Unfinished.find(folder, **RUN)
    unfinished = found or Unfinished(**RUN)
    counters = Counters(requests=7)
    return extract_pages(
        ending(source(unfinished.covered, seed), after, error), counters, folder,
        resource="invoices", instance="acme", unfinished=unfinished, id_range=(0, LAST_ID), **options,
    )  # fmt: skip


def table(folder: Destination, child: str | None = None) -> list[dict[str, Any]]:
    rows = pa.Table.from_batches(ManifestReader(folder).batches(child=child)).to_pylist()
    return sorted(
        rows, key=lambda row: tuple(str(row.get(name)) for name in ("_parent_id", "_position", "id"))
    )


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 25), st.sampled_from([Killed(), OSError("disk"), CoupaUnavailableError("out")])), max_size=4),
    st.sampled_from(["ndjson", "parquet", "csv", "exploded"]),
    st.sampled_from(["file", "memory"]),
    st.integers(200, 4000),
)  # fmt: skip
def test_tries_that_end_anywhere_make_the_undisturbed_result(
    tmp_path_factory, ends, form, protocol, part_bytes
):
    options: dict[str, Any] = {"part_bytes": part_bytes}
    options |= {"explode": {"invoice-lines": None}} if form == "exploded" else {"file_format": form}
    calm = folder_at(tmp_path_factory.mktemp("calm"), protocol)
    undisturbed = attempt(calm, **options)
    folder = folder_at(tmp_path_factory.mktemp("disturbed") / "x", protocol)
    tries = 0
    for seed, (after, error) in enumerate(ends):
        before = Unfinished.find(folder, **RUN)
        try:
            manifest = attempt(folder, after=after, error=error, seed=seed, **options)
        except type(error):
            tries += 1
            kept = Unfinished.find(folder, **RUN)
            assert (kept.records if kept else 0) >= (before.records if before else 0)
            assert not folder.fs.exists(folder.path_of("_manifest.json"))
        else:
            break
    else:
        manifest = attempt(folder, seed=99, **options)
    assert manifest.records == len(IDS)
    assert table(folder) == table(calm)
    assert manifest.drift == undisturbed.drift
    assert {name: child.drift for name, child in manifest.children.items()} == {
        name: child.drift for name, child in undisturbed.children.items()
    }
    for child in manifest.children:
        assert table(folder, child) == table(calm, child)
    assert not folder.fs.exists(folder.path_of("_unfinished"))


def test_a_later_try_asks_only_for_what_is_left(tmp_path: Path) -> None:
    folder = folder_at(tmp_path)
    with pytest.raises(Killed):
        attempt(folder, after=10, error=Killed(), part_bytes=600)
    kept = Unfinished.find(folder, **RUN)
    assert kept is not None
    assert kept.records > 20
    assert sum(len(page) for page in source(kept.covered)) == len(IDS) - kept.records
    manifest = attempt(folder)
    assert (manifest.tries, manifest.requests) == (2, 14)
    assert sum(file.rows for file in manifest.files) == len(IDS)


def test_remarks_of_an_earlier_try_stand_in_the_manifest_of_the_next(tmp_path: Path) -> None:
    folder = folder_at(tmp_path)
    remarks = ["made before the walk"]

    def remarked(pages: list[Page]) -> Iterator[Page]:
        for place, page in enumerate(pages):
            if place == 5:
                remarks.append("made on the way")
            if place == 10:
                raise Killed
            yield page

    with pytest.raises(Killed):
        extract_pages(
            remarked(source()), Counters(), folder, resource="invoices", instance="acme",
            unfinished=Unfinished(**RUN), reports=remarks, part_bytes=600,
        )  # fmt: skip
    manifest = attempt(folder, reports=["made before the walk", "made by the next try"])
    assert manifest.tries == 2
    assert manifest.reports == ["made before the walk", "made on the way", "made by the next try"]
    assert ManifestReader(folder).manifest == manifest


def test_a_kill_without_a_last_word_loses_the_part_being_written_alone(tmp_path: Path, monkeypatch) -> None:
    folder = folder_at(tmp_path)
    monkeypatch.setattr(
        "coupa_provider.extract.run._Run.give_up", lambda self, error: setattr(self.publication, "keep", True)
    )
    with pytest.raises(Killed):
        attempt(folder, after=12, error=Killed(), part_bytes=1500)
    kept = Unfinished.find(folder, **RUN)
    assert kept is not None
    assert 0 < kept.records < sum(len(page) for page in source()[:12])
    assert attempt(folder).records == len(IDS)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"run": "another"}, "another run of a task"),
        ({"request": "r2"}, "the task has changed"),
    ],
)
def test_another_run_starts_over(tmp_path: Path, change, said, caplog) -> None:
    folder = folder_at(tmp_path)
    with pytest.raises(Killed):
        attempt(folder, after=10, error=Killed(), part_bytes=600)
    with caplog.at_level("INFO"):
        assert Unfinished.find(folder, **(RUN | change)) is None
    assert said in caplog.text


def test_a_damaged_part_starts_over(tmp_path: Path, caplog) -> None:
    folder = folder_at(tmp_path)
    with pytest.raises(Killed):
        attempt(folder, after=10, error=Killed(), part_bytes=600)
    kept = Unfinished.find(folder, **RUN)
    Path(folder.path_of(kept.files[1].stored)).write_bytes(b"PAR1")
    with caplog.at_level("INFO"):
        manifest = attempt(folder)
    assert "has changed" in caplog.text
    assert (manifest.tries, manifest.records) == (1, len(IDS))
    assert len(table(folder)) == len(IDS)


@pytest.mark.parametrize(
    "harm", [lambda note: note[:200], lambda note: note.replace(b"part", b"p\xe4rt"), lambda _: b"{}"]
)
def test_a_damaged_note_starts_over(tmp_path: Path, harm, caplog) -> None:
    folder = folder_at(tmp_path)
    with pytest.raises(Killed):
        attempt(folder, after=10, error=Killed(), part_bytes=600)
    note = Path(folder.path_of("_unfinished/progress.json"))
    note.write_bytes(harm(note.read_bytes()))
    assert Unfinished.find(folder, **RUN) is None
    assert "progress.json cannot be read" in caplog.text


def test_old_parts_are_not_mixed_with_those_of_now(tmp_path: Path, caplog) -> None:
    folder = folder_at(tmp_path)
    with pytest.raises(Killed):
        attempt(folder, after=10, error=Killed(), part_bytes=600)
    note = Path(folder.path_of("_unfinished/progress.json"))
    old = msgspec.json.decode(note.read_bytes())
    old["saved"] = (datetime.now(UTC) - timedelta(hours=25)).isoformat()
    note.write_bytes(msgspec.json.encode(old))
    with caplog.at_level("INFO"):
        assert Unfinished.find(folder, **RUN) is None
    assert "more than 24 hours ago" in caplog.text


@pytest.mark.parametrize("error", [CoupaIncompleteError("ignored"), ExtractError("twice")])
def test_what_cannot_be_trusted_is_not_kept(tmp_path: Path, error) -> None:
    folder = folder_at(tmp_path / "x")
    with pytest.raises(type(error)):
        attempt(folder, after=10, error=error, part_bytes=600)
    assert list(Path(folder.root).iterdir()) == []


@pytest.mark.parametrize("protocol", ["file", "memory"])
def test_nor_is_what_an_earlier_try_kept(tmp_path: Path, protocol) -> None:
    folder = folder_at(tmp_path / "x", protocol)
    with pytest.raises(Killed):
        attempt(folder, after=10, error=Killed(), part_bytes=600)
    with pytest.raises(ExtractError):
        attempt(folder, after=0, error=ExtractError("twice"), part_bytes=600)
    assert not folder.fs.exists(folder.path_of("_unfinished"))


def test_a_page_that_was_half_written_is_read_again(tmp_path: Path, monkeypatch) -> None:
    folder = folder_at(tmp_path)
    from coupa_provider.extract import formats

    write = formats._NdjsonPart.write
    calls = 0

    def half(self, records, ids, size):
        nonlocal calls
        calls += 1
        if calls == 8:
            write(self, records[:1], ids[:1], size)
            raise Killed
        write(self, records, ids, size)

    with monkeypatch.context() as patch:
        patch.setattr(formats._NdjsonPart, "write", half)
        with pytest.raises(Killed):
            attempt(folder, file_format="ndjson", part_bytes=600)
    attempt(folder, file_format="ndjson", seed=3)
    assert [row["id"] for row in sorted(table(folder), key=lambda row: row["id"])] == list(IDS)


def test_a_try_that_lives_on_beside_the_next_one_publishes_nothing(tmp_path: Path) -> None:
    """Airflow starts the next try when a supervisor dies; the task process may live on."""
    folder = folder_at(tmp_path)

    def slow(pages: list[Page]) -> Iterator[Page]:
        for place, page in enumerate(pages):
            if place == 12:
                attempt(folder, seed=5)  # the next try overtakes
            yield page

    with pytest.raises(ExtractError, match="Another run writes"):
        extract_pages(
            slow(source()), Counters(), folder, resource="invoices", instance="acme",
            unfinished=Unfinished(**RUN), part_bytes=600,
        )  # fmt: skip
    assert sorted(row["id"] for row in table(folder)) == list(IDS)


def test_pages_that_leave_ids_out_stop_the_run(tmp_path: Path) -> None:
    with pytest.raises(ExtractError, match="without a word on the ids"):
        extract_pages(
            [page for page in source() if 77 not in page.ids], Counters(), folder_at(tmp_path),
            resource="invoices", instance="acme", id_range=(0, LAST_ID),
        )  # fmt: skip


def test_fingerprints_differ_with_what_is_asked_for() -> None:
    one = fingerprint({"fields": ["id", {"supplier": ["id"]}], "since": None})
    assert one == fingerprint({"since": None, "fields": ["id", {"supplier": ["id"]}]})
    assert one != fingerprint({"fields": ["id"], "since": None})


def killed_at_once(monkeypatch) -> None:
    """From now on nothing is tidied up: after SIGKILL nobody is there to do it."""
    monkeypatch.setattr(Publication, "__exit__", lambda *_: None)


def test_kills_while_publishing_lose_nothing(tmp_path: Path, monkeypatch) -> None:
    folder = folder_at(tmp_path)
    for copies in (2, 0, 5):
        with monkeypatch.context() as patch:
            left = iter(range(copies))

            def copy(self, stored, name, left=left, copy=Publication._copy):
                if next(left, None) is None:
                    raise Killed
                copy(self, stored, name)

            patch.setattr(Publication, "_copy", copy)
            killed_at_once(patch)
            with pytest.raises(Killed):
                attempt(folder, part_bytes=600)
        kept = Unfinished.find(folder, **RUN)
        assert kept is not None
        assert kept.records == len(IDS)
    manifest = attempt(folder)
    assert (manifest.tries, manifest.records) == (2, len(IDS))  # a try that finished no part is not counted
    assert [row["id"] for row in sorted(table(folder), key=lambda row: row["id"])] == list(IDS)


def test_a_store_that_fails_while_publishing_loses_nothing(tmp_path: Path, monkeypatch) -> None:
    folder = folder_at(tmp_path)
    with monkeypatch.context() as patch:

        def fail(self, stored, name):
            raise OSError("503 Slow Down")

        patch.setattr(Publication, "_copy", fail)
        with pytest.raises(OSError, match="Slow Down"):
            attempt(folder, part_bytes=600)
    kept = Unfinished.find(folder, **RUN)
    assert kept is not None
    assert kept.records == len(IDS)
    assert attempt(folder).tries == 2


def test_a_kill_between_a_part_and_its_note_loses_that_part_alone(tmp_path: Path, monkeypatch) -> None:
    folder = folder_at(tmp_path)
    with pytest.raises(Killed):
        attempt(folder, after=10, error=Killed(), part_bytes=600)
    before = Unfinished.find(folder, **RUN)
    assert before is not None
    with monkeypatch.context() as patch:

        def die(self, content):
            raise Killed

        patch.setattr(Publication, "note", die)
        killed_at_once(patch)
        with pytest.raises(Killed):
            attempt(folder, part_bytes=600)
    kept = Unfinished.find(folder, **RUN)
    assert kept is not None
    assert kept.records == before.records
    assert attempt(folder).records == len(IDS)


def test_a_try_that_fails_beside_the_next_one_takes_no_part_of_it_along(destination: Destination) -> None:
    """The next try has adopted parts of this one by the time this one notices that it is not alone."""

    def put(publication: Publication, number: int) -> StagedFile:
        publication.stage(f"part-{number:05d}.ndjson").write_bytes(b'{"id":1}\n')
        return publication.put(f"part-{number:05d}.ndjson")

    def overtaken(later: Publication) -> None:
        with Publication(destination) as earlier:
            adopted = put(earlier, 0)
            later.adopt("part-00000.ndjson", adopted.stored, adopted.bytes)
            put(later, 1)
            put(earlier, 1)

    with Publication(destination) as later:
        with pytest.raises(ExtractError, match="Another run writes"):
            overtaken(later)
        later.publish(b"{}")
    assert sorted(destination.own_files()) == ["_manifest.json", "part-00000.ndjson", "part-00001.ndjson"]
    assert not destination.fs.exists(destination.path_of("_unfinished"))
