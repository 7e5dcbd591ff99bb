"""Assets: Coupa resources in Airflow's lineage and in asset-aware scheduling."""

from __future__ import annotations
