"""Take over what a payload says of a record: scalars, references, lists of lines, custom fields."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal, InvalidOperation
from typing import Any

from coupa_provider.emulator.attributes import CUSTOM_FIELDS, home_of_type, readable_attributes
from coupa_provider.emulator.coercion import Invalid, coerced, is_true, label
from coupa_provider.emulator.instance import Instance
from coupa_provider.emulator.references import References
from coupa_provider.emulator.rules import (
    INSIDE_TYPES,
    MESSAGES,
    OWNED_TYPES,
    UNLISTED_TYPES,
    written_attributes,
)
from coupa_provider.emulator.store import Record
from coupa_provider.emulator.xml import singular
from coupa_provider.resources import Attribute, Resource

# Times of a record are its own affair, though some tables call them writable.
_NEVER_WRITTEN = frozenset(("id", "created-at", "updated-at", "created-by", "updated-by"))
# Requisitions say by whom they are requested in one attribute and take it in another.
_SHOWN_AS = {"requester": "requested-by"}
_FIRST_LINE_TYPES = {"InvoiceLine": "InvoiceQuantityLine", "OrderLine": "OrderQuantityLine"}


class Values:
    """Takes over the payload of one write.

    :param instance: the instance.
    :param resource: what is written.
    :param own_names: further top-level names that its records have.
    :param now: when it is written.
    """

    def __init__(self, instance: Instance, resource: Resource, own_names: Collection[str], now: str) -> None:
        self._store = instance.store
        self._new_line_id = instance.new_line_id
        self._zone = instance.seeder.world.zone
        switches = instance.settings.switches
        self._null_clears = switches["U19"] == "clears"
        self._refuses_missing = switches["U20"] == "400"
        self._resource = resource
        self._own_names = own_names
        self._now = now
        self.references = References(instance, active_only=resource.path == "requisitions")
        self.errors: list[str] = []
        #: Attributes of the record itself, without a last ``-id``, whose values were refused.
        self.refused: set[str] = set()

    def apply(self, record: Record, type_name: str, payload: Record, is_new: bool) -> None:
        """Take over what may be written; the rest is ignored without a word, as in Coupa.

        :param record: what is written.
        :param type_name: its type.
        :param payload: what is said of it, with dashed names.
        :param is_new: it is being made.
        """
        for name, value in payload.items():
            if name in _NEVER_WRITTEN or self._is_repeated(type_name, name, payload):
                continue
            try:
                self._take(record, type_name, name, value, is_new)
            except Invalid as error:
                self.errors.append(str(error))
                if type_name == self._resource.type:
                    self.refused.add(name.removesuffix("-id"))
        if type_name == "OrderHeader":
            for order, status in (("_cancel", "cancelled"), ("_close", "closed")):
                if is_true(payload.get(order)):
                    record["status"] = status

    @staticmethod
    def _is_repeated(type_name: str, name: str, payload: Record) -> bool:
        """The id of a reference that the payload holds as well, as answers do; the reference counts."""
        return name.removesuffix("-id") in payload and _reference_of_id(type_name, name) is not None

    def _take(self, record: Record, type_name: str, name: str, value: Any, is_new: bool) -> None:
        attributes = written_attributes(type_name)
        reference = _reference_of_id(type_name, name)
        attribute = attributes.get(name)
        if name == CUSTOM_FIELDS:
            if isinstance(value, dict):
                kept = value if self._null_clears else {n: v for n, v in value.items() if v is not None}
                record[name] = {**(record.get(name) or {}), **kept}
        elif reference is not None:
            self._set(record, type_name, reference, None if value is None else {"id": value}, is_new)
        elif attribute is not None:
            if attribute.writable:
                self._set(record, type_name, attribute, value, is_new)
        elif (
            # A type without a table, or a custom field with "API Global Namespace".
            (not attributes or (name in self._own_names and type_name == self._resource.type))
            and not name.startswith("_")
            and (value is not None or self._null_clears)
        ):
            record[name] = value

    def _set(self, record: Record, type_name: str, attribute: Attribute, value: Any, is_new: bool) -> None:
        name = attribute.name
        if not is_new and name in record and record[name] == value:
            return  # what an answer showed can be sent back, whatever has become of it
        if value is None:
            if is_new or self._null_clears:
                self._keep(record, attribute, [] if attribute.base == "list" else None)
        elif attribute.base == "reference":
            self._set_reference(record, attribute, value)
        elif attribute.base == "list":
            self._set_list(record, attribute, value)
        else:
            complaint = MESSAGES.get((self._resource.path, type_name, name))
            self._keep(record, attribute, coerced(attribute, value, self._zone, complaint))

    @staticmethod
    def _keep(record: Record, attribute: Attribute, value: Any) -> None:
        name = _SHOWN_AS.get(attribute.name, attribute.name)
        if attribute.readable or name != attribute.name:
            record[name] = value
        if f"{name}-id" in record and attribute.base == "reference":
            record[f"{name}-id"] = value["id"] if value else None

    # ---- references

    def _set_reference(self, record: Record, attribute: Attribute, value: Any) -> None:
        name, target = attribute.name, attribute.target or ""
        if not isinstance(value, dict):
            raise Invalid(f"{label(name)} must be an object")
        if target in INSIDE_TYPES:
            self._edit_inside(record, attribute, value)
        elif home_of_type(target) is None and target != "Country":
            # No collection to look it up in: it is taken at its word.
            before = record.get(name)
            same = isinstance(before, dict) and value.get("id") in (None, before.get("id"))
            record[name] = {**before, **value} if isinstance(before, dict) and same else value
        else:
            found = self._found(name, target, value)
            if found is not None:
                self._keep(record, attribute, self.references.shown(target, found))

    def _found(self, name: str, target: str, keys: Record) -> Record | None:
        found = self.references.find(target, keys)
        if found is None and self._refuses_missing:
            raise self.references.not_found(name, target, keys)
        return found

    def _edit_inside(self, record: Record, attribute: Attribute, value: Record) -> None:
        """Documented: such an object can be edited in place, but not be another one."""
        name, target = attribute.name, attribute.target or ""
        held = record.get(name)
        before: Record | None = held if isinstance(held, dict) else None
        if value.get("id") is not None and str(value["id"]) != str((before or {}).get("id")):
            raise Invalid(f"{label(name)} cannot be set to another record")
        if before is not None and before.get("active") is False:
            raise Invalid(f"{label(name)} is inactive and cannot be updated")
        inside = dict(before) if before is not None else self._blank(target)
        if before is None and "active" in inside:
            inside["active"] = True
        self.apply(inside, target, value, before is None)
        if inside != before:
            inside["updated-at"] = self._now
        self._keep(record, attribute, inside)

    # ---- lists

    def _set_list(self, record: Record, attribute: Attribute, value: Any) -> None:
        entries = _entries(attribute.name, value)
        target = attribute.target or ""
        if target in UNLISTED_TYPES:
            self._keep(record, attribute, [entry for entry in entries if not _is_deleted(entry)])
            return
        if home_of_type(target) is not None and target not in OWNED_TYPES:
            self._keep(record, attribute, self._references(attribute.name, target, entries))
            return
        held = record.get(attribute.name)
        lines: list[Any] = list(held) if isinstance(held, list) else []
        for entry in entries:
            if not isinstance(entry, dict):
                raise Invalid(f"{label(attribute.name)} must hold objects")
            self._edit_line(lines, target, entry, attribute.name)
        self._keep(record, attribute, lines)

    def _references(self, name: str, target: str, entries: list[Any]) -> list[Any]:
        shown: list[Any] = []
        for entry in entries:
            keys = entry if isinstance(entry, dict) else {"id": entry}
            found = None if _is_deleted(keys) else self._found(name, target, keys)
            if found is not None:
                shown.append(self.references.shown(target, found))
        return shown

    def _edit_line(self, lines: list[Any], target: str, entry: Record, list_name: str) -> None:
        """A line without id is new, with id it is changed, and with ``_delete`` it goes."""
        if entry.get("id") is None:
            if not _is_deleted(entry):
                self._add_line(lines, target, entry)
            return
        place = next((at for at, line in enumerate(lines) if str(line.get("id")) == str(entry["id"])), None)
        if place is None:
            if self._refuses_missing:
                raise Invalid(f"{label(list_name)} has no line with id {entry['id']}")
            return
        if _is_deleted(entry) and target != "Payment":
            # Payments pile up: the API knows no way to take one back.
            del lines[place]
            return
        line = dict(lines[place])
        self.apply(line, target, entry, is_new=False)
        if line != lines[place]:
            line["updated-at"] = self._now
            if "total" not in entry:
                _line_total(line)
            lines[place] = line

    def _add_line(self, lines: list[Any], target: str, entry: Record) -> None:
        number = entry.get("line-num")
        if target == "RequisitionLine" and number is not None:
            taken = [str(line.get("line-num")) for line in lines]
            if str(number) in taken:
                return  # documented: a duplicate number is ignored
            if str(number) != str(_next_number(lines)):
                raise Invalid("Line num must count up by one")
        line = self._blank(target)
        if "line-num" in line:
            is_number = readable_attributes(target)["line-num"].base == "integer"
            line["line-num"] = _next_number(lines) if is_number else str(_next_number(lines))
        if target in _FIRST_LINE_TYPES:
            line["type"] = _FIRST_LINE_TYPES[target]
        self.apply(line, target, entry, is_new=True)
        _line_total(line)
        lines.append(line)

    def _blank(self, target: str) -> Record:
        attributes = readable_attributes(target)
        blank: Record = {name: [] if a.base == "list" else None for name, a in attributes.items()}
        home = home_of_type(target)
        # Lines without a collection of their own still get ids that no other line has.
        blank["id"] = self._store.new_id(home) if home else self._new_line_id()
        blank["created-at"] = blank["updated-at"] = self._now
        return blank


def _reference_of_id(type_name: str, name: str) -> Attribute | None:
    """Return the reference whose id an attribute is: ``supplier`` for ``supplier-id``, documented or not."""
    attributes = written_attributes(type_name)
    reference = attributes.get(name.removesuffix("-id")) if name.endswith("-id") else None
    if reference is None or reference.base != "reference" or not reference.writable:
        return None
    own = attributes.get(name)
    return reference if own is None or (own.writable and reference.readable) else None


def _is_deleted(entry: Any) -> bool:
    return isinstance(entry, dict) and is_true(entry.get("_delete"))


def _next_number(lines: list[Any]) -> int:
    texts = (str(line.get("line-num") or "") for line in lines)
    return max((int(text) for text in texts if text.isdecimal()), default=0) + 1


def _entries(name: str, value: Any) -> list[Any]:
    """Accept ``[..]``, ``{"payment": [..]}`` and ``{"payment": {..}}`` for ``payments``, as documented."""
    if isinstance(value, list):
        return value
    inner = value.get(singular(name)) if isinstance(value, dict) else None
    if isinstance(inner, list):
        return inner
    if isinstance(inner, dict):
        return [inner]
    raise Invalid(f"{label(name)} must be a list")


def _line_total(line: Record) -> None:
    price = line.get("price") if line.get("price") is not None else line.get("unit-price")
    by_amount = str(line.get("type") or "").endswith("AmountLine")
    if "total" not in line or price is None or (line.get("quantity") is None and not by_amount):
        return
    try:
        line["total"] = str(Decimal(str(price)) * (1 if by_amount else Decimal(str(line["quantity"]))))
    except InvalidOperation:
        return
