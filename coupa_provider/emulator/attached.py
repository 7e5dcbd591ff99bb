"""A record shows its attachments: the list in it follows the collection of its attachments."""

from __future__ import annotations

from coupa_provider.emulator.seed.catalogue import parent_path
from coupa_provider.emulator.sql import Statement
from coupa_provider.emulator.store import Store, decode


def show_attachments(store: Store, path: str, parent_id: int | None) -> None:
    """Bring the list in a record up to date; nothing happens where the record shows none.

    :param store: all records.
    :param path: catalog path of the attachments: ``"invoices/:invoice_id/attachments"``.
    :param parent_id: id of the record.
    """
    parent = parent_path(path)
    record = store.record(parent, parent_id) if parent and parent_id is not None else None
    if parent is None or record is None or "attachments" not in record:
        return
    found = Statement(f'SELECT body FROM "{path}" WHERE parent_id = ? ORDER BY id', (parent_id,))  # noqa: S608
    record["attachments"] = [decode(body) for body in store.select(found)]
    store.put(parent, record)
