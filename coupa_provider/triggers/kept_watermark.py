"""The watermark of a watcher: up to which instant its events are safe.

From Airflow 3.3 on it stands in the state stores of the assets that are watched, where people see it in the UI; before
that, in a Variable. Either way it is ISO 8601 text.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from asgiref.sync import sync_to_async

from coupa_provider.hooks.variable import variable_class


class KeptWatermark:
    """The watermark of one resource.

    :param stores: the trigger's ``asset_state_store``; None where Airflow gives none.
    :param name: of what is watched, over which connection; it becomes a part of keys.
    """

    def __init__(self, stores: Any, name: str) -> None:
        self._stores = _stores_of(stores)
        self._key = f"watermark:{name}"
        self._variable = f"coupa_watermark_{name.replace(':', '_').replace('/', '.')}"

    def __str__(self) -> str:
        return f"{self._key!r} of {self._stores[0]}" if self._stores else f"Variable {self._variable!r}"

    async def read(self) -> datetime | None:
        """Return the watermark, None where there is none yet.

        Several assets may be watched by one trigger. The oldest of theirs counts.

        :raises ValueError: what is kept is no instant.
        """
        kept = [text for store in self._stores if (text := await _get(store, self._key))]
        if not kept:  # also what an earlier Airflow has kept
            text = await sync_to_async(variable_class().get)(self._variable, None)
            kept = [text] if text else []
        return min((self._parse(text) for text in kept), default=None)

    async def write(self, watermark: datetime) -> None:
        """Keep a watermark.

        :param watermark: an aware instant.
        """
        for store in self._stores:
            await _set(store, self._key, watermark.isoformat())
        if not self._stores:
            await sync_to_async(variable_class().set)(
                self._variable,
                watermark.isoformat(),
                description="Up to where changes in Coupa have become asset events",
            )

    def _parse(self, text: Any) -> datetime:
        try:
            instant = datetime.fromisoformat(text)
        except (TypeError, ValueError):
            instant = None
        if instant is None or instant.utcoffset() is None:
            raise ValueError(
                f"The watermark ({self}) is {text!r}, which is no instant with an offset, such as "
                "'2026-11-23T06:00:00+00:00'. Set it right, or remove it to begin anew."
            )
        return instant


def _stores_of(stores: Any) -> list[Any]:
    """Return the store of each asset. Airflow's own way asks for the assets, which a trigger is not told."""
    if stores is None:
        return []
    return [
        *getattr(stores, "_by_name", {}).values(),
        *getattr(stores, "_by_uri", {}).values(),
    ] or [stores]


async def _get(store: Any, key: str) -> Any:
    if hasattr(store, "aget"):  # from Airflow 3.3.2 on
        return await store.aget(key)
    return await sync_to_async(store.get)(key)


async def _set(store: Any, key: str, value: str) -> None:
    if hasattr(store, "aset"):
        await store.aset(key, value)
    else:
        await sync_to_async(store.set)(key, value)
