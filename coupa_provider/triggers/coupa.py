"""All triggers of the provider, under one name."""

from __future__ import annotations

from coupa_provider.triggers.record import CoupaRecordTrigger

__all__ = ["CoupaRecordTrigger"]
