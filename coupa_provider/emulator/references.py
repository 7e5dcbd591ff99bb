"""Find the record that a reference in a payload means, and show it as references are shown."""

from __future__ import annotations

from typing import Any

from coupa_provider.emulator.attributes import Step, home_of_type
from coupa_provider.emulator.coercion import Invalid
from coupa_provider.emulator.decimal_order import decimal_key
from coupa_provider.emulator.instance import Instance
from coupa_provider.emulator.store import Record, fold
from coupa_provider.resources import attributes_of_type, find_resource

_KINDS = {"integer": "number", "decimal": "decimal", "float": "decimal"}
_USUAL_KEYS = ("name", "code", "login", "email", "number", "item-number", "location-code", "employee-number")


class References:
    """Looks up references of one instance.

    :param instance: the instance.
    """

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def find(self, name: str, target: str, given: Record) -> Record | None:
        """Find the record that all given keys name.

        :param name: attribute that holds the reference.
        :param target: type of the record.
        :param given: keys as sent.
        :return: the full record, or None when there is none.
        """
        home = home_of_type(target)
        if home is None:
            return None
        wanted = self._keys(target, given)
        if wanted is None or not wanted:
            return None
        found = self._instance.store.matching(home, wanted, limit=1)
        return self._instance.store.record(home, found[0]) if found else None

    def _keys(self, target: str, given: Record) -> list[tuple[tuple[Step, ...], str, Any]] | None:
        attributes = attributes_of_type(target.replace("::", "-"))
        keys: list[tuple[tuple[Step, ...], str, Any]] = []
        for key, value in given.items():
            attribute = attributes.get(key)
            base = attribute.base if attribute else "integer" if key == "id" else None
            if base is None or value is None:
                continue
            step = Step(key, base, attribute.target if attribute else None)
            if isinstance(value, dict):
                inner = self.find(key, step.target or "", value)
                if inner is None:
                    return None
                keys.append(((step, Step("id", "integer")), "number", inner["id"]))
            elif not isinstance(value, list) and base != "reference":
                kind = _KINDS.get(base, "text" if base in ("string", "text") else "")
                if kind:
                    keys.append(((step,), kind, _comparable(value, kind)))
        return keys

    def not_found(self, name: str, target: str, given: Record) -> Invalid:
        """Return the complaint about a reference that names nothing.

        :param name: attribute that holds the reference.
        :param target: type of the record.
        :param given: keys as sent.
        :return: the error to raise.
        """
        shown = ", ".join(f'"{key}"=>"{value}"' for key, value in given.items())
        possible = ", ".join(f'"{key}"' for key in self._possible(target))
        return Invalid(
            f"Unable to find valid {target} record for {name.replace('-', '_')} with keys {{{shown}}}. "
            f"Possible keys are [{possible}]. Please verify your xml."
        )

    def _possible(self, target: str) -> list[str]:
        attributes = attributes_of_type(target.replace("::", "-"))
        home = home_of_type(target)
        resource = find_resource(home) if home else None
        natural = resource.natural_key if resource else ()
        return list(dict.fromkeys(["id", *(k for k in (*_USUAL_KEYS, *natural) if k in attributes)]))

    def shown(self, target: str, record: Record) -> Record:
        """Return what a reference shows of a record.

        :param target: type of the record.
        :param record: the full record.
        :return: its id and the attributes by which it is known.
        """
        home = home_of_type(target)
        seeded = self._instance.seeder.world.identity(home, 0, 0) if home else {}
        names = list(seeded) if len(seeded) > 1 else self._possible(target)
        return {name: record[name] for name in names if name in record}


def _comparable(value: Any, kind: str) -> Any:
    if kind == "text":
        return fold(value)
    if kind == "decimal":
        return decimal_key(value)
    try:
        return int(value)
    except ValueError:
        return -1
