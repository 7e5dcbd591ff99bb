"""Find the record that a reference in a payload means, and show it as references are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coupa_provider.emulator.attributes import Step, home_of_type
from coupa_provider.emulator.coercion import Invalid
from coupa_provider.emulator.countries import COUNTRIES
from coupa_provider.emulator.decimal_order import decimal_key
from coupa_provider.emulator.instance import Instance
from coupa_provider.emulator.query import order_kind
from coupa_provider.emulator.rules import REFERENCE_KEYS
from coupa_provider.emulator.stamps import parse_instant
from coupa_provider.emulator.store import GREATEST_INTEGER, Record, fold
from coupa_provider.resources import attributes_of_type, find_resource

_KINDS = {"integer": "number", "decimal": "decimal", "float": "decimal"}
# Documented for requisitions (0262).
_BARRED_WHEN_INACTIVE = frozenset(("Currency", "Supplier", "User"))
_USUAL_KEYS = ("name", "code", "login", "email", "number", "item-number", "location-code", "employee-number")

Key = tuple[tuple[Step, ...], str, Any]
"""Way to an attribute, how it is compared, and the comparable value."""


class References:
    """Looks up references of one instance.

    :param instance: the instance.
    :param active_only: find no inactive users, suppliers and currencies, as requisitions do not.
    """

    def __init__(self, instance: Instance, active_only: bool = False) -> None:
        self._instance = instance
        self._active_only = active_only
        self._text = "text" if instance.settings.switches["U16"] == "insensitive" else "exact"

    def find(self, target: str, given: Record) -> Record | None:
        """Find the record that all given keys name.

        :param target: type of the record.
        :param given: keys as sent; what is no key of this type does not count.
        :return: the full record, or None when there is none.
        """
        if target == "Country":
            return self._country(given)
        home = home_of_type(target)
        wanted = self._keys(target, given) if home else None
        if home is None or not wanted:
            return None
        for found in self._instance.store.matching(home, wanted):
            record = self._instance.store.record(home, found)
            if record is not None and not (self._active_only and _is_inactive(target, record)):
                return record
        return None

    def _country(self, given: Record) -> Record | None:
        wanted = {key: value for key, value in given.items() if key in REFERENCE_KEYS["Country"]}
        wanted = {key: self.comparable(value, "text") for key, value in wanted.items() if value is not None}
        return next(
            (
                country
                for country in COUNTRIES
                if wanted and all(self.comparable(country[key], "text") == wanted[key] for key in wanted)
            ),
            None,
        )

    def _keys(self, target: str, given: Record) -> list[Key] | None:
        """Return what is to match; None for a key that cannot match anything."""
        attributes = attributes_of_type(target.replace("::", "-"))
        keys: list[Key] = []
        for key in self.possible(target):
            value = given.get(key)
            if value is None:
                continue
            attribute = attributes.get(key)
            if attribute is not None and attribute.base == "reference":
                inner = self.find(attribute.target or "", value) if isinstance(value, dict) else None
                if inner is None:
                    return None
                keys.append((reference_steps(key, attribute.target), "number", inner["id"]))
            elif isinstance(value, dict | list):
                return None
            else:
                base = attribute.base if attribute else "integer"
                kind = _KINDS.get(base, "text")
                steps = (Step(key, base),)
                keys.append((steps, self.kind(kind), self.comparable(value, kind)))
        return keys

    def keys_of_record(self, type_name: str, names: Sequence[str], record: Record) -> list[Key] | None:
        """Return what finds the records that have the same values.

        :param type_name: type of the record.
        :param names: attributes.
        :param record: references as a record holds them, with ``id``.
        :return: None where one of the attributes has no value.
        """
        attributes = attributes_of_type(type_name)
        keys: list[Key] = []
        for name in names:
            attribute, value = attributes.get(name), record.get(name)
            if attribute is None or value in (None, "", {}):
                return None
            if isinstance(value, dict):
                keys.append((reference_steps(name, attribute.target), "number", value.get("id")))
            elif attribute.base == "datetime":
                keys.append(((Step(name, "datetime"),), "instant", int(parse_instant(value).timestamp())))
            else:
                step = Step(name, attribute.base)
                kind = order_kind([step])
                keys.append(((step,), self.kind(kind), self.comparable(value, kind)))
        return keys

    def kind(self, kind: str) -> str:
        """Return how the store compares, letter case considered (switch U16).

        :param kind: kind of a comparison.
        """
        return self._text if kind == "text" else kind

    def comparable(self, value: Any, kind: str) -> Any:
        """Return a value as the store compares it.

        :param value: as sent or kept.
        :param kind: kind of the comparison.
        """
        if kind == "text":
            return fold(value) if self._text == "text" else str(value)
        if kind == "decimal":
            return decimal_key(value)
        try:
            number = int(value)
        except (ValueError, OverflowError):
            return -1
        return number if abs(number) <= GREATEST_INTEGER else -1

    def not_found(self, name: str, target: str, given: Record) -> Invalid:
        """Return the complaint about a reference that names nothing.

        :param name: attribute that holds the reference.
        :param target: type of the record.
        :param given: keys as sent.
        :return: the error to raise.
        """
        shown = ", ".join(f'"{key}"=>"{value}"' for key, value in given.items())
        possible = ", ".join(f'"{key}"' for key in self.possible(target))
        return Invalid(
            f"Unable to find valid {target} record for {name.replace('-', '_')} with keys {{{shown}}}. "
            f"Possible keys are [{possible}]. Please verify your xml."
        )

    def possible(self, target: str) -> Sequence[str]:
        """Return the attributes by which records of a type are found.

        :param target: type of the record.
        """
        if target in REFERENCE_KEYS:
            return REFERENCE_KEYS[target]
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
        names = list(seeded) if len(seeded) > 1 else self.possible(target)
        return {name: record[name] for name in names if name in record}


def _is_inactive(target: str, record: Record) -> bool:
    if target == "Supplier":
        return record.get("status") == "inactive"
    if target == "Currency":
        return False in (record.get("enabled-flag"), record.get("enabled"))
    return target in ("User", "UserSimple") and record.get("active") is False


def reference_steps(name: str, target: str | None) -> tuple[Step, ...]:
    """Return the way to the id of what a reference names.

    :param name: attribute that holds the reference.
    :param target: type of the record.
    """
    return Step(name, "reference", target), Step("id", "integer")
