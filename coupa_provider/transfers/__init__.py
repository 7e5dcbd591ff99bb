"""Transfers: records out of Coupa into files."""

from __future__ import annotations
