"""A try of a task in a process of its own, which a test can kill.

It is forked from a process that has imported what tries need: importing takes longer than most tries live.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from multiprocessing.connection import Connection

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        "coupa_provider.extract.attachments",
        "coupa_provider.push.exported",
        "coupa_provider.push.integration_report",
        "coupa_provider.push.run",
        "coupa_provider.push.single",
        "tests.forked_try",
    ]
)
KILLED = -9


class ForkedTry:
    """A process that runs a script, from its start on.

    :param script: Python, as for ``python -c``; it prints whole lines, and ``begins`` when its preparations are over.
    :param arguments: its ``sys.argv[1:]``.
    """

    def __init__(self, script: str, *arguments: str) -> None:
        self._lines, theirs = _FORKS.Pipe(duplex=False)
        self._process = _FORKS.Process(target=_run, args=(script, arguments, theirs), daemon=True)
        self._process.start()
        theirs.close()
        assert self._lines.recv() == "begins"

    def kill(self, *, after: float, may_have_ended: bool = False) -> None:
        """Kill it without warning.

        :param after: seconds from its beginning.
        :param may_have_ended: it may have come to a good end before.
        """
        time.sleep(after)
        self._process.kill()
        self._process.join()
        ended = self._process.exitcode == 0 and may_have_ended
        assert ended or self._process.exitcode == KILLED, (
            "it ended before it could be killed: more records are needed"
        )

    def end(self, timeout: float = 120) -> list[str]:
        """Wait until it has ended well, and return what it printed.

        :param timeout: seconds.
        """
        lines: list[str] = []
        deadline = time.monotonic() + timeout
        while self._lines.poll(max(0.0, deadline - time.monotonic())):
            try:
                lines.append(self._lines.recv())
            except EOFError:
                break
        self._process.join(max(0.1, deadline - time.monotonic()))
        assert self._process.exitcode == 0, f"it ended with {self._process.exitcode}; it printed {lines}"
        return lines


class _Printed:
    """What ``print`` writes to."""

    def __init__(self, lines: Connection) -> None:
        self._lines = lines
        self._text = ""

    def write(self, text: str) -> None:
        *whole, self._text = (self._text + text).split("\n")
        for line in whole:
            self._lines.send(line)

    def flush(self) -> None:
        """Lines go at once."""


def _run(script: str, arguments: tuple[str, ...], lines: Connection) -> None:
    sys.argv, sys.stdout = ["-c", *arguments], _Printed(lines)
    exec(compile(script, "<try>", "exec"), {"__name__": "__main__"})
