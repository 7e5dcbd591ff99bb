"""The trigger of Airflow's own HttpSensor. It cannot look into an answer, so it waits for invoices that do not come."""

from __future__ import annotations

from airflow.providers.http.triggers.http import HttpSensorTrigger
from measuring_waits import Waiting, measure

NOWHERE = 100_000_000


async def wait(task: Waiting, invoice: int) -> None:
    trigger = HttpSensorTrigger(
        endpoint=f"api/invoices/{NOWHERE + invoice}",
        headers={"Authorization": f"Bearer {task.token}", "Accept": "application/json"},
        poke_interval=task.interval,
    )
    async for _ in trigger.run():
        return


if __name__ == "__main__":
    measure(wait)
