"""Wait until Coupa has loaded a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from coupa_provider.operators.urls import folder_url
from coupa_provider.sensors.first_look import first_look_at
from coupa_provider.sensors.waiting import CoupaWaitingSensor
from coupa_provider.triggers.data_file import CoupaDataFileTrigger

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from coupa_provider.watch.data_file_load import Load
    from coupa_provider.watch.data_files import DataFileWait
    from coupa_provider.watch.verdict import Verdict


class CoupaDataFileSensor(CoupaWaitingSensor):
    """Wait until Coupa has loaded a CSV file, and fail where it did not take the rows.

    A load that is done may have taken no row at all: the errors of its rows decide. It fails, without a retry, as soon
    as the load failed, was stopped, ended with more errors than ``max_errors``, or was not picked up in time.

    The task's result, which is there as well when a load that came to its end makes the task fail: ``id``, ``file`` and
    ``status`` of the data file source, ``result_text``, the numbers ``records``, ``created``, ``updated`` and
    ``errors`` as far as Coupa tells them, ``error_rows`` (the first 20: ``row``, ``field``, ``value``, ``messages``)
    and ``errors_file`` (URL).

    :param file_name: the file's name, as it was put into Coupa's folder, or its path there:
        ``"./Incoming/LookupValues/colours.csv"``. (templated)
    :param source_for: kind of records that the load is for: ``"LookupValue"``; None for any. (templated)
    :param since: only loads created at or after it count, the newest of them; ISO 8601 with an offset, or an aware
        datetime. None for the start of the DAG run. (templated)
    :param data_file_source_id: in place of the file's name, the id of its data file source, where it is known already.
        (templated)
    :param max_errors: errors that may be: a whole number, or with a fraction a share of the file's rows, from 0.0
        to 1.0.
    :param pick_up_timeout: seconds from the sensor's start until Coupa has to have picked up the file.
    :param errors_destination: URL of a folder for a file with all errors of the rows, as NDJSON: ``row``,
        ``first_column``, ``field``, ``value``, ``messages``. (templated)
    :param kwargs: ``poke_interval`` and ``timeout`` in seconds, ``mode``, ``soft_fail`` and others, as of every sensor;
        ``max_failures``, ``deferrable`` and ``coupa_conn_id`` of :class:`.waiting.CoupaWaitingSensor`.
    """

    trigger_class = CoupaDataFileTrigger
    template_fields: Sequence[str] = (
        "file_name",
        "source_for",
        "since",
        "data_file_source_id",
        "errors_destination",
    )

    def __init__(
        self,
        *,
        file_name: str | None = None,
        source_for: str | None = None,
        since: str | datetime | None = None,
        data_file_source_id: int | str | None = None,
        max_errors: float = 0,
        pick_up_timeout: float = 1800,
        errors_destination: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        is_number = isinstance(max_errors, int) and not isinstance(max_errors, bool) and max_errors >= 0
        is_share = isinstance(max_errors, float) and 0 <= max_errors <= 1
        if not is_number and not is_share:
            raise ValueError(
                "max_errors must be a number of errors, 0 or more, or with a fraction a share of the file's rows, from "
                f"0.0 to 1.0; got {max_errors!r}."
            )
        if (
            isinstance(pick_up_timeout, bool)
            or not isinstance(pick_up_timeout, int | float)
            or pick_up_timeout < 0
        ):
            raise ValueError(
                f"pick_up_timeout must be a number of seconds, 0 or more; got {pick_up_timeout!r}."
            )
        self.file_name = file_name
        self.source_for = source_for
        self.since = since
        self.data_file_source_id = data_file_source_id
        self.max_errors = max_errors
        self.pick_up_timeout = pick_up_timeout
        self.errors_destination = errors_destination

    def read_wait(self, context: Context) -> DataFileWait:
        """Return what is waited for."""
        from coupa_provider.watch.data_files import DataFileWait

        if self.errors_destination is not None:
            folder_url("errors_destination", self.errors_destination)
        return DataFileWait.parse(
            file_name=self.file_name,
            source_for=self.source_for,
            since=context["dag_run"].start_date if self.since is None else self.since,
            data_file_source_id=self.data_file_source_id,
            started_at=first_look_at(self, context).timestamp(),
            pick_up_timeout=self.pick_up_timeout,
        )

    def _conclude(self, context: Context, verdict: Verdict) -> Any:
        from coupa_provider.watch.verdict import State

        if isinstance(verdict.result, Mapping):
            load = self._read_load(verdict.result["id"])
            errors_file = self._write_errors(load)
            verdict = replace(
                load.verdict(verdict, self.max_errors, errors_file), result=load.summary(errors_file)
            )
            if verdict.state is not State.MET and self.do_xcom_push:
                context["ti"].xcom_push(key="return_value", value=verdict.result)
        return super()._conclude(context, verdict)

    def _read_load(self, data_file_source_id: int) -> Load:
        """Read the whole data file source, once, with the errors of its rows, and insist on it."""
        from coupa_provider.hooks.coupa import CoupaHook
        from coupa_provider.hooks.errors import fail_without_retry
        from coupa_provider.watch.data_file_load import Load
        from coupa_provider.watch.data_files import RESOURCE

        with fail_without_retry(), closing(CoupaHook(self.coupa_conn_id)) as hook:
            record = hook.get(RESOURCE, data_file_source_id)
            if record.get("upload-errors") is None:  # an API filter may hide them, until they are named
                record |= hook.get(RESOURCE, data_file_source_id, fields=["id", {"upload_errors": {}}])
        return Load.read(record)

    def _write_errors(self, load: Load) -> str | None:
        from coupa_provider.extract.segments import write_whole
        from coupa_provider.object_storage import open_folder

        if self.errors_destination is None or not load.row_errors:
            return None
        folder = open_folder(folder_url("errors_destination", self.errors_destination))
        return write_whole(folder, f"data_file_source_{load.id}_errors.ndjson", load.lines())
