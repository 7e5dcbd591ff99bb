"""Run a hundred triggers of each kind on one event loop, and tell what blocked it: ``on_one_loop.py KIND SECONDS``.

A script for a fresh process, since nothing is imported then, as in a triggerer that has just been started. What blocks
is found twice: asyncio in debug mode names callbacks that took too long, and a thread looks where the loop's thread is
while the loop does not answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
import threading
import time
from importlib import import_module
from traceback import extract_stack

import anyio

TRIGGERS = 100
NEVER = {"until": {"status": "no such status"}, "never": {}}
WAITS = {
    # All attributes, and a function of the user's own.
    "records": lambda n: {"resource": "invoices", "record_id": n + 1, "predicate": "builtins.bool"},
    # A look of its own for each five.
    "queries": lambda n: {"resource": "invoices", "filters": {"id[lt_or_eq]": n // 5 + 2}},
    # Each look loads certificates, and fails.
    "unreachable": lambda n: {"resource": "invoices", "record_id": n + 1, **NEVER},
    "blocking": lambda n: {"resource": "invoices", "record_id": 1},
}


def main(kind: str, limit: float) -> dict[str, object]:
    """Run them.

    :param kind: which triggers.
    :param limit: seconds for which a callback may hold up the loop.
    """
    slow: list[str] = []

    class Notes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith("Executing"):
                slow.append(record.getMessage())

    logging.getLogger("asyncio").addHandler(Notes())
    watchdog = Watchdog(limit)

    async def scene() -> tuple[float, list[str]]:
        asyncio.get_running_loop().slow_callback_duration = limit
        anyio.Event()  # Airflow's triggerer begins with one, which imports what httpx needs, too
        watchdog.start()
        started = time.monotonic()
        # Airflow imports the class on the loop.
        trigger_class = getattr(import_module("coupa_provider.triggers.record"), "CoupaRecordTrigger")  # noqa: B009
        imported = time.monotonic() - started
        await asyncio.sleep(0)
        if kind == "blocking":
            trigger_class = blocking(trigger_class, 2 * limit)
        triggers = [
            trigger_class(
                arguments=WAITS[kind](n), poke_interval=1.0, timeout_at=time.time() + 60, max_failures=2
            )
            for n in range(TRIGGERS if kind != "blocking" else 10)
        ]
        tasks = [
            asyncio.create_task(fire(trigger), name=f"trigger {n}") for n, trigger in enumerate(triggers)
        ]
        states = await asyncio.gather(*tasks)
        await watchdog.stop()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return imported, states

    import airflow.jobs.triggerer_job_runner  # noqa: F401 - and with it what every triggerer has imported

    with asyncio.Runner(debug=True, loop_factory=OwnTimeLoop) as runner:
        imported, states = runner.run(scene())
    return {"imported": imported, "states": sorted(set(states)), "slow": slow, "stuck": watchdog.places}


class OwnTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock stands still while others have the processors: nobody blocks it then."""

    def time(self) -> float:
        return super().time() - seconds_ready()


async def fire(trigger) -> str:
    """Take the event as Airflow does."""
    states = [event.payload["state"] async for event in trigger.run()]
    assert len(states) == 1
    return states[0]


def blocking(trigger_class: type, seconds: float) -> type:
    """Return a trigger that does what none may do."""

    class Blocking(trigger_class):
        async def run(self):
            time.sleep(seconds)
            async for event in super().run():
                yield event

    return Blocking


class Watchdog:
    """Looks where the loop's thread is while the loop does not answer.

    :param limit: seconds without an answer from which on it looks.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        #: Lines of ours that the thread was in, the innermost of each look.
        self.places: list[str] = []
        self._seen: list[str] = []
        self._answered = self._ready = 0.0
        self._ended = False

    def start(self) -> None:
        """Begin; called on the loop."""
        self._loop, self._watched = asyncio.get_running_loop(), threading.get_ident()
        self._answered, self._ready = time.monotonic(), seconds_ready()
        self._answer()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """End."""
        self._ended = True
        await asyncio.to_thread(self._thread.join)

    def _answer(self) -> None:
        now, ready = time.monotonic(), seconds_ready()
        # While others have the processors nobody is blocked.
        if now - self._answered - (ready - self._ready) > self.limit:
            self.places += self._seen
        self._seen, self._answered, self._ready = [], now, ready
        if not self._ended:
            self._loop.call_later(0.005, self._answer)

    def _watch(self) -> None:
        while not self._ended:
            time.sleep(0.01)
            if time.monotonic() - self._answered > self.limit / 2:
                frames = extract_stack(sys._current_frames()[self._watched])
                ours = [f"{frame.filename}:{frame.lineno}" for frame in frames if is_ours(frame.filename)]
                self._seen += ours[-1:]


def seconds_ready() -> float:
    """Return how long this thread has waited for a processor so far, where the system tells."""
    try:
        with open(f"/proc/self/task/{threading.get_native_id()}/schedstat") as file:
            return int(file.read().split()[1]) / 1e9
    except OSError:
        return 0.0


def is_ours(file: str) -> bool:
    """Tell whether a file belongs to the provider, or is the one with the deliberate block."""
    return "coupa_provider" in file or file == __file__


if __name__ == "__main__":
    # A thread that has the interpreter and waits for a processor holds up all others: where it may be, let none wait.
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    print(json.dumps(main(sys.argv[1], float(sys.argv[2]))))
