"""Which request goes wrong, and how. Only the choice is here; the server module carries it out."""

from __future__ import annotations

import random
from collections.abc import Collection

from coupa_provider.emulator.settings import Faults

WRITES = frozenset(("POST", "PUT", "PATCH", "DELETE"))


class FaultPlan:
    """Chooses faults by a fixed seed, so that a run can be repeated.

    :param faults: what may go wrong.
    """

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._random = random.Random(faults.seed)  # noqa: S311 - a repeatable choice is wanted
        self._seen = 0
        self._served = 0

    def choose(self, method: str, path: str) -> str | None:
        """Decide about one request.

        :param method: HTTP method.
        :param path: path of the request.
        :return: a kind of fault, or None when all goes well.
        """
        faults = self.faults
        if not is_aimed_at(method, path, faults.methods, faults.paths):
            return None
        self._seen += 1
        # One throw for each request, whether it counts or not: the choice does not depend on `after`.
        throw, which = self._random.random(), self._random.random()
        if self._seen <= faults.after or (faults.times is not None and self._served >= faults.times):
            return None
        if not faults.always and throw >= faults.rate:
            return None
        kinds = [kind for kind in faults.kinds if kind != "lost_write" or method in WRITES]
        if not kinds:
            return None
        self._served += 1
        return kinds[int(which * len(kinds))]


def is_aimed_at(method: str, path: str, methods: Collection[str], paths: Collection[str]) -> bool:
    """Tell whether a request is one of those that may go wrong.

    :param method: its HTTP method.
    :param path: its path.
    :param methods: the methods concerned; empty means all.
    :param paths: what the paths concerned begin with, below ``/api/`` or from a slash on; empty means all
        of ``/api``.
    """
    if methods and method not in methods:
        return False
    if not paths:
        return path.startswith("/api/")
    return any(path.startswith(start if start.startswith("/") else f"/api/{start}") for start in paths)
