"""One file that Coupa loads, and the kinds of files there are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from coupa_provider.emulator.csv_rows import CsvRow

_UNFIT = re.compile(r"[^A-Za-z0-9.-]")


@dataclass(frozen=True, slots=True)
class FileKind:
    """What a folder takes.

    :param source_for: Coupa's name for the records.
    :param path: their catalog path; None for a kind that this emulator does not load.
    :param keys: attributes by which a row finds its record; the first ones that the row gives count. None at all for
        what is only added.
    """

    source_for: str
    path: str | None = None
    keys: tuple[tuple[str, ...], ...] = ()


#: By folder below ``Incoming``. The keys are those of the import articles (0369, 0372, 0387, 0408, 0411, 0434, 0443,
#: 0444); departments, commodities and business groups have none there, and are assumed to go by their names.
KINDS: Mapping[str, FileKind] = {
    "Accounts": FileKind("Account", "accounts", (("code", "account-type"),)),
    "Addresses": FileKind("Address", "addresses", (("id",), ("location-code",))),
    "BusinessGroups": FileKind("BusinessGroup", "business_groups", (("name",),)),
    "Commodity": FileKind("Commodity", "commodities", (("name",),)),
    "Departments": FileKind("Department", "departments", (("name",),)),
    "ExchangeRates": FileKind("ExchangeRate", "exchange_rates"),
    "Items": FileKind("Item", "items", (("id",), ("item-number",), ("name",))),
    "LookupValues": FileKind(
        "LookupValue",
        "lookup_values",
        (("external-ref-code", "lookup"), ("external-ref-num", "lookup"), ("name", "lookup")),
    ),
    "Suppliers": FileKind("Supplier", "suppliers", (("id",), ("number",), ("name",))),
    "UserGroups": FileKind("UserGroup", "user_groups", (("name",),)),
    "Users": FileKind("User", "users", (("id",), ("employee-number",), ("login",))),
    # Several kinds of rows in a file, or rows of which too little is documented.
    **{
        folder: FileKind(source_for)
        for folder, source_for in (
            ("Contracts", "Contract"),
            ("ExpensePayments", "ExpenseReport"),
            ("InvoicePayments", "Payment"),
            ("Invoices", "InvoiceHeader"),
            ("PurchaseOrders", "ExternalOrderHeader"),
            ("Receipts", "InventoryTransaction"),
            ("RemitToAddresses", "RemitToAddress"),
            ("Requisitions", "RequisitionHeader"),
        )
    },
}


@dataclass(slots=True)
class FileLoad:
    """A file on its way.

    :param record_id: its data file source.
    :param kind: what it is for.
    :param content: the file.
    :param status: how it stands.
    :param rows: the rows that are left; None until it is being loaded.
    :param columns: the attribute that each column means.
    :param count: rows of the file.
    :param worked: rows done so far.
    :param created: rows that made a record.
    :param updated: rows that found one.
    :param errors: what is wrong with rows, as ``upload-errors`` shows it.
    """

    record_id: int
    kind: FileKind
    content: bytes
    status: str = "Pending"
    rows: Iterator[CsvRow] | None = None
    columns: Sequence[tuple[str, ...]] = ()
    count: int = 0
    worked: int = 0
    created: int = 0
    updated: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)

    def result(self) -> dict[str, Any]:
        """Return what the data file source shows at the end."""
        return {
            "result-text": (
                f"{self.count} rows processed, creating {self.created} new rows and updating {self.updated} rows."
            ),
            "records-created": self.created,
            "records-updated": self.updated,
            "upload-errors-count": len(self.errors),
            "upload-errors": self.errors,
        }


def flattened(path: str) -> str:
    """Return the name that a data file source shows of a file.

    :param path: path on the server: ``"/Incoming/LookupValues/colours.csv"``.
    """
    return _UNFIT.sub("_", path)
