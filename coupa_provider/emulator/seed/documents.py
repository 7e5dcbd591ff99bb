"""Blueprints of the documents that purchasing makes: invoices, orders, requisitions, expenses, receipts."""

from __future__ import annotations

import random

from coupa_provider.emulator.seed.attachments import attachments_of, scan_of
from coupa_provider.emulator.seed.blueprint import Blueprint
from coupa_provider.emulator.seed.draft import Draft
from coupa_provider.emulator.seed.template import Template, fragment
from coupa_provider.emulator.seed.words import GOODS, NOTES
from coupa_provider.emulator.seed.world import SECONDS_A_DAY, World, quoted
from coupa_provider.resources import attributes_of_type

_NOTES = [quoted(note) for note in NOTES]
_GOODS = [quoted(goods) for goods in GOODS]
_TAX_CODES = [
    fragment({"id": 1 + n, "code": f"T{rate}", "description": f"{rate} %"})
    for n, rate in enumerate((0, 7, 19))
]
# An instance fills few of the attributes of a line that exist for single countries.
_RARE_IN_LINES = (
    "adjustment-type",
    "bulk-price",
    "category",
    "classification-of-goods",
    "company-uom",
    "contract",
    "customs-declaration-number",
    "deductibility",
    "delivery-note-number",
    "discount-amount",
    "fiscal-code",
    "hsn-sac-code",
    "item-barcode",
    "municipality-taxation-code",
    "net-weight",
    "order-line-custom-fields",
    "order-line-source-part-num",
    "original-date-of-supply",
    "price-per-uom",
    "property-tax-account",
    "subcategory",
    "supp-aux-part-num",
    "tax-amount-engine",
    "tax-code-engine",
    "tax-description",
    "tax-distribution-total",
    "tax-location",
    "tax-rate-engine",
    "tax-supply-date",
    "unspsc",
    "weight-uom",
)


def _statuses(type_name: str) -> tuple[str, ...]:
    return tuple(quoted(word) for word in attributes_of_type(type_name)["status"].allowed)


_INVOICE_STATUSES = ('"approved"',) * 8 + ('"pending_approval"',) * 2 + _statuses("InvoiceHeader")
_ORDER_STATUSES = ('"issued"',) * 8 + _statuses("OrderHeader")
_REQUISITION_STATUSES = ('"ordered"',) * 5 + _statuses("RequisitionHeader")

_invoice_line = Template(
    "InvoiceLine",
    (
        "id", "created-at", "updated-at", "created-by", "updated-by", "account", "account-allocations",
        "accounting-total", "commodity", "currency", "accounting-total-currency", "description", "line-num", "price",
        "quantity", "total", "tax-amount", "tax-lines", "tax-code", "uom", "order-line-id", "order-line-num",
        "po-number", "order-header-num", "type", "tax-rate",
    ),
    {"status": '"created"',  "handling-distribution-total": '"0.0000"',
     "misc-distribution-total": '"0.0000"', "shipping-distribution-total": '"0.0000"', "custom-fields": "{}"},
    _RARE_IN_LINES,
)  # fmt: skip
_tax_line = Template(
    "TaxLine",
    ("id", "created-at", "updated-at", "amount", "base", "code", "rate", "tax-code", "taxable-amount"),
    {"type": '"TaxLine"', "withholding-amount": '"0.0000"'},
    ("basis", "code-engine", "kind-of-factor", "nature-of-tax", "product-tax-classification", "rate-engine"),
)
_allocation = Template(
    "InvoiceLineAllocation",
    ("id", "created-at", "updated-at", "account", "amount", "pct"),
    {"handling-distribution-total": '"0.0000"', "custom-fields": "{}"},
)


