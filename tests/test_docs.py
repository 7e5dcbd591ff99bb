"""The documents agree with the code: links, examples, argument names, targets."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from coupa_provider.emulator.__main__ import build_parser
from coupa_provider.emulator.faults import Faults
from coupa_provider.emulator.profiles import PROFILES
from coupa_provider.emulator.settings import FAULT_KINDS, Settings
from coupa_provider.emulator.switches import SWITCHES
from coupa_provider.transfers.coupa_to_object_storage import CoupaToObjectStorageOperator

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docker/*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.S | re.M)


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def anchors(text: str) -> set[str]:
    """Return the anchors GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def section(text: str, heading: str) -> str:
    """Return a section of a page up to the next heading of its level."""
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def first_column(table: str) -> list[str]:
    """Return the names in backticks in the first column of the tables in a text."""
    rows = re.findall(r"^\|([^|]*)\|", table, re.M)
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


def test_there_are_pages():
    names = {str(path.relative_to(ROOT)) for path in PAGES}
    assert {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/index.md", "docs/extract.md"} <= names


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_and_images_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    broken = []
    for target in LINK.findall(FENCE.sub("", text)):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        if not found.exists() or (anchor and anchor not in anchors(found.read_text(encoding="utf-8"))):
            broken.append(target)
    assert broken == []


def test_the_index_leads_to_every_page():
    linked = set(LINK.findall(page("docs/index.md")))
    assert {path.name for path in ROOT.glob("docs/*.md")} - {"index.md"} <= linked


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_python_examples_compile(path):
    for language, code in FENCE.findall(path.read_text(encoding="utf-8")):
        if language == "python":
            compile(code, str(path), "exec")


def test_every_page_of_examples_was_looked_at():
    examples = [code for path in PAGES for kind, code in FENCE.findall(path.read_text()) if kind == "python"]
    assert len(examples) > 8


def test_the_operators_arguments_are_those_described():
    parameters = inspect.signature(CoupaToObjectStorageOperator.__init__).parameters
    own = {name: it for name, it in parameters.items() if name not in ("self", "kwargs")}
    table = section(page("docs/extract.md"), "Arguments")
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| (yes|no) \|", table, re.M)
    assert {name for name, _, _ in rows} == set(own)
    for name, default, templated in rows:
        default = default.strip().strip("`")
        expected = own[name].default
        assert default == (
            "required" if expected is inspect.Parameter.empty else repr(expected).replace("'", '"')
        )
        assert (templated == "yes") == (name in CoupaToObjectStorageOperator.template_fields)


def test_every_open_question_is_told():
    rows = re.findall(r"^\| (U\d+) \|", page("docs/coupa.md"), re.M)
    assert rows == list(SWITCHES)


def test_the_emulators_options_are_those_described():
    described = set(re.findall(r"`(--[a-z-]+)", section(page("docs/emulator.md"), "From the command line")))
    options = {option for action in build_parser()._actions for option in action.option_strings}
    assert described == options - {"-h", "--help"}


def test_the_emulators_settings_are_those_described():
    text = section(page("docs/emulator.md"), "Settings")
    settings, rest = text.split("**Faults.**")
    assert set(first_column(settings)) == set(Settings.__dataclass_fields__)
    kinds, profiles = rest.split("**Profiles.**")
    assert set(first_column(kinds)) == set(FAULT_KINDS)
    assert set(first_column(profiles)) == set(PROFILES)
    assert all(f"`{name}" in rest for name in Faults.__dataclass_fields__)


def test_the_make_targets_named_exist():
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", page("Makefile"), re.M))
    for name in ("README.md", "CONTRIBUTING.md"):
        named = set(re.findall(r"\bmake ([a-z][a-z0-9-]*)", "\n".join(re.findall(r"`[^`]+`", page(name)))))
        assert "test" in named
        assert named <= targets


def test_the_tests_named_exist():
    for path in PAGES:
        for name in re.findall(r"`(tests/[\w/]+(?:\.py)?)`", path.read_text(encoding="utf-8")):
            assert (ROOT / name).exists(), f"{path.name} names {name}"


def test_the_first_dag_of_the_readme_is_the_one_explained():
    def dags(name: str) -> list[str]:
        return [code for kind, code in FENCE.findall(page(name)) if kind == "python" and "with DAG(" in code]

    assert dags("README.md")[0] == dags("docs/extract.md")[0]


@pytest.mark.slow
def test_the_worked_example_of_a_tested_dag_runs(tmp_path):
    """It uses names of Airflow 3."""
    examples = [code for kind, code in FENCE.findall(page("docs/emulator.md")) if kind == "python"]
    for folder, name, code in zip(
        ("dags", "tests"), ("coupa_invoices.py", "test_coupa_invoices.py"), examples, strict=False
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(code, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "tests", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path / "airflow")},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert "3 passed" in run.stdout, run.stdout[-3000:] + run.stderr[-2000:]


def test_nothing_points_at_one_machine():
    """No absolute paths of somebody's machine and no address of a package index in what is tracked."""
    # Put together here, so that this file does not find itself.
    forbidden = re.compile(
        "|".join(
            [
                "/" + "work/",
                "/home/" + r"\w+/",
                "/" + "root/",
                "/" + "Users/",
                "/" + "opt/pypi",
                r"\b" + r"pypi\.org",
                r"files\.python" + "hosted",
            ]
        )
    )
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = listed.stdout.splitlines() if listed.returncode == 0 else []
    if not names:
        pytest.skip("not a git clone")
    found = []
    for name in names:
        path = ROOT / name
        if path.suffix in (".png", ".json") or not path.is_file():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if forbidden.search(line):
                found.append(f"{name}:{number}: {line.strip()[:80]}")
    assert found == []
