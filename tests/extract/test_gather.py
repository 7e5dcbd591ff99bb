"""Partitions become one extract if they are one, and only then."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import fsspec
import msgspec
import pytest

from coupa_provider.client.id_ranges import LAST_ID
from coupa_provider.client.page import Counters, Page
from coupa_provider.extract import FILE_FORMATS
from coupa_provider.extract.destination import Destination
from coupa_provider.extract.drift import Drift, FoundField, Misfits
from coupa_provider.extract.errors import ExtractError
from coupa_provider.extract.gather import gather_manifests
from coupa_provider.extract.manifest import Manifest
from coupa_provider.extract.manifest_reader import ManifestReader
from coupa_provider.extract.run import extract_pages
from coupa_provider.extract.window import Window

EDGES = (0, 3, 6, LAST_ID)


@pytest.fixture(params=["local", "memory"])
def destination(request, tmp_path):
    if request.param == "local":
        yield Destination(fsspec.filesystem("file"), str(tmp_path / "lake"), f"file://{tmp_path}/lake")
        return
    memory = fsspec.filesystem("memory")
    yield Destination(memory, "/lake/suppliers", "memory://lake/suppliers")
    memory.rm("/lake", recursive=True)


@pytest.fixture
def local(tmp_path):
    return Destination(fsspec.filesystem("file"), str(tmp_path / "lake"), f"file://{tmp_path}/lake")


def folder(destination, number):
    name = f"partition-{number:05d}"
    return Destination(destination.fs, destination.path_of(name), destination.url_of(name))


def page(after, upto, *records):
    texts = [msgspec.Raw(msgspec.json.encode(record)) for record in records]
    return Page(texts, [record["id"] for record in records], after, upto)


def extract(destination, number, after, upto, *records, **arguments):
    """Write one partition as the transfer does."""
    target = folder(destination, number)
    counters = Counters(requests=10 + number, throttled=number, retried=2 * number)
    query = {"status": "active", "id[gt]": str(after)}
    if upto != LAST_ID:
        query["id[lt_or_eq]"] = str(upto)
    usual = {
        "resource": "suppliers",
        "instance": "acme.coupahost.com",
        "query": query,
        "id_range": (after, upto),
    }
    extract_pages([page(after, upto, *records)], counters, target, **{**usual, **arguments})
    return ManifestReader(target)


def land(destination, edges=EDGES, **arguments):
    """Write partitions of two suppliers each."""
    return [
        extract(destination, number, after, upto, *({"id": after + step, "name": f"N{after}"} for step in (1, 2)), **arguments)
        for number, (after, upto) in enumerate(pairwise(edges))
    ]  # fmt: skip


def change(reader, **facts):
    """Write a manifest anew with other facts."""
    changed = msgspec.structs.replace(reader.manifest, **facts)
    reader.folder.fs.pipe_file(reader.folder.path_of("_manifest.json"), changed.to_json())
    return ManifestReader(reader.folder)


@pytest.mark.parametrize("file_format", FILE_FORMATS)
def test_partitions_become_one_extract(destination, file_format):
    parts = land(destination, file_format=file_format, fields=["id", "name"], reports=["odd"])
    gathered = gather_manifests(parts[::-1], destination)
    reader = ManifestReader(destination)
    assert reader.manifest == gathered
    names = [f"partition-0000{number}/part-00000.{file_format}" for number in range(3)]
    assert [file.name for file in gathered.files] == names
    assert (gathered.records, gathered.min_id, gathered.max_id) == (6, 1, 8)
    assert gathered.id_range == (0, None)
    assert gathered.query == {"status": "active"}
    assert (gathered.requests, gathered.throttled, gathered.retried) == (33, 3, 6)
    assert gathered.reports == ["odd"]
    assert gathered.started == min(part.manifest.started for part in parts)
    assert gathered.finished == max(part.manifest.finished for part in parts)
    assert (
        0
        <= gathered.seconds
        == pytest.approx((gathered.finished - gathered.started).total_seconds(), abs=0.001)
    )
    ids = [number for batch in reader.batches(["id"]) for number in batch.column(0).to_pylist()]
    assert ids == [1, 2, 4, 5, 7, 8]


def test_each_partition_stays_an_extract_of_its_own(destination):
    parts = land(destination)
    before = [(part.manifest, part.folder.own_files()) for part in parts]
    gather_manifests(parts, destination)
    assert [(ManifestReader(part.folder).manifest, part.folder.own_files()) for part in parts] == before
    assert list(destination.own_files()) == ["_manifest.json"]


def test_lines_are_gathered_as_well(local):
    records = [
        {"id": number, "name": "x", "addresses": [{"id": number * 10, "city": "Kiel"}]} for number in (1, 4)
    ]
    parts = [
        extract(local, number, after, upto, records[number], explode={"addresses": ["id", "city"]}, fields=["id", {"addresses": ["id", "city"]}])
        for number, (after, upto) in enumerate([(0, 3), (3, LAST_ID)])
    ]  # fmt: skip
    gathered = gather_manifests(parts, local)
    (name,) = gathered.children
    lines = gathered.children[name]
    assert lines.records == 2
    assert [file.name for file in lines.files] == [
        f"partition-0000{number}/{name}/part-00000.parquet" for number in (0, 1)
    ]
    batches = ManifestReader(local).batches(["id"], child=name)
    assert [number for batch in batches for number in batch.column(0).to_pylist()] == [10, 40]


def test_drift_is_counted_together(local):
    parts = [
        extract(local, 0, 0, 3, {"id": 1, "name": "x", "odd": 1, "custom-fields": {"a": "x"}}),
        extract(local, 1, 3, 6, {"id": 4, "status": "active", "odd": 1, "custom-fields": {"a": 5}}),
        extract(local, 2, 6, LAST_ID),
    ]
    drift = gather_manifests(parts, local).drift
    assert drift.rows == 2
    assert drift.unforeseen["odd"] == 2
    assert drift.custom_fields["custom-fields[a]"] == FoundField(2, "mixed")
    assert "website" in drift.never_seen
    assert not {"name", "status"} & set(drift.never_seen)


def test_misfits_are_added_up_and_three_ids_shown():
    one = Drift(rows=1, never_seen=["a", "b"], misfits={"x": Misfits(5, [1, 2])})
    one.add(Drift(rows=0))
    one.add(Drift(rows=2, never_seen=["b", "c"], misfits={"x": Misfits(4, [7, 8, 9]), "y": Misfits(1, [7])}))
    assert one.never_seen == ["b"]
    assert one.misfits == {"x": Misfits(9, [1, 2, 7]), "y": Misfits(1, [7])}


def test_partitions_of_an_earlier_plan_are_removed_and_nothing_else(destination):
    land(destination, edges=(0, 1_000, 2_000, 3_000, LAST_ID))
    others = ["notes.txt", "partition-old/part-00000.parquet", "partition-7/x", "lines/partition-00009/x"]
    for name in ["partition-99999/_unfinished/x", *others]:
        destination.fs.makedirs(destination.path_of(name).rpartition("/")[0], exist_ok=True)
        destination.fs.pipe_file(destination.path_of(name), b"mine")
    gather_manifests(land(destination), destination)
    destination.fs.invalidate_cache()
    left = {
        path.partition("lake/")[2].removeprefix("suppliers/")
        for path in destination.fs.find(destination.root)
    }
    kept = {
        f"partition-0000{number}/{name}"
        for number in range(3)
        for name in ("_manifest.json", "part-00000.parquet")
    }
    assert left == {"_manifest.json", *others, *kept}


def test_an_extract_in_the_same_folder_is_replaced(destination):
    extract_pages(
        [page(0, LAST_ID, {"id": 1})], Counters(), destination, resource="suppliers", instance="acme"
    )
    gather_manifests(land(destination), destination)
    assert list(destination.own_files()) == ["_manifest.json"]
    assert ManifestReader(destination).manifest.records == 6


def test_the_manifest_of_a_plan_with_bounds_of_its_own(local):
    parts = land(local, edges=(100, 200, 300))
    gathered = gather_manifests(parts, local, planned=[(100, 200), (200, None)])
    assert gathered.id_range == (100, 300)
    assert gathered.query == {"status": "active", "id[gt]": "100", "id[lt_or_eq]": "300"}


def test_it_can_be_gathered_again(destination):
    parts = land(destination)
    assert gather_manifests(parts, destination) == gather_manifests(parts, destination)


def assert_refused(parts, destination, message, **arguments):
    with pytest.raises(ExtractError, match=message):
        gather_manifests(parts, destination, **arguments)
    assert "_manifest.json" not in destination.own_files()


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([(0, 3), (4, LAST_ID)], "partition-00000 ends with id 3 and partition-00001 begins after 4"),
        ([(0, 3), (2, LAST_ID)], "partition-00000 ends with id 3 and partition-00001 begins after 2"),
        ([(0, LAST_ID), (3, LAST_ID)], "ends with id None"),
        ([(3, LAST_ID), (0, 3)], "ends with id None"),
        ([(0, 3), (3, 6)], "ends with id 6, which does not show"),
    ],
)
def test_a_gap_an_overlap_or_no_end_is_refused(local, edges, message):
    assert_refused([extract(local, number, *ends) for number, ends in enumerate(edges)], local, message)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([0, 2], "partition-00001 is not among the 2"),
        ([1, 2], "partition-00000 is not among the 2"),
        ([0, 1], "ends with id 6, which does not show"),
        ([0, 1, 1, 2], "partition-00001 was given twice"),
        ([], "no partition to gather"),
    ],
)
def test_a_missing_partition_is_noticed(local, given, message):
    parts = land(local)
    assert_refused([parts[number] for number in given], local, message)


@pytest.mark.parametrize(
    "planned", [[(0, 3), (3, 6), (6, None)], [(0, 2), (2, None)], [(1, 3), (3, None)], []]
)
def test_what_was_not_planned_is_refused(local, planned):
    parts = land(local, edges=(0, 3, 6))
    assert_refused(parts, local, f"{len(planned)} partitions were planned, 2 were given", planned=planned)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"resource": "users"}, "resource"),
        ({"instance": "other.coupahost.com"}, "instance"),
        ({"window": Window.parse("2026-01-01T00:00:00Z", None)}, "window"),
        ({"query": {"status": "inactive"}}, "query"),
        ({"file_format": "csv"}, "file format"),
        ({"fields": ["id", "name"]}, "columns"),
    ],
)
def test_partitions_of_different_extracts_are_refused(local, other, what):
    parts = [extract(local, 0, 0, 3, {"id": 1}), extract(local, 1, 3, LAST_ID, {"id": 4}, **other)]
    assert_refused(parts, local, f"partition-00000 and partition-00001 differ in {what}")


def test_a_list_of_deletions_is_refused(local):
    parts = land(local)
    parts[1] = change(parts[1], kind="deletions")
    assert_refused(parts, local, "differ in kind")


def test_a_partition_from_elsewhere_is_refused(local, tmp_path):
    elsewhere = Destination(local.fs, str(tmp_path / "other"), f"file://{tmp_path}/other")
    assert_refused([*land(local)[:2], land(elsewhere)[2]], local, "is no folder of a partition in")
    assert_refused(
        [ManifestReader(part.folder) for part in land(elsewhere)], local, "is no folder of a partition in"
    )


@pytest.mark.parametrize("damage", ["remove", "shorten"])
def test_a_missing_file_is_noticed(local, damage):
    parts = land(local)
    part = Path(parts[1].folder.path_of("part-00000.parquet"))
    if damage == "remove":
        part.unlink()
    else:
        part.write_bytes(part.read_bytes()[:-1])
    assert_refused(parts, local, "partition-00001/part-00000.parquet is gone or not the file")


def test_a_refusal_leaves_what_stood_there(local):
    parts = land(local)
    gather_manifests(parts, local)
    before = Path(local.path_of("_manifest.json")).read_bytes()
    with pytest.raises(ExtractError):
        gather_manifests(parts[:2], local)
    assert Path(local.path_of("_manifest.json")).read_bytes() == before
    assert Manifest.from_json(before).records == 6
