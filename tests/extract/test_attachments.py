"""What is attached to records: each file whole, or named as failed, whatever goes wrong on the way."""

from __future__ import annotations

import hashlib
import io
import random
from pathlib import Path

import msgspec
import pytest
from fsspec.implementations.local import LocalFileSystem

from coupa_provider.client import pacing
from coupa_provider.client.blocking import BlockingClient
from coupa_provider.client.config import CoupaConfig
from coupa_provider.client.errors import CoupaAuthenticationError
from coupa_provider.client.retry import RetryPolicy
from coupa_provider.client.token import forget_tokens
from coupa_provider.emulator import Emulator
from coupa_provider.extract import attachments
from coupa_provider.extract.attachment_manifest import AttachmentReader, Entry
from coupa_provider.extract.attachments import fetch_attachments
from coupa_provider.extract.destination import Destination
from coupa_provider.extract.errors import ExtractError
from coupa_provider.extract.manifest_reader import ManifestReader
from tests.extract.landed import land_ids, land_records
from tests.forked_try import ForkedTry

NESTED = "invoices/:invoice_id/attachments"
KINDS = ["attachments", "image_scan", "legal_invoice_pdf"]
INVOICES = 150
QUICK = RetryPolicy(attempts=10, first_delay=0.01, longest_delay=0.05)
ENDS = ("stored", "unchanged", "link", "text", "absent", "gone", "kept")


@pytest.fixture(scope="module")
def emulator_of_module():
    with Emulator(seed=11, sizes={"invoices": INVOICES}, rate_limit=None) as emulator:
        yield emulator


@pytest.fixture
def coupa(emulator_of_module):
    """The module's emulator with its seeded invoices."""
    forget_tokens()
    pacing._pacers.clear()
    emulator_of_module.reset()
    emulator_of_module.add_client(emulator_of_module.client_id, emulator_of_module.client_secret)
    return emulator_of_module


@pytest.fixture
def client(coupa):
    config = CoupaConfig.from_fields(
        "coupa_test", host=coupa.url, login=coupa.client_id, password=coupa.client_secret,
        extra={"requests_per_second": 2000},
    )  # fmt: skip
    with BlockingClient(config, retry=QUICK) as client:
        yield client


@pytest.fixture
def extract(coupa, client, tmp_path) -> ManifestReader:
    """An extract of all invoices."""
    folder = tmp_path / "extract"
    landed = land_records(Destination(LocalFileSystem(), str(folder), f"file://{folder}"), client)
    coupa.reset_seen()
    return landed


def truth(coupa: Emulator, kinds=KINDS, ids=None) -> dict[tuple, bytes | str]:
    """Return what has to become of everything that is attached: its bytes, or an outcome."""
    expected: dict[tuple, bytes | str] = {}
    for number in coupa.ids("invoices") if ids is None else ids:
        if "attachments" in kinds:
            for shown in coupa.record("invoices", number)["attachments"]:
                outcome = {"url": "link", "text": "text"}.get(shown["type"])
                content = coupa.file(NESTED, shown["id"])
                expected[number, "attachments", shown["id"]] = outcome or content or "absent"
        for kind in set(kinds) - {"attachments"}:
            expected[number, kind, 0] = coupa.file("invoices", number, kind) or "absent"
    return expected


def landed(destination: Destination) -> dict[tuple, bytes | str]:
    """Return what a manifest tells, with the bytes of each file, which must be as it tells."""
    found: dict[tuple, bytes | str] = {}
    for entry in AttachmentReader(destination).entries():
        assert entry.key not in found
        assert entry.outcome in ENDS
        if entry.outcome in ("stored", "unchanged"):
            content = destination.fs.cat_file(destination.path_of(entry.path))
            assert (len(content), hashlib.sha256(content).hexdigest()) == (entry.bytes, entry.sha256)
            found[entry.key] = content
        else:
            found[entry.key] = entry.outcome
    return found


def counted(manifest) -> dict[str, int]:
    return {outcome: count for outcome, count in manifest.counts.items() if count}


