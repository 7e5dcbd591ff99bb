"""Records to files: windows, typed columns, parts and the manifest that makes them visible as a whole.

Knows neither Airflow nor HTTP: pages of records come in, files go to any fsspec filesystem.
:func:`coupa_provider.extract.run.extract_pages` is the way in.
"""

from __future__ import annotations

FILE_FORMATS = ("parquet", "ndjson", "csv")
"""The file formats an extract can have."""
