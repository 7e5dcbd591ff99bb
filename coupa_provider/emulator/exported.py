"""The exported flag, which calls of several kinds set."""

from __future__ import annotations

import time

from coupa_provider.emulator.instance import Instance
from coupa_provider.emulator.stamps import render_instant
from coupa_provider.emulator.store import Record


def set_exported(instance: Instance, path: str, record: Record, exported: bool) -> None:
    """Set the flag of a record and keep it.

    :param instance: the instance.
    :param path: catalog path of the resource.
    :param record: the record.
    :param exported: the flag's new value.
    """
    now = render_instant(int(time.time()), instance.seeder.world.zone)
    record["exported"] = exported
    if "last-exported-at" in record and exported:
        record["last-exported-at"] = now
    if instance.settings.switches["U18"] == "yes":
        record["updated-at"] = now
    instance.store.put(path, record)
