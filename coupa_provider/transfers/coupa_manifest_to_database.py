"""Merge an extract into a table of a database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context
    from airflow.providers.openlineage.extractors import OperatorLineage

    from coupa_provider.extract.manifest_reader import ManifestReader
    from coupa_provider.load.run import Counts


class CoupaManifestToDatabaseOperator(BaseOperator):
    """Merge what ``CoupaToObjectStorageOperator`` wrote into a table, in one transaction.

    The table is made where it does not exist, and gets new columns where the extract has more. Records are merged
    by ``id``, and the one with the newest ``updated_at`` stays, so loads may be repeated and may come late. Lines
    of a record are replaced as a whole. A manifest of deletions deletes.

    The task's result is a summary: ``table``, ``manifests`` (their URLs), ``staged``, ``inserted``, ``updated``,
    ``unchanged``, ``older``, ``deleted``, ``lines``, ``columns_added`` and ``seconds``.

    :param manifest: what to load: URL of a manifest or of its folder, the result of
        ``CoupaToObjectStorageOperator``, or a list of either, oldest first. (templated)
    :param table: ``"schema.table"``, or ``"table"`` in the connection's own schema. (templated)
    :param adbc_conn_id: connection of the type ``adbc``, to PostgreSQL or DuckDB. (templated: no)
    :param child_tables: tables of lines by the names the manifest has for them:
        ``{"invoice_lines": "coupa.invoice_lines"}``; ``<table>_<name>`` for those not named. (templated: no)
    """

    template_fields: Sequence[str] = ("manifest", "table")
    template_fields_renderers = {"manifest": "json"}  # noqa: RUF012 - Airflow's own way
    ui_color = "#e0f0ff"

    def __init__(
        self,
        *,
        manifest: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]],
        table: str,
        adbc_conn_id: str = "adbc_default",
        child_tables: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.manifest = manifest
        self.table = table
        self.adbc_conn_id = adbc_conn_id
        self.child_tables = child_tables
        self._loaded: tuple[list[ManifestReader], str, Counts] | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Load, and return the summary.

        :raises AirflowFailException: the arguments or the connection are wrong, or the extract does not fit the
            table; a retry is useless.
        :raises LoadError: the database refused; nothing was changed.
        :raises ExtractError: a file is missing, or is not the one its manifest describes; nothing was changed.
        """
        from coupa_provider.extract.manifest_reader import ManifestReader
        from coupa_provider.hooks.adbc_connection import connect
        from coupa_provider.load.errors import TableError
        from coupa_provider.load.run import load_manifests
        from coupa_provider.load.session import Session
        from coupa_provider.object_storage import open_folder

        urls = list(self._urls(self.manifest))
        if not urls:
            raise AirflowFailException("manifest is empty; look at the task that should have given it.")
        if not isinstance(self.table, str) or not self.table.strip():
            raise AirflowFailException("table is empty; look at its template and at the values of this run.")
        readers = [ManifestReader(open_folder(url)) for url in urls]
        with connect(self.adbc_conn_id) as connection:
            try:
                session = Session(connection)
                schema = session.dialect.default_schema(session)
                counts = load_manifests(connection, readers, self.table, child_tables=self.child_tables)
            except TableError as error:
                raise AirflowFailException(str(error)) from None
        self._loaded = readers, schema, counts
        self.log.info(
            "%s: %s inserted, %s updated, %s unchanged, %s older, %s deleted, %.1f s",
            self.table,
            *(f"{count:,}" for count in (counts.inserted, counts.updated, counts.unchanged, counts.older)),
            f"{counts.deleted:,}",
            counts.seconds,
        )
        return {"table": self.table, "manifests": urls, **counts.as_dict()}

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage | None:
        """Tell which files went into which tables, with columns and rows written; None for a task that failed."""
        from airflow.providers.common.compat.sdk import BaseHook
        from airflow.providers.openlineage.extractors import OperatorLineage

        from coupa_provider.lineage.datasets import extract_read, load_written
        from coupa_provider.load.table import Table

        if self._loaded is None:
            return None
        readers, schema, counts = self._loaded
        children = {name: Table.parse(text, schema) for name, text in (self.child_tables or {}).items()}
        return OperatorLineage(
            inputs=[read for reader in readers for read in extract_read(reader.manifest, reader.folder)],
            outputs=load_written(
                BaseHook.get_connection(self.adbc_conn_id),
                readers,
                Table.parse(self.table, schema),
                children,
                counts,
            ),
        )

    def _urls(self, manifest: Any) -> Iterator[str]:
        """Give the URLs of what the template, or the task before, has given."""
        if isinstance(manifest, str):
            if "://" not in manifest:
                raise AirflowFailException(
                    f"manifest {manifest!r} is no URL. Write for instance 's3://aws_default@lake/coupa/invoices/"
                    "2026-11-23', or the result of the task that extracted: manifest=extract.output."
                )
            yield manifest
        elif isinstance(manifest, Mapping) and "manifest" in manifest:
            yield from self._urls(manifest["manifest"])
        elif isinstance(manifest, Iterable) and not isinstance(manifest, Mapping):
            for each in manifest:
                yield from self._urls(each)
        else:
            raise AirflowFailException(
                "manifest must be a URL, the result of CoupaToObjectStorageOperator, or a list of these, not "
                f"{type(manifest).__name__}. If the task before was skipped, it has given none."
            )
