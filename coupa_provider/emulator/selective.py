"""Records that a few values of a key name, found by index: clients look up what they are about to write."""

from __future__ import annotations

from collections.abc import Sequence

from coupa_provider.emulator.attributes import Step
from coupa_provider.emulator.query import Condition
from coupa_provider.emulator.rules import key_names
from coupa_provider.emulator.sql import COLUMNS, COMPARE
from coupa_provider.emulator.store import Store

# Above this many, a walk in the order of ids that stops at the end of the page is as quick.
_FEW = 1000


def narrowed(
    store: Store, path: str, conditions: Sequence[Condition], sensitive: bool
) -> tuple[list[int], list[Condition]] | None:
    """Find the records that meet the conditions on one key.

    :param store: the records.
    :param path: catalog path of the collection.
    :param conditions: all must hold.
    :param sensitive: letter case counts.
    :return: ids of few records, and the conditions that these have yet to meet; None when no key narrows it down.
    """
    keys = key_names(path)
    on_keys: dict[tuple[tuple[Step, ...], str], list[tuple[str, Condition]]] = {}
    for condition in conditions:
        name = condition.steps[0].name
        if len(condition.steps) > 1 or name not in keys or name in COLUMNS or condition.kind == "presence":
            continue
        kind = "exact" if sensitive and condition.kind == "text" else condition.kind
        if condition.operator == "in":
            test = f"IN ({', '.join('?' * len(condition.values))})"
        elif condition.operator in ("eq", "gt", "lt", "gt_or_eq", "lt_or_eq"):
            test = f"{COMPARE[condition.operator]} ?"
        else:
            continue
        on_keys.setdefault((condition.steps, kind), []).append((test, condition))
    for (steps, kind), tested in on_keys.items():
        found = store.few(path, steps, kind, [(test, one.values) for test, one in tested], _FEW)
        if found is not None:
            met = [one for _, one in tested]
            return found, [one for one in conditions if one not in met]
    return None