def _invoice(draft: Draft) -> dict[str, str]:
    world, chance, pick = draft.world, draft.chance, draft.pick
    created, updated = draft.values["created-at"], draft.values["updated-at"]
    users, currency = world.pool("users"), pick(world.pool("currencies")[:6])
    status = pick(_INVOICE_STATUSES)
    exported = "true" if status == '"approved"' and chance() < 0.6 else "false"
    creator, changer = pick(users), pick(users)
    lines: list[str] = []
    net = tax = 0
    orders = world.pool("purchase_orders")
    for place in range(2 if chance() < 0.7 else 3 if chance() < 0.8 else 4):
        line_id = draft.id * 10 + place
        quantity, cents = 1 + int(chance() * 40), 1 + int(chance() * 90_000)
        total = quantity * cents
        line_tax = total * 19 // 100
        net, tax = net + total, tax + line_tax
        account, code = pick(world.pool("accounts")), pick(_TAX_CODES)
        order = pick(orders) if chance() < 0.7 else "null"
        number = order.rpartition('"po-number":')[2].rstrip("}") if order != "null" else "null"
        half = total // 2
        allocations = [
            _allocation.render(
                {
                    "id": str(line_id * 10 + part),
                    "created-at": created,
                    "updated-at": updated,
                    "account": account,
                    "amount": f'"{share // 100}.{share % 100:02d}"',
                    "pct": '"50.0000000000"',
                }
            )
            for part, share in enumerate((half, total - half))
        ]
        tax_lines = _tax_line.render(
            {
                "id": str(line_id * 10),
                "created-at": created,
                "updated-at": updated,
                "amount": f'"{line_tax // 100}.{line_tax % 100:02d}00"',
                "base": f'"{total // 100}.{total % 100:02d}00"',
                "code": '"T19"',
                "rate": "19.0",
                "tax-code": code,
                "taxable-amount": f'"{total // 100}.{total % 100:02d}00"',
            }
        )
        lines.append(
            _invoice_line.render(
                {
                    "id": str(line_id),
                    "created-at": created,
                    "updated-at": updated,
                    "created-by": creator,
                    "updated-by": changer,
                    "account": account,
                    "account-allocations": "[" + ",".join(allocations) + "]" if place == 0 else "[]",
                    "accounting-total": f'"{total // 100}.{total % 100:02d}"',
                    "accounting-total-currency": currency,
                    "commodity": pick(world.pool("commodities")),
                    "currency": currency,
                    "description": pick(_GOODS),
                    "line-num": str(place + 1),
                    "price": f'"{cents // 100}.{cents % 100:02d}"',
                    "quantity": f'"{quantity}.0"',
                    "total": f'"{total // 100}.{total % 100:02d}"',
                    "tax-amount": f'"{line_tax // 100}.{line_tax % 100:02d}"',
                    "tax-rate": '"19.0"',
                    "tax-lines": f"[{tax_lines}]",
                    "tax-code": code,
                    "uom": pick(world.pool("uoms")),
                    "order-line-id": "null",
                    "order-line-num": '"1"' if order != "null" else "null",
                    "po-number": number,
                    "order-header-num": number,
                    "type": '"InvoiceQuantityLine"',
                }
            )
        )
    gross = net + tax
    paid = exported == "true" and chance() < 0.5
    # Midnight in the zone of the company, as a day picked in the user interface is kept.
    day = world.instant(draft.created)[1:11]
    midnight = world.instant(draft.created - int(chance() * 10) * SECONDS_A_DAY)
    invoice_date = f'"{midnight[1:11]}T00:00:00{midnight[-7:-1]}"'
    return {
        "invoice-number": f'"INV-{day[:4]}-{draft.id:06d}"',
        "invoice-date": invoice_date,
        "date-received": created,
        "net-due-date": world.instant(draft.created + 30 * SECONDS_A_DAY),
        "status": status,
        "document-type": '"Credit Note"' if chance() < 0.05 else '"Invoice"',
        "exported": exported,
        "last-exported-at": updated if exported == "true" else "null",
        "paid": "true" if paid else "false",
        "payment-date": updated if paid else "null",
        "canceled": "true" if status == '"voided"' else "false",
        "compliant": "true",
        "line-level-taxation": "true",
        "line-count": str(len(lines)),
        "gross-total": f'"{gross // 100}.{gross % 100:02d}"',
        "total-with-taxes": f'"{gross // 100}.{gross % 100:02d}"',
        "supplier-total": f'"{gross // 100}.{gross % 100:02d}"',
        "tax-amount": f'"{tax // 100}.{tax % 100:02d}"',
        "tax-rate": "19.0",
        "shipping-amount": '"0.00"',
        "handling-amount": '"0.00"',
        "misc-amount": '"0.00"',
        "discount-amount": '"0.0000"',
        "exchange-rate": '"1.000000000"',
        "lock-version-key": "1",
        "supplier": pick(world.pool("suppliers")),
        "account-type": pick(world.pool("account_types")),
        "currency": currency,
        "payment-term": pick(world.pool("payment_terms")),
        "bill-to-address": pick(world.pool("addresses")),
        "ship-to-address": pick(world.pool("addresses")),
        "requested-by": pick(users),
        "created-by": creator,
        "updated-by": changer,
        "comments": pick(_NOTES),
        "internal-note": pick(_NOTES) if chance() < 0.5 else "null",
        "supplier-note": '""',
        "amount-of-advance-payment": '"12345678901234567890123456.78901234567890123456"' if draft.number % 97 == 5 else "null",
        "margin-scheme": '""',
        "channel": pick(('"csp"', '"cxml"', '"email"', '"manual"')),
        "custom-fields": pick(_INVOICE_CUSTOM),
        "erp-batch": f'"B{draft.created // SECONDS_A_DAY}"' if chance() < 0.5 else "null",
        "invoice-lines": "[" + ",".join(lines) + "]",
        "attachments": "[" + ",".join(body for _, body in attachments_of(world, draft.id, created)) + "]",
        **scan_of(world, draft.id),
    }  # fmt: skip


