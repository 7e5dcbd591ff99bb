"""Find out which extracted records Coupa no longer holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

from coupa_provider.operators.filters import check_filters
from coupa_provider.operators.urls import folder_url, manifest_url

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath
    from airflow.providers.openlineage.extractors import OperatorLineage

    from coupa_provider.client.blocking import BlockingWalk
    from coupa_provider.extract.destination import Destination
    from coupa_provider.extract.manifest import Manifest
    from coupa_provider.extract.manifest_reader import ManifestReader
    from coupa_provider.extract.progress import Progress
    from coupa_provider.hooks.coupa import CoupaHook
    from coupa_provider.operators.urls import ManifestArgument

_MOST_IDS_SHOWN = 20


class CoupaSweepDeletionsOperator(BaseOperator):
    """Write the ids that extracts hold and Coupa no longer does to a folder, as an extract of deletions.

    It walks the ids of the whole resource, so the extracts need to hold what the filters match, no less: those of
    the first full load and of all windows since. Ids in Coupa that no extract holds are nothing to it.

    The task's result is a summary for the tasks after it: ``resource``, ``manifest`` (URL of the list of
    deletions), ``compared`` (ids in the extracts), ``deleted`` (how many are gone), ``deleted_ids`` (the first of
    them), ``requests``, ``throttled`` and ``seconds``.

    :param manifest: URL of an extract's manifest or folder, or the result of the task that wrote it, or a list of
        these, oldest first. Earlier lists of deletions belong in it, in their place. (templated)
    :param destination: URL of the folder for the result, as for ``ObjectStoragePath``. (templated)
    :param filters: what a record has to satisfy to count as there, in Coupa's own query syntax; None for all that
        the connection may see. (templated)
    :param coupa_conn_id: connection of the type ``coupa``, the same as the extracts'. (templated: no)
    """

    template_fields: Sequence[str] = ("manifest", "destination", "filters")
    template_fields_renderers = {"filters": "json"}  # noqa: RUF012 - Airflow's own way
    ui_color = "#e0f0ff"

    def __init__(
        self,
        *,
        manifest: ManifestArgument | Sequence[ManifestArgument],
        destination: str | ObjectStoragePath,
        filters: Mapping[str, Any] | None = None,
        coupa_conn_id: str = "coupa_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.manifest = manifest
        self.destination = destination
        self.filters = filters
        self.coupa_conn_id = coupa_conn_id
        self._swept: tuple[list[ManifestReader], Manifest, Destination] | None = None

    @cached_property
    def hook(self) -> CoupaHook:
        """The hook of the connection."""
        from coupa_provider.hooks.coupa import CoupaHook

        return CoupaHook(self.coupa_conn_id)

    def execute(self, context: Context) -> dict[str, Any]:
        """Compare, write the deletions and return the summary.

        :raises AirflowFailException: the arguments or the connection are wrong, or Coupa shows no record at all; a
            retry is useless.
        :raises ExtractError: an extract cannot be read, or does not belong with the others.
        """
        from coupa_provider.extract.manifest_reader import ManifestReader
        from coupa_provider.extract.sweep import sweep_deletions
        from coupa_provider.hooks.errors import fail_without_retry
        from coupa_provider.object_storage import open_folder

        destination = open_folder(folder_url("destination", self.destination))
        extracts = [ManifestReader(open_folder(url)) for url in self._manifest_urls()]
        check_filters(self.filters)
        resource = extracts[0].manifest.resource

        def begin_walk(filters: Mapping[str, Any]) -> BlockingWalk:
            return self.hook.pages(resource, filters=filters, fields=["id"])

        def log_progress(progress: Progress) -> None:
            self.log.info("%s: %s", resource, progress)

        with fail_without_retry(), closing(self.hook):
            found = sweep_deletions(
                begin_walk,
                extracts,
                destination,
                instance=self.hook.config.instance,
                filters=self.filters,
                on_progress=log_progress,
            )
        manifest = found.manifest
        self._swept = extracts, manifest, destination
        for report in manifest.reports:
            self.log.info("%s: %s", resource, report)
        self.log.info(
            "%s: %s of %s ids are gone, %s requests, %s throttled, %.1f s; manifest %s",
            resource,
            f"{manifest.records:,}",
            f"{found.compared:,}",
            f"{manifest.requests:,}",
            f"{manifest.throttled:,}",
            manifest.seconds,
            destination.manifest_url,
        )
        return {
            "resource": resource,
            "manifest": destination.manifest_url,
            "compared": found.compared,
            "deleted": manifest.records,
            "deleted_ids": list(islice(found.ids, _MOST_IDS_SHOWN)),
            "requests": manifest.requests,
            "throttled": manifest.throttled,
            "seconds": manifest.seconds,
        }

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage | None:
        """Tell what was compared, and how many ids are gone; None for a task that failed."""
        from airflow.providers.openlineage.extractors import OperatorLineage

        from coupa_provider.lineage.datasets import extract_read, extract_written, resource_read

        if self._swept is None:
            return None
        extracts, manifest, destination = self._swept
        return OperatorLineage(
            inputs=[
                resource_read(manifest.instance, manifest.resource, ["id"]),
                *(read for extract in extracts for read in extract_read(extract.manifest, extract.folder)),
            ],
            outputs=extract_written(manifest, destination),
        )

    def _manifest_urls(self) -> list[str]:
        if isinstance(self.manifest, str) or not isinstance(self.manifest, Sequence):
            return [manifest_url("manifest", self.manifest)]
        if not self.manifest:
            raise AirflowFailException("manifest is an empty list: there is nothing to compare with.")
        return [manifest_url("manifest", value) for value in self.manifest]
