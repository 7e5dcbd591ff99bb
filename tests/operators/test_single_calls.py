"""The operators for single calls: arguments, templates, results, tries, links, and what they keep to themselves."""

from __future__ import annotations

import inspect
import json
import logging
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from coupa_provider.emulator import Emulator
from coupa_provider.operators.coupa import (
    CoupaActionOperator,
    CoupaCreateOperator,
    CoupaGetOperator,
    CoupaRequestOperator,
    CoupaUpdateOperator,
)

OPERATORS = [
    CoupaActionOperator, CoupaCreateOperator, CoupaGetOperator, CoupaRequestOperator, CoupaUpdateOperator,
]  # fmt: skip


@pytest.fixture(scope="module")
def emulator():
    with Emulator(seed=7, empty=True, rate_limit=None) as emulator:
        yield emulator


@pytest.fixture
def coupa(coupa):
    """The connected emulator, with an invoice and an approval."""
    coupa.load(
        {
            "invoices": [{"id": 7, "status": "approved", "invoice-number": "4711"}],
            "approvals": [{"id": 5, "status": "pending_approval"}],
            "suppliers": [{"id": 9, "name": "Beta", "number": "S-9", "status": "active"}],
        }
    )
    coupa.reset_seen()
    return coupa


class TaskInstance(SimpleNamespace):
    """What the operators use of a task instance."""

    def __init__(self, try_number: int) -> None:
        super().__init__(try_number=try_number, pushed={})

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value


def run(operator, *, try_number=1, **context) -> Any:
    """Render and execute, as a worker does, and return the result as other tasks get it."""
    context = {"ti": TaskInstance(try_number), **context}
    operator.render_template_fields(context)
    result = operator.execute(context)
    assert json.loads(json.dumps(result)) == result
    operator.link_noted = context["ti"].pushed.get("coupa_record_url")
    return result


def create(**arguments) -> CoupaCreateOperator:
    defaults = {"task_id": "create", "resource": "suppliers", "record": {"name": "Acme", "number": "S-1"}}
    return CoupaCreateOperator(**defaults | arguments)


def test_a_record_is_created(coupa):
    operator = create(record={"name": "{{ name }}", "number": "{{ number }}"}, fields=["name"])
    result = run(operator, name="Acme", number="S-1")
    assert result == {"id": result["id"], "name": "Acme", "created": True}
    assert operator.link_noted == f"{coupa.url}/suppliers/show/{result['id']}"
    assert run(create(), try_number=2) == {"id": result["id"], "created": False}
    assert coupa.writes() == {"POST /api/suppliers": 1}


@pytest.mark.parametrize(
    "record", ["{{ prepared | tojson }}", '{"name": "Acme", "number": "{{ prepared.number }}"}']
)
def test_a_template_may_be_the_whole_record(coupa, record):
    result = run(create(record=record), prepared={"name": "Acme", "number": "S-1"})
    assert coupa.record("suppliers", result["id"])["number"] == "S-1"


def test_the_result_of_a_task_may_be_the_whole_record(coupa):
    from airflow.providers.common.compat.sdk import DAG, task

    with DAG("of_results", schedule=None):

        @task
        def prepare() -> dict[str, str]:
            return {"name": "Acme", "number": "S-1"}

        operator = create(record=prepare())
    assert operator.upstream_task_ids == {"prepare"}


@pytest.mark.parametrize("record", ["{{ prepared }}", "[1]", 7])
def test_what_is_no_object_is_told(coupa, record):
    from airflow.providers.common.compat.sdk import AirflowFailException

    with pytest.raises(AirflowFailException, match=r'record must be a dict, .*"\| tojson"'):
        run(create(record=record), prepared={"name": "Acme"})


