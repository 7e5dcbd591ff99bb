"""Transfers: records out of Coupa into files, and files into Coupa."""

from __future__ import annotations
