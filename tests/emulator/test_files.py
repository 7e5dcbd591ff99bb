"""Files of the emulator: attachments, scans and legal invoices, streamed, and cut short on demand."""

from __future__ import annotations

import hashlib
from urllib.parse import unquote

import httpx
import pytest

from coupa_provider.emulator import Emulator

from .conftest import Caller

NESTED = "invoices/:invoice_id/attachments"


@pytest.fixture
def invoice(coupa: Caller) -> Caller:
    """An emulator with one invoice that has nothing attached."""
    coupa.emulator.load({"invoices": [{"id": 5}]})
    return coupa


def attach(caller: Caller, name: str = "scan.pdf", content: bytes = b"%PDF-1.4 \x00\xff") -> dict:
    answer = caller.http.post(
        "/api/invoices/5/attachments",
        headers=caller.headers(),
        data={"attachment[type]": "file", "attachment[intent]": "Internal"},
        files={"attachment[file]": (name, content, "application/pdf")},
    )
    assert answer.status_code == 201, answer.text
    return answer.json()


class TestAttachments:
    def test_seeded_invoices_show_what_their_collection_holds(self, seeded: Caller) -> None:
        emulator = seeded.emulator
        shown = {}
        for number in emulator.ids("invoices"):
            for attachment in emulator.record("invoices", number)["attachments"]:
                shown[attachment["id"]] = attachment
        assert sorted(shown) == emulator.ids(NESTED)
        assert all(emulator.record(NESTED, number) == attachment for number, attachment in shown.items())
        assert {attachment["type"] for attachment in shown.values()} == {"file", "url", "text"}

    def test_a_seeded_file_has_the_size_it_is_shown_with(self, seeded: Caller) -> None:
        emulator = seeded.emulator
        for number in emulator.ids(NESTED):
            attachment = emulator.record(NESTED, number)
            content = emulator.file(NESTED, number)
            if attachment["type"] == "file":
                assert len(content) == int(attachment["file-file-size"])
            else:
                assert content is None

    def test_an_upload_shows_in_the_invoice_until_it_is_deleted(self, invoice: Caller) -> None:
        made = attach(invoice, "Müller.pdf")
        assert invoice.get("invoices/5").json()["attachments"] == [made]
        assert (made["file-file-name"], made["file-file-size"]) == ("Müller.pdf", "11")
        assert invoice.send("DELETE", f"invoices/5/attachments/{made['id']}").status_code == 200
        assert invoice.get("invoices/5").json()["attachments"] == []

    def test_loaded_attachments_show_in_the_invoice(self, invoice: Caller) -> None:
        invoice.emulator.load({"invoices/5/attachments": [{"id": 9, "type": "text"}]})
        assert [one["id"] for one in invoice.get("invoices/5").json()["attachments"]] == [9]

    def test_file_url_leads_to_the_file(self, invoice: Caller) -> None:
        made = attach(invoice)
        answer = invoice.http.get(made["file-url"], headers=invoice.headers())
        assert answer.content == b"%PDF-1.4 \x00\xff" == invoice.emulator.file(NESTED, made["id"])

    def test_the_name_of_a_download_keeps_its_letters(self, invoice: Caller) -> None:
        made = attach(invoice, "請求書 ü.pdf")
        answer = invoice.http.get(made["file-url"], headers=invoice.headers())
        name = answer.headers["content-disposition"].partition("filename*=UTF-8''")[2]
        assert unquote(name) == "請求書 ü.pdf"

    def test_a_form_without_a_file_is_refused(self, invoice: Caller) -> None:
        answer = invoice.http.post(
            "/api/invoices/5/attachments",
            headers=invoice.headers(),
            files={"attachment[other]": ("a.pdf", b"a", "application/pdf")},
        )
        assert answer.status_code == 400
        assert "attachment[file] is missing" in answer.text


