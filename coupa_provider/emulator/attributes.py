"""Which attribute a dashed or underscored name means, and by what steps it is reached."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

from coupa_provider.resources import Attribute, attributes_of_type, find_resource, resource_paths

CUSTOM_FIELDS = "custom-fields"

# Known in every record, though the articles leave them out of many tables.
_EVERYWHERE = {"id": "integer", "created-at": "datetime", "updated-at": "datetime"}

_PREFERRED_HOMES = {
    "InventoryTransaction": "receiving_transactions",
    "OrderHeader": "purchase_orders",
    "OrderLine": "purchase_order_lines",
    "ExpenseArtifact": "expense_artifacts",
    "UserSimple": "users",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One attribute on the way to a value.

    :param name: dashed name.
    :param base: kind of the attribute as in the catalog; ``unknown`` where nothing is documented.
    :param target: type of what a reference or list holds.
    """

    name: str
    base: str
    target: str | None = None

    @property
    def many(self) -> bool:
        """True when the step leads to a list."""
        return self.base == "list"


def dashed(name: str) -> str:
    """Return a name in wire form.

    :param name: dashed or underscored name.
    :return: dashed name.
    """
    return name.replace("_", "-")


@cache
def home_of_type(type_name: str | None) -> str | None:
    """Return the collection that holds the records of a type.

    :param type_name: type that a reference names.
    :return: path of the collection, or None when records of the type live inside others only.
    """
    if type_name is None:
        return None
    wanted = type_name.replace("::", "-")
    if wanted in _PREFERRED_HOMES:
        return _PREFERRED_HOMES[wanted]
    for path in resource_paths():
        resource = find_resource(path)
        if resource is not None and ":" not in path and resource.type == wanted:
            return path
    return None


@cache
def readable_attributes(type_name: str) -> dict[str, Attribute]:
    """Return the attributes that answers hold.

    :param type_name: type of the catalog.
    :return: attributes by name in documented order, the id among them.
    """
    known = attributes_of_type(type_name)
    found = {name: attribute for name, attribute in known.items() if attribute.readable}
    for name, base in _EVERYWHERE.items():
        found.setdefault(name, Attribute(name=name, base=base))
    return found


def resolve(type_name: str, names: tuple[str, ...], own_names: Collection[str] = ()) -> list[Step] | None:
    """Find the steps from a record to an attribute.

    :param type_name: type of the record.
    :param names: dashed names, outermost first.
    :param own_names: further top-level names that records of this collection have.
    :return: one step for each name, or None when a name is not known.
    """
    steps: list[Step] = []
    here: str | None = type_name
    for position, name in enumerate(names):
        step = _step(here, name, own_names if position == 0 else ())
        if step is None:
            return None
        steps.append(step)
        if position < len(names) - 1 and step.base not in ("reference", "list", "unknown"):
            return None
        here = step.target
    return steps


def _step(type_name: str | None, name: str, own_names: Collection[str]) -> Step | None:
    attributes = attributes_of_type(type_name.replace("::", "-")) if type_name else {}
    attribute = attributes.get(name)
    if attribute is not None:
        return Step(name, attribute.base, attribute.target)
    if name in _EVERYWHERE:
        return Step(name, _EVERYWHERE[name])
    if name == CUSTOM_FIELDS:
        return Step(name, "unknown")
    # supplier-id stands for the id of supplier.
    reference = attributes.get(name.removesuffix("-id"))
    if name.endswith("-id") and reference is not None and reference.base == "reference":
        return Step(name, "foreign_key", reference.target)
    if not attributes or name in own_names:
        return Step(name, "unknown")
    return None
