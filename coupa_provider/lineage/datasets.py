"""Datasets with their columns and numbers; needs OpenLineage, so it is imported by what OpenLineage calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from airflow.providers.common.compat.openlineage.facet import (
    Dataset,
    DatasetFacet,
    OutputDataset,
    OutputStatisticsOutputDatasetFacet,
    SchemaDatasetFacet,
    SchemaDatasetFacetFields,
)

from coupa_provider.extract.manifest import ChildTable, File, Manifest
from coupa_provider.extract.schema import Field, schema_of
from coupa_provider.lineage.names import Name, name_of_folder, name_of_resource, name_of_table
from coupa_provider.resources.catalog import find_resource

if TYPE_CHECKING:
    import pyarrow as pa
    from airflow.providers.common.compat.sdk import Connection

    from coupa_provider.extract.destination import Destination
    from coupa_provider.extract.manifest_reader import ManifestReader
    from coupa_provider.load.run import Counts
    from coupa_provider.load.table import Table


def dataset(name: Name, columns: Mapping[str, str] | None = None) -> Dataset:
    """Return a dataset that was read.

    :param name: its name.
    :param columns: type of each column; None if they are not known.
    """
    return Dataset(namespace=name.namespace, name=name.name, facets=_schema(columns))


def written(
    name: Name, columns: Mapping[str, str], *, rows: int, files: Sequence[File] | None = None
) -> OutputDataset:
    """Return a dataset that was written.

    :param name: its name.
    :param columns: type of each column.
    :param rows: rows written.
    :param files: the files written; None for a table of a database.
    """
    size, count = (None, None) if files is None else (sum(file.bytes for file in files), len(files))
    return OutputDataset(
        namespace=name.namespace,
        name=name.name,
        facets=_schema(columns),
        outputFacets={
            "outputStatistics": OutputStatisticsOutputDatasetFacet(rowCount=rows, size=size, fileCount=count)
        },
    )


def resource_read(
    instance: str, resource: str, fields: Sequence[Field] | None, overrides: Mapping[str, str] | None = None
) -> Dataset:
    """Return the resource that was read, with its attributes as Coupa calls them.

    :param instance: host of the instance.
    :param resource: path under ``/api``.
    :param fields: Coupa's ``fields`` argument; None for all.
    :param overrides: types of attributes that the documents do not know.
    """
    known = find_resource(resource)
    documented = known.attributes if known else {}
    attributes = {
        column.attribute: documented[column.attribute].base
        if column.attribute in documented
        else column.kind.name
        for column in schema_of(resource, fields, overrides=overrides).columns
        if not column.companion
    }
    return dataset(name_of_resource(instance, resource), attributes)


def extract_read(manifest: Manifest, folder: Destination) -> list[Dataset]:
    """Return the datasets of an extract that was read: the records and each table of lines.

    :param manifest: its manifest.
    :param folder: its folder.
    """
    return [dataset(name_of_folder(folder, child), table.columns) for child, table in _tables(manifest)]


def extract_written(manifest: Manifest, folder: Destination) -> list[OutputDataset]:
    """Return the datasets of an extract that was published: the records and each table of lines.

    :param manifest: its manifest.
    :param folder: its folder.
    """
    return [
        written(name_of_folder(folder, child), table.columns, rows=table.records, files=table.files)
        for child, table in _tables(manifest)
    ]


def load_written(
    connection: Connection,
    readers: Sequence[ManifestReader],
    table: Table,
    child_tables: Mapping[str, Table],
    counts: Counts,
) -> list[OutputDataset]:
    """Return the tables that a load wrote to; none if the connection does not tell the database.

    :param connection: connection of the type ``adbc``.
    :param readers: the extracts loaded.
    :param table: the table of the records.
    :param child_tables: tables of lines by their names in the manifests; others are named after ``table``.
    :param counts: what the load did.
    """
    columns: dict[str, dict[str, str]] = {str(table): {}}
    for reader in readers:
        if reader.manifest.kind == "records":
            columns[str(table)] |= _types(reader.arrow_schema())
        for child in reader.manifest.children:
            target = str(child_tables.get(child) or table.child(child))
            if target in counts.lines:
                columns.setdefault(target, {}).update(_types(reader.arrow_schema(child)))
    rows = {str(table): counts.inserted + counts.updated, **counts.lines}
    return [
        written(name, types, rows=rows[target])
        for target, types in columns.items()
        if (name := name_of_table(connection, target))
    ]


def _types(schema: pa.Schema) -> dict[str, str]:
    return {field.name: str(field.type) for field in schema}


def _tables(manifest: Manifest) -> Iterator[tuple[str | None, Manifest | ChildTable]]:
    yield None, manifest
    yield from manifest.children.items()


def _schema(columns: Mapping[str, str] | None) -> dict[str, DatasetFacet]:
    if not columns:
        return {}
    fields = [SchemaDatasetFacetFields(name=name, type=text) for name, text in columns.items()]
    return {"schema": SchemaDatasetFacet(fields=fields)}
