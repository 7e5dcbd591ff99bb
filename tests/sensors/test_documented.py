"""The page about the sensor agrees with the code, and its examples do what it says."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from coupa_provider.resources import end_statuses
from coupa_provider.sensors.coupa import CoupaRecordSensor
from coupa_provider.sensors.waiting import CoupaWaitingSensor
from coupa_provider.watch.record_wait import RecordWait
from coupa_provider.watch.verdict import State

PAGE = (Path(__file__).parents[2] / "docs" / "sensors.md").read_text(encoding="utf-8")
CODE = re.findall(r"^```python\n(.*?)^```", PAGE, re.S | re.M)


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading."""
    table = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_the_arguments_are_those_described() -> None:
    own: dict[str, inspect.Parameter] = {}
    for kind in (CoupaRecordSensor, CoupaWaitingSensor):
        own |= inspect.signature(kind.__init__).parameters
    own = {name: it for name, it in own.items() if name not in ("self", "kwargs")}
    described = rows("Arguments")
    assert [row[0].strip("`") for row in described] == list(own)
    for name, default, templated, _ in described:
        parameter = own[name.strip("`")]
        assert (templated == "yes") == (parameter.name in CoupaRecordSensor.template_fields)
        if parameter.default is inspect.Parameter.empty:
            assert default == "required"
        elif parameter.name != "deferrable":
            assert default.strip("`") == repr(parameter.default).replace("'", '"')


def test_the_end_statuses_are_those_described() -> None:
    described = {
        row[0].strip("`"): tuple(re.findall(r"`(\w+)`", row[1]))
        for row in rows("When it can not come true any more")
    }
    assert described == end_statuses._ENDS


def sensor(task_id: str) -> RecordWait:
    """Return what a sensor of the page waits for."""
    [code] = [
        code for code in CODE if f'task_id="{task_id}"' in code and code.startswith("CoupaRecordSensor")
    ]
    made = eval(code, {"CoupaRecordSensor": CoupaRecordSensor})
    assert made.deferrable
    record_id = made.record_id if made.record_id is None or isinstance(made.record_id, int) else "8"
    return RecordWait.parse(
        made.resource,
        record_id=record_id,
        **{
            name: getattr(made, name)
            for name in (
                "filters", "until", "never", "min_records", "max_records", "predicate", "fields",
            )
        },
    )  # fmt: skip


def of_status(*statuses: str) -> list[dict[str, Any]]:
    return [{"id": number, "status": status} for number, status in enumerate(statuses, 1)]


@pytest.mark.parametrize(
    ("task_id", "found", "state"),
    [
        ("approval", of_status("pending_approval"), State.WAITING),
        ("approval", of_status("approved"), State.MET),
        ("approval", of_status("rejected"), State.NEVER),
        ("approval", of_status("escalated"), State.NEVER),
        ("all_approvals", [], State.WAITING),
        ("all_approvals", of_status("approved", "pending_approval"), State.WAITING),
        ("all_approvals", of_status("approved", "rejected"), State.NEVER),
        ("all_approvals", of_status("escalated", "approved"), State.MET),
        ("invoices", of_status(*["approved"] * 39), State.WAITING),
        ("invoices", of_status(*["approved"] * 39, "draft"), State.WAITING),
        ("invoices", of_status(*["approved"] * 39, "voided"), State.MET),
        ("invoices", of_status(*["approved"] * 39, "abandoned"), State.NEVER),
        ("order", of_status("draft"), State.WAITING),
        ("order", of_status("issued"), State.MET),
        ("order", of_status("cancelled"), State.NEVER),
        ("all_exported", of_status("approved"), State.WAITING),
        ("all_exported", [], State.MET),
    ],
)
def test_the_documented_uses_wait_for_what_they_say(
    task_id: str, found: list[dict[str, Any]], state: State
) -> None:
    assert sensor(task_id).hold_against(found).state is state


def test_the_dag_of_the_page_is_one() -> None:
    names: dict[str, Any] = {}
    exec(CODE[0], names)
    assert names["approved"].upstream_task_ids == {"submit"}


def test_the_predicate_of_the_page_works() -> None:
    names: dict[str, Any] = {}
    exec(CODE[1], names)
    assert names["is_complete"]([{"invoice-lines": [{}, {}], "line-count": 2}])
    assert not names["is_complete"]([{"invoice-lines": [{}], "line-count": 2}])


def test_the_uses_are_all_tried() -> None:
    assert sum(code.startswith("CoupaRecordSensor") for code in CODE) == 5
