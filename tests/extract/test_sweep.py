"""The sweep for deletions: what counts as gone, what never does, and when nothing can be said."""

from __future__ import annotations

import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem

from coupa_provider.client.blocking import BlockingClient
from coupa_provider.client.config import CoupaConfig
from coupa_provider.client.errors import CoupaIncompleteError
from coupa_provider.client.page import Counters
from coupa_provider.emulator import Emulator
from coupa_provider.extract.destination import Destination
from coupa_provider.extract.errors import ExtractError
from coupa_provider.extract.manifest import Manifest
from coupa_provider.extract.manifest_reader import ManifestReader
from coupa_provider.extract.sweep import sweep_deletions
from tests.extract.landed import land_ids
from tests.extract.synthetic import page_of


@pytest.fixture(scope="module")
def coupa():
    with Emulator(seed=7, empty=True, rate_limit=None) as emulator:
        yield emulator


@pytest.fixture(autouse=True)
def _first_state(coupa):
    coupa.reset()
    coupa.load({"invoices": [{"id": number, "status": "approved"} for number in range(1, 501)]})
    yield
    coupa.configure(drift=None, faults=None, latency=None)


@pytest.fixture
def client(coupa):
    config = CoupaConfig.from_fields(
        "coupa_test", host=coupa.url, login=coupa.client_id, password=coupa.client_secret,
        extra={"requests_per_second": 2000},
    )  # fmt: skip
    with BlockingClient(config) as client:
        yield client


@pytest.fixture
def folder(tmp_path):
    def named(name: str) -> Destination:
        return Destination(LocalFileSystem(), f"{tmp_path}/{name}", f"file://{tmp_path}/{name}")

    return named


@pytest.fixture
def landed(client, folder):
    """Make an extract that holds ids: ``landed("monday", range(1, 11))``."""

    def land(name, ids, **facts) -> ManifestReader:
        return land_ids(folder(name), ids, **{"instance": client.config.instance, **facts})

    return land


@pytest.fixture
def sweep(client, folder):
    def run(*extracts, filters=None, to="deletions", begin_walk=None, **arguments):
        def begin(filters):
            return client.pages("invoices", filters=filters, fields=["id"])

        return sweep_deletions(
            begin_walk or begin,
            extracts,
            folder(to),
            instance=client.config.instance,
            filters=filters,
            **arguments,
        )

    return run


def delete(client, *ids) -> None:
    for number in ids:
        client.call("DELETE", f"invoices/{number}")


def test_what_was_deleted_is_found(client, landed, sweep, folder):
    extract = landed("all", range(1, 501))
    delete(client, 3, 77, 500)
    found = sweep(extract)
    assert list(found.ids) == [3, 77, 500]
    assert found.compared == 500
    manifest = Manifest.from_json(
        folder("deletions").fs.cat_file(folder("deletions").path_of("_manifest.json"))
    )
    assert manifest == found.manifest
    assert (manifest.kind, manifest.resource, manifest.records) == ("deletions", "invoices", 3)
    assert (manifest.min_id, manifest.max_id) == (3, 500)
    assert manifest.query == {"fields": '["id"]'}
    table = pq.read_table(folder("deletions").path_of("part-00000.parquet"))
    assert table.to_pydict() == {"id": [3, 77, 500]}
    assert str(table.schema.field("id").type) == "int64"
    reader = ManifestReader(folder("deletions"))
    assert [row["id"] for rows in reader.batches() for row in rows.to_pylist()] == [3, 77, 500]


def test_nothing_deleted_is_an_empty_list(landed, sweep, folder):
    found = sweep(landed("all", range(1, 501)))
    assert (found.manifest.records, found.manifest.min_id) == (0, None)
    assert pq.read_table(folder("deletions").path_of("part-00000.parquet")).num_rows == 0


def test_ids_that_no_extract_holds_are_nothing_to_it(landed, sweep):
    found = sweep(landed("some", [5, 6, 900]))
    assert list(found.ids) == [900]
    assert found.compared == 3


def test_later_extracts_count(client, landed, sweep):
    """Records, their deletion, and one of them again: the order of the list is the order of events."""
    first = landed("first", range(1, 501))
    delete(client, 10, 11, 12)
    sweep(first, to="gone1")
    gone = ManifestReader(
        Destination(first.folder.fs, first.folder.root.replace("first", "gone1"), "file:///gone1")
    )
    assert list(sweep(first, gone).ids) == []
    again = landed("again", [11, 501])
    found = sweep(first, gone, again)
    assert list(found.ids) == [11, 501]
    assert list(sweep(first, again, gone).ids) == [501]


def test_filters_say_what_counts_as_there(coupa, landed, sweep):
    coupa.load({"invoices": [{"id": 9, "status": "voided"}]})
    found = sweep(landed("all", range(1, 501)), filters={"status": "approved"})
    assert list(found.ids) == [9]
    assert found.manifest.query["status"] == "approved"
    assert list(sweep(landed("all", range(1, 501))).ids) == []


class Walk:
    """A walk over ids that passes some over."""

    query: dict[str, str] = {}  # noqa: RUF012
    reports: list[str] = []  # noqa: RUF012

    def __init__(self, ids) -> None:
        self.counters = Counters()
        self.pages = [page_of(*[{"id": number} for number in ids])] if ids else []

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        pass

    def __iter__(self):
        return iter(self.pages)


