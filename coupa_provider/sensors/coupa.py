"""All sensors of the provider, under one name."""

from __future__ import annotations

from coupa_provider.sensors.data_file import CoupaDataFileSensor
from coupa_provider.sensors.record import CoupaRecordSensor

__all__ = ["CoupaDataFileSensor", "CoupaRecordSensor"]
