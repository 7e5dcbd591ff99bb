"""Extract a Coupa resource to files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

from coupa_provider.extract import FILE_FORMATS

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from coupa_provider.client.page import Counters
    from coupa_provider.extract.drift import Drift
    from coupa_provider.extract.manifest import Manifest
    from coupa_provider.extract.progress import Progress
    from coupa_provider.extract.window import Window
    from coupa_provider.hooks.coupa import CoupaHook


_MOST_NAMES_LOGGED = 20


class CoupaToObjectStorageOperator(BaseOperator):
    """Write every matching record of a resource, once, to files in a folder.

    The folder gets parts ``part-00000.parquet`` and so on and, last of all, ``_manifest.json``, which lists them.
    A run without a manifest does not exist. What an earlier run left in the folder is replaced, so a second try
    of a task overwrites its first; give each run a folder of its own with ``{{ ds }}`` in ``destination``.

    The task's result is a summary for the tasks after it: ``manifest`` (its URL), ``files`` (their URLs),
    ``records``, ``bytes``, ``window``, ``resource``, ``requests``, ``throttled`` and ``seconds``.

    :param coupa_conn_id: connection of the type ``coupa``. (templated: no)
    :param resource: path under ``/api``, for instance ``"invoices"`` or ``"suppliers/7/addresses"``. (templated)
    :param destination: URL of the folder, as for ``ObjectStoragePath``:
        ``"s3://aws_default@lake/coupa/invoices/{{ ds }}"``. (templated)
    :param file_format: ``parquet`` with typed columns, ``ndjson`` with the records as sent, or ``csv``.
    :param filters: conditions in Coupa's own query syntax: ``{"status[in]": ["approved", "voided"]}``. (templated)
    :param fields: what to ask for, in Coupa's own syntax: ``["id", {"supplier": ["id", "name"]}]``; None for what
        Coupa sends by default. (templated)
    :param updated_since: first instant of ``updated-at`` to extract, as ISO 8601 text with an offset or an aware
        datetime; None or empty text for no bound. (templated)
    :param updated_until: first instant of ``updated-at`` not to extract, likewise. (templated)
    :param explode: lists in the records that get Parquet tables of their own, each with the attributes of a line
        that get columns: ``{"invoice-lines": ["id", "total"]}``; None for all documented ones.
    :param schema: types of columns other than the documented ones, in Coupa's words:
        ``{"plant-code": "string", "custom-fields[budget]": "decimal(18,2)"}``.
    """

    template_fields: Sequence[str] = (
        "resource",
        "destination",
        "filters",
        "fields",
        "updated_since",
        "updated_until",
    )
    template_fields_renderers = {"filters": "json", "fields": "json"}  # noqa: RUF012 - Airflow's own way
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
        updated_since: str | datetime | None = None,
        updated_until: str | datetime | None = None,
        explode: Mapping[str, Sequence[str | Mapping[str, Any]] | None] | None = None,
        schema: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if file_format not in FILE_FORMATS:
            raise ValueError(f"file_format {file_format!r} is not one of {', '.join(FILE_FORMATS)}.")
        self.coupa_conn_id = coupa_conn_id
        self.resource = resource
        self.destination = destination
        self.file_format = file_format
        self.filters = filters
        self.fields = fields
        self.updated_since = updated_since
        self.updated_until = updated_until
        self.explode = explode
        self.schema = schema

    @cached_property
    def hook(self) -> CoupaHook:
        """The hook of the connection."""
        from coupa_provider.hooks.coupa import CoupaHook

        return CoupaHook(coupa_conn_id=self.coupa_conn_id)

    def execute(self, context: Context) -> dict[str, Any]:
        """Extract, and return the summary.

        :raises AirflowFailException: the arguments, the connection or the query are wrong; a retry is useless.
        :raises ExtractError: the records contradict themselves, or someone else writes to the destination.
        """
        from airflow.providers.common.compat.sdk import ObjectStoragePath

        from coupa_provider.extract.destination import Destination
        from coupa_provider.extract.run import extract_pages
        from coupa_provider.hooks.errors import fail_without_retry

        window = self._checked_window()
        self._check_columns()
        target = ObjectStoragePath(self.destination)
        destination = Destination(target.fs, target.path.rstrip("/"), str(target).rstrip("/"))
        with fail_without_retry(), closing(self.hook):
            walk = self.hook.pages(
                self.resource,
                filters=self.filters or None,
                fields=self.fields,
                updated_since=window.since,
                updated_until=window.until,
            )
            with walk:
                try:
                    manifest = extract_pages(
                        walk,
                        walk.counters,
                        destination,
                        resource=self.resource,
                        instance=walk.instance,
                        file_format=self.file_format,
                        fields=self.fields,
                        explode=self.explode,
                        schema=self.schema,
                        query=walk.query,
                        window=window,
                        reports=walk.reports,
                        on_progress=self._log_progress,
                    )
                finally:
                    self._count(walk.counters)
        self._note_lineage(manifest.instance, target)
        self._log_outcome(manifest, destination.manifest_url)
        tables = [manifest, *manifest.children.values()]
        return {
            "resource": self.resource,
            "manifest": destination.manifest_url,
            "files": [destination.url_of(file.name) for file in manifest.files],
            "records": manifest.records,
            "bytes": sum(file.bytes for table in tables for file in table.files),
            "window": window.as_text(),
            "requests": manifest.requests,
            "throttled": manifest.throttled,
            "seconds": manifest.seconds,
        }

    def _checked_window(self) -> Window:
        """Check what the templates rendered to, and return the window."""
        from coupa_provider.extract.window import Window

        for name, value in (("resource", self.resource), ("destination", str(self.destination))):
            if not isinstance(value, str) or not value.strip():
                raise AirflowFailException(
                    f"{name} is empty; look at its template and at the values of this run."
                )
        if isinstance(self.destination, str) and "://" not in self.destination:
            raise AirflowFailException(
                f"destination {self.destination!r} is no URL. Write for instance 's3://aws_default@lake/coupa', or "
                "'file:///data/coupa' for a folder on the worker."
            )
        if self.filters and not isinstance(self.filters, Mapping):
            raise AirflowFailException(
                f"filters must be a dict, such as {{'status[in]': ['approved']}}, not {type(self.filters).__name__}. "
                "A template that stands for the whole dict needs render_template_as_native_obj=True on the DAG."
            )
        if self.fields is not None and (
            isinstance(self.fields, str | Mapping)
            or not self.fields
            or not all(isinstance(field, str | Mapping) for field in self.fields)
        ):
            raise AirflowFailException(
                "fields must be a list of names and one-key dicts, such as ['id', {'supplier': ['name']}]; "
                "leave it out for what Coupa sends by default."
            )
        try:
            return Window.parse(self.updated_since, self.updated_until)
        except ValueError as error:
            raise AirflowFailException(str(error)) from None

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

    def _note_lineage(self, instance: str, target: ObjectStoragePath) -> None:
        from airflow.providers.common.compat.lineage.hook import get_hook_lineage_collector

        collector: Any = get_hook_lineage_collector()  # type: ignore[no-untyped-call]
        collector.add_input_asset(
            context=self.hook, scheme="coupa", asset_kwargs={"instance": instance, "resource": self.resource}
        )
        # Without the connection id that ObjectStoragePath shows, which is no part of the place.
        uri = f"{target.protocol or 'file'}://{target.path.rstrip('/')}"
        collector.add_output_asset(context=target, uri=uri)
