"""The operator for GraphQL: templates, files, results, and what an error does to the task."""

from __future__ import annotations

import ast
import asyncio
import json
import logging
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException

from coupa_provider.client.errors import CoupaGraphQLError, CoupaUnavailableError
from coupa_provider.emulator import Emulator
from coupa_provider.hooks.coupa import CoupaHook
from coupa_provider.operators import graphql
from coupa_provider.operators.coupa import CoupaGraphQLOperator

SUPPLIER = "query One($id: ID!) { supplier(id: $id) { name } }"


@pytest.fixture(scope="module")
def emulator():
    with Emulator(seed=7, empty=True, rate_limit=None) as emulator:
        yield emulator


@pytest.fixture
def coupa(coupa):
    """The connected emulator, with suppliers and many users."""
    coupa.load(
        {
            "suppliers": [{"id": 1, "name": "Fishy"}, {"id": 2, "name": "Chips"}],
            "users": [{"id": number, "login": f"user-{number}"} for number in range(1, 71)],
        }
    )
    return coupa


def run(operator: CoupaGraphQLOperator, **context: Any) -> dict[str, Any]:
    """Render and execute, as a worker does, and return the result as other tasks get it."""
    if operator.has_dag():
        operator.resolve_template_files()
    operator.render_template_fields(context)
    result = operator.execute(context)
    assert json.loads(json.dumps(result)) == result
    return result


def ask(query: str, **arguments: Any) -> CoupaGraphQLOperator:
    return CoupaGraphQLOperator(task_id="ask", query=query, **arguments)


def logged(caplog, capsys) -> str:
    return caplog.text + capsys.readouterr().out  # Airflow 3.3 logs past the standard library


def test_the_data_is_the_result(coupa):
    assert run(ask("{ suppliers { id name } }")) == {
        "suppliers": [{"id": 1, "name": "Fishy"}, {"id": 2, "name": "Chips"}]
    }


def test_query_variables_and_operation_are_templates(coupa):
    query = SUPPLIER + " query Other { {{ field }} { id } }"
    operator = ask(query, variables={"id": "{{ number }}"}, operation_name="{{ chosen }}")
    assert run(operator, field="users", number=2, chosen="One") == {"supplier": {"name": "Chips"}}
    assert operator.query.endswith("{ users { id } }")


def test_the_query_may_be_in_a_file(coupa, tmp_path):
    (tmp_path / "one.graphql").write_text(f"# {{{{ why }}}}\n{SUPPLIER}")
    with DAG(
        "files", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), template_searchpath=str(tmp_path)
    ):
        operator = ask("one.graphql", variables={"id": 1})
    assert run(operator, why="for a test") == {"supplier": {"name": "Fishy"}}
    assert operator.query == f"# for a test\n{SUPPLIER}"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"query": "{ users { lgin } }"}, r"CoupaGraphQLError: .*Cannot query field 'lgin'.*HTTP 200"),
        ({"query": "mutation { x }"}, "CoupaQueryError: .*read-only"),
        ({"query": "one.sql"}, "CoupaQueryError: .*'one' begins neither"),
        ({"query": SUPPLIER, "variables": "id=1"}, "CoupaQueryError: variables must be a dict"),
        ({"query": SUPPLIER}, "CoupaGraphQLError: .*id"),
    ],
)
def test_errors_fail_the_task_without_retries(coupa, arguments, why):
    with pytest.raises(AirflowFailException, match=why):
        run(ask(**arguments))


def test_part_of_the_data_beside_an_error_is_no_success(coupa):
    coupa.add_client(coupa.client_id, coupa.client_secret, ["core.supplier.read"])
    with pytest.raises(
        AirflowFailException, match=r"core\.user\.read.*Data came with them.*its read scope"
    ) as caught:
        run(ask("{ suppliers { name } users { id } }"))
    assert "Fishy" not in str(caught.value)