def test_an_id_the_walk_passed_over_is_asked_for_before_it_counts_as_deleted(client, landed, sweep):
    asked = []

    def begin(filters):
        asked.append(filters)
        if "id[in]" in filters:
            return client.pages("invoices", filters=filters, fields=["id"])
        return Walk([1, 2, 3])

    found = sweep(landed("all", [1, 2, 3, 4, 5, 600]), begin_walk=begin)
    assert list(found.ids) == [600]
    assert asked == [{}, {"id[in]": [4, 5, 600]}]


def test_many_deletions_are_asked_for_in_batches(client, coupa, landed, sweep):
    delete(client, *range(100, 300))
    coupa.reset_seen()
    found = sweep(landed("all", range(1, 501)))
    assert list(found.ids) == list(range(100, 300))
    # 300 ids a walk of seven or more requests, and five questions for 49 ids or fewer.
    assert coupa.seen()["requests"] == found.manifest.requests < 25


def test_no_record_at_all_is_not_believed(coupa, landed, sweep, folder):
    before = sweep(landed("all", range(1, 501)))
    with pytest.raises(
        CoupaIncompleteError, match="no record of 'invoices' at all, though the extracts hold 500"
    ):
        sweep(landed("all", range(1, 501)), filters={"status": "paid"})
    # What was there before is there still.
    assert ManifestReader(folder("deletions")).manifest == before.manifest


def test_nothing_to_compare_is_no_deletion(coupa, client, landed, sweep):
    delete(client, *coupa.ids("invoices"))
    found = sweep(landed("none", []))
    assert (found.compared, found.manifest.records) == (0, 0)


def test_extracts_have_to_belong_together(landed, sweep):
    invoices = landed("invoices", [1])
    suppliers = landed("suppliers", [1], resource="suppliers")
    with pytest.raises(ExtractError, match="one resource; the manifests given name invoices, suppliers"):
        sweep(invoices, suppliers)
    with pytest.raises(ExtractError, match="one resource; the manifests given name none"):
        sweep()
    with pytest.raises(ExtractError, match=r"from acme\.coupahost\.com, but the connection leads to 127"):
        sweep(invoices, landed("acme", [1], instance="acme.coupahost.com"))
    for name in ("invoices", "invoices/deletions"):
        with pytest.raises(ExtractError, match="Give the deletions a folder of their own"):
            sweep(invoices, to=name)
    assert invoices.folder.own_files().keys() == {"_manifest.json", "part-00000.parquet"}


@pytest.mark.slow
def test_while_records_come_and_go(coupa, client, landed, sweep):
    """20,000 invoices; nothing that is there is reported, and all that was gone before the sweep is."""
    coupa.load({"invoices": [{"id": number} for number in range(501, 20_001)]})
    extract = landed("all", range(1, 20_001))
    delete(client, *range(1000, 1100))
    gone_before = set(range(1000, 1100))
    coupa.configure(
        drift={"inserts_per_s": 20, "deletes_per_s": 20, "updates_per_s": 40}, latency={"fixed_ms": 40}
    )
    told = []
    found = set(sweep(extract, on_progress=told.append, progress_seconds=0.5).ids)
    coupa.configure(drift=None)
    time.sleep(0.3)  # what the drift has begun
    log = coupa.drift_log()
    born = {event["id"] for event in log["inserted"]}
    deleted = {event["id"] for event in log["deleted"]}
    assert len(born) > 20
    assert len(deleted - born) > 20
    assert gone_before <= found <= gone_before | deleted
    assert found & born == set()
    assert found & set(coupa.ids("invoices")) == set()
    assert told[-1].records > 0


def test_a_sweep_through_faults(coupa, client, landed, sweep):
    extract = landed("all", range(1, 501))
    delete(client, 3, 77)
    coupa.configure(faults={"rate": 0.1, "kinds": ["drop_middle", "truncated", "429_seconds"], "seed": 2})
    found = sweep(extract)
    assert list(found.ids) == [3, 77]
    assert found.manifest.retried > 0


MEASURE = """
import re, sys
import fsspec
from coupa_provider.client.page import Counters
from coupa_provider.extract.destination import Destination
from coupa_provider.extract.manifest_reader import ManifestReader
from coupa_provider.extract.sweep import sweep_deletions
from tests.extract.synthetic import id_pages

class Walk:
    query, reports, counters = {}, [], Counters()
    def __init__(self, pages): self.pages = pages
    def __enter__(self): return self
    def __exit__(self, *error): pass
    def __iter__(self): return iter(self.pages)

root, count = sys.argv[1], int(sys.argv[2])
def folder(name): return Destination(fsspec.filesystem("file"), f"{root}/{name}", name)
found = sweep_deletions(
    lambda filters: Walk([] if "id[in]" in filters else id_pages(count, step=2)),
    [ManifestReader(folder(f"all{count}"))], folder("gone"), instance="acme.coupahost.com",
)
assert found.manifest.records == count // 2
# Not ru_maxrss, which a process takes over from the one that started it.
print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
"""


@pytest.mark.slow
def test_memory_is_flat(folder, tmp_path) -> None:
    """Two million ids and half of them deleted, against a twentieth of that."""

    def peak_kb(count: int) -> int:
        land_ids(folder(f"all{count}"), range(1, count + 1))
        command = [sys.executable, "-c", MEASURE, str(tmp_path), str(count)]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        return int(run.stdout)

    few, many = peak_kb(100_000), peak_kb(2_000_000)
    print(f"{few} kB for 100,000 ids, {many} kB for 2,000,000")
    assert many < 1.2 * few
