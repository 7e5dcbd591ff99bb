"""The exported flag, which calls of several kinds set."""

from __future__ import annotations

from coupa_provider.emulator.instance import Instance
from coupa_provider.emulator.store import Record


def set_exported(instance: Instance, path: str, record: Record, exported: bool) -> None:
    """Set the flag of a record and keep it.

    :param instance: the instance.
    :param path: catalog path of the resource.
    :param record: the record.
    :param exported: the flag's new value.
    """
    now = instance.stamp()
    record["exported"] = exported
    if "last-exported-at" in record and exported:
        record["last-exported-at"] = now
    if instance.settings.switches["U18"] == "yes":
        record["updated-at"] = now
    instance.store.put(path, record)
