"""Extracts to a database: what a manifest lists is merged into a table, in one transaction.

Knows neither Airflow nor a driver: it is handed a connection of ADBC's DBAPI.
:func:`coupa_provider.load.run.load_manifests` is the way in.
"""

from __future__ import annotations
