"""Store what is attached to the records of an extract: attachments, scans, legal invoices."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from coupa_provider.operators.urls import folder_url, manifest_url

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from coupa_provider.extract.progress import Progress
    from coupa_provider.hooks.coupa import CoupaHook
    from coupa_provider.operators.urls import ManifestArgument


class CoupaAttachmentsToObjectStorageOperator(BaseOperator):
    """Store the files that are attached to the records of an extract, each whole and with its checksum.

    Files that are there from earlier runs and did not change are not fetched again, and a try that follows a failed or
    killed one goes on where that stopped. A manifest beside the files tells what became of each; where one failed the
    others are stored, and then the task fails.

    The task's result is a summary: ``resource``, ``manifest`` (URL), ``records``, ``records_gone``, the numbers
    ``stored``, ``unchanged``, ``link``, ``text``, ``absent``, ``gone`` and ``kept``, ``bytes`` (stored), ``requests``,
    ``throttled`` and ``seconds``.

    :param manifest: URL of the extract's manifest or folder, or the result of the task that wrote it:
        ``extract.output``. (templated)
    :param destination: URL of the folder for the files, the same for all runs, with nothing else in it. (templated)
    :param kinds: what to fetch: ``"attachments"``, and of invoices ``"image_scan"`` and ``"legal_invoice_pdf"``.
        (templated: no)
    :param coupa_conn_id: connection of the type ``coupa``, the same as the extract's. (templated: no)
    """

    template_fields: Sequence[str] = ("manifest", "destination")
    template_fields_renderers = {"manifest": "json"}  # noqa: RUF012 - Airflow's own way
    ui_color = "#e0f0ff"

    def __init__(
        self,
        *,
        manifest: ManifestArgument,
        destination: str | ObjectStoragePath,
        kinds: Sequence[str] = ("attachments",),
        coupa_conn_id: str = "coupa_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.manifest = manifest
        self.destination = destination
        self.kinds = kinds
        self.coupa_conn_id = coupa_conn_id

    @cached_property
    def hook(self) -> CoupaHook:
        """The hook of the connection."""
        from coupa_provider.hooks.coupa import CoupaHook

        return CoupaHook(self.coupa_conn_id)

    def execute(self, context: Context) -> dict[str, Any]:
        """Store the files and return the summary.

        :raises AirflowFailException: an argument or the connection is wrong; a retry is useless.
        :raises ExtractError: files failed, and all others are stored; or the extract is not as it must be.
        """
        from coupa_provider.extract.attachments import fetch_attachments
        from coupa_provider.extract.manifest_reader import ManifestReader
        from coupa_provider.hooks.errors import fail_without_retry
        from coupa_provider.object_storage import open_folder

        destination = open_folder(folder_url("destination", self.destination))
        extract = ManifestReader(open_folder(manifest_url("manifest", self.manifest)))
        resource = extract.manifest.resource
        self.log.info(
            "%s: what is attached to %s records goes to %s",
            resource,
            f"{extract.manifest.records:,}",
            destination.url,
        )

        def log_progress(progress: Progress) -> None:
            self.log.info(
                "%s: %s files, %s requests, %s throttled, %.0f s",
                resource, f"{progress.records:,}", f"{progress.requests:,}", f"{progress.throttled:,}", progress.seconds,
            )  # fmt: skip

        with fail_without_retry(), closing(self.hook):
            made = fetch_attachments(
                self.hook.get_conn(), extract, destination, list(self.kinds), on_progress=log_progress
            )
        counts = {outcome: count for outcome, count in made.counts.items() if outcome != "failed"}
        self.log.info(
            "%s: %s, %s requests, %s throttled, %.1f s; manifest %s",
            resource,
            ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items()),
            f"{made.requests:,}",
            f"{made.throttled:,}",
            made.seconds,
            destination.manifest_url,
        )
        return {
            "resource": resource,
            "manifest": destination.manifest_url,
            "records": made.records,
            "records_gone": made.records_gone,
            **counts,
            "bytes": made.stored_bytes,
            "requests": made.requests,
            "throttled": made.throttled,
            "seconds": made.seconds,
        }
