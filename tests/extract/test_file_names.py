from __future__ import annotations

import unicodedata

import pytest

from coupa_provider.extract.file_names import safe_name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("invoice.pdf", "invoice.pdf"),
        ("Lieferschein Müller & Söhne.pdf", "Lieferschein Müller & Söhne.pdf"),
        ("請求書 2026.pdf", "請求書 2026.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\scans\\page 1.tif", "page 1.tif"),
        ("/", "file"),
        ("..", "file"),
        (".", "file"),
        ("", "file"),
        (None, "file"),
        ("???", "file"),
        (".htaccess", "htaccess"),
        ("folder/", "folder"),
        ("a.pdf. ", "a.pdf"),
        ('"quoted"; #odd?*[1]%2F.PDF', "_quoted__ _odd___1__2F.PDF"),
        ("a\x00b\nc\x7f.pdf", "a_b_c_.pdf"),
        ("invoice\u202efdp.exe", "invoice_fdp.exe"),
        ("no ending", "no ending"),
    ],
)
def test_names_are_safe_and_still_known(name, safe):
    assert safe_name(name) == safe


def test_letters_are_composed():
    assert safe_name(unicodedata.normalize("NFD", "Müller.pdf")) == unicodedata.normalize("NFC", "Müller.pdf")


@pytest.mark.parametrize("letter", ["x", "é", "請", "😀"])
def test_long_names_keep_their_ending(letter):
    name = safe_name(letter * 400 + ".pdf")
    assert len(name.encode()) <= 120
    assert name.endswith(".pdf")
    assert len(safe_name("." + letter * 400).encode()) <= 120