def test_a_create_without_a_key_is_sent_by_the_first_try_only(coupa):
    from airflow.providers.common.compat.sdk import AirflowFailException

    operator = create(key=[])
    with pytest.raises(
        AirflowFailException, match=r"so nothing was sent.*start a new run, or give the argument key"
    ):
        run(operator, try_number=2)
    assert coupa.writes() == {}
    coupa.configure(faults={"always": True, "kinds": ["lost_write"], "methods": ["POST"], "times": 1})
    with pytest.raises(AirflowFailException, match=r"CoupaOutcomeUnknownError: .*look for suppliers that"):
        run(operator)
    assert coupa.writes() == {"POST /api/suppliers": 1}


def test_a_lost_answer_is_found_out(coupa):
    coupa.configure(faults={"always": True, "kinds": ["lost_write"], "methods": ["POST"], "times": 1})
    assert run(create())["created"]
    assert coupa.writes() == {"POST /api/suppliers": 1}


def test_what_coupa_refuses_fails_without_a_retry(coupa):
    from airflow.providers.common.compat.sdk import AirflowFailException

    with pytest.raises(AirflowFailException, match=r"CoupaValidationError: .*taken"):
        run(create(record={"name": "Beta", "number": "S-1"}))


def test_what_may_pass_is_left_to_retries(coupa):
    from coupa_provider.client.errors import CoupaUnavailableError
    from coupa_provider.client.retry import RetryPolicy
    from coupa_provider.hooks.coupa import CoupaHook

    operator = create()
    operator.__dict__["hook"] = CoupaHook(retry=RetryPolicy(attempts=2, first_delay=0.01))
    coupa.configure(faults={"always": True, "kinds": ["503"]})
    with pytest.raises(CoupaUnavailableError):
        run(operator)


def test_a_record_is_changed(coupa):
    operator = CoupaUpdateOperator(
        task_id="update",
        resource="suppliers",
        record_id="{{ found.id }}",
        changes={"name": "{{ found.name }} Inc"},
        fields=["name"],
    )
    assert run(operator, try_number=3, found={"id": 9, "name": "Beta"}) == {"id": 9, "name": "Beta Inc"}
    assert operator.link_noted == f"{coupa.url}/suppliers/show/9"
    assert run(
        CoupaUpdateOperator(task_id="u", resource="suppliers", record_id=9, changes='{"name": "C"}')
    ) == {"id": 9}


def test_a_change_that_adds_is_sent_by_the_first_try_only(coupa):
    from airflow.providers.common.compat.sdk import AirflowFailException

    operator = CoupaUpdateOperator(
        task_id="pay", resource="invoices", record_id=7, changes={"payments": [{"amount-paid": "1.00"}]}
    )
    with pytest.raises(
        AirflowFailException, match="'payments' would be added a second time, so nothing was sent"
    ):
        run(operator, try_number=2)
    assert coupa.writes() == {}


def test_a_record_is_read(coupa):
    operator = CoupaGetOperator(task_id="get", resource="invoices", record_id="{{ invoice }}")
    assert run(operator, try_number=2, invoice=7) == {"id": 7, "status": "approved"}
    assert operator.link_noted == f"{coupa.url}/invoices/7"


def test_a_record_that_is_not_there_fails_without_a_retry(coupa):
    from airflow.providers.common.compat.sdk import AirflowFailException

    with pytest.raises(AirflowFailException, match="CoupaNotFoundError"):
        run(CoupaGetOperator(task_id="get", resource="invoices", record_id=8))
    with pytest.raises(AirflowFailException, match="'' is not the id of a record of invoices"):
        run(CoupaGetOperator(task_id="get", resource="invoices", record_id="{{ nothing }}"), nothing="")


def test_any_call_is_made(coupa):
    operator = CoupaRequestOperator(
        task_id="call",
        method="PUT",
        path="invoices/{{ invoice }}",
        query={"exported": "{{ flag }}"},
        fields=["exported"],
        repeatable=True,
    )
    assert run(operator, try_number=2, invoice=7, flag="true") == {"id": 7, "exported": True}
    listing = CoupaRequestOperator(task_id="list", method="get", path="approvals")
    assert run(listing) == [{"id": 5}]


