"""A trigger as people write it: a client, a request for the one invoice, a sleep. All share a token that was minted before."""

from __future__ import annotations

import asyncio

import httpx
from measuring_waits import Waiting, measure


async def wait(task: Waiting, invoice: int) -> None:
    headers = {"Authorization": f"Bearer {task.token}", "Accept": "application/json"}
    # Certificates cost more than anything else here, and the emulator has none.
    async with httpx.AsyncClient(base_url=task.url, headers=headers, trust_env=False, verify=False) as client:
        while True:
            answer = await client.get(f"/api/invoices/{invoice}", params={"fields": '["id","status"]'})
            answer.raise_for_status()
            if answer.json()["status"] == "never":
                return
            await asyncio.sleep(task.interval)


if __name__ == "__main__":
    measure(wait)
