"""Acknowledge an extract: set the exported flag of its records."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from coupa_provider.operators.urls import manifest_url

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from coupa_provider.extract.progress import Progress
    from coupa_provider.hooks.coupa import CoupaHook
    from coupa_provider.operators.urls import ManifestArgument
    from coupa_provider.push.exported import Acknowledgement


class CoupaMarkExportedOperator(BaseOperator):
    """Set the exported flag of every record of an extract, once, after the extract is safe where it belongs.

    Records that were changed after they were landed are left as they are, so that the next extract with
    ``exported=false`` brings the change. A try that follows a failed or killed one goes on where that stopped.

    The task's result is a summary for the tasks after it: ``resource``, ``manifest`` and ``journal`` (URLs),
    ``records``, the numbers ``marked``, ``already`` (exported by another consumer), ``changed`` and ``gone``, the
    first ids of the last three as ``already_ids``, ``changed_ids`` and ``gone_ids``, ``requests``, ``throttled`` and
    ``seconds``.

    :param manifest: URL of the extract's manifest or folder, or the result of the task that wrote it:
        ``extract.output``. (templated)
    :param coupa_conn_id: connection of the type ``coupa``, the same as the extract's. (templated: no)
    """

    template_fields: Sequence[str] = ("manifest",)
    ui_color = "#e0f0ff"

    def __init__(
        self, *, manifest: ManifestArgument, coupa_conn_id: str = "coupa_default", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.manifest = manifest
        self.coupa_conn_id = coupa_conn_id

    @cached_property
    def hook(self) -> CoupaHook:
        """The hook of the connection."""
        from coupa_provider.hooks.coupa import CoupaHook

        return CoupaHook(self.coupa_conn_id)

    def execute(self, context: Context) -> dict[str, Any]:
        """Mark the records and return the summary.

        :raises AirflowFailException: the extract or the connection is not the right one, or Coupa refused records;
            a retry is useless.
        """
        from coupa_provider.extract.manifest_reader import ManifestReader
        from coupa_provider.hooks.errors import fail_without_retry
        from coupa_provider.object_storage import open_folder
        from coupa_provider.push.exported import mark_exported

        extract = ManifestReader(open_folder(manifest_url("manifest", self.manifest)))
        resource = extract.manifest.resource
        self.log.info(
            "%s: marking the %s records of %s",
            resource,
            f"{extract.manifest.records:,}",
            extract.folder.manifest_url,
        )

        def log_progress(progress: Progress) -> None:
            self.log.info("%s: %s", resource, progress)

        with fail_without_retry(), closing(self.hook):
            done = mark_exported(self.hook.get_conn(), extract, on_progress=log_progress)
        self._log_outcome(resource, done)
        return {
            "resource": resource,
            "manifest": extract.folder.manifest_url,
            "journal": done.journal,
            "records": done.records,
            **done.counts,
            **{f"{outcome}_ids": ids for outcome, ids in done.samples.items()},
            "requests": done.requests,
            "throttled": done.throttled,
            "seconds": done.seconds,
        }

    def _log_outcome(self, resource: str, done: Acknowledgement) -> None:
        meanings = {
            "already": "were exported by another consumer before",
            "changed": "were changed after they were landed and not marked: the next extract brings them",
            "gone": "are no longer there, or no longer shown to this connection",
        }
        for outcome, meaning in meanings.items():
            if count := done.counts[outcome]:
                ids = ", ".join(map(str, done.samples[outcome]))
                more = ", ..." if count > len(done.samples[outcome]) else ""
                self.log.warning("%s: %s records %s: %s%s", resource, f"{count:,}", meaning, ids, more)
        self.log.info(
            "%s: %s of %s records marked, %s requests, %s throttled, %.1f s; journal %s",
            resource,
            f"{done.counts['marked']:,}",
            f"{done.records:,}",
            f"{done.requests:,}",
            f"{done.throttled:,}",
            done.seconds,
            done.journal,
        )
