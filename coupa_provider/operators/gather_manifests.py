"""Make one extract of those that mapped tasks wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

from coupa_provider.operators.urls import folder_url, manifest_url

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath
    from airflow.providers.openlineage.extractors import OperatorLineage

    from coupa_provider.extract.destination import Destination
    from coupa_provider.extract.manifest import Manifest
    from coupa_provider.extract.manifest_reader import ManifestReader
    from coupa_provider.operators.urls import ManifestArgument


class CoupaGatherManifestsOperator(BaseOperator):
    """Publish one manifest for the partitions that mapped transfers wrote, without copying a file.

    Before, it proves that they are one extract: the same query, format and columns, and ranges of ids that meet from
    the first to the last. Folders of partitions in ``destination`` that are left from an earlier plan are removed.

    The task's result is a summary like the transfer's: ``manifest`` (its URL), ``files`` (their URLs), ``records``,
    ``bytes``, ``window``, ``resource``, ``tries`` (the most of a partition), ``requests``, ``throttled`` and
    ``seconds`` (from the first begin to the last end).

    :param manifests: results of the mapped transfers: ``extract.output``; URLs of their manifests or folders will do
        as well. (templated)
    :param destination: the ``destination`` of the transfers. (templated)
    :param partitions: result of the task that planned: ``plan.output``. Needed only if ``filters`` has an upper bound
        on ``id``, for then nothing else shows which partition is the last. (templated)
    """

    template_fields: Sequence[str] = ("manifests", "destination", "partitions")
    ui_color = "#e0f0ff"

    def __init__(
        self,
        *,
        manifests: Sequence[ManifestArgument],
        destination: str | ObjectStoragePath,
        partitions: Sequence[Mapping[str, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.manifests = manifests
        self.destination = destination
        self.partitions = partitions
        self._gathered: tuple[list[ManifestReader], Manifest, Destination] | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Check the partitions, publish the manifest and return the summary.

        :raises AirflowFailException: the arguments are wrong; a retry is useless.
        :raises ExtractError: a partition cannot be read, or they do not make one whole.
        """
        from coupa_provider.extract.gather import gather_manifests
        from coupa_provider.extract.manifest_reader import ManifestReader
        from coupa_provider.extract.summary import summary_of
        from coupa_provider.object_storage import open_folder

        folder = open_folder(folder_url("destination", self.destination))
        if self.manifests is None or isinstance(self.manifests, str | Mapping):
            raise AirflowFailException(
                "manifests must be a list of manifests: pass the output of the mapped transfers, extract.output."
            )
        extracts = [ManifestReader(open_folder(manifest_url("manifests", value))) for value in self.manifests]
        manifest = gather_manifests(extracts, folder, planned=self._planned())
        self._gathered = extracts, manifest, folder
        self.log.info(
            "%s: %s records of %d partition(s), %d file(s), %s requests, %s throttled, %.1f s; manifest %s",
            manifest.resource,
            f"{manifest.records:,}",
            len(extracts),
            len(manifest.files),
            f"{manifest.requests:,}",
            f"{manifest.throttled:,}",
            manifest.seconds,
            folder.manifest_url,
        )
        return summary_of(manifest, folder)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage | None:
        """Tell which partitions became one extract, with its numbers; None for a task that failed."""
        from airflow.providers.openlineage.extractors import OperatorLineage

        from coupa_provider.lineage.datasets import extract_read, extract_written

        if self._gathered is None:
            return None
        extracts, manifest, folder = self._gathered
        return OperatorLineage(
            inputs=[read for extract in extracts for read in extract_read(extract.manifest, extract.folder)],
            outputs=extract_written(manifest, folder),
        )

    def _planned(self) -> list[tuple[int, int | None]] | None:
        if self.partitions is None:
            return None
        try:
            return [(part["after"], part["upto"]) for part in self.partitions]
        except (KeyError, TypeError):
            raise AirflowFailException(
                "partitions is not the result of CoupaPlanPartitionsOperator. Write partitions=plan.output."
            ) from None
