"""End an integration run in Coupa as the DAG's work went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

from coupa_provider.operators.integration_run import read_run

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from coupa_provider.hooks.coupa import CoupaHook

_FAILED = ("failed", "upstream_failed")


class CoupaEndIntegrationRunOperator(BaseOperator):
    """End an integration run as successful or failed, whatever happened to the tasks of the DAG, and say the same here.

    Use it as the teardown: ``end = CoupaEndIntegrationRunOperator(run=start.output, ...).as_teardown(setups=start)``,
    after the last task of the work. The run is marked as failed in Coupa if one of the tasks between failed, was killed
    or could not run, or if records were rejected; then this task fails, too, and with it the run of the DAG.

    The task's result, which is there as well when it fails: ``run_id``, ``integration``, ``status``, ``failed_tasks``,
    ``records``, ``records_processed`` and the numbers of records by outcome.

    :param run: the result of the task that started the run: ``start.output``. (templated)
    :param results: results of the tasks that count records by their outcome, pushes or reports:
        ``[push.output]``. (templated)
    :param fail_on: when rejected and unknown records make the run fail: ``"any"`` of them, ``"all"``, or a larger share
        of them than a number from 0 to 1, as for ``ObjectStorageToCoupaOperator``.
    :param coupa_conn_id: connection of the type ``coupa``. (templated: no)
    """

    template_fields: Sequence[str] = ("run", "results")
    ui_color = "#e0f0ff"

    def __init__(
        self,
        *,
        run: Mapping[str, Any],
        results: Sequence[Any] = (),
        fail_on: str | float = "any",
        coupa_conn_id: str = "coupa_default",
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("trigger_rule", "all_done")
        super().__init__(**kwargs)
        self.run = run
        self.results = results
        self.fail_on = fail_on
        self.coupa_conn_id = coupa_conn_id

    def as_teardown(self, *, setups: Any = None, on_failure_fail_dagrun: bool | None = True) -> Any:
        """Make the task the teardown of the one that started the run.

        :param setups: that task.
        :param on_failure_fail_dagrun: unlike Airflow's default, the run of the DAG fails with this task. Otherwise a
            report that ends well after a push that failed would make it a success.
        """
        return super().as_teardown(setups=setups, on_failure_fail_dagrun=on_failure_fail_dagrun)

    @cached_property
    def hook(self) -> CoupaHook:
        """The hook of the connection."""
        from coupa_provider.hooks.coupa import CoupaHook

        return CoupaHook(self.coupa_conn_id)

    def execute(self, context: Context) -> dict[str, Any]:
        """End the run and return how it went.

        :raises AirflowFailException: the run is marked as failed, or had ended otherwise before.
        """
        from coupa_provider.hooks.errors import fail_without_retry
        from coupa_provider.push.decide import is_failed
        from coupa_provider.push.integration_run import end_run
        from coupa_provider.push.ledger import CREATED, OUTCOMES, UNCHANGED, UPDATED

        run_id, integration = read_run(self.run)
        results = [result for result in self.results if isinstance(result, Mapping) and "records" in result]
        counts = {outcome: sum(int(result.get(outcome) or 0) for result in results) for outcome in OUTCOMES}
        records = sum(int(result["records"]) for result in results) if results else None
        processed = sum(counts[it] for it in (CREATED, UPDATED, UNCHANGED)) if results else None
        failed_tasks = self._failed_tasks(context)
        succeeded = not failed_tasks and not is_failed(counts, self.fail_on)
        with fail_without_retry(), closing(self.hook):
            run = end_run(self.hook.get_conn(), run_id, succeeded, processed, records)
        summary = {
            "run_id": run_id,
            "integration": integration,
            "status": run.status,
            "failed_tasks": failed_tasks,
            "records": records,
            "records_processed": processed,
            **counts,
        }
        told = f"Integration run {run_id} of {integration} is {run.status} in Coupa"
        if succeeded:
            self.log.info("%s", told)
            return summary
        context["ti"].xcom_push(key="return_value", value=summary)
        reasons = [f"tasks failed: {', '.join(failed_tasks)}"] if failed_tasks else []
        if counts["rejected"] or counts["unknown"]:
            reasons.append(
                f"{counts['rejected']:,} of {records:,} records were rejected and {counts['unknown']:,} are unknown"
            )
        raise AirflowFailException(f"{told}: {'; '.join(reasons)}")

    def _failed_tasks(self, context: Context) -> list[str]:
        """Return the tasks before this one that failed, with the index of mapped ones.

        :raises AirflowFailException: there is no task between the start of the run and this one.
        """
        tasks = [self.dag.get_task(task_id) for task_id in self.get_flat_relative_ids(upstream=True)]
        between = sorted(task.task_id for task in tasks if not task.is_setup)
        if not between:
            raise AirflowFailException(
                f"No task comes before {self.task_id} but the one that started the run, so nothing can be said about the "
                "work. Put it after the last task of the work: start >> work >> end."
            )
        return sorted(name for name, state in _states(context, between) if state in _FAILED)


def _states(context: Context, task_ids: Sequence[str]) -> Iterable[tuple[str, str | None]]:
    """Return the states of task instances of this run."""
    task: Any = context["ti"]
    if hasattr(task, "get_task_states"):  # Airflow 3: tasks cannot read the database
        states = task.get_task_states(dag_id=task.dag_id, task_ids=list(task_ids), run_ids=[task.run_id])
        return [(name, _text(state)) for name, state in states.get(task.run_id, {}).items()]
    instances: Any = context["dag_run"]
    return [
        (it.task_id if it.map_index < 0 else f"{it.task_id}_{it.map_index}", _text(it.state))
        for it in instances.get_task_instances()
        if it.task_id in task_ids
    ]


def _text(state: Any) -> str | None:
    return None if state is None else str(getattr(state, "value", state))
