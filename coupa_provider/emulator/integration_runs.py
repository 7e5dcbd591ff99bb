"""What ties integration errors and history records to their runs."""

from __future__ import annotations

from coupa_provider.emulator.instance import Instance
from coupa_provider.emulator.store import Record

_RUN_ID = "integration-run-id"


def lacks_run(instance: Instance, record: Record) -> bool:
    """Tell whether a record names a run that does not exist.

    :param instance: the instance.
    :param record: a record of any kind.
    """
    return bool(record.get(_RUN_ID)) and instance.store.record("integration_runs", record[_RUN_ID]) is None


def show_in_run(instance: Instance, error: Record) -> None:
    """Show an integration error, as it is now, in the run that it belongs to.

    :param instance: the instance.
    :param error: the error.
    """
    run = instance.store.record("integration_runs", int(error.get(_RUN_ID) or 0))
    if run is None:
        return
    others = [shown for shown in run.get("integration-errors") or () if shown.get("id") != error["id"]]
    run["integration-errors"] = [*others, error]
    instance.store.put("integration_runs", run)
