from __future__ import annotations

import json
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import entry_points, metadata
from pathlib import Path
from typing import Any

import pytest

import coupa_provider
from coupa_provider.get_provider_info import get_provider_info


def airflow_schema(name: str) -> dict[str, Any]:
    import airflow

    for folder in airflow.__path__:
        path = Path(folder) / name
        if path.exists():
            return json.loads(path.read_text())
    raise FileNotFoundError(name)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def dotted_paths() -> list[str]:
    info = get_provider_info()
    return sorted({text for text in strings(info) if text.startswith("coupa_provider.")})


def listed_modules(kind: str) -> set[str]:
    """Modules of one kind named in provider info, whatever shape its list has."""
    return {text for text in strings(get_provider_info().get(kind, [])) if text.startswith("coupa_provider.")}


def test_it_is_valid_for_the_installed_airflow() -> None:
    from jsonschema import Draft7Validator

    Draft7Validator(airflow_schema("provider_info.schema.json")).validate(get_provider_info())


def test_the_form_of_old_is_valid_for_the_installed_airflow() -> None:
    from jsonschema import Draft7Validator

    from coupa_provider.hooks.connection_form import ui_field_behaviour

    schema = airflow_schema("customized_form_field_behaviours.schema.json")
    Draft7Validator(schema).validate(ui_field_behaviour())


def test_it_can_be_sent_as_json() -> None:
    assert json.loads(json.dumps(get_provider_info())) == get_provider_info()


def test_names_and_version_agree_with_the_distribution() -> None:
    info = get_provider_info()
    assert info["package-name"] == metadata("airflow-provider-coupa")["Name"]
    assert info["versions"] == [coupa_provider.__version__]


def test_the_entry_point_leads_here() -> None:
    (found,) = [
        e for e in entry_points(group="apache_airflow_provider") if e.module.startswith("coupa_provider")
    ]
    assert found.load() is get_provider_info


@pytest.mark.parametrize("path", dotted_paths())
def test_what_it_names_exists(path: str) -> None:
    try:
        import_module(path)
    except ModuleNotFoundError:
        module, _, member = path.rpartition(".")
        assert hasattr(import_module(module), member)


@pytest.mark.parametrize("kind", ["hooks", "operators", "sensors", "triggers", "transfers", "notifications"])
def test_no_module_is_left_out(kind: str) -> None:
    """A module that holds something for users has to be named, or Airflow's registry misses it."""
    folder = Path(coupa_provider.__file__).parent / kind
    present = {
        f"coupa_provider.{kind}.{module.name}"
        for module in pkgutil.iter_modules([str(folder)])
        if module.name.startswith("coupa") or module.name.endswith("coupa")
    }
    listed = listed_modules(kind)
    assert {name for name in present if not any(path.startswith(name) for path in listed)} == set()


def test_both_generations_learn_of_asset_uris() -> None:
    info = get_provider_info()
    assert info["asset-uris"] == info["dataset-uris"]
