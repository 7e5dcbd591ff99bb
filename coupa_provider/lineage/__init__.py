"""Lineage as OpenLineage has it: what a task read and wrote, with columns and numbers."""

from __future__ import annotations
