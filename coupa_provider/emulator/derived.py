"""Attributes that follow from others, and what a new record gets when nobody says otherwise."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from coupa_provider.emulator.coercion import floored_to_day
from coupa_provider.emulator.rules import SUPPLIER_PARTS
from coupa_provider.emulator.store import Record, Store


def derive(record: Record, before: Record | None, type_name: str, store: Store, zone: ZoneInfo) -> None:
    """Set what follows from the other attributes.

    :param record: the record; changed.
    :param before: as it was; None for a new one.
    :param type_name: its type.
    :param store: where referred records are.
    :param zone: zone of the company.
    """
    if type_name == "Account":
        segments = [record.get(f"segment-{place}") for place in range(1, 21)]
        code = "-".join(segment for segment in segments if segment)
        record["code"] = code or record.get("code")
    elif type_name == "User":
        names = [record.get("firstname"), record.get("lastname")]
        record["fullname"] = " ".join(name for name in names if name)
    elif type_name == "ExchangeRate" and isinstance(record.get("rate-date"), str):
        record["rate-date"] = floored_to_day(record["rate-date"], zone)
    elif type_name == "InvoiceHeader":
        record["line-count"] = len(record.get("invoice-lines") or ())
    elif type_name == "LookupValue" and record.get("external-ref-num") and _is_moved(record, before):
        # How codes are made is not documented: the numbers on the way from the top of the tree.
        parent = record.get("parent")
        above = store.record("lookup_values", parent["id"]) if isinstance(parent, dict) else None
        parts = (above and above.get("external-ref-code"), record["external-ref-num"])
        record["external-ref-code"] = "-".join(part for part in parts if part)


def _is_moved(record: Record, before: Record | None) -> bool:
    names = ("external-ref-num", "parent")
    return before is None or any(record.get(name) != before.get(name) for name in names)


def set_defaults(record: Record, type_name: str) -> None:
    """Set what a new record has when its payload does not say.

    :param record: the record with its id, all else done; changed.
    :param type_name: its type.
    """
    if type_name == "Supplier" and record.get("status") is None:
        record["status"] = "active" if all(record.get(part) for part in SUPPLIER_PARTS) else "draft"
    elif type_name == "User" and record.get("mention-name") is None:
        # Its form is not documented: the login, which is unique as well, can stand in a text after an @.
        record["mention-name"] = record.get("login")
    elif type_name == "OrderHeader" and record.get("po-number") is None:
        record["po-number"] = str(record["id"])
