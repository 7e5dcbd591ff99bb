"""Records to files: windows, typed columns, parts and the manifest that makes them visible as a whole.

Knows neither Airflow nor HTTP: pages of records come in, files go to any fsspec filesystem.
:func:`coupa_provider.extract.run.extract_pages` is the way in.
"""

from __future__ import annotations

FILE_FORMATS = ("parquet", "ndjson", "csv")
"""The file formats an extract can have."""

PART_BYTES = 128 * 1024 * 1024
"""A part ends with the page that takes the JSON in it to this size; Parquet makes a tenth of it or less."""


def partition_folder(number: int) -> str:
    """Return the name of the folder that a partition of an extract is written to."""
    return f"partition-{number:05d}"


SCHEMA_CHANGES = ("removed", "retyped", "added", "vanished", "appeared", "misfit")
"""How the tables of two extracts can differ, the worst first.

A column is ``removed``, ``retyped`` or ``added``; columns follow from the release of this package and from the
arguments of the extract. An attribute has ``vanished`` from or ``appeared`` in what Coupa sent, be it documented, a
custom field or unforeseen. An attribute is a ``misfit`` if it has values that do not fit its column, and had none
before.
"""