def test_a_call_that_may_not_be_repeated_is_sent_by_the_first_try_only(coupa):
    from airflow.providers.common.compat.sdk import AirflowFailException

    operator = CoupaRequestOperator(task_id="call", method="POST", path="suppliers", body={"name": "Acme"})
    with pytest.raises(AirflowFailException, match=r"may have sent POST suppliers.*repeatable=True"):
        run(operator, try_number=2)
    assert coupa.writes() == {}
    assert run(operator).keys() == {"id"}


def test_an_action_is_carried_out(coupa):
    operator = CoupaActionOperator(
        task_id="void", resource="invoices", action="void", record_id="{{ invoice }}"
    )
    assert run(operator, invoice=7) == {"id": 7, "status": "voided"}
    assert operator.link_noted == f"{coupa.url}/invoices/7"
    assert run(operator, try_number=2) == {"id": 7, "status": "voided"}
    assert coupa.writes() == {"PUT /api/invoices/7/void": 1}


def test_arguments_of_an_action_are_templates(coupa):
    operator = CoupaActionOperator(
        task_id="reject",
        resource="approvals",
        action="reject",
        record_id=5,
        arguments={"reason": "{{ why }}"},
    )
    assert run(operator, why="too dear") == {"id": 5, "status": "rejected"}
    assert operator.arguments == {"reason": "too dear"}
    assert operator.link_noted is None  # where Coupa shows an approval is not known


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"action": "viod"}, "Did you mean 'void'"),
        ({"action": "void", "arguments": {"coment": "x"}}, "not a documented argument"),
        ({"action": "add_approver"}, "needs the argument 'approver_id'"),
        ({"action": "image_scan"}, "wants a file"),
        ({"action": "void", "record_id": 8}, "CoupaNotFoundError"),
    ],
)
def test_a_wrong_action_fails_without_a_retry(coupa, arguments, message):
    from airflow.providers.common.compat.sdk import AirflowFailException

    with pytest.raises(AirflowFailException, match=message):
        run(CoupaActionOperator(**{"task_id": "act", "resource": "invoices", "record_id": 7} | arguments))
    assert coupa.writes() == {}


def test_an_illegal_action_fails_before_it_is_sent(coupa):
    from airflow.providers.common.compat.sdk import AirflowFailException

    coupa.load({"invoices": [{"id": 7, "status": "pending_approval"}]})
    operator = CoupaActionOperator(task_id="void", resource="invoices", action="void", record_id=7)
    with pytest.raises(
        AirflowFailException, match=r"status 'pending_approval': it is documented from approved, draft"
    ):
        run(operator)
    assert coupa.writes() == {}


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_argument_is_kept_and_templated_ones_exist(operator):
    """Airflow reads templated fields by the names of the arguments, and copies tasks by them."""
    given = inspect.signature(operator.__init__).parameters
    assert set(operator.template_fields) <= set(given)
    required = {
        name: {"x": "y"} if name in ("record", "changes") else "a" for name, p in given.items()
        if p.default is p.empty and name not in ("self", "kwargs")
    }  # fmt: skip
    task = operator(task_id="task", **required)
    assert all(getattr(task, name) == value for name, value in required.items())
    assert set(operator.template_fields_renderers) <= set(operator.template_fields)
    for name in given.keys() - {"self", "kwargs"}:
        assert f":param {name}:" in operator.__doc__
        described = operator.__doc__.split(f":param {name}:")[1].split(":param")[0]
        assert ("(templated)" in described) == (name in operator.template_fields)


SECRET = "canary-secret-5d20aa"