class TestScans:
    @pytest.mark.parametrize("part", ["file", "image-scan", "image_scan", "attachment[file]"])
    def test_a_scan_is_taken_and_given_back(self, invoice: Caller, part: str) -> None:
        answer = invoice.http.put(
            "/api/invoices/5/image_scan",
            headers=invoice.headers(),
            files={part: ("page.tif", b"II*\x00", "image/tiff")},
        )
        assert answer.status_code == 200, answer.text
        shown = invoice.get("invoices/5").json()
        assert [shown[f"image-scan-{name}"] for name in ("file-name", "content-type", "file-size")] == [
            "page.tif",
            "image/tiff",
            "4",
        ]
        scan = invoice.get("invoices/5/retrieve_image_scan", Accept="*/*")
        assert (scan.content, scan.headers["content-type"]) == (b"II*\x00", "image/tiff")

    def test_json_is_no_scan(self, invoice: Caller) -> None:
        assert invoice.send("PUT", "invoices/5/image_scan", {"file": "x"}).status_code == 415

    def test_another_part_is_no_scan(self, invoice: Caller) -> None:
        answer = invoice.http.put(
            "/api/invoices/5/image_scan",
            headers=invoice.headers(),
            files={"photo": ("page.tif", b"II*\x00", "image/tiff")},
        )
        assert answer.status_code == 400

    @pytest.mark.parametrize("call", ["retrieve_image_scan", "retrieve_clearance_document"])
    def test_an_invoice_without_one_has_none(self, invoice: Caller, call: str) -> None:
        assert invoice.get(f"invoices/5/{call}").status_code == 404


def test_three_of_four_invoices_have_a_legal_pdf(seeded: Caller) -> None:
    numbers = seeded.emulator.ids("invoices")[:100]
    answers = {number: seeded.get(f"invoices/{number}/retrieve_legal_invoice_pdf") for number in numbers}
    found = [number for number, answer in answers.items() if answer.status_code == 200]
    assert 60 < len(found) < 90
    for number in found:
        content = answers[number].content
        assert content == seeded.emulator.file("invoices", number, "legal_invoice_pdf")
        assert content.startswith(b"%PDF-")
        assert content.endswith(b"%%EOF\n")
    assert {answer.status_code for answer in answers.values()} == {200, 404}


def test_a_clearance_document_follows_the_attribute(coupa: Caller) -> None:
    coupa.emulator.load({"invoices": [{"id": 6, "clearance-document": "cfdi.xml"}]})
    answer = coupa.get("invoices/6/retrieve_clearance_document", Accept="*/*")
    assert answer.headers["content-type"] == "application/xml"
    assert answer.content == coupa.emulator.file("invoices", 6, "clearance_document")


class TestLargeFiles:
    SIZE = 30_000_000

    @pytest.fixture
    def large(self, invoice: Caller) -> Caller:
        invoice.emulator.load(
            {
                "invoices/5/attachments": [
                    {
                        "id": 9,
                        "type": "file",
                        "file-file-name": "big.bin",
                        "file-content-type": "application/octet-stream",
                        "file-file-size": str(self.SIZE),
                    }
                ]
            }
        )
        return invoice

    def read(self, caller: Caller) -> tuple[int, bytes]:
        with caller.http.stream(
            "GET", "/api/invoices/5/attachments/9/file", headers=caller.headers()
        ) as answer:
            return int(answer.headers["content-length"]), b"".join(answer.iter_raw())

    def test_it_comes_whole_and_always_the_same(self, large: Caller) -> None:
        first, second = self.read(large), self.read(large)
        assert first[0] == len(first[1]) == self.SIZE
        assert hashlib.sha256(first[1]).digest() == hashlib.sha256(second[1]).digest()

    def test_a_dropped_line_hits_its_middle(self, large: Caller) -> None:
        large.emulator.configure(faults={"always": True, "kinds": ["drop_middle"]})
        with pytest.raises(httpx.RemoteProtocolError, match="received 15000000 bytes, expected 30000000"):
            self.read(large)

    def test_a_truncated_answer_claims_to_be_whole(self, large: Caller) -> None:
        large.emulator.configure(faults={"always": True, "kinds": ["truncated"]})
        length, content = self.read(large)
        assert length == len(content) == self.SIZE // 2


def test_the_class_knows_of_no_file_where_there_is_none() -> None:
    with Emulator(empty=True, data={"invoices": [{"id": 5}]}) as emulator:
        assert emulator.file("invoices", 5, "image_scan") is None
        assert emulator.file("invoices", 6, "image_scan") is None
