"""Push the rows of files, or of another task's result, into Coupa."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

from coupa_provider.operators.task_run import run_name
from coupa_provider.operators.urls import folder_url, manifest_url

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context
    from airflow.providers.openlineage.extractors import OperatorLineage

    from coupa_provider.extract.destination import Destination
    from coupa_provider.extract.progress import Progress
    from coupa_provider.hooks.coupa import CoupaHook
    from coupa_provider.operators.urls import ManifestArgument
    from coupa_provider.push.run import Account
    from coupa_provider.push.source import Source


class ObjectStorageToCoupaOperator(BaseOperator):
    """Create and update records in Coupa from rows: each once, with an account of every one.

    Rows are looked up by ``key`` first, 49 with one request; what Coupa holds already is not sent. Each row ends as
    exactly one of ``created``, ``updated``, ``unchanged``, ``rejected`` (with Coupa's messages) and ``unknown`` (sent,
    but its outcome cannot be found out). What became of it stands in ``outcomes.ndjson`` beside the source, and the
    rejected rows in a file that can be mended and pushed again. A try that follows a failed or killed one goes on
    where that stopped. A task that is cleared after it ended tries the rejected rows again.

    The task's result, which is there as well when the task fails because of ``fail_on``: ``resource``,
    ``operation``, ``source``, ``outcomes`` and ``rejected_file`` (URLs), ``records``, the numbers ``created``,
    ``updated``, ``unchanged``, ``rejected`` and ``unknown``, ``not_taken`` (attributes that Coupa did not take over as
    they were sent, with the number of rows), ``samples`` (the first rows that were rejected or are unknown),
    ``requests``, ``throttled`` and ``seconds``.

    :param resource: path under ``/api``: ``"suppliers"``. (templated)
    :param source: URL of a file in NDJSON, CSV or Parquet, or of an extract's folder or manifest, or the result of the
        task that wrote it. (templated)
    :param rows: a small number of rows, in place of ``source``: a list of dicts, such as ``task.output``. (templated)
    :param operation: ``"create"``, ``"update"`` or ``"upsert"``.
    :param key: attributes by which a record is recognised: ``["number"]``, ``["invoice-number", "supplier"]``; None for
        the natural key of the resource.
    :param fail_on: when the task fails, after all rows were worked: ``"any"`` row rejected or unknown, ``"all"`` of
        them, or a larger share of them than a number from 0 to 1.
    :param empty: ``"keep"`` leaves null and empty values out, so that Coupa keeps what it has; ``"clear"`` sends null.
    :param file_format: ``"ndjson"``, ``"csv"`` or ``"parquet"``; None tells it by the ending of the file.
    :param undocumented: attributes that this instance has, though the documents do not know them.
    :param outcomes: URL of a folder for outcomes and journal; None for one beside the source. Needed with ``rows``.
        (templated)
    :param coupa_conn_id: connection of the type ``coupa``.
    """

    template_fields: Sequence[str] = ("resource", "source", "rows", "outcomes")
    template_fields_renderers = {"source": "json"}  # noqa: RUF012 - Airflow's own way
    ui_color = "#e0f0ff"

    def __init__(
        self,
        *,
        resource: str,
        source: ManifestArgument | None = None,
        rows: Iterable[Mapping[str, Any]] | None = None,
        operation: str = "upsert",
        key: Sequence[str] | None = None,
        fail_on: str | float = "any",
        empty: str = "keep",
        file_format: str | None = None,
        undocumented: Collection[str] = (),
        outcomes: str | None = None,
        coupa_conn_id: str = "coupa_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.resource = resource
        self.source = source
        self.rows = rows
        self.operation = operation
        self.key = key
        self.fail_on = fail_on
        self.empty = empty
        self.file_format = file_format
        self.undocumented = undocumented
        self.outcomes = outcomes
        self.coupa_conn_id = coupa_conn_id
        self._place: Destination | None = None
        self._columns: Mapping[str, str] | None = None
        self._account: Account | None = None

    @cached_property
    def hook(self) -> CoupaHook:
        """The hook of the connection."""
        from coupa_provider.hooks.coupa import CoupaHook

        return CoupaHook(self.coupa_conn_id)

    def execute(self, context: Context) -> dict[str, Any]:
        """Push the rows and return the summary.

        :raises AirflowFailException: the arguments, the connection or the source are wrong, or rows were rejected;
            a retry is useless.
        :raises CoupaRetryableError: Coupa was not available; the next try goes on.
        """
        from coupa_provider.hooks.errors import fail_without_retry
        from coupa_provider.push.run import Push, push_records

        self._check_arguments()
        with fail_without_retry(), closing(self.hook):
            source, outcomes = self._open()
            self.log.info(
                "%s: %s from %s; outcomes go to %s", self.resource, self.operation, source.name, outcomes.url
            )
            account = push_records(
                self.hook.get_conn(),
                source,
                Push(self.resource, self.operation, self.key, self.empty, self.undocumented),
                outcomes,
                run=run_name(context) or "",
                on_progress=lambda progress: self._log_progress(progress),
            )
        self._account = account
        summary = {
            "resource": self.resource,
            "operation": self.operation,
            "source": source.name,
            "outcomes": account.outcomes,
            "rejected_file": account.rejected_file,
            "records": account.records,
            **account.counts,
            "not_taken": account.not_taken,
            "samples": account.samples,
            "requests": account.requests,
            "throttled": account.throttled,
            "seconds": account.seconds,
        }
        self._conclude(account, summary, context)
        return summary

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage | None:
        """Tell which file went into which resource, with the number of rows written; None without an account."""
        from airflow.providers.openlineage.extractors import OperatorLineage

        from coupa_provider.lineage.datasets import dataset, written
        from coupa_provider.lineage.names import name_of_folder, name_of_resource

        if self._account is None:
            return None
        rows = self._account.counts["created"] + self._account.counts["updated"]
        target = name_of_resource(self.hook.config.instance, self.resource)
        return OperatorLineage(
            inputs=[dataset(name_of_folder(self._place), self._columns)] if self._place else [],
            outputs=[written(target, {}, rows=rows)],
        )

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> OperatorLineage | None:
        """Tell the same of a task that failed because rows were rejected: the others are in Coupa."""
        return self.get_openlineage_facets_on_complete(task_instance)

    def _open(self) -> tuple[Source, Destination]:
        """Return the rows and the folder for the account of them."""
        from coupa_provider.extract.destination import MANIFEST_NAME, Destination
        from coupa_provider.extract.errors import ExtractError
        from coupa_provider.extract.manifest_reader import ManifestReader
        from coupa_provider.object_storage import open_folder
        from coupa_provider.push.source import FileSource, RowsSource

        outcomes = open_folder(folder_url("outcomes", self.outcomes)) if self.outcomes else None
        if self.source is None:
            assert self.rows is not None and outcomes is not None  # noqa: PT018, S101 - checked before
            return RowsSource(self.rows), outcomes
        url = manifest_url("source", self.source)
        place = self._place = open_folder(url)
        if url.endswith(MANIFEST_NAME) or place.fs.exists(place.path_of(MANIFEST_NAME)):
            try:
                extract = ManifestReader(place)
            except ExtractError as error:
                raise AirflowFailException(str(error)) from error
            if extract.manifest.kind != "records":
                raise AirflowFailException(
                    f"{place.manifest_url} lists {extract.manifest.kind}, not records. Give the extract of the records."
                )
            self._columns = extract.manifest.columns
            within = Destination(place.fs, place.path_of("_outcomes"), place.url_of("_outcomes"))
            return FileSource.of_extract(extract), outcomes or within
        beside = Destination(place.fs, f"{place.root}.outcomes", f"{place.url}.outcomes")
        return FileSource(place.fs, [place.root], place.url, self.file_format), outcomes or beside

    def _check_arguments(self) -> None:
        """Check what the templates rendered to."""
        if not isinstance(self.resource, str) or not self.resource.strip():
            raise AirflowFailException(
                "resource is empty; look at its template and at the values of this run."
            )
        if (self.source is None) == (self.rows is None):
            raise AirflowFailException(
                "Give either source, the URL of a file or extract, or rows, the result of a task. If the task before was "
                "skipped, it has given none."
            )
        if self.rows is not None and not self.outcomes:
            raise AirflowFailException(
                "rows need outcomes: the URL of a folder for the account of them, such as "
                "'s3://aws_default@lake/coupa/pushed'."
            )
        is_share = (
            isinstance(self.fail_on, int | float)
            and not isinstance(self.fail_on, bool)
            and 0 <= self.fail_on <= 1
        )
        if self.fail_on not in ("any", "all") and not is_share:
            raise AirflowFailException(
                f'fail_on must be "any", "all" or a share from 0 to 1, not {self.fail_on!r}.'
            )

    def _log_progress(self, progress: Progress) -> None:
        self.log.info("%s: %s", self.resource, progress)

    def _conclude(self, account: Account, summary: Mapping[str, Any], context: Context) -> None:
        from coupa_provider.push.decide import is_failed

        counts = account.counts
        told = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items())
        self.log.info(
            "%s: %s rows: %s; %s requests, %s throttled, %.1f s; outcomes in %s",
            self.resource,
            f"{account.records:,}",
            told,
            f"{account.requests:,}",
            f"{account.throttled:,}",
            account.seconds,
            account.outcomes,
        )
        if account.not_taken:
            self.log.warning(
                "%s: Coupa did not take over as sent: %s. It computes or ignores them, or what they refer to is missing",
                self.resource,
                ", ".join(f"{name} ({rows:,} rows)" for name, rows in account.not_taken.items()),
            )
        for sample in account.samples:
            self.log.warning(
                "%s: row %s %s: %s",
                self.resource,
                sample["row"],
                sample["outcome"],
                "; ".join(sample["errors"]),
            )
        if is_failed(counts, self.fail_on):
            if self.do_xcom_push and (task := context.get("ti")):
                task.xcom_push(key="return_value", value=dict(summary))
            mend = f" Mend {account.rejected_file} and push it." if account.rejected_file else ""
            raise AirflowFailException(
                f"{counts['rejected']:,} of {account.records:,} rows were rejected and {counts['unknown']:,} are unknown "
                f"({told}). What became of each stands in {account.outcomes}.{mend}"
            )
