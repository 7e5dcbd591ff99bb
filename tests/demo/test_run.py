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


def test_it_is_content_when_the_table_is_as_coupa(demo: Any) -> None:
    demo.compare("invoices", [(2, 1700000000), (1, 1700000001)], {1: 1700000001, 2: 1700000000})


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([(1, 5)], "1 records are missing"),
        ([(1, 5), (2, 6), (3, 7)], "1 are not in Coupa"),
        ([(1, 5), (2, 6), (2, 6)], "1 records are in the table twice"),
        ([(1, 5), (2, 7)], "1 records differ"),
    ],
)
def test_it_complains_when_they_differ(demo: Any, rows: list[tuple[int, int]], complaint: str) -> None:
    with pytest.raises(demo.DemoError, match=complaint):
        demo.compare("invoices", rows, {1: 5, 2: 6})


def test_it_complains_when_nothing_landed(demo: Any) -> None:
    with pytest.raises(demo.DemoError, match="found 0"):
        demo.Run.find("invoices", 0)


def test_it_complains_when_a_run_was_not_finished(demo: Any, tmp_path: Path) -> None:
    (tmp_path / "invoices" / "20261123T020000").mkdir(parents=True)
    with pytest.raises(demo.DemoError, match="no manifest"):
        demo.Run.find("invoices", 0)


def test_what_is_in_coupa_is_read_to_the_last_page(demo: Any, coupa_emulator: Any) -> None:
    coupa = coupa_emulator
    demo_client = {"client_id": demo.CLIENT_ID, "client_secret": demo.CLIENT_SECRET}
    demo.ask(f"{coupa.url}/_emulator/clients", demo_client)
    found = demo.emulated(coupa.url, "suppliers")
    assert sorted(found) == coupa.ids("suppliers")
    assert len(found) > 50


def test_things_happen_between_the_runs(demo: Any, coupa_emulator: Any) -> None:
    before = {resource: set(coupa_emulator.ids(resource)) for resource in demo.RESOURCES}
    changed = demo.change(coupa_emulator.url)
    assert all(changed[event] >= least * len(demo.RESOURCES) for event, least in demo.CHANGES.items())
    for resource, ids in before.items():
        after = set(coupa_emulator.ids(resource))
        assert after - ids
        assert ids - after
