"""This provider, as its deferred sensors wait: a trigger for each."""

from __future__ import annotations

import time

from measuring_waits import Waiting, measure

from coupa_provider.triggers.coupa import CoupaRecordTrigger


async def wait(task: Waiting, invoice: int) -> None:
    trigger = CoupaRecordTrigger(
        arguments={"resource": "invoices", "record_id": invoice, "until": {"status": "never"}, "never": {}},
        poke_interval=task.interval,
        timeout_at=time.time() + 3600,
    )
    async for _ in trigger.run():
        return


if __name__ == "__main__":
    measure(wait)
