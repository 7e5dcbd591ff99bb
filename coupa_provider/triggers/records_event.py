"""Turn new and changed records into events of an asset."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.triggers import BaseEventTrigger
from airflow.triggers.base import TriggerEvent

from coupa_provider.triggers.kept_watermark import KeptWatermark
from coupa_provider.triggers.polls import connect
from coupa_provider.triggers.quiet_payload import QuietPayload
from coupa_provider.watch.stream import Stream, parse_streams

if TYPE_CHECKING:
    from coupa_provider.watch.watcher import Watcher


class CoupaRecordsEventTrigger(BaseEventTrigger):
    """Watches resources for an asset: new and changed records become its events. For Airflow 3.

    To be given to an ``AssetWatcher``. The payload of an event: ``resource``, ``instance``, ``records`` with ``id``,
    ``updated-at``, ``created-at``, ``status`` (where the resource has them) and ``fields``, their ``count``, and the
    instants ``since`` and ``until``. A look with news makes one event of each resource, and another for each 500 records.

    Every change is told at least once. Triggers with equal arguments are one trigger in Airflow.

    :param resources: path under ``/api``, ``"invoices"``; or several; or filters in Coupa's words by path:
        ``{"invoices": {"status": "approved", "exported": False}, "suppliers": None}``.
    :param fields: more attributes of each record, nested; for all resources or by path. They are kept in Airflow's
        database, and people who may see asset events see them.
    :param poll_interval: seconds from one look to the next, at least 1.
    :param overlap: seconds before the newest change that each look asks for again: so late may a change become visible.
    :param coupa_conn_id: connection of the type ``coupa``.
    :raises CoupaQueryError: an argument is wrong.
    """

    def __init__(
        self,
        resources: str | Sequence[str] | Mapping[str, Mapping[str, Any] | None],
        *,
        fields: Sequence[Any] | Mapping[str, Sequence[Any]] | None = None,
        poll_interval: float = 60,
        overlap: float = 120,
        coupa_conn_id: str = "coupa_default",
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        for name, value, least in (("poll_interval", poll_interval, 1), ("overlap", overlap, 0)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < 1e9:
                raise ValueError(f"{name} must be a number of seconds, {least} or more; got {value!r}.")
        if not isinstance(coupa_conn_id, str) or not coupa_conn_id:
            raise ValueError(f"coupa_conn_id must be the id of a connection; got {coupa_conn_id!r}.")
        self.streams: tuple[Stream, ...] = parse_streams(resources, fields)
        self.poll_interval = poll_interval
        self.overlap = overlap
        self.coupa_conn_id = coupa_conn_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what this trigger is made again from; the same for the same wish, however it was written."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "resources": {stream.resource: json.loads(stream.filters) for stream in self.streams},
            "fields": {stream.resource: json.loads(stream.fields) for stream in self.streams},
            "poll_interval": self.poll_interval,
            "overlap": self.overlap,
            "coupa_conn_id": self.coupa_conn_id,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Watch for good, and yield events. What goes wrong is logged and tried again later."""
        watchers = await asyncio.to_thread(self._watchers)
        work: dict[asyncio.Task[list[dict[str, Any]]], Watcher] = {}
        try:
            for watcher in watchers:
                work[asyncio.create_task(watcher.next())] = watcher
            while True:
                done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    watcher = work.pop(task)
                    for payload in task.result():
                        yield TriggerEvent(QuietPayload(payload))  # type: ignore[no-untyped-call]
                    work[asyncio.create_task(watcher.next())] = watcher
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    def _watchers(self) -> list[Watcher]:
        from coupa_provider.watch.watcher import Watcher  # takes long to import, so not on the event loop

        stores = getattr(self, "asset_state_store", None)
        return [
            Watcher(
                stream,
                partial(connect, self.coupa_conn_id),
                KeptWatermark(stores, f"{self.coupa_conn_id}:{stream.key}"),
                interval=self.poll_interval,
                overlap=timedelta(seconds=self.overlap),
            )
            for stream in self.streams
        ]