_INVOICE_CUSTOM = tuple(
    fragment(value)
    for value in (
        {},
        {"cost-bearer": None, "posting-text": "", "urgent": False},
        {"cost-bearer": {"id": 4, "name": "Süd", "external-ref-num": "004", "external-ref-code": "SUD"},
         "posting-text": "Rent\nQ3 \"north\"", "urgent": True, "share": "33.330"},
    )
)  # fmt: skip


def _line_range(world: World, header: str, lines: str, number: int) -> range:
    """Places of the lines that belong to a header; every line belongs to one."""
    headers, total = max(world.size(header), 1), world.size(lines)
    return range(-(-number * total // headers), -(-(number + 1) * total // headers))


def _header_of(world: World, header: str, lines: str, number: int) -> int:
    return number * world.size(header) // max(world.size(lines), 1)


_order_line = Template(
    "OrderLine",
    (
        "id", "created-at", "updated-at", "account", "accounting-total", "commodity", "currency", "description",
        "invoiced", "item", "line-num", "need-by-date", "order-header-id", "order-header-number", "price", "quantity",
        "received", "status", "supplier", "total", "uom", "created-by", "updated-by",
    ),
    {"type": '"OrderQuantityLine"', "version": "1", "custom-fields": "{}", "total-invoiced": '"0.00"',
     "receipt-required": "true", "match-type": '"3-way"', "savings-pct": '"0.00"'},
)  # fmt: skip


def _order_number(world: World, number: int, record_id: int) -> dict[str, str]:
    return {"po-number": quoted(f"{record_id}" if number % 3 else f"PO-{record_id}")}


def _order_line_values(
    world: World, number: int, record_id: int, created: str, updated: str
) -> dict[str, str]:
    """The same line, whether alone or in its order."""
    source = random.Random(world.seed * 1_000_003 + record_id)  # noqa: S311 - made-up data, no secret
    orders = world.ids("purchase_orders")
    place = _header_of(world, "purchase_orders", "purchase_order_lines", number)
    order_id = orders[place] if place < len(orders) else None
    quantity, cents = 1 + source.randrange(50), 1 + source.randrange(100_000)
    total = quantity * cents
    supplier = random.Random(world.seed * 7 + place).choice(world.pool("suppliers"))  # noqa: S311
    return {
        "id": str(record_id),
        "created-at": created,
        "updated-at": updated,
        "account": source.choice(world.pool("accounts")),
        "accounting-total": f'"{total // 100}.{total % 100:02d}"',
        "commodity": source.choice(world.pool("commodities")),
        "currency": world.pool("currencies")[place % 4 % len(world.pool("currencies"))],
        "description": source.choice(_GOODS),
        "invoiced": '"0.00"' if source.random() < 0.5 else f'"{total // 100}.{total % 100:02d}"',
        "item": source.choice(world.pool("items")) if source.random() < 0.6 else "null",
        "line-num": f'"{1 + number - _line_range(world, "purchase_orders", "purchase_order_lines", place).start}"',
        "need-by-date": "null",
        "order-header-id": str(order_id) if order_id else "null",
        "order-header-number": _order_number(world, place, order_id)["po-number"] if order_id else "null",
        "price": f'"{cents // 100}.{cents % 100:02d}"',
        "quantity": f'"{quantity}.0"',
        "received": '"0.0"' if source.random() < 0.5 else f'"{quantity}.0"',
        "status": '"created"' if source.random() < 0.7 else '"received"',
        "supplier": supplier,
        "total": f'"{total // 100}.{total % 100:02d}"',
        "uom": source.choice(world.pool("uoms")),
        "created-by": world.pool("users")[0],
        "updated-by": world.pool("users")[0],
    }


def _order(draft: Draft) -> dict[str, str]:
    world, pick, number = draft.world, draft.pick, draft.number
    ids = world.ids("purchase_order_lines")
    lines = [
        _order_line.render(
            _order_line_values(
                world, place, ids[place], draft.values["created-at"], draft.values["created-at"]
            )
        )
        for place in _line_range(world, "purchase_orders", "purchase_order_lines", number)
        if place < len(ids)
    ]
    status = pick(_ORDER_STATUSES)
    exported = "true" if status == '"issued"' and draft.chance() < 0.6 else "false"
    return {
        "status": status,
        "version": "1",
        "internal-revision": "1",
        "exported": exported,
        "last-exported-at": draft.values["updated-at"] if exported == "true" else "null",
        "acknowledged-flag": "false",
        "currency": world.pool("currencies")[number % 4 % len(world.pool("currencies"))],
        "supplier": random.Random(world.seed * 7 + number).choice(world.pool("suppliers")),  # noqa: S311
        "payment-term": pick(world.pool("payment_terms")),
        "requisition-header": pick(world.pool("requisitions")) if draft.chance() < 0.8 else "null",
        "custom-fields": fragment({"ship-mode": ("air", "sea", None)[number % 3]}),
        "order-lines": "[" + ",".join(lines) + "]",
    }


def _order_line_fill(draft: Draft) -> dict[str, str]:
    return _order_line_values(
        draft.world, draft.number, draft.id, draft.values["created-at"], draft.values["updated-at"]
    )


_requisition_line = Template(
    "RequisitionLine",
    ("id", "created-at", "updated-at", "account", "commodity", "currency", "description", "line-num", "quantity",
     "supplier", "total", "unit-price", "uom"),
    {"line-type": '"RequisitionQuantityLine"', "status": '"ordered"', "custom-fields": "{}"},
)  # fmt: skip


def _requisition(draft: Draft) -> dict[str, str]:
    world, pick = draft.world, draft.pick
    lines: list[str] = []
    sum_ = 0
    for place in range(1 + int(draft.chance() * 3)):
        quantity, cents = 1 + int(draft.chance() * 20), 1 + int(draft.chance() * 50_000)
        sum_ += quantity * cents
        lines.append(
            _requisition_line.render(
                {
                    "id": str(draft.id * 10 + place),
                    "created-at": draft.values["created-at"],
                    "updated-at": draft.values["created-at"],
                    "account": pick(world.pool("accounts")),
                    "commodity": pick(world.pool("commodities")),
                    "currency": world.pool("currencies")[0],
                    "description": pick(_GOODS),
                    "line-num": str(place + 1),
                    "quantity": f'"{quantity}.0"',
                    "supplier": pick(world.pool("suppliers")),
                    "total": f'"{quantity * cents // 100}.{quantity * cents % 100:02d}"',
                    "unit-price": f'"{cents // 100}.{cents % 100:02d}"',
                    "uom": pick(world.pool("uoms")),
                }
            )
        )
    return {
        "status": pick(_REQUISITION_STATUSES),
        "currency": world.pool("currencies")[0],
        "total": f'"{sum_ // 100}.{sum_ % 100:02d}"',
        "line-count": str(len(lines)),
        "exported": "true" if draft.chance() < 0.5 else "false",
        "external-po-reference": quoted(f"EXT-{draft.id}") if draft.number % 4 == 0 else "null",
        "requisition-lines": "[" + ",".join(lines) + "]",
    }


_expense_line = Template(
    "ExpenseLine",
    ("id", "created-at", "updated-at", "account", "amount", "approved-amount", "currency", "description",
     "expense-category", "expense-date", "expense-report-id", "expensed-by", "foreign-currency", "line-number",
     "merchant", "receipt-total-amount", "reporting-total", "status", "external-src-ref"),
    {"type": '"ExpenseLine"', "custom-fields": "{}", "exchange-rate": '"1.000000000"', "employee-reimbursable": "true",
     "over-limit": "false", "requires-receipt": "true", "divisor": '"1.00"'},
)  # fmt: skip
_CATEGORIES = [
    fragment({"id": n + 1, "name": name})
    for n, name in enumerate(("Meals", "Hotel", "Taxi", "Flug", "Other"))
]
_MERCHANTS = [quoted(name) for name in ('Café "Größe"', "Hotel Ibis", "Uber", "Lufthansa", "7-Eleven", "")]


def _expense_line_values(
    world: World, number: int, record_id: int, created: str, updated: str
) -> dict[str, str]:
    source = random.Random(world.seed * 1_000_003 + record_id)  # noqa: S311 - made-up data, no secret
    reports = world.ids("expense_reports")
    place = _header_of(world, "expense_reports", "expense_lines", number)
    cents = 100 + source.randrange(80_000)
    amount = f'"{cents // 100}.{cents % 100:02d}00"'
    return {
        "id": str(record_id),
        "created-at": created,
        "updated-at": updated,
        "account": source.choice(world.pool("accounts")),
        "amount": amount,
        "approved-amount": amount,
        "currency": world.pool("currencies")[0],
        "description": source.choice(_NOTES),
        "expense-category": source.choice(_CATEGORIES),
        "expense-date": created,
        "expense-report-id": str(reports[place]) if place < len(reports) else "null",
        "expensed-by": world.pool("users")[place % len(world.pool("users"))],
        "foreign-currency": source.choice(world.pool("currencies")),
        "line-number": str(1 + number - _line_range(world, "expense_reports", "expense_lines", place).start),
        "merchant": source.choice(_MERCHANTS),
        "receipt-total-amount": amount,
        "reporting-total": amount,
        "status": source.choice(('"approved"', '"draft"', '"pending_approval"', '"rejected"')),
        "external-src-ref": quoted(f"CARD-{record_id}"),
    }


def _expense_line_fill(draft: Draft) -> dict[str, str]:
    return _expense_line_values(
        draft.world, draft.number, draft.id, draft.values["created-at"], draft.values["updated-at"]
    )


def _expense_report(draft: Draft) -> dict[str, str]:
    world = draft.world
    ids = world.ids("expense_lines")
    lines = [
        _expense_line.render(
            _expense_line_values(
                world, place, ids[place], draft.values["created-at"], draft.values["created-at"]
            )
        )
        for place in _line_range(world, "expense_reports", "expense_lines", draft.number)
        if place < len(ids)
    ]
    user = world.pool("users")[draft.number % len(world.pool("users"))]
    return {
        "status": draft.pick(
            ('"approved"', '"approved_for_payment"', '"draft"', '"pending_approval"', '"paid"', '"rejected"')
        ),
        "title": quoted(f"Trip {draft.number + 1}"),
        "currency": world.pool("currencies")[0],
        "expensed-by": user,
        "submitted-by": user,
        "exported": "true" if draft.chance() < 0.5 else "false",
        "paid": "false",
        "total": f'"{len(lines) * 100}.00"',
        "expense-lines": "[" + ",".join(lines) + "]",
        "custom-fields": fragment({"purpose": ("Kunde", "Messe", "")[draft.number % 3]}),
    }


def _receipt(draft: Draft) -> dict[str, str]:
    world, pick = draft.world, draft.pick
    quantity, cents = 1 + int(draft.chance() * 30), 1 + int(draft.chance() * 90_000)
    return {
        "type": pick(('"ReceivingQuantityConsumption"', '"ReceivingAmountConsumption"')),
        "status": pick(('"created"', '"created"', '"voided"')),
        "exported": "true" if draft.chance() < 0.5 else "false",
        "quantity": f'"{quantity}.000000"',
        "price": f'"{cents // 100}.{cents % 100:02d}"',
        "total": f'"{quantity * cents // 100}.{quantity * cents % 100:02d}"',
        "order-line": pick(world.pool("purchase_order_lines")),
        "item": pick(world.pool("items")),
        "uom": pick(world.pool("uoms")),
        "account": pick(world.pool("accounts")),
        "transaction-date": draft.values["created-at"],
        "original-transaction": "null",
        "original-transaction-id": "null",
    }


_APPROVABLES = (
    ("RequisitionHeader", "requisitions"),
    ("InvoiceHeader", "invoices"),
    ("ExpenseReport", "expense_reports"),
)


def _approval(draft: Draft) -> dict[str, str]:
    world = draft.world
    kind, path = _APPROVABLES[draft.number % 3]
    ids = world.ids(path)
    return {
        "position": str(1 + draft.number % 4),
        "status": draft.pick(('"approved"', '"approved"', '"pending_approval"', '"rejected"', '"escalated"')),
        "type": '"ManagementHierarchyApproval"',
        "approvable-type": quoted(kind),
        "approvable-id": str(ids[int(draft.chance() * len(ids))]) if ids else "null",
        "approver": draft.pick(world.pool("users")),
        "note": draft.pick(_NOTES),
    }


def _order_line_identity(world: World, number: int, record_id: int) -> dict[str, str]:
    place = _header_of(world, "purchase_orders", "purchase_order_lines", number)
    orders = world.ids("purchase_orders")
    return {"order-header-id": str(orders[place]) if place < len(orders) else "null"}


BLUEPRINTS = (
    Blueprint("invoices", 2000, True, None, _invoice, automatic=False, custom=("erp-batch",)),
    Blueprint("purchase_orders", 1500, True, _order_number, _order),
    Blueprint("purchase_order_lines", 3500, True, _order_line_identity, _order_line_fill),
    Blueprint("requisitions", 800, True, None, _requisition),
    Blueprint("expense_reports", 500, True, None, _expense_report),
    Blueprint("expense_lines", 1500, True, None, _expense_line_fill),
    Blueprint("receiving_transactions", 1800, True, None, _receipt),
    Blueprint("approvals", 1500, True, None, _approval),
)
