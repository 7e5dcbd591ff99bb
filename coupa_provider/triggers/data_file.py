"""Wait for loads of files on the triggerer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coupa_provider.triggers.waiting import CoupaWaitTrigger

if TYPE_CHECKING:
    from coupa_provider.watch.wait import Wait


class CoupaDataFileTrigger(CoupaWaitTrigger):
    """Waits for a :class:`~coupa_provider.sensors.data_file.CoupaDataFileSensor`.

    All of them on the same connection share their requests, whatever files they wait for.
    """

    def read_wait(self) -> Wait:
        """Return what is waited for."""
        from coupa_provider.watch.data_files import DataFileWait

        return DataFileWait.parse(**self.arguments)
