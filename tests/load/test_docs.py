"""What ``docs/load.md`` says of the operator and its result is so."""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import fields
from pathlib import Path

from coupa_provider.load.run import Counts
from coupa_provider.transfers.coupa_manifest_to_database import CoupaManifestToDatabaseOperator

PAGE = (Path(__file__).parents[2] / "docs" / "load.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    return PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_the_operators_arguments_are_those_described():
    parameters = inspect.signature(CoupaManifestToDatabaseOperator.__init__).parameters
    own = {name: it.default for name, it in parameters.items() if name not in ("self", "kwargs")}
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| (yes|no) \|", section("Arguments"), re.M)
    described = {name: default.strip().strip("`") for name, default, _ in rows}
    assert described == {
        name: "required"
        if default is inspect.Parameter.empty
        else json.dumps(default).replace("null", "None")
        for name, default in own.items()
    }
    templated = {name for name, _, said in rows if said == "yes"}
    assert templated == set(CoupaManifestToDatabaseOperator.template_fields)


def test_the_result_is_what_is_described():
    counts = {each.name for each in fields(Counts)}
    described = set(re.findall(r"`(\w+)`", section("The result")))
    assert described == {"table", "manifests", *counts}


def test_the_connections_are_those_that_are_tested(database):
    tested = json.loads(database.connection_json())
    shown = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", section("The connection"), re.S)]
    (same,) = (each for each in shown if each["extra"]["dialect"] == tested["extra"]["dialect"])
    assert same.keys() == tested.keys()
    assert same["extra"].keys() == tested["extra"].keys()
