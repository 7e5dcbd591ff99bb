"""All triggers of the provider, under one name."""

from __future__ import annotations

from coupa_provider.triggers.data_file import CoupaDataFileTrigger
from coupa_provider.triggers.record import CoupaRecordTrigger
from coupa_provider.triggers.records_event import CoupaRecordsEventTrigger

__all__ = ["CoupaDataFileTrigger", "CoupaRecordTrigger", "CoupaRecordsEventTrigger"]