def test_no_secret_and_no_payload_is_told(coupa, monkeypatch, caplog, capsys):
    """Neither rendered fields nor logs, results or errors hold what only the connection or the record knows."""
    from airflow.providers.common.compat.sdk import AirflowFailException

    coupa.add_client(coupa.client_id, SECRET)
    connection = {"conn_type": "coupa", "host": coupa.url, "login": coupa.client_id, "password": SECRET}
    monkeypatch.setenv("AIRFLOW_CONN_COUPA_DEFAULT", json.dumps(connection))
    coupa.load({"suppliers": [{"id": 9, "number": "S-9", "duns": "payload-of-nine"}]})
    operators = [
        create(record={"name": "payload-of-one", "number": "S-1"}),
        create(key=[], record={"name": "payload-of-one", "number": "S-2"}),
        CoupaUpdateOperator(task_id="u", resource="suppliers", record_id=9, changes={"name": "payload-of-two"}),
        CoupaGetOperator(task_id="g", resource="suppliers", record_id=9),
        CoupaRequestOperator(task_id="r", method="PUT", path="suppliers/9", body={"website": "payload-of-three"}),
        CoupaActionOperator(task_id="a", resource="invoices", action="dispute", record_id=7, arguments={"comment": "payload-of-four"}),
    ]  # fmt: skip
    said = []
    with caplog.at_level(logging.DEBUG):
        for operator in operators:
            for kind in ("none", "500"):
                coupa.configure(
                    faults={
                        "always": kind != "none",
                        "kinds": ["500"],
                        "methods": ["POST", "PUT"],
                        "times": 1,
                    }
                )
                try:
                    said.append(json.dumps(run(operator)))
                except AirflowFailException as error:
                    said.append(str(error))
            said.append(repr(operator))
            rendered = {name: getattr(operator, name) for name in operator.template_fields}
            assert SECRET not in json.dumps(rendered)
    text = "\n".join([*said, caplog.text, capsys.readouterr().out])
    assert len(said) == 18
    assert SECRET not in text
    assert not [token for token in coupa.issued_tokens() if token in text]
    assert "payload-of" not in text


def test_importing_them_is_quick():
    """What they need to talk to Coupa is imported when they run."""
    script = (
        "import sys, coupa_provider.operators.coupa\n"
        "print([name for name in ('pyarrow', 'pyroaring', 'coupa_provider.push',"
        " 'coupa_provider.client.client', 'coupa_provider.resources') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_arguments_are_those_described():
    page = (Path(__file__).parents[2] / "docs" / "single-calls.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| `(\w+)` \| ([^|]+) \| (yes|no) \|", page, re.M)
    for operator in OPERATORS:
        own = operator.__name__.removeprefix("Coupa").removesuffix("Operator").lower()
        described = {
            name: (default.strip().strip("`").replace('"', "'"), templated)
            for which, name, default, templated in rows
            if which in (own, "all")
        }
        given = {
            name: (
                "required" if it.default is it.empty else repr(it.default),
                "yes" if name in operator.template_fields else "no",
            )
            for name, it in inspect.signature(operator.__init__).parameters.items()
            if name not in ("self", "kwargs")
        }
        assert described == given


def test_the_pages_of_records_are_those_described():
    from coupa_provider.resources.ui_paths import _PATHS

    page = (Path(__file__).parents[2] / "docs" / "single-calls.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| `(\w+)` \| `/([\w/:]+)` \|", page, re.M)) == _PATHS


def test_the_hook_acts_and_repeats(coupa):
    from coupa_provider.hooks.coupa import CoupaHook

    hook = CoupaHook()
    coupa.configure(faults={"always": True, "kinds": ["500"], "methods": ["PUT"], "times": 1})
    assert hook.call("PUT", "suppliers/9", {"name": "C"}, repeatable=True)["name"] == "C"
    assert hook.action("invoices", "void", 7) == {"id": 7, "status": "voided"}
    assert coupa.writes() == {"PUT /api/suppliers/9": 1, "PUT /api/invoices/7/void": 1}
