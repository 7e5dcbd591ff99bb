"""Seeded data: every resource of the catalog, from one number."""

from __future__ import annotations

from coupa_provider.emulator.seed.catalogue import Seeder

__all__ = ["Seeder"]
