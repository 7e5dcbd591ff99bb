"""Wait for records on the triggerer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coupa_provider.triggers.waiting import CoupaWaitTrigger

if TYPE_CHECKING:
    from coupa_provider.watch.wait import Wait


class CoupaRecordTrigger(CoupaWaitTrigger):
    """Waits for a :class:`~coupa_provider.sensors.record.CoupaRecordSensor`.

    Hundreds of them on the same connection and resource cost one request for each 49 records and interval.
    """

    def read_wait(self) -> Wait:
        """Return what is waited for."""
        from coupa_provider.watch.record_wait import RecordWait

        return RecordWait.parse(**self.arguments)