class TestWhole:
    @pytest.mark.parametrize("shows", ["metadata", "binary"])
    def test_everything_is_stored_and_told(self, coupa, client, extract, destination, shows) -> None:
        coupa.configure(switches={"U26": shows})
        manifest = fetch_attachments(client, extract, destination, KINDS)
        expected = truth(coupa)
        assert landed(destination) == expected
        assert sum(manifest.counts.values()) == manifest.listing.entries == len(expected)
        files = [content for content in expected.values() if isinstance(content, bytes)]
        assert counted(manifest)["stored"] == len(files) > 200
        assert manifest.stored_bytes == sum(map(len, files))
        assert {"link", "text", "absent"} < set(counted(manifest))
        assert manifest.requests == coupa.seen()["requests"]
        assert not destination.fs.exists(destination.path_of("_unfinished"))

    def test_attachments_of_49_records_come_with_one_request(
        self, coupa, client, extract, destination
    ) -> None:
        fetch_attachments(client, extract, destination, ["attachments"])
        assert coupa.seen()["requests_by_path"]["GET /api/invoices"] == -(-INVOICES // 49)

    @pytest.mark.parametrize("mode", ["present", "omitted"])
    def test_absent_scans_cost_a_request_only_where_the_record_does_not_tell(
        self, coupa, client, extract, destination, mode
    ) -> None:
        coupa.configure(switches={"U29": mode})
        fetch_attachments(client, extract, destination, ["image_scan"])
        expected = truth(coupa, ["image_scan"])
        assert landed(destination) == expected
        asked = coupa.seen()["requests_by_path"]["GET /api/invoices/:id/retrieve_image_scan"]
        there = sum(isinstance(content, bytes) for content in expected.values())
        assert asked == (there if mode == "present" else INVOICES)

    def test_files_are_fetched_side_by_side(self, coupa, client, extract, destination) -> None:
        coupa.configure(latency={"fixed_ms": 30})
        fetch_attachments(client, extract, destination, ["legal_invoice_pdf"])
        assert 8 < coupa.seen()["most_in_flight"] <= 18

    def test_names_from_people_lead_nowhere_else(self, coupa, client, tmp_path) -> None:
        names = [
            "../../../up.pdf",
            "..",
            "/etc/passwd",
            "C:\\a\\b.pdf",
            "x" * 300 + ".pdf",
            "請求書.pdf",
            "a\nb#?.pdf",
            None,
        ]
        coupa.configure(switches={"U26": "binary"})
        coupa.load({"invoices": [{"id": 9000}]})
        files = [{"id": n, "type": "file", "file-file-name": name} for n, name in enumerate(names, 1)]
        coupa.load({"invoices/9000/attachments": files})
        folder = tmp_path / "a" / "b" / "c"
        destination = Destination(LocalFileSystem(), str(folder), f"file://{folder}")
        place = Destination(LocalFileSystem(), f"{tmp_path}/ids", f"file://{tmp_path}/ids")
        extract = land_ids(place, [9000], instance=client.config.instance)
        fetch_attachments(client, extract, destination, ["attachments"])
        assert landed(destination) == truth(coupa, ["attachments"], [9000])
        stored = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        assert [name for name in stored if "/" in name] == sorted(
            ["9000/1-up.pdf", "9000/2-file", "9000/3-passwd", "9000/4-b.pdf", f"9000/5-{'x' * 116}.pdf", "9000/6-請求書.pdf",
             "9000/7-a_b__.pdf", "9000/8-attachment-8.pdf"]
        )  # fmt: skip
        outside = {path for path in tmp_path.rglob("*") if path.is_file()} - set(folder.rglob("*"))
        assert {path.parent for path in outside} == {tmp_path / "ids"}

    def test_a_file_that_coupa_does_not_have_is_absent(self, coupa, client, tmp_path, destination) -> None:
        coupa.configure(switches={"U26": "binary"})
        coupa.load({"invoices": [{"id": 9000}]})
        coupa.load({"invoices/9000/attachments": [{"id": 1, "type": "odd"}]})
        place = Destination(LocalFileSystem(), f"{tmp_path}/ids", f"file://{tmp_path}/ids")
        extract = land_ids(place, [9000], instance=client.config.instance)
        assert counted(fetch_attachments(client, extract, destination, ["attachments"])) == {"absent": 1}

    def test_records_that_are_gone_are_counted(
        self, coupa, client, extract, destination, tmp_path, caplog
    ) -> None:
        ids = [*coupa.ids("invoices"), 77_777, 88_888]
        place = Destination(LocalFileSystem(), f"{tmp_path}/ids", f"file://{tmp_path}/ids")
        manifest = fetch_attachments(
            client, land_ids(place, ids, instance=client.config.instance), destination, ["attachments"]
        )
        assert manifest.records_gone == 2
        assert "77777, 88888" in caplog.text
        assert landed(destination) == truth(coupa, ["attachments"])

    def test_records_that_do_not_show_their_attachments_have_their_lists_read(
        self, coupa, client, tmp_path, destination
    ) -> None:
        coupa.configure(switches={"U26": "binary"})
        coupa.load({"contracts": [{"id": 9001}, {"id": 9002}]})
        files = [{"id": n, "type": "file", "file-file-name": f"{n}.pdf"} for n in range(101, 161)]
        coupa.load(
            {"contracts/9001/attachments": files, "contracts/9002/attachments": [{"id": 201, "type": "text"}]}
        )
        place = Destination(LocalFileSystem(), f"{tmp_path}/ids", f"file://{tmp_path}/ids")
        extract = land_ids(place, [9001, 9002], instance=client.config.instance, resource="contracts")
        manifest = fetch_attachments(client, extract, destination, ["attachments"])
        assert counted(manifest) == {"stored": 60, "text": 1}
        found = landed(destination)
        for number in range(101, 161):
            held = coupa.file("contracts/:contract_id/attachments", number)
            assert found[9001, "attachments", number] == held

    def test_an_extract_without_records_has_a_manifest_too(self, client, tmp_path, destination) -> None:
        place = Destination(LocalFileSystem(), f"{tmp_path}/ids", f"file://{tmp_path}/ids")
        extract = land_ids(place, [], instance=client.config.instance)
        assert counted(fetch_attachments(client, extract, destination, KINDS)) == {}
        assert landed(destination) == {}


class TestFaults:
    @pytest.mark.parametrize("shows", ["metadata", "binary"])
    @pytest.mark.parametrize(
        "kinds",
        [["500"], ["502"], ["503"], ["drop_before"], ["drop_middle"], ["truncated"], ["login_redirect"],
         ["500", "502", "503", "drop_before", "drop_middle", "truncated", "login_redirect"]],
        ids=",".join,
    )  # fmt: skip
    def test_every_file_is_whole_or_named(self, coupa, client, extract, local, kinds, shows) -> None:
        faults = {"rate": 0.25, "kinds": kinds, "seed": 5}
        coupa.configure(switches={"U26": shows}, faults=faults)
        manifest = fetch_attachments(client, extract, local, KINDS)
        assert landed(local) == truth(coupa)
        assert manifest.counts["failed"] == 0
        assert sum(coupa.seen()["faults_served"].values()) > 60
        assert manifest.requests == coupa.seen()["requests"]

    @pytest.mark.parametrize("kind", ["429", "429_seconds"])
    def test_the_rate_limit_costs_time_and_nothing_else(self, coupa, client, extract, local, kind) -> None:
        coupa.configure(
            switches={"U26": "binary"}, faults={"rate": 0.5, "kinds": [kind], "after": 20, "times": 4}
        )
        manifest = fetch_attachments(client, extract, local, ["attachments", "image_scan"])
        assert landed(local) == truth(coupa, ["attachments", "image_scan"])
        assert manifest.throttled == 4

    @pytest.mark.parametrize("kind", ["500", "drop_middle", "truncated", "login_redirect"])
    def test_what_fails_for_good_is_named_and_the_rest_is_stored(
        self, coupa, client, extract, local, kind, caplog
    ) -> None:
        coupa.configure(switches={"U26": "binary"})
        expected = truth(coupa)
        bad = next(
            key for key, content in expected.items() if key[1] == "attachments" and isinstance(content, bytes)
        )
        path = f"invoices/{bad[0]}/attachments/{bad[2]}"
        coupa.configure(faults={"always": True, "kinds": [kind], "paths": [path]})
        with pytest.raises(
            ExtractError, match=f"^1 files of invoices failed.*: {bad[0]} attachments {bad[2]}. The first"
        ):
            fetch_attachments(client, extract, local, KINDS)
        assert f"{bad[0]} attachments {bad[2]} was not stored" in caplog.text
        notes = b"".join(path.read_bytes() for path in Path(local.path_of("_unfinished")).rglob("*.ndjson"))
        noted = [
            entry for entry in msgspec.json.Decoder(Entry).decode_lines(notes) if entry.outcome == "failed"
        ]
        assert [(entry.key, bool(entry.error)) for entry in noted] == [(bad, True)]
        with pytest.raises(FileNotFoundError):
            AttachmentReader(local)
        coupa.configure(faults=None)
        coupa.reset_seen()
        manifest = fetch_attachments(client, extract, local, KINDS)
        assert landed(local) == expected
        assert manifest.counts["stored"] == sum(isinstance(content, bytes) for content in expected.values())
        asked = coupa.seen()["requests_by_path"]
        assert asked["GET /api/invoices/:id/attachments/:id"] == 1
        assert "GET /api/invoices/:id/retrieve_image_scan" not in asked

    def test_a_hundred_failures_are_not_about_single_files(
        self, coupa, client, extract, local, monkeypatch
    ) -> None:
        monkeypatch.setattr(attachments, "_MOST_FAILED", 20)
        coupa.add_client(coupa.client_id, coupa.client_secret)
        client.client.retry = RetryPolicy(attempts=1)
        paths = [f"invoices/{number}/retrieve" for number in coupa.ids("invoices")]
        coupa.configure(faults={"always": True, "kinds": ["500"], "paths": paths})
        with pytest.raises(ExtractError, match="20 files of invoices failed, so it is not about single ones"):
            fetch_attachments(client, extract, local, KINDS)
        assert coupa.seen()["faults_served"]["500"] < 20 + 16

    def test_a_refused_login_stops_at_once(self, coupa, client, extract, local) -> None:
        forget_tokens()
        coupa.add_client(coupa.client_id, "another-secret")
        coupa.revoke_tokens()
        with pytest.raises(CoupaAuthenticationError):
            fetch_attachments(client, extract, local, KINDS)

    def test_a_file_elsewhere_gets_no_token(self, coupa, client, tmp_path, local) -> None:
        coupa.load({"invoices": [{"id": 9000}]})
        shown = {
            "id": 1,
            "type": "file",
            "file-file-name": "a.pdf",
            "file-url": "https://evil.example.com/a.pdf",
        }
        coupa.load({"invoices/9000/attachments": [shown]})
        place = Destination(LocalFileSystem(), f"{tmp_path}/ids", f"file://{tmp_path}/ids")
        extract = land_ids(place, [9000], instance=client.config.instance)
        with pytest.raises(ExtractError, match=r"evil\.example\.com, and the token is for 127"):
            fetch_attachments(client, extract, local, ["attachments"])


class TestAgain:
    @pytest.fixture
    def first(self, coupa, client, extract, destination) -> dict:
        """Everything was stored before."""
        coupa.configure(switches={"U26": "binary"})
        fetch_attachments(client, extract, destination, KINDS)
        coupa.reset_seen()
        return landed(destination)

    def files_asked(self, coupa) -> int:
        asked = coupa.seen()["requests_by_path"]
        return sum(
            asked.get(f"GET /api/invoices/:id/{end}", 0) for end in ("attachments/:id", "retrieve_image_scan")
        )

    def test_what_did_not_change_is_not_fetched(self, coupa, client, extract, destination, first) -> None:
        manifest = fetch_attachments(client, extract, destination, KINDS)
        assert landed(destination) == first
        stored = sum(isinstance(content, bytes) for content in first.values())
        assert (manifest.counts["stored"], manifest.counts["unchanged"], manifest.stored_bytes) == (
            0,
            stored,
            0,
        )
        assert self.files_asked(coupa) == 0
        names = [name.rpartition("/")[2] for name in destination.fs.ls(destination.root, detail=False)]
        assert len([name for name in names if name.startswith("attachments-")]) == 1

    def test_a_new_scan_is_fetched(self, coupa, client, extract, destination, first) -> None:
        number = coupa.ids("invoices")[4]
        client.upload(
            f"invoices/{number}/image_scan",
            io.BytesIO(b"%PDF new"),
            name="new.pdf",
            part="file",
            method="PUT",
        )
        fetch_attachments(client, extract, destination, KINDS)
        assert landed(destination) == truth(coupa)
        assert landed(destination)[number, "image_scan", 0] == b"%PDF new"
        assert self.files_asked(coupa) == 1

    @pytest.mark.parametrize("harm", ["gone", "cut"])
    def test_a_file_that_is_not_there_any_more_is_fetched(
        self, coupa, client, extract, destination, first, harm
    ) -> None:
        entry = next(
            one for one in AttachmentReader(destination).entries() if one.path and one.kind == "image_scan"
        )
        path = destination.path_of(entry.path)
        if harm == "gone":
            destination.fs.rm_file(path)
        else:
            destination.fs.pipe_file(path, b"cut")
        manifest = fetch_attachments(client, extract, destination, KINDS)
        assert landed(destination) == first
        assert manifest.counts["stored"] == self.files_asked(coupa) == 1

    def test_what_was_deleted_in_coupa_stays(self, coupa, client, extract, destination, first) -> None:
        key = next(
            key for key, content in first.items() if key[1] == "attachments" and isinstance(content, bytes)
        )
        client.call("DELETE", f"invoices/{key[0]}/attachments/{key[2]}")
        manifest = fetch_attachments(client, extract, destination, KINDS)
        assert manifest.counts["gone"] == 1
        entry = next(entry for entry in AttachmentReader(destination).entries() if entry.key == key)
        assert (entry.outcome, destination.fs.cat_file(destination.path_of(entry.path))) == (
            "gone",
            first[key],
        )
        assert fetch_attachments(client, extract, destination, KINDS).counts["gone"] == 1

    def test_other_records_are_kept(self, coupa, client, destination, first, tmp_path) -> None:
        place = Destination(LocalFileSystem(), f"{tmp_path}/ids", f"file://{tmp_path}/ids")
        few = land_ids(place, coupa.ids("invoices")[:10], instance=client.config.instance)
        manifest = fetch_attachments(client, few, destination, KINDS)
        held = sum(not isinstance(content, str) or content != "absent" for content in first.values())
        absent_now = manifest.counts["absent"]
        assert sum(manifest.counts.values()) == held + absent_now
        assert manifest.counts["kept"] > 100
        again = fetch_attachments(client, few, destination, KINDS)
        assert again.counts == manifest.counts


class TestRefusals:
    def test_kinds_have_names(self, client, extract, destination) -> None:
        with pytest.raises(ExtractError, match="kinds names 'scans'; there are attachments"):
            fetch_attachments(client, extract, destination, ["attachments", "scans"])
        with pytest.raises(ExtractError, match="kinds names nothing"):
            fetch_attachments(client, extract, destination, [])

    @pytest.mark.parametrize(
        ("resource", "kinds", "message"),
        [
            ("contracts", KINDS, "Only invoices have scans"),
            ("currencies", ["attachments"], "know no attachments"),
        ],
    )
    def test_a_resource_has_what_it_has(
        self, client, tmp_path, destination, resource, kinds, message
    ) -> None:
        place = Destination(LocalFileSystem(), f"{tmp_path}/ids", f"file://{tmp_path}/ids")
        extract = land_ids(place, [1], instance=client.config.instance, resource=resource)
        with pytest.raises(ExtractError, match=message):
            fetch_attachments(client, extract, destination, kinds)

    def test_another_instance(self, client, tmp_path, destination) -> None:
        place = Destination(LocalFileSystem(), f"{tmp_path}/ids", f"file://{tmp_path}/ids")
        with pytest.raises(ExtractError, match=r"extracted from acme\.coupahost\.com"):
            fetch_attachments(client, land_ids(place, [1]), destination, KINDS)

    def test_deletions(self, client, tmp_path, destination) -> None:
        place = Destination(LocalFileSystem(), f"{tmp_path}/ids", f"file://{tmp_path}/ids")
        extract = land_ids(place, [1], kind="deletions", instance=client.config.instance)
        with pytest.raises(ExtractError, match="lists deletions"):
            fetch_attachments(client, extract, destination, KINDS)

    def test_the_folder_of_the_extract(self, client, extract) -> None:
        before = extract.folder.fs.cat_file(extract.folder.path_of("_manifest.json"))
        with pytest.raises(ExtractError, match="lists no attachments"):
            fetch_attachments(client, extract, extract.folder, KINDS)
        assert extract.folder.fs.cat_file(extract.folder.path_of("_manifest.json")) == before

    def test_the_folder_of_another_resource(self, client, extract, destination, tmp_path) -> None:
        fetch_attachments(client, extract, destination, ["attachments"])
        place = Destination(LocalFileSystem(), f"{tmp_path}/ids", f"file://{tmp_path}/ids")
        orders = land_ids(place, [1], instance=client.config.instance, resource="purchase_orders")
        with pytest.raises(ExtractError, match="holds attachments of invoices"):
            fetch_attachments(client, orders, destination, ["attachments"])

    def test_its_manifest_is_not_taken_for_an_extract(self, client, extract, destination) -> None:
        fetch_attachments(client, extract, destination, ["attachments"])
        with pytest.raises(ExtractError, match="lists attachments, not records"):
            ManifestReader(destination)

    def test_a_listing_that_was_changed_is_not_believed(self, client, extract, destination) -> None:
        made = fetch_attachments(client, extract, destination, ["attachments"])
        path = destination.path_of(made.listing.name)
        destination.fs.pipe_file(path, destination.fs.cat_file(path).replace(b'"stored"', b'"absent"', 1))
        with pytest.raises(ExtractError, match="checksum differs"):
            fetch_attachments(client, extract, destination, ["attachments"])

    def test_of_two_runs_at_a_time_one_notices(self, client, extract, local, monkeypatch) -> None:
        run = attachments._Fetching.run
        meddled = []

        async def meddle(self):
            await run(self)
            if not meddled:
                meddled.append(Path(local.path_of("_manifest.json")).write_text("{}"))

        monkeypatch.setattr(attachments._Fetching, "run", meddle)
        with pytest.raises(ExtractError, match="Another run wrote"):
            fetch_attachments(client, extract, local, ["attachments"])


TRY = """
import sys
from fsspec.implementations.local import LocalFileSystem
from coupa_provider.client.blocking import BlockingClient
from coupa_provider.client.config import CoupaConfig
from coupa_provider.client.retry import RetryPolicy
from coupa_provider.extract import attachments
from coupa_provider.extract.destination import Destination
from coupa_provider.extract.manifest_reader import ManifestReader

url, source, target, kinds = sys.argv[1:]
config = CoupaConfig.from_fields(
    "coupa_test", host=url, login="emulator", password="emulator-secret", extra={"requests_per_second": 400}
)
attachments._NOTED_FILES = 10
place = lambda folder: Destination(LocalFileSystem(), folder, f"file://{folder}")
with BlockingClient(config, retry=RetryPolicy(attempts=10, first_delay=0.02, longest_delay=0.1)) as client:
    client.token()
    print("begins", flush=True)
    attachments.fetch_attachments(client, ManifestReader(place(source)), place(target), kinds.split(","))
import re
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""


def begin(coupa, extract, folder, kinds=KINDS) -> ForkedTry:
    return ForkedTry(TRY, coupa.url, extract.folder.root, str(folder), ",".join(kinds))


@pytest.mark.timeout(240)
def test_a_killed_task_goes_on(coupa, extract, local) -> None:
    """Tries are killed while one answer in ten is spoiled; the last one may end, and little is fetched twice."""
    coupa.configure(
        switches={"U26": "binary"},
        faults={"rate": 0.1, "kinds": ["500", "drop_middle", "truncated"], "seed": 3},
    )
    expected = truth(coupa)
    moments = random.Random(4)
    for _ in range(6):
        begin(coupa, extract, local.root).kill(after=moments.uniform(0.15, 0.4))
        assert not Path(local.path_of("_manifest.json")).exists()
    begin(coupa, extract, local.root).end()
    assert landed(local) == expected
    kept = {path.name for path in Path(local.root).iterdir()}
    assert {name for name in kept if not name.isdigit()} == {
        "_manifest.json",
        AttachmentReader(local).manifest.listing.name,
    }
    asked = coupa.seen()["requests_by_path"]
    fetched = (
        asked["GET /api/invoices/:id/attachments/:id"] + asked["GET /api/invoices/:id/retrieve_image_scan"]
    )
    there = sum(
        isinstance(content, bytes) for key, content in expected.items() if key[1] != "legal_invoice_pdf"
    )
    # A tenth is asked for twice for its faults, and each kill costs what was not noted and what was under way.
    assert fetched < 1.4 * there + 6 * (10 + 16)


@pytest.mark.timeout(240)
def test_memory_does_not_grow_with_a_file(coupa, client, tmp_path) -> None:
    def peak_kb(size: int) -> int:
        shown = {"type": "file", "file-file-name": "big.bin", "file-file-size": str(size)}
        coupa.load({"invoices": [{"id": 9000}]})
        files = [
            {"id": number, "file-url": f"/api/invoices/9000/attachments/{number}/file"}
            for number in (1, 2, 3)
        ]
        coupa.load({"invoices/9000/attachments": [file | shown for file in files]})
        place = Destination(LocalFileSystem(), f"{tmp_path}/ids", f"file://{tmp_path}/ids")
        extract = land_ids(place, [9000], instance=client.config.instance)
        [output] = begin(coupa, extract, tmp_path / f"out{size}", ["attachments"]).end()
        assert sum(path.stat().st_size == size for path in (tmp_path / f"out{size}").rglob("*-big.bin")) == 3
        return int(output)

    assert peak_kb(200_000_000) < peak_kb(1_000_000) + 20_000
