"""Blueprints of the company's own data: people, suppliers, accounts, terms, catalog."""

from __future__ import annotations

from datetime import datetime, timedelta

from coupa_provider.emulator.seed.blueprint import Blueprint
from coupa_provider.emulator.seed.draft import Draft
from coupa_provider.emulator.seed.template import fragment
from coupa_provider.emulator.seed.words import (
    CITIES,
    COMPANY_HEADS,
    COMPANY_TAILS,
    CURRENCIES,
    DEPARTMENTS,
    FIRST_NAMES,
    GOODS,
    LAST_NAMES,
    NOTES,
    STREETS,
    UOMS,
)
from coupa_provider.emulator.seed.world import World, quoted

_NOTES = [quoted(note) for note in NOTES]


def _user(world: World, number: int, record_id: int) -> dict[str, str]:
    first = FIRST_NAMES[number % len(FIRST_NAMES)]
    last = LAST_NAMES[number * 7 // len(FIRST_NAMES) % len(LAST_NAMES)]
    login = f"user{record_id}" if number else "integration"
    return {
        "login": quoted(login),
        "employee-number": quoted(f"E{10000 + record_id}") if number % 9 else '""',
        "firstname": quoted(first),
        "lastname": quoted(last),
        "fullname": quoted(f"{first} {last}"),
        "email": quoted(f"{login}@example.com"),
        "salesforce-id": "null",
        "avatar-thumb-url": "null",
    }


def _user_fill(draft: Draft) -> dict[str, str]:
    return {
        "mention-name": quoted(f"mention{draft.id}"),
        "active": "false" if draft.number % 17 == 16 else "true",
        "custom-fields": fragment({"badge-color": ("red", "blue", None)[draft.number % 3]}),
    }


def _supplier(world: World, number: int, record_id: int) -> dict[str, str]:
    head = COMPANY_HEADS[number % len(COMPANY_HEADS)]
    tail = COMPANY_TAILS[number // len(COMPANY_HEADS) % len(COMPANY_TAILS)]
    round_ = number // (len(COMPANY_HEADS) * len(COMPANY_TAILS))
    name = f"{head} {tail}" + (f" {round_ + 1}" if round_ else "")
    return {"name": quoted(name), "number": quoted(f"S{10000 + record_id}") if number % 8 else "null"}


def _supplier_fill(draft: Draft) -> dict[str, str]:
    world, number = draft.world, draft.number
    contact = {
        "id": draft.id * 3,
        "email": f"sales{draft.id}@example.com",
        "name-given": FIRST_NAMES[number % len(FIRST_NAMES)],
        "name-family": LAST_NAMES[number % len(LAST_NAMES)],
    }
    city, state, postal = CITIES[number % len(CITIES)]
    address = {
        "id": draft.id * 3 + 1,
        "street1": f"{number + 1} {STREETS[number % len(STREETS)]}",
        "city": city,
        "state": state,
        "postal-code": postal,
    }
    return {
        "display-name": draft.values["name"],
        "status": draft.pick(('"active"', '"active"', '"active"', '"inactive"', '"onboarding"', '"draft"')),
        "primary-contact": fragment(contact),
        "primary-address": fragment(address),
        "payment-term": draft.pick(world.pool("payment_terms")),
        "savings-pct": f'"{int(draft.chance() * 30)}.{int(draft.chance() * 10)}0"',
        "tags": "null",
        "custom-fields": fragment(
            {
                "send-to-vms": number % 4 == 0,
                "risk-tier": {
                    "id": number % 5 + 1,
                    "name": f"Tier {number % 5}",
                    "external-ref-num": str(number % 5),
                },
                "credit-limit": f"{number * 1000}.50",
                "onboarded-on": None if number % 3 else "2024-02-29",
            }
        ),
        # An old custom field, of the time when they stood among Coupa's own.
        "legacy-vendor-code": quoted(f"LV-{draft.id:06d}") if number % 2 else "null",
    }


def _account_type(world: World, number: int, record_id: int) -> dict[str, str]:
    return {
        "name": quoted(
            ("Ace", "Ace Europe", "Ace Nippon", "Ace Retail")[number % 4] + f" {number // 4 or ''}".rstrip()
        )
    }


def _account(world: World, number: int, record_id: int) -> dict[str, str]:
    segments = (
        ("SF", "NY", "MUC", "OSA")[number % 4],
        DEPARTMENTS[number // 4 % len(DEPARTMENTS)],
        f"{6000 + number // 56}",
    )
    return {
        "name": quoted(f"{segments[1]} {segments[2]}"),
        "code": quoted("-".join(segments)),
        "active": "false" if number % 23 == 22 else "true",
        "account-type": world.stub("account_types", number % 4),
        **{f"segment-{place + 1}": quoted(text) for place, text in enumerate(segments)},
    }


def _account_fill(draft: Draft) -> dict[str, str]:
    account_type = draft.world.ids("account_types")[draft.number % 4 % len(draft.world.ids("account_types"))]
    return {"account-type-id": str(account_type), **{f"segment-{place}": "null" for place in range(4, 21)}}


def _address(world: World, number: int, record_id: int) -> dict[str, str]:
    city, state, postal = CITIES[number % len(CITIES)]
    return {
        "name": quoted(f"Site {number + 1}" if number else "HQ"),
        "location-code": quoted(f"LOC{record_id:04d}") if number % 5 else "null",
        "street1": quoted(f"{number + 1} {STREETS[number % len(STREETS)]}"),
        "city": quoted(city),
        "state": quoted(state),
        "postal-code": quoted(postal),
    }


def _department(world: World, number: int, record_id: int) -> dict[str, str]:
    round_ = number // len(DEPARTMENTS)
    name = DEPARTMENTS[number % len(DEPARTMENTS)] + (f" {round_ + 1}" if round_ else "")
    return {"name": quoted(name), "active": "true"}


def _currency(world: World, number: int, record_id: int) -> dict[str, str]:
    code = CURRENCIES[number] if number < len(CURRENCIES) else f"X{number:02d}"
    return {"code": quoted(code)}


def _currency_fill(draft: Draft) -> dict[str, str]:
    return {"decimals": "0" if draft.values["code"] in ('"JPY"', '"KRW"') else "2", "enabled": "true"}


def _exchange_rate_fill(draft: Draft) -> dict[str, str]:
    """Each pair of the dollar with another currency has one rate a day, as the unique key wants."""
    world = draft.world
    others = max(1, world.size("currencies") - 1)
    day, other = divmod(draft.number, others)
    # Coupa floors it to the start of the day in the company's zone, summer time or not.
    midnight = int((datetime(2024, 1, 1, tzinfo=world.zone) + timedelta(days=day)).timestamp())
    pool = world.pool("currencies")
    digits = draft.chance()
    return {
        "from-currency": pool[0],
        "to-currency": pool[(other + 1) % len(pool)],
        "rate": f'"{0.3 + digits * 150:.9f}"' if digits > 0.02 else '"1.100000000"',
        "rate-date": world.instant(midnight),
        "created-by": world.pool("users")[0],
        "updated-by": world.pool("users")[0],
    }


def _payment_term(world: World, number: int, record_id: int) -> dict[str, str]:
    days = (30, 60, 90, 10, 14, 45, 0, 7, 120)[number % 9]
    return {"code": quoted(f"Net {days}" + ("" if number < 9 else f" v{number // 9 + 1}"))}


def _payment_term_fill(draft: Draft) -> dict[str, str]:
    return {"days-for-net-payment": draft.values["code"].split()[1].strip('"'), "discount-rate": "2.5"}


def _shipping_term(world: World, number: int, record_id: int) -> dict[str, str]:
    words = ("Standard", "Express", "EXW", "DDP", "FOB", "CIF", "Pick-up", "Courier")
    return {"code": quoted(words[number % 8] + ("" if number < 8 else f" {number}"))}


def _uom(world: World, number: int, record_id: int) -> dict[str, str]:
    code, name = UOMS[number] if number < len(UOMS) else (f"U{number}", f"Unit {number}")
    return {"code": quoted(code), "name": quoted(name)}


def _lookup(world: World, number: int, record_id: int) -> dict[str, str]:
    words = ("Cost Center", "Region", "Project Code", "Tax Class", "Plant", "Brand")
    return {"name": quoted(words[number % 6] + ("" if number < 6 else f" {number // 6 + 1}"))}


def _lookup_value(world: World, number: int, record_id: int) -> dict[str, str]:
    return {
        "name": quoted(f"{DEPARTMENTS[number % len(DEPARTMENTS)]} {number:04d}"),
        "external-ref-num": quoted(f"{100000 + number}"),
        "external-ref-code": quoted(f"{DEPARTMENTS[number % len(DEPARTMENTS)][:3].upper()}-{number}"),
    }


def _lookup_value_fill(draft: Draft) -> dict[str, str]:
    world = draft.world
    ids = world.ids("lookups")
    return {
        "active": "false" if draft.number % 29 == 28 else "true",
        "lookup": world.stub("lookups", draft.number),
        "lookup-id": str(ids[draft.number % len(ids)]) if ids else "null",
        "parent": "null",
        "parent-id": "null",
        "depth": "0",
        "description": draft.pick(_NOTES),
    }


def _commodity(world: World, number: int, record_id: int) -> dict[str, str]:
    words = ("IT Hardware", "Software", "Services", "Travel", "Furniture", "Chemicals", "Packaging", "Energy")
    return {"name": quoted(words[number % 8] + ("" if number < 8 else f" {number // 8 + 1}"))}


def _item(world: World, number: int, record_id: int) -> dict[str, str]:
    name = GOODS[number % len(GOODS)].split("\n")[0]
    return {
        "name": quoted(f"{name} #{number}"),
        "item-number": quoted(f"IT-{record_id:05d}") if number % 10 else "null",
    }


def _item_fill(draft: Draft) -> dict[str, str]:
    return {"description": quoted(GOODS[draft.number % len(GOODS)]), "active": "true", "item-type": "null"}


def _supplier_item_fill(draft: Draft) -> dict[str, str]:
    world = draft.world
    tiers = {f"price-tier-{place}": "null" for place in range(2, 20)}
    return {
        "price": f'"{int(draft.chance() * 900) + 1}.{int(draft.chance() * 10)}0"',
        "price-tier-1": '"12.500000"',
        **tiers,
        "item": world.stub("items", draft.number),
        "supplier": draft.pick(world.pool("suppliers")),
        "supplier-part-num": quoted(f"SP-{draft.id}"),
        "currency": world.pool("currencies")[0],
    }


def _contract(world: World, number: int, record_id: int) -> dict[str, str]:
    return {"name": quoted(f"Frame agreement {number + 1}"), "number": quoted(f"C-{record_id:05d}")}


def _contract_fill(draft: Draft) -> dict[str, str]:
    return {
        "status": draft.pick(('"published"', '"published"', '"draft"', '"expired"', '"completed"')),
        "version": "1",
        # Wider than any float holds.
        "max-commit": '"9999999999999999999999999999.9999"' if draft.number % 7 == 0 else '"250000.00"',
        "min-commit": '"0.00"',
        "maximum-value": "null",
        "parent": "null",
        "master-contract": "null",
    }


def _project(world: World, number: int, record_id: int) -> dict[str, str]:
    return {"name": quoted(f"Project {('Apollo', 'Zürich', 'Nova', 'Δelta')[number % 4]} {number + 1}")}


def _budget_line_fill(draft: Draft) -> dict[str, str]:
    amount = int(draft.chance() * 500_000)
    segments = (
        ("SF", "NY", "MUC")[draft.number % 3],
        DEPARTMENTS[draft.number % len(DEPARTMENTS)],
        str(draft.number),
    )
    return {
        "amount": f'"{amount}.00"',
        "remaining": f'"{amount - int(draft.chance() * amount * 1.1)}.00"',
        "pending-requisitions-amount": '"0.00"',
        "period": fragment({"id": 2024 + draft.number % 3, "name": f"FY{2024 + draft.number % 3}"}),
        **{f"segment-{place + 1}": quoted(text) for place, text in enumerate(segments)},
        **{f"segment-{place}": "null" for place in range(4, 21)},
    }


BLUEPRINTS = (
    Blueprint("users", 300, True, _user, _user_fill),
    Blueprint("suppliers", 600, True, _supplier, _supplier_fill, custom=("legacy-vendor-code",)),
    Blueprint("account_types", 4, False, _account_type),
    Blueprint("accounts", 800, True, _account, _account_fill),
    Blueprint("addresses", 250, True, _address),
    Blueprint("departments", 40, False, _department),
    Blueprint("currencies", 40, False, _currency, _currency_fill),
    Blueprint("exchange_rates", 4000, True, None, _exchange_rate_fill),
    Blueprint("payment_terms", 15, False, _payment_term, _payment_term_fill),
    Blueprint("shipping_terms", 8, False, _shipping_term),
    Blueprint("uoms", 13, False, _uom),
    Blueprint("lookups", 18, False, _lookup),
    Blueprint("lookup_values", 900, True, _lookup_value, _lookup_value_fill),
    Blueprint("commodities", 120, True, _commodity),
    Blueprint("items", 700, True, _item, _item_fill),
    Blueprint("supplier_items", 900, True, None, _supplier_item_fill),
    Blueprint("contracts", 250, True, _contract, _contract_fill),
    Blueprint("projects", 80, True, _project),
    Blueprint("budget_lines", 500, True, None, _budget_line_fill),
)
