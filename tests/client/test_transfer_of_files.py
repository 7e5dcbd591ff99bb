"""Files on their way: streamed, whole or asked for again, and never mistaken for a page."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys

import pytest

from coupa_provider.client.client import CoupaClient
from coupa_provider.client.errors import (
    CoupaNotAFileError,
    CoupaNotFoundError,
    CoupaOutcomeUnknownError,
    CoupaQueryError,
    CoupaUnavailableError,
    CoupaValidationError,
)
from coupa_provider.client.files import check_file, content_type_of
from coupa_provider.emulator import Emulator

NESTED = "invoices/:invoice_id/attachments"
PDF = b"%PDF-1.7\n" + bytes(range(256)) * 2000 + b"\n%%EOF\n"
TOKEN = b'{"access_token": "t0ken-t0ken", "expires_in": 86399}'


@pytest.fixture
def download(config_for, quick, run):
    """Download from a server: ``download(url, path)`` returns what was received, the bytes and the counters."""

    def downloading(url: str, path: str, *, before: bytes = b"", **shown):
        async def work():
            sink = io.BytesIO(before)
            async with CoupaClient(config_for(url), retry=quick) as client:
                return await client.download(path, sink, **shown), sink.getvalue(), client.counters

        return run(work())

    return downloading


@pytest.fixture
def upload(config_for, quick, run):
    """Upload to a server: ``upload(url, path, file, name="a.pdf")``."""

    def uploading(url: str, path: str, file, **how):
        async def work():
            async with CoupaClient(config_for(url), retry=quick) as client:
                return await client.upload(path, file, **how)

        return run(work())

    return uploading


@pytest.fixture
def invoice(emulator: Emulator) -> Emulator:
    """An emulator with an invoice 999999 that has nothing attached."""
    emulator.load({"invoices": [{"id": 999_999}]})
    return emulator


def serving(http, *answers: bytes):
    """Answer a token request, then these in turn, the last one for good."""
    left = list(answers)

    def answer(request: bytes) -> bytes:
        if b"/oauth2/token" in request:
            return http(200, TOKEN)
        return left.pop(0) if len(left) > 1 else left[0]

    return answer


class TestDownload:
    def test_it_is_counted_and_summed_on_the_way(self, raw_server, http, download) -> None:
        disposition = "attachment; filename=\"in_voice.pdf\"; filename*=UTF-8''in%20voice%20%C3%BC.pdf"
        server = raw_server(
            serving(http, http(200, PDF, "application/pdf; x=y", Content_Disposition=disposition))
        )
        received, content, counters = download(server.url, "invoices/3/retrieve_legal_invoice_pdf")
        assert content == PDF
        assert received.sha256 == hashlib.sha256(PDF).hexdigest()
        assert (received.size, received.content_type) == (len(PDF), "application/pdf")
        assert received.name == "in voice ü.pdf"
        assert counters.received_bytes >= len(PDF)

    def test_any_type_is_accepted_and_no_compression(self, raw_server, http, download) -> None:
        server = raw_server(serving(http, http(200, PDF, "application/pdf")))
        download(server.url, "invoices/3/retrieve_image_scan")
        head = server.requests[-1].lower()
        assert b"accept: */*\r\n" in head
        assert b"accept-encoding: identity\r\n" in head

    def test_what_stood_in_the_file_is_replaced(self, raw_server, http, download) -> None:
        server = raw_server(serving(http, http(200, b"new", "text/plain")))
        assert download(server.url, "x/1/file", before=b"something older")[1] == b"new"

    @pytest.mark.parametrize(
        "kind", ["500", "502", "503", "429", "drop_before", "drop_middle", "truncated", "login_redirect"]
    )
    def test_a_fault_is_asked_over_from_the_start(self, emulator: Emulator, download, kind: str) -> None:
        number = emulator.ids(NESTED)[0]
        record = emulator.record(NESTED, number)
        emulator.configure(switches={"U26": "binary"}, faults={"always": True, "kinds": [kind], "times": 3})
        size = int(record["file-file-size"])
        _, content, counters = download(emulator.url, record["file-url"], size=size)
        assert content == emulator.file(NESTED, number)
        assert counters.retried == 3

    def test_patience_ends(self, emulator: Emulator, download) -> None:
        emulator.configure(faults={"always": True, "kinds": ["drop_middle"]})
        with pytest.raises(
            CoupaUnavailableError, match=r"broke before the answer was whole.*Given up after 6"
        ):
            download(emulator.url, "invoices/1/retrieve_legal_invoice_pdf")

    def test_a_file_shorter_than_its_length_is_broken(self, raw_server, http, download) -> None:
        short = http(200, PDF, "application/pdf")[:-100]
        server = raw_server(serving(http, short, http(200, PDF, "application/pdf")))
        received, content, counters = download(server.url, "invoices/3/retrieve_image_scan")
        assert (content, received.size, counters.retried) == (PDF, len(PDF), 1)

    def test_a_pdf_without_its_end_is_broken(self, raw_server, http, download) -> None:
        server = raw_server(serving(http, http(200, PDF[:5000], "application/pdf")))
        with pytest.raises(CoupaUnavailableError, match="5,000 bytes of a PDF without its end"):
            download(server.url, "invoices/3/retrieve_legal_invoice_pdf")

    def test_a_pdf_of_the_size_shown_needs_no_end(self, raw_server, http, download) -> None:
        server = raw_server(serving(http, http(200, PDF[:5000], "application/pdf")))
        assert download(server.url, "invoices/3/retrieve_image_scan", size=5000)[0].size == 5000

    def test_another_size_than_the_one_shown_is_broken(self, raw_server, http, download) -> None:
        server = raw_server(serving(http, http(200, PDF, "application/pdf")))
        with pytest.raises(CoupaUnavailableError, match="it shows with 7"):
            download(server.url, "invoices/3/retrieve_image_scan", size=7)

    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            (b"<html>Sign in</html>", "text/html; charset=utf-8"),
            (b" <!DOCTYPE html><html>", "application/pdf"),
        ],
    )
    def test_a_page_is_no_file(self, raw_server, http, download, body: bytes, kind: str) -> None:
        server = raw_server(serving(http, http(200, body, kind), http(200, PDF, "application/pdf")))
        assert download(server.url, "invoices/3/retrieve_image_scan")[1] == PDF

    @pytest.mark.parametrize(
        "kind", ["application/json", "application/xml", "text/xml", "application/problem+json"]
    )
    def test_data_is_no_file_and_its_text_is_not_told(self, raw_server, http, download, kind: str) -> None:
        server = raw_server(serving(http, http(200, b'{"iban": "DE02 1203"}', kind)))
        with pytest.raises(CoupaNotAFileError, match="data instead of the file") as caught:
            download(server.url, "invoices/3/attachments/7")
        assert "DE02" not in str(caught.value)
        assert "DE02" not in repr(caught.value.__dict__)
        assert len(server.lines) == 2  # the token and one try

    @pytest.mark.parametrize("kind", ["application/json", "text/xml", "text/html"])
    def test_a_file_that_is_data_is_told_by_its_name_or_size(
        self, raw_server, http, download, kind: str
    ) -> None:
        body = b"<html>" if "html" in kind else b"{}"
        named = raw_server(serving(http, http(200, body, kind, Content_Disposition='inline; filename="a"')))
        assert download(named.url, "x/3/attachments/7")[1] == body
        sized = raw_server(serving(http, http(200, body, kind)))
        assert download(sized.url, "x/3/attachments/7", size=len(body), content_type=kind)[1] == body

    @pytest.mark.parametrize("answer", [(404, b'{"errors": {"invoice": ["no scan"]}}'), (204, b"")])
    def test_there_may_be_none(self, raw_server, http, download, answer) -> None:
        server = raw_server(serving(http, http(*answer)))
        with pytest.raises(CoupaNotFoundError):
            download(server.url, "invoices/3/retrieve_image_scan")

    def test_an_empty_file_is_one_if_it_is_shown_as_empty(self, raw_server, http, download) -> None:
        server = raw_server(serving(http, http(200, b"", "text/plain")))
        assert download(server.url, "x/3/attachments/7", size=0)[0].size == 0
        with pytest.raises(CoupaUnavailableError, match="empty"):
            download(server.url, "x/3/attachments/7")

    def test_a_url_on_the_instance_is_followed_with_its_query(self, raw_server, http, download) -> None:
        server = raw_server(serving(http, http(200, b"abc", "text/plain")))
        assert download(server.url, f"{server.url}/files/1?sig=a%2Fb")[1] == b"abc"
        assert server.lines[-1] == "GET /files/1?sig=a%2Fb HTTP/1.1"

    @pytest.mark.parametrize(
        "url", ["https://evil.example.com/a", "//evil.example.com/a", "ftp://127.0.0.1/a"]
    )
    def test_the_token_goes_nowhere_else(self, emulator: Emulator, download, url: str) -> None:
        with pytest.raises(CoupaQueryError, match="nothing was sent"):
            download(emulator.url, url)

    def test_downloads_say_nothing_about_latency(self, emulator: Emulator, config_for, quick, run) -> None:
        async def work():
            async with CoupaClient(config_for(emulator.url), retry=quick) as client:
                before = client.latency
                await client.token()
                noted = client.latency
                await client.download("invoices/1/retrieve_legal_invoice_pdf", io.BytesIO())
                return before, noted, client.latency

        _, noted, after = run(work())
        assert after == noted


class TestUpload:
    FIELDS = {"attachment[type]": "file", "attachment[intent]": "Supplier"}  # noqa: RUF012

    def test_name_type_and_fields_arrive(self, invoice: Emulator, upload) -> None:
        file = io.BytesIO(PDF)
        file.seek(100)  # it is sent from its beginning all the same
        made = upload(
            invoice.url, "invoices/999999/attachments", file, name="Rechnung 請求書.pdf", fields=self.FIELDS
        )
        shown = invoice.record(NESTED, made["id"])
        assert invoice.file(NESTED, made["id"]) == PDF
        assert shown["file-file-name"] == "Rechnung 請求書.pdf"
        assert (shown["file-content-type"], shown["intent"]) == ("application/pdf", "Supplier")

    def test_a_scan_goes_by_put(self, invoice: Emulator, upload) -> None:
        upload(
            invoice.url,
            "invoices/999999/image_scan",
            io.BytesIO(PDF),
            name="scan.tif",
            part="file",
            method="PUT",
        )
        assert invoice.file("invoices", 999_999, "image_scan") == PDF
        assert invoice.record("invoices", 999_999)["image-scan-content-type"] == "image/tiff"

    @pytest.mark.parametrize("kind", ["429", "503", "revoke_token"])
    def test_what_surely_had_no_effect_is_sent_again_whole(
        self, invoice: Emulator, upload, kind: str
    ) -> None:
        invoice.configure(faults={"always": True, "kinds": [kind], "times": 1, "methods": ["POST"]})
        made = upload(
            invoice.url, "invoices/999999/attachments", io.BytesIO(PDF), name="a.pdf", fields=self.FIELDS
        )
        assert invoice.file(NESTED, made["id"]) == PDF
        assert len(invoice.record("invoices", 999_999)["attachments"]) == 1

    @pytest.mark.parametrize("kind", ["500", "502", "drop_middle", "truncated", "lost_write"])
    def test_a_lost_answer_is_not_answered_by_a_second_file(
        self, invoice: Emulator, upload, kind: str
    ) -> None:
        invoice.configure(
            faults={"always": True, "kinds": [kind], "methods": ["POST"], "paths": ["invoices"]}
        )
        with pytest.raises(CoupaOutcomeUnknownError, match="not sent again"):
            upload(
                invoice.url, "invoices/999999/attachments", io.BytesIO(PDF), name="a.pdf", fields=self.FIELDS
            )
        assert invoice.seen()["requests_by_path"]["POST /api/invoices/:id/attachments"] == 1

    def test_a_refusal_names_coupas_reason(self, invoice: Emulator, upload) -> None:
        with pytest.raises(CoupaValidationError, match=r"attachment\[file\] is missing"):
            upload(
                invoice.url, "invoices/999999/attachments", io.BytesIO(PDF), name="a", part="attachment[x]"
            )

    def test_json_is_not_forced(self, raw_server, http, upload) -> None:
        server = raw_server(serving(http, http(201, b'{"id": 1}')))
        upload(server.url, "invoices/3/attachments", io.BytesIO(PDF), name="a.pdf", fields=self.FIELDS)
        request = server.requests[-1]
        head = request.partition(b"\r\n\r\n")[0].lower()
        assert b"content-type: multipart/form-data; boundary=" in head
        assert b"application/json" in head.partition(b"accept:")[2].partition(b"\r\n")[0]
        assert b"chunked" not in head
        assert PDF in request


def test_types_are_told_by_the_name() -> None:
    assert content_type_of("a.PDF") == "application/pdf"
    assert content_type_of("no ending") == "application/octet-stream"


def test_an_answer_that_was_not_received_is_no_file() -> None:
    from coupa_provider.client.answer import Answer

    with pytest.raises(CoupaNotFoundError):
        check_file(Answer(204, {}, b"", "GET", "/api/x"), size=None, content_type=None)


MEASURE = """
import asyncio, re, sys, tempfile
from coupa_provider.client.client import CoupaClient
from coupa_provider.client.config import CoupaConfig

url, way, size = sys.argv[1], sys.argv[2], int(sys.argv[3])

async def work():
    config = CoupaConfig.from_fields("c", host=url, login="emulator", password="emulator-secret", extra={})
    async with CoupaClient(config) as client:
        with tempfile.TemporaryFile() as file:
            if way == "down":
                await client.download("/api/invoices/999999/attachments/7/file", file, size=size)
            else:
                file.truncate(size)
                await client.upload("invoices/999999/attachments", file, name="a.bin")
            assert file.seek(0, 2) == size

asyncio.run(work())
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""


@pytest.mark.parametrize(("way", "megabytes"), [("down", 200), ("up", 100)])
def test_memory_does_not_grow_with_a_file(invoice: Emulator, way: str, megabytes: int) -> None:
    def peak_kb(size: int) -> int:
        invoice.load(
            {
                "invoices/999999/attachments": [
                    {"id": 7, "type": "file", "file-file-name": "big", "file-file-size": str(size)}
                ]
            }
        )
        command = [sys.executable, "-c", MEASURE, invoice.url, way, str(size)]
        run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert run.returncode == 0, run.stderr
        return int(run.stdout)

    assert peak_kb(megabytes * 1_000_000) < peak_kb(1_000_000) + 12_000
