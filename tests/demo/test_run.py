"""The demo's verdict: it has to notice what is wrong."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "demo" / "run.py"


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("coupa_demo_run", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "LAKE", tmp_path)
    return module


def land(demo: Any, monkeypatch: pytest.MonkeyPatch, landed: list[int], there: list[int]) -> Any:
    monkeypatch.setattr(demo, "emulated_ids", lambda url, resource: there)
    monkeypatch.setattr(demo.Extract, "ids", lambda self: landed)
    return demo.Extract("invoices", Path(), len(landed), (), 1.0, 1)


def test_it_is_content_when_the_ids_agree(
    demo: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    demo.check([land(demo, monkeypatch, [2, 1], [1, 2])], "http://127.0.0.1:1")
    assert "all 2 records" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("landed", "there", "complaint"),
    [
        ([1], [1, 2], "1 records missing"),
        ([1, 2, 3], [1, 2], "1 unknown"),
        ([1, 2, 2], [1, 2], "1 records landed twice"),
    ],
)
def test_it_complains_when_they_differ(
    demo: Any, monkeypatch: pytest.MonkeyPatch, landed: list[int], there: list[int], complaint: str
) -> None:
    with pytest.raises(demo.DemoError, match=complaint):
        demo.check([land(demo, monkeypatch, landed, there)], "http://127.0.0.1:1")


def test_it_complains_when_nothing_landed(demo: Any) -> None:
    with pytest.raises(demo.DemoError, match="found 0"):
        demo.Extract.find("invoices")
