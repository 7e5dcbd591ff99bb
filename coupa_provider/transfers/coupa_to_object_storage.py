"""Extract a Coupa resource to files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

from coupa_provider.extract import FILE_FORMATS, PART_BYTES, partition_folder
from coupa_provider.operators.filters import check_filters
from coupa_provider.operators.task_run import run_name
from coupa_provider.operators.urls import folder_url

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.providers.common.compat.sdk import Asset, Context, ObjectStoragePath
    from airflow.providers.openlineage.extractors import OperatorLineage

    from coupa_provider.client.page import Counters
    from coupa_provider.extract.destination import Destination
    from coupa_provider.extract.drift import Drift
    from coupa_provider.extract.manifest import Manifest
    from coupa_provider.extract.progress import Progress
    from coupa_provider.extract.window import Window
    from coupa_provider.hooks.coupa import CoupaHook


WINDOWS = (None, "data_interval", "watermark")
_MOST_NAMES_LOGGED = 20


class CoupaToObjectStorageOperator(BaseOperator):
    """Write every matching record of a resource, once, to files in a folder.

    The folder gets parts ``part-00000.parquet`` and so on and, last of all, ``_manifest.json``, which lists them.
    A run without a manifest does not exist; what an earlier run published in the folder stays until this one is
    whole, and is then replaced. Give each run a folder of its own with ``{{ ds }}`` in ``destination``.

    A try that fails or is killed leaves its finished parts in ``_unfinished``, and the next try of the same task
    instance goes on from there within 24 hours.

    The task's result is a summary for the tasks after it: ``manifest`` (its URL), ``files`` (their URLs),
    ``records``, ``bytes``, ``window``, ``resource``, ``tries``, ``requests``, ``throttled`` and ``seconds``.

    :param coupa_conn_id: connection of the type ``coupa``. (templated: no)
    :param resource: path under ``/api``, for instance ``"invoices"`` or ``"suppliers/7/addresses"``. (templated)
    :param destination: URL of the folder, as for ``ObjectStoragePath``:
        ``"s3://aws_default@lake/coupa/invoices/{{ ds }}"``. (templated)
    :param file_format: ``parquet`` with typed columns, ``ndjson`` with the records as sent, or ``csv``.
    :param filters: conditions in Coupa's own query syntax: ``{"status[in]": ["approved", "voided"]}``. (templated)
    :param fields: what to ask for, in Coupa's own syntax: ``["id", {"supplier": ["id", "name"]}]``; None for what
        Coupa sends by default. (templated)
    :param window: ``"data_interval"`` for records updated in the run's data interval, or ``"watermark"`` for those
        updated since the last window of this task; None for what ``updated_since`` and ``updated_until`` say. A
        watermark is kept with the first outlet asset, one named after connection and resource if there is none,
        and moved after the manifest is published; one run at a time works on it.
    :param updated_since: first instant of ``updated-at`` to extract, as ISO 8601 text with an offset or an aware
        datetime; None or empty text for no bound. With a watermark: where the very first window begins. (templated)
    :param updated_until: first instant of ``updated-at`` not to extract, likewise. (templated)
    :param look_back: how far a window overlaps the one before, with a watermark.
    :param margin: how long before now a window ends, with a watermark.
    :param explode: lists in the records that get tables of their own beside the parts, each with the attributes of
        a line that get columns, or None for all: ``{"invoice-lines": None}``. Parquet only.
    :param schema: column types other than the documented ones, in Coupa's words: ``{"my-field": "decimal",
        "custom-fields[region]": "string"}``. Parquet and CSV.
    :param part_bytes: size of the JSON in a part, in bytes, before a new one is begun; a killed try loses no more.
    :param partition: one of the results of :class:`~coupa_provider.operators.coupa.CoupaPlanPartitionsOperator`:
        only this share of the records, into a folder of its own below ``destination``.
    """

    template_fields: Sequence[str] = (
        "resource",
        "destination",
        "filters",
        "fields",
        "updated_since",
        "updated_until",
        "partition",
    )
    template_fields_renderers = {"filters": "json", "fields": "json", "partition": "json"}  # noqa: RUF012 - Airflow's own way
    ui_color = "#e0f0ff"

    def __init__(
        self,
        *,
        resource: str,
        destination: str | ObjectStoragePath,
        coupa_conn_id: str = "coupa_default",
        file_format: str = "parquet",
        filters: Mapping[str, Any] | None = None,
        fields: Sequence[str | Mapping[str, Any]] | None = None,
        window: str | None = None,
        updated_since: str | datetime | None = None,
        updated_until: str | datetime | None = None,
        look_back: timedelta = timedelta(minutes=15),
        margin: timedelta = timedelta(minutes=5),
        explode: Mapping[str, Sequence[str | Mapping[str, Any]] | None] | None = None,
        schema: Mapping[str, str] | None = None,
        part_bytes: int = PART_BYTES,
        partition: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if window == "watermark":
            # Airflow itself lets a second run wait; what slips through is caught when the watermark is moved.
            kwargs.setdefault("max_active_tis_per_dag", 1)
            if not kwargs.get("outlets"):
                kwargs["outlets"] = [default_asset(coupa_conn_id, resource)]
        super().__init__(**kwargs)
        if file_format not in FILE_FORMATS:
            raise ValueError(f"file_format {file_format!r} is not one of {', '.join(FILE_FORMATS)}.")
        if window not in WINDOWS:
            raise ValueError(f"window {window!r} is not one of 'data_interval', 'watermark' or None.")
        if (window == "data_interval" and (updated_since or updated_until)) or (window and updated_until):
            raise ValueError(
                f"window={window!r} sets the bounds by itself: leave out updated_until"
                + (" and updated_since." if window == "data_interval" else ".")
            )
        if part_bytes < 1:
            raise ValueError(f"part_bytes must be a number of bytes above 0, not {part_bytes!r}.")
        self.coupa_conn_id = coupa_conn_id
        self.resource = resource
        self.destination = destination
        self.file_format = file_format
        self.filters = filters
        self.fields = fields
        self.window = window
        self.updated_since = updated_since
        self.updated_until = updated_until
        self.look_back = look_back
        self.margin = margin
        self.explode = explode
        self.schema = schema
        self.part_bytes = part_bytes
        self.partition = partition
        self._published: tuple[Manifest, Destination] | None = None

    @cached_property
    def hook(self) -> CoupaHook:
        """The hook of the connection."""
        from coupa_provider.hooks.coupa import CoupaHook

        return CoupaHook(coupa_conn_id=self.coupa_conn_id)

    def execute(self, context: Context) -> dict[str, Any]:
        """Extract, and return the summary.

        :raises AirflowFailException: the arguments, the connection or the query are wrong; a retry is useless.
        :raises ExtractError: the records contradict themselves, or someone else writes to the destination.
        :raises AirflowException: somebody else moved the watermark.
        """
        from coupa_provider.extract.summary import summary_of
        from coupa_provider.hooks.errors import fail_without_retry

        self._check_arguments(context)
        self._check_columns()
        folder = self._folder()
        with fail_without_retry(), closing(self.hook):
            manifest = self._extract(folder, context)
        self._published = manifest, folder
        self._log_outcome(manifest, folder.manifest_url)
        return summary_of(manifest, folder)

    def get_openlineage_facets_on_start(self) -> OperatorLineage:
        """Name what is to be read and written."""
        from airflow.providers.openlineage.extractors import OperatorLineage

        from coupa_provider.lineage.datasets import dataset
        from coupa_provider.lineage.names import name_of_folder

        return OperatorLineage(inputs=[self._input()], outputs=[dataset(name_of_folder(self._folder()))])

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage:
        """Tell what was read and written: columns, rows, bytes and files, lines included."""
        from airflow.providers.openlineage.extractors import OperatorLineage

        from coupa_provider.lineage.datasets import extract_written

        outputs = extract_written(*self._published) if self._published else []
        return OperatorLineage(inputs=[self._input()], outputs=outputs)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> OperatorLineage:
        """Name what was read; nothing was published."""
        return self.get_openlineage_facets_on_complete(task_instance)

    def _input(self) -> Dataset:
        from coupa_provider.lineage.datasets import resource_read

        return resource_read(self.hook.config.instance, self.resource, self.fields, self.schema)

    def _extract(self, folder: Destination, context: Context) -> Manifest:
        from coupa_provider.assets.watermark import Watermark
        from coupa_provider.extract.run import extract_pages
        from coupa_provider.extract.unfinished import Unfinished, fingerprint, window_published

        watermark = Watermark(context, self.outlets) if self.window == "watermark" else None
        base = watermark.read() if watermark else None
        run, request = run_name(context), fingerprint(self._request(context))
        unfinished = Unfinished.find(folder, run=run, request=request) if run else None
        # What this very run has published or begun is about to be replaced: it may not begin later now.
        before = window_published(folder, run=run) if watermark is not None and run else None
        if unfinished is not None and unfinished.watermark != base:
            self.log.info("Starting over: the watermark has moved since the last try.")
            before, unfinished = unfinished.as_window(), None
        if unfinished is None:
            window = self._resolve_window(context, base)
            if before is not None:
                window = window.begun_with(before)
            unfinished = Unfinished(
                run=run or "", request=request, window=(window.since, window.until), watermark=base
            )
        window = unfinished.as_window()
        if self.window:
            since, until = window.as_text()
            self.log.info("%s: updated-at from %s until %s", self.resource, since or "the beginning", until)
        with self.hook.pages(
            self.resource,
            filters={**(self.filters or {}), **_id_filters(self.partition)},
            fields=self.fields,
            updated_since=window.since,
            updated_until=window.until,
            covered=unfinished.covered,
        ) as walk:
            try:
                manifest = extract_pages(
                    walk,
                    walk.counters,
                    folder,
                    resource=self.resource,
                    instance=walk.instance,
                    file_format=self.file_format,
                    fields=self.fields,
                    explode=self.explode,
                    schema=self.schema,
                    query=walk.query,
                    window=window,
                    id_range=walk.id_range,
                    unfinished=unfinished if run else None,
                    reports=walk.reports,
                    on_progress=self._log_progress,
                    part_bytes=self.part_bytes,
                )
            finally:
                self._count(walk.counters)
        if watermark is not None and window.until is not None:
            watermark.move(base, window.until)
        return manifest

    def _folder(self) -> Destination:
        from coupa_provider.object_storage import open_folder

        if self.partition is None:
            return open_folder(self.destination)
        return open_folder(
            f"{str(self.destination).rstrip('/')}/{partition_folder(self.partition['number'])}"
        )

    def _request(self, context: Context) -> dict[str, Any]:
        """What the result depends on; the next try has to want the same to go on from this one's parts."""
        return {
            "instance": self.hook.config.instance,
            "resource": self.resource,
            "filters": self.filters,
            "fields": self.fields,
            "file_format": self.file_format,
            "explode": self.explode,
            "schema": self.schema,
            "partition": self.partition,
            "window": self.window,
            # A window from a watermark is made by the first try alone.
            "bounds": None if self.window == "watermark" else self._resolve_window(context, None).as_text(),
        }

    def _resolve_window(self, context: Context, watermark: str | None) -> Window:
        from coupa_provider.extract.window import Window

        try:
            if self.window == "data_interval":
                return Window.of_interval(
                    context.get("data_interval_start"), context.get("data_interval_end")
                )
            bounds = Window.parse(self.updated_since, self.updated_until)
            if self.window != "watermark":
                return bounds
            return Window.from_watermark(
                Window.parse(watermark, None).since,
                first=bounds.since,
                now=datetime.now(UTC),
                look_back=self.look_back,
                margin=self.margin,
            )
        except ValueError as error:
            raise AirflowFailException(str(error)) from None

    def _check_arguments(self, context: Context) -> None:
        """Check what the templates rendered to."""
        if not isinstance(self.resource, str) or not self.resource.strip():
            raise AirflowFailException(
                "resource is empty; look at its template and at the values of this run."
            )
        folder_url("destination", self.destination)
        check_filters(self.filters)
        if self.fields is not None and (
            isinstance(self.fields, str | Mapping)
            or not self.fields
            or not all(isinstance(field, str | Mapping) for field in self.fields)
        ):
            raise AirflowFailException(
                "fields must be a list of names and one-key dicts, such as ['id', {'supplier': ['name']}]; "
                "leave it out for what Coupa sends by default."
            )
        if self.partition is not None and not (
            isinstance(self.partition, Mapping) and {"number", "after", "upto"} <= self.partition.keys()
        ):
            raise AirflowFailException(
                f"partition {self.partition!r} is not one of the results of CoupaPlanPartitionsOperator. Write "
                ".expand(partition=plan.output)."
            )
        if self.window == "watermark" and context.get("ti") is None:
            raise AirflowFailException(
                "window='watermark' works in a run of a DAG alone: the watermark bears the task's name, and there is no "
                "'ti' in the context. Elsewhere leave window out, and give updated_since and updated_until."
            )
        if self.window == "watermark" and getattr(context.get("ti"), "map_index", -1) >= 0:
            raise AirflowFailException(
                "window='watermark' does not work in a mapped task, since its instances have no lasting names to keep "
                "a watermark each. Make a task for each resource in a loop instead."
            )

    def _check_columns(self) -> None:
        from coupa_provider.extract.formats import make_format
        from coupa_provider.extract.lines import make_children

        for name in ("explode", "schema"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, Mapping):
                raise AirflowFailException(f"{name} must be a dict, not {type(value).__name__}.")
        try:
            make_format(
                self.file_format, self.resource, self.fields, explode=self.explode, schema=self.schema
            )
            make_children(self.resource, self.explode, self.file_format, self.fields)
        except ValueError as error:
            raise AirflowFailException(str(error)) from None

    def _log_progress(self, progress: Progress) -> None:
        self.log.info("%s: %s", self.resource, progress)

    def _log_outcome(self, manifest: Manifest, url: str) -> None:
        for report in manifest.reports:
            self.log.info("%s: %s", self.resource, report)
        self._log_drift(self.resource, manifest.drift)
        for name, lines in manifest.children.items():
            self._log_drift(name, lines.drift)
            self.log.info("%s: %s lines, %d file(s)", name, f"{lines.records:,}", len(lines.files))
            if manifest.drift is not None and lines.attribute in manifest.drift.never_seen:
                self.log.warning(
                    "%s: no record had %s, so Coupa may not show it to this client; do not take that for no lines",
                    self.resource,
                    lines.attribute,
                )
        self.log.info(
            "%s: %s records, %d file(s), %s requests, %s throttled, %.1f s; manifest %s",
            self.resource,
            f"{manifest.records:,}",
            len(manifest.files),
            f"{manifest.requests:,}",
            f"{manifest.throttled:,}",
            manifest.seconds,
            url,
        )

    def _log_drift(self, table: str, drift: Drift | None) -> None:
        if drift is not None and drift.unforeseen:
            names = ", ".join(sorted(drift.unforeseen)[:_MOST_NAMES_LOGGED])
            self.log.info("%s: no column for %s, kept in _extra", table, names)
        if drift is not None and drift.misfits:
            counts = [f"{name} ({misfits.count})" for name, misfits in drift.misfits.items()]
            names = ", ".join(counts[:_MOST_NAMES_LOGGED])
            self.log.warning("%s: values with no fit for the column of %s, kept in _extra", table, names)

    def _count(self, counters: Counters) -> None:
        from airflow.providers.common.compat.sdk import Stats

        for name in ("records", "requests", "throttled"):
            Stats.incr(f"coupa.{name}", getattr(counters, name), tags={"resource": self.resource})


def default_asset(coupa_conn_id: str, resource: str) -> Asset:
    """Return the asset that holds the watermark of a task without outlets.

    :raises ValueError: there is a template in it.
    """
    from airflow.providers.common.compat.assets import Asset

    if not isinstance(resource, str) or "{" in resource:
        raise ValueError(
            "window='watermark' keeps the watermark with an outlet asset, which a templated resource cannot name: "
            "give the operator outlets=[Asset(...)]."
        )
    return Asset(uri=f"coupa://{coupa_conn_id}/{resource.strip('/')}")


def _id_filters(partition: Mapping[str, Any] | None) -> dict[str, int]:
    if partition is None:
        return {}
    bounds = {"id[gt]": partition["after"], "id[lt_or_eq]": partition["upto"]}
    return {name: bound for name, bound in bounds.items() if bound is not None}
