"""The tasks of a night: each try in this process, or in one of its own that is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from unittest import mock

from airflow.configuration import conf

from coupa_provider.assets.watermark import Watermark
from coupa_provider.client.retry import RetryPolicy
from coupa_provider.extract.destination import Publication
from coupa_provider.hooks.coupa import CoupaHook
from coupa_provider.load import run as load_run
from coupa_provider.operators.sweep_deletions import CoupaSweepDeletionsOperator
from coupa_provider.transfers import coupa_to_object_storage
from coupa_provider.transfers.coupa_manifest_to_database import CoupaManifestToDatabaseOperator
from coupa_provider.transfers.coupa_to_object_storage import CoupaToObjectStorageOperator

OPERATORS = {
    "extract": CoupaToObjectStorageOperator,
    "load": CoupaManifestToDatabaseOperator,
    "sweep": CoupaSweepDeletionsOperator,
}
#: As many attempts as usual, without the usual waits.
PATIENCE = RetryPolicy(attempts=6, first_delay=0.01, longest_delay=0.02)

#: By the process that those to be killed are forked from, so that they begin at once.
_IMPORTED_BEFORE = [
    "adbc_driver_duckdb.dbapi",
    "airflow.models.variable",
    "airflow.providers.apache.arrow.hooks.adbc",
    "airflow.sdk.io",
    "coupa_provider.client.blocking",
    "coupa_provider.extract.run",
    "coupa_provider.extract.sweep",
    "pyarrow.parquet",
]
#: What a try is about to do when it is killed; None after a random time.
MOMENTS = {
    "extract": ("return", "move the watermark", None, "publish"),
    "load": ("return", None),
    "sweep": ("publish", None),
}


@dataclass(frozen=True)
class Task:
    """A task instance.

    :param kind: one of :data:`OPERATORS`.
    :param dag_id: names the DAG, and with it the watermark.
    :param run_id: names the run.
    :param arguments: of the operator.
    """

    kind: str
    dag_id: str
    run_id: str
    arguments: Mapping[str, Any]

    def execute(self, now: datetime) -> dict[str, Any]:
        """Make one try.

        :param now: what the worker's clock shows.
        """
        operator = OPERATORS[self.kind](task_id=self.kind, **self.arguments)
        if self.kind != "load":
            operator.hook = CoupaHook(retry=PATIENCE)
        task_instance = SimpleNamespace(
            dag_id=self.dag_id, run_id=self.run_id, task_id=self.kind, map_index=-1
        )
        shown = type("WorkersClock", (datetime,), {"now": classmethod(lambda cls, zone: now)})
        with mock.patch.object(coupa_to_object_storage, "datetime", shown):
            return operator.execute({"ti": task_instance})

    def execute_and_be_killed(self, now: datetime, moment: str | float) -> dict[str, Any] | None:
        """Make one try in a process that is killed.

        :param now: what the worker's clock shows.
        :param moment: one of :data:`MOMENTS`, or the seconds after which it is killed.
        :return: the result, if it came before the end; None if it was killed.
        """
        processes = multiprocessing.get_context("forkserver")
        processes.set_forkserver_preload([__name__, *_IMPORTED_BEFORE])
        receiver, sender = processes.Pipe(duplex=False)
        # Airflow makes up a key for each process of a test.
        environ = {**os.environ, "AIRFLOW__CORE__FERNET_KEY": conf.get("core", "fernet_key")}
        process = processes.Process(target=_live_and_die, args=(self, now, moment, environ, sender))
        process.start()
        sender.close()
        try:
            result: dict[str, Any] | None = receiver.recv()
        except EOFError:
            result = None
        process.join(60)
        if result is None and process.exitcode != -signal.SIGKILL:
            raise AssertionError(
                f"The try of {self.kind} ended with {process.exitcode} instead of being killed."
            )
        return result


def _live_and_die(
    task: Task, now: datetime, moment: str | float, environ: dict[str, str], sender: Any
) -> None:
    os.environ.update(environ)
    before = {
        "publish": (Publication, "publish"),
        "move the watermark": (Watermark, "move"),
    }
    if moment in before:
        setattr(*before[moment], _die)
    elif moment == "return":
        last = (Watermark, "move") if task.kind == "extract" else (load_run, "load_manifests")
        setattr(*last, _and_die(getattr(*last)))
    else:
        timer = threading.Timer(float(moment), _die)
        timer.daemon = True
        timer.start()
    sender.send(task.execute(now))


def _die(*arguments: Any, **options: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _and_die(last: Callable[..., Any]) -> Callable[..., Any]:
    def last_of_all(*arguments: Any, **options: Any) -> None:
        last(*arguments, **options)
        _die()

    return last_of_all
