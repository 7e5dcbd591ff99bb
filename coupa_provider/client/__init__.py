"""Coupa over HTTP: configuration, tokens, limits, retries, errors, queries and complete walks.

Nothing here knows of Airflow, and httpx is imported in :mod:`.transport` only.
"""

from __future__ import annotations
