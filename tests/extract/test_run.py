"""A run is whole or does not exist."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from coupa_provider import __version__
from coupa_provider.client.page import Counters, Page
from coupa_provider.extract.destination import Destination
from coupa_provider.extract.errors import ExtractError
from coupa_provider.extract.manifest import Manifest
from coupa_provider.extract.progress import Progress
from coupa_provider.extract.window import Window
from tests.extract.synthetic import page_of

Extract = Callable[..., Manifest]
FORMATS = pytest.mark.parametrize("file_format", ["ndjson", "parquet", "csv"])


def pages_of(*ids: range, name: str = "A") -> Iterator[Page]:
    for numbers in ids:
        for first in range(numbers.start, numbers.stop, 10):
            yield page_of(*({"id": n, "name": name} for n in range(first, min(first + 10, numbers.stop))))


def published(destination: Destination) -> Manifest:
    return Manifest.from_json(destination.fs.cat_file(destination.path_of("_manifest.json")))


def names_in(destination: Destination) -> list[str]:
    if not destination.fs.exists(destination.root):
        return []
    return sorted(path.rsplit("/", 1)[-1] for path in destination.fs.ls(destination.root, detail=False))


def assert_whole(destination: Destination) -> Manifest:
    """Check every promise of the manifest against the files."""
    manifest = published(destination)
    assert names_in(destination) == sorted(["_manifest.json", *(file.name for file in manifest.files)])
    for file in manifest.files:
        content = destination.fs.cat_file(destination.path_of(file.name))
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.bytes, file.sha256)
    assert sum(file.rows for file in manifest.files) == manifest.records
    return manifest


@FORMATS
def test_parts_and_manifest(file_format: str, extract: Extract, destination: Destination) -> None:
    started = datetime.now(UTC)
    counters = Counters(requests=9, throttled=1, retried=2)
    window = Window(datetime(2026, 11, 22, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))
    returned = extract(
        pages_of(range(101, 131), range(1, 26)),
        destination,
        file_format=file_format,
        counters=counters,
        part_bytes=400,
        query={"updated-at[gt_or_eq]": "2026-11-22T00:00:00Z"},
        window=window,
        reports=["walked by bisection"],
    )
    manifest = assert_whole(destination)
    assert manifest == returned
    assert [file.name for file in manifest.files] == [f"part-0000{n}.{file_format}" for n in range(3)]
    assert [(file.rows, file.min_id, file.max_id) for file in manifest.files] == [
        (20, 101, 120),
        (20, 1, 130),
        (15, 11, 25),
    ]
    assert (manifest.records, manifest.min_id, manifest.max_id) == (55, 1, 130)
    assert (manifest.resource, manifest.instance) == ("suppliers", "acme.coupahost.com")
    assert (manifest.requests, manifest.throttled, manifest.retried) == (9, 1, 2)
    assert manifest.window == (window.since, window.until)
    assert manifest.query == {"updated-at[gt_or_eq]": "2026-11-22T00:00:00Z"}
    assert manifest.reports == ["walked by bisection"]
    assert manifest.provider_version == __version__
    assert started <= manifest.started <= manifest.finished <= datetime.now(UTC)
    if file_format == "ndjson":
        assert manifest.columns == {}
        assert manifest.drift is None
    else:
        assert manifest.columns["id"] == "int64"
        assert manifest.drift.unforeseen == {}
        assert "name" not in manifest.drift.never_seen
        assert "status" in manifest.drift.never_seen


def test_the_manifest_is_made_for_people_too(extract: Extract, local: Destination) -> None:
    extract(pages_of(range(1, 3)), local, window=Window(datetime(2026, 11, 22, tzinfo=UTC), None))
    text = Path(local.root, "_manifest.json").read_text()
    assert text.startswith('{\n  "version": 1,\n  "kind": "records",\n  "resource": "suppliers",')
    content = json.loads(text)
    assert content["window"] == ["2026-11-22T00:00:00Z", None]
    assert "schema" in content


def test_a_manifest_of_another_version_is_refused(extract: Extract, local: Destination) -> None:
    manifest = extract(pages_of(range(1, 3)), local)
    text = msgspec.json.encode(msgspec.structs.replace(manifest, version=2))
    with pytest.raises(ValueError, match="format version 2; this release reads 1"):
        Manifest.from_json(text)


@FORMATS
def test_no_records_make_one_empty_part(file_format: str, extract: Extract, destination: Destination) -> None:
    extract([Page([], [], 0, 9)], destination, file_format=file_format)
    manifest = assert_whole(destination)
    (file,) = manifest.files
    assert (manifest.records, manifest.min_id, file.rows, file.max_id) == (0, None, 0, None)
    if file_format != "ndjson":
        assert manifest.drift.never_seen == []
    if file_format == "csv":
        assert destination.fs.cat_file(destination.path_of(file.name)).startswith(b"id,")


class StopHere(BaseException):
    """As a signal raises it."""


def breaking(pages: Iterator[Page], after: int, error: BaseException) -> Iterator[Page]:
    for _ in range(after):
        yield next(pages)
    raise error


@FORMATS
@pytest.mark.parametrize("error", [RuntimeError("boom"), KeyboardInterrupt(), StopHere()], ids=repr)
@pytest.mark.parametrize("after", [0, 1, 5])
def test_a_failed_run_leaves_nothing(
    file_format: str, error: BaseException, after: int, extract: Extract, destination: Destination
) -> None:
    pages = breaking(pages_of(range(1, 101)), after, error)
    with pytest.raises(type(error)):
        extract(pages, destination, file_format=file_format, part_bytes=400)
    assert names_in(destination) == []


def test_a_failed_run_leaves_no_temporary_files(
    extract: Extract, destination: Destination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with pytest.raises(RuntimeError):
        extract(breaking(pages_of(range(1, 101)), 5, RuntimeError()), destination, part_bytes=400)
    extract(pages_of(range(1, 101)), destination, part_bytes=400)
    assert list(folder.iterdir()) == []


def test_a_second_try_overwrites_the_first(extract: Extract, destination: Destination) -> None:
    with pytest.raises(RuntimeError):
        extract(
            breaking(pages_of(range(1, 101), name="first"), 5, RuntimeError()), destination, part_bytes=400
        )
    extract(pages_of(range(1, 31), name="second"), destination, part_bytes=400)
    manifest = assert_whole(destination)
    for file in manifest.files:
        assert b"first" not in destination.fs.cat_file(destination.path_of(file.name))


def test_leavings_of_a_killed_run_are_overwritten(extract: Extract, destination: Destination) -> None:
    destination.fs.makedirs(destination.root)
    for name in ("part-00000.ndjson", "part-00007.parquet", ".part-00003.csv.tmp", "._manifest.json.tmp"):
        destination.fs.pipe_file(destination.path_of(name), b"half")
    extract(pages_of(range(1, 31)), destination)
    assert_whole(destination)


def test_other_files_are_left_alone(extract: Extract, destination: Destination) -> None:
    destination.fs.makedirs(destination.root)
    others = ["README.md", "part-1.parquet", "partition.csv", "my-_manifest.json"]
    for name in others:
        destination.fs.pipe_file(destination.path_of(name), b"mine")
    extract(pages_of(range(1, 31)), destination)
    assert names_in(destination) == sorted([*others, "_manifest.json", "part-00000.ndjson"])


def test_an_earlier_extract_stands_until_the_new_one_is_whole(
    extract: Extract, destination: Destination
) -> None:
    extract(pages_of(range(1, 31), name="first"), destination)
    before = assert_whole(destination)
    with pytest.raises(RuntimeError):
        extract(breaking(pages_of(range(1, 101)), 8, RuntimeError()), destination, part_bytes=400)
    assert assert_whole(destination) == before


def test_no_manifest_ever_stands_beside_files_it_does_not_describe(
    extract: Extract, destination: Destination
) -> None:
    """Whatever step a second run dies at, a manifest that can be read is right."""

    class Died(BaseException):
        pass

    steps = 0
    while True:
        if steps:
            destination.fs.rm(destination.root, recursive=True)
        extract(pages_of(range(1, 61), name="first"), destination, part_bytes=400)
        left, alive = steps, True

        def die_or_go_on(method: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                nonlocal left, alive
                if left == 0:
                    alive = False
                if not alive:  # nothing is tidied up after a kill -9
                    raise Died
                left -= 1
                return method(*args, **kwargs)

            return call

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(destination.fs, "rm_file", die_or_go_on(destination.fs.rm_file))
            patch.setattr(destination.fs, "put_file", die_or_go_on(destination.fs.put_file))
            patch.setattr(destination.fs, "copy", die_or_go_on(destination.fs.copy))
            patch.setattr("os.replace", die_or_go_on(os.replace))
            patch.setattr("os.link", die_or_go_on(os.link))
            try:
                extract(pages_of(range(1, 31), name="second"), destination, part_bytes=400)
            except Died:
                pass
            else:
                break
        if "_manifest.json" in names_in(destination):
            manifest = published(destination)
            for file in manifest.files:
                content = destination.fs.cat_file(destination.path_of(file.name))
                assert hashlib.sha256(content).hexdigest() == file.sha256
        steps += 1
    # Its name, two parts and a manifest put; before, three parts and a manifest away; two parts copied.
    assert steps >= 4 + 4 + 2
    assert_whole(destination)


def test_of_two_runs_at_once_the_later_one_goes_on(extract: Extract, destination: Destination) -> None:
    def pages() -> Iterator[Page]:
        yield from pages_of(range(1, 31))
        extract(pages_of(range(1, 11), name="later"), destination, part_bytes=400)
        yield from pages_of(range(31, 41))

    with pytest.raises(ExtractError, match=r"Another run writes to .*it began later"):
        extract(pages(), destination, part_bytes=400)
    assert assert_whole(destination).records == 10


def test_a_strange_file_among_the_parts_is_noticed(
    extract: Extract, destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    clear = Destination.clear

    def clear_and_meddle(self: Destination) -> None:
        clear(self)
        self.fs.pipe_file(self.path_of("part-00004.ndjson"), b"of somebody else")

    monkeypatch.setattr(Destination, "clear", clear_and_meddle)
    with pytest.raises(ExtractError, match=r"Another run writes to .*part-00004.ndjson"):
        extract(pages_of(range(1, 31)), destination, part_bytes=400)
    assert "_manifest.json" not in names_in(destination)


@pytest.mark.parametrize(
    ("pages", "message"),
    [
        ([*pages_of(range(1, 21)), *pages_of(range(15, 16))], r"some of \(14, 15\] was read before"),
        ([Page([msgspec.Raw(b"{}")] * 2, [2, 1], 0, 2)], "Id 1 follows id 2 on one page"),
        ([Page([msgspec.Raw(b"{}")] * 2, [1, 1], 0, 2)], "Id 1 follows id 1 on one page"),
        ([Page([msgspec.Raw(b"{}")], [1, 2], 0, 2)], "from id 1 has 1 records but 2 ids"),
    ],
)
def test_pages_that_contradict_themselves_stop_the_run(
    pages: list[Page], message: str, extract: Extract, destination: Destination
) -> None:
    with pytest.raises(ExtractError, match=message):
        extract(iter(pages), destination, part_bytes=100)
    assert names_in(destination) == []


def test_a_failing_clean_up_does_not_hide_the_reason(
    extract: Extract,
    destination: Destination,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def pages() -> Iterator[Page]:
        yield from pages_of(range(1, 31))

        def denied(*_: object, **__: object) -> None:
            raise OSError("denied")

        monkeypatch.setattr(destination.fs, "rm", denied)
        raise RuntimeError("the reason")

    with pytest.raises(RuntimeError, match="the reason"):
        extract(pages(), destination, part_bytes=400)
    assert "Could not remove the parts of the failed run: denied" in caplog.text


def test_progress_is_reported_while_waiting(extract: Extract, local: Destination) -> None:
    counters = Counters()
    reports: list[Progress] = []
    told = threading.Event()

    def on_progress(progress: Progress) -> None:
        reports.append(progress)
        if len(reports) == 2:
            told.set()

    def pages() -> Iterator[Page]:
        yield from pages_of(range(1, 21))
        counters.requests, counters.throttled = 3, 1
        assert told.wait(10)  # no page comes, reports go on

    extract(pages(), local, counters=counters, on_progress=on_progress, progress_seconds=0.02)
    count = len(reports)
    time.sleep(0.1)
    assert len(reports) == count  # and end with the run
    last = reports[-1]
    assert (last.records, last.requests, last.throttled) == (20, 3, 1)
    text = str(Progress(records=12400, records_per_second=1240.4, requests=250, throttled=3, seconds=10.2))
    assert text == "12,400 records, 1,240/s, 250 requests, 3 throttled, 10 s"


def test_no_thread_without_a_listener(extract: Extract, local: Destination) -> None:
    before = threading.active_count()

    def pages() -> Iterator[Page]:
        assert threading.active_count() == before
        yield from pages_of(range(1, 3))

    extract(pages(), local)


def test_an_unknown_format_touches_nothing(extract: Extract, local: Destination) -> None:
    with pytest.raises(ValueError, match="file_format 'xlsx'"):
        extract(pages_of(range(1, 3)), local, file_format="xlsx")
    assert names_in(local) == []
