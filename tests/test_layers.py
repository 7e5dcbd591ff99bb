"""The layers of the design: what may import what, and that every module says what it is for."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "coupa_provider"
MODULES = sorted(PACKAGE.rglob("*.py"))
BELOW_AIRFLOW = ("client", "extract", "load", "push", "watch", "resources", "emulator")
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "shared", "base"}


def name_of(path):
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def layer_of(path):
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


@cache
def imports_of(path):
    """Return all modules a module imports, at the top and inside functions, with the names taken from them."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def in_layers(*layers):
    return [path for path in MODULES if layer_of(path) in layers]


def ids(path):
    return name_of(path)


def within(names, package):
    return sorted(name for name in names if name == package or name.startswith(f"{package}."))


def test_there_are_modules_to_look_at():
    assert len(MODULES) > 50
    assert {"client", "emulator", "extract", "resources", "hooks"} <= {layer_of(path) for path in MODULES}


@pytest.mark.parametrize("path", in_layers(*BELOW_AIRFLOW), ids=ids)
def test_below_the_line_nobody_knows_airflow(path):
    assert within(imports_of(path), "airflow") == []
    for above in (
        "hooks",
        "operators",
        "transfers",
        "sensors",
        "triggers",
        "notifications",
        "links",
        "assets",
        "lineage",
        "object_storage",
    ):
        assert within(imports_of(path), f"coupa_provider.{above}") == []


@pytest.mark.parametrize("path", MODULES, ids=ids)
def test_http_is_spoken_in_one_place(path):
    spoken = [
        name
        for package in ("httpx", "requests", "aiohttp", "urllib3", "http.client")
        for name in within(imports_of(path), package)
    ]
    spoken += within(imports_of(path), "urllib.request")
    if name_of(path) == "coupa_provider.client.transport":
        assert spoken == ["httpx"]
    else:
        assert spoken == []


@pytest.mark.parametrize("path", in_layers("emulator"), ids=ids)
def test_the_emulator_judges_the_client_so_it_does_not_share_its_code(path):
    for layer in ("client", "extract", "load", "push", "watch"):
        assert within(imports_of(path), f"coupa_provider.{layer}") == []


@pytest.mark.parametrize("path", in_layers("resources"), ids=ids)
def test_resources_are_facts_and_import_nothing_of_the_package(path):
    assert [
        name
        for name in within(imports_of(path), "coupa_provider")
        if not name.startswith("coupa_provider.resources")
    ] == []


@pytest.mark.parametrize("path", in_layers("client"), ids=ids)
def test_the_client_knows_neither_files_nor_the_emulator(path):
    for layer in ("extract", "load", "push", "watch", "emulator"):
        assert within(imports_of(path), f"coupa_provider.{layer}") == []
    assert within(imports_of(path), "pyarrow") == []


@pytest.mark.parametrize("path", in_layers("extract", "load"), ids=ids)
def test_what_comes_from_coupa_knows_nothing_of_what_goes_there(path):
    assert within(imports_of(path), "coupa_provider.push") == []


@pytest.mark.parametrize("path", MODULES, ids=ids)
def test_every_module_says_what_it_is_for(path):
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring
    assert len(docstring.split()) >= 3


@pytest.mark.parametrize("path", MODULES, ids=ids)
def test_no_module_is_named_after_nothing(path):
    assert not set(path.relative_to(PACKAGE).with_suffix("").parts) & VAGUE


def test_the_client_works_where_airflow_is_not_installed():
    """Run for real: with airflow out of reach, all below the line still imports."""
    names = [
        name_of(path) for path in in_layers(*BELOW_AIRFLOW) if path.stem not in ("__main__", "pytest_plugin")
    ]
    script = (
        "import importlib, sys\n"
        "class Wall:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'airflow':\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Wall())\n"
        f"for name in {names!r}:\n"
        "    importlib.import_module(name)\n"
        "assert not any(name.split('.')[0] == 'airflow' for name in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PACKAGE.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