def test_what_may_pass_is_left_to_retries(coupa, monkeypatch):
    from coupa_provider.client.retry import RetryPolicy

    coupa.configure(faults={"always": True, "kinds": ["503"], "paths": ["graphql"]})
    operator = ask(SUPPLIER, variables={"id": 1})
    monkeypatch.setitem(operator.__dict__, "hook", CoupaHook(retry=RetryPolicy(attempts=2, first_delay=0.01)))
    with pytest.raises(CoupaUnavailableError):
        run(operator)


def test_an_answer_too_large_for_a_result_is_refused(coupa, monkeypatch):
    monkeypatch.setattr(graphql, "MOST_BYTES", 40)
    assert run(ask(SUPPLIER, variables={"id": 1})) == {"supplier": {"name": "Fishy"}}
    with pytest.raises(
        AirflowFailException, match=r"bytes, too many .*at most 40.*CoupaToObjectStorageOperator"
    ):
        run(ask("{ users { login } }"))


def test_a_full_page_is_warned_of(coupa, caplog, capsys):
    with caplog.at_level(logging.INFO):
        run(ask("{ users { id } suppliers { id } }"))
    text = logged(caplog, capsys)
    assert "users has 50 records" in text
    assert "suppliers has" not in text
    assert "GraphQL: users, suppliers with" in text


def test_records_are_not_logged(coupa, caplog, capsys):
    with caplog.at_level(logging.DEBUG):
        run(ask("{ supplier(id: 1) { name } }"))
    assert "Fishy" not in logged(caplog, capsys)


def test_the_hook_asks_the_same(coupa):
    hook = CoupaHook()
    assert hook.graphql(SUPPLIER, {"id": 2}, operation_name="One") == {"supplier": {"name": "Chips"}}
    with pytest.raises(CoupaGraphQLError):
        hook.graphql("{ users { lgin } }")
    hook.close()


def test_the_module_is_light():
    """Airflow reads DAG files again and again: nothing heavy is imported before a task runs."""
    code = (
        "import sys\n"
        "from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator\n"
        "BaseOperator, AirflowFailException\n"
        "before = set(sys.modules)\n"
        "import coupa_provider.operators.graphql\n"
        "print(sorted(set(sys.modules) - before))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ast.literal_eval(done.stdout.strip().splitlines()[-1]))
    own = {"coupa_provider", "coupa_provider.operators", "coupa_provider.operators.graphql"}
    assert "coupa_provider.operators.graphql" in loaded
    assert loaded <= own


def test_the_example_of_the_documents_runs(coupa):
    page = (Path(__file__).parents[2] / "docs" / "graphql.md").read_text(encoding="utf-8")
    scope: dict[str, Any] = {}
    exec(page.split("```python\n")[1].split("```")[0], scope)
    coupa.load(
        {
            "expense_reports": [{"id": 7, "title": "Fair", "created-by": {"id": 1, "login": "user-1"}}],
            "invoices": [
                {
                    "id": 1,
                    "status": "approved",
                    "updated-at": "2026-03-01T00:00:00Z",
                    "invoice-number": "A-1",
                },
                {"id": 2, "status": "approved", "updated-at": "2026-02-28T23:59:59Z"},
            ],
        }
    )
    context = {"ds": "2026-03-01", "dag_run": SimpleNamespace(conf={"id": 7})}
    assert run(scope["report"], **context) == {
        "expenseReport": {"id": 7, "title": "Fair", "createdBy": {"login": "user-1"}, "expenseLines": []},
        "invoices": [{"id": 1, "invoiceNumber": "A-1", "supplier": None}],
    }


@pytest.mark.airflow
def test_triggers_ask_on_their_event_loop(coupa):
    async def scene() -> dict[str, Any]:
        async with CoupaHook().aclient() as client:
            return await client.graphql(SUPPLIER, {"id": 2})

    assert asyncio.run(scene()) == {"supplier": {"name": "Chips"}}
