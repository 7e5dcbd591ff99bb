"""Hooks: an Airflow connection turned into a Coupa client."""

from __future__ import annotations
