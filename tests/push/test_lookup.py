"""Records are found by their keys, all of them, with few requests, and never those of another key."""

from __future__ import annotations

from collections import Counter
from datetime import date
from decimal import Decimal
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coupa_provider.client.blocking import run_in_background
from coupa_provider.push.keys import KeyPart, checked_key, values_of
from coupa_provider.push.lookup import BATCH, look_up, plan, with_keys


@pytest.fixture
def find(client, coupa):
    """Return the ids that each record's key finds: ``find("suppliers", [{"number": "S-1"}])``."""

    def finding(resource, records, key=None, fields=("id",)):
        names = checked_key(resource, key)
        wanted = [values_of(record, names, resource) for record in records]
        found = run_in_background(look_up(client.client, resource, wanted, list(fields)))
        return [sorted(record["id"] for record in records) for records in found]

    return finding


def requests(coupa) -> int:
    return coupa.seen()["requests"]


def test_suppliers_by_number(find, coupa):
    coupa.load({"suppliers": [{"id": n, "number": f"S-{n}", "name": f"N {n}"} for n in range(1, 201)]})
    coupa.reset_seen()
    wanted = [{"number": f"S-{n}"} for n in range(151, 251)]
    assert find("suppliers", wanted) == [[n] if n <= 200 else [] for n in range(151, 251)]
    assert requests(coupa) <= 4  # a token, and three for a hundred rows
    assert find("suppliers", [{"number": "S-7"}, {"number": "S-7"}]) == [[7], [7]]
    assert find("suppliers", []) == []


def test_values_with_commas_and_other_signs(find, coupa):
    names = ["a, b", "a", "b", "c&d=e", "f[g]", "50% off", "ü, ö", "'q'", '"z"', "x+y", "#1", "a/b", "日本"]
    coupa.load({"suppliers": [{"id": n, "name": name, "number": str(n)} for n, name in enumerate(names, 1)]})
    found = find("suppliers", [{"name": f" {name} "} for name in [*names, "b, a"]], ["name"])
    assert found == [*([n] for n in range(1, len(names) + 1)), []]


@pytest.mark.parametrize("mode", ["insensitive", "sensitive"])
def test_letter_case_is_that_of_coupa(find, coupa, mode):
    coupa.configure(switches={"U16": mode})
    coupa.load(
        {"suppliers": [{"id": 1, "number": "S-1", "name": "a"}, {"id": 2, "number": "s-2", "name": "b"}]}
    )
    found = find("suppliers", [{"number": "s-1"}, {"number": "s-2"}, {"number": "S-3"}])
    assert found == ([[1], [2], []] if mode == "insensitive" else [[], [2], []])


def test_several_records_of_one_key_are_all_told(find, coupa):
    coupa.load({"suppliers": [{"id": n, "account-number": "A", "name": f"N {n}"} for n in range(1, 121)]})
    assert find("suppliers", [{"account-number": "A"}, {"account-number": "B"}], ["account-number"]) == [
        list(range(1, 121)), [],
    ]  # fmt: skip


def load_invoices(coupa):
    """Numbers that several suppliers use."""
    suppliers = [{"id": n, "number": f"S-{n}", "name": f"N {n}"} for n in range(1, 4)]
    coupa.load({"suppliers": suppliers})
    coupa.load(
        {
            "invoices": [
                {"id": 1000 + 10 * n + supplier["id"], "invoice-number": f"I-{n}", "supplier": supplier}
                for n in range(30)
                for supplier in suppliers
            ]
        }
    )


@pytest.mark.parametrize("name", ["id", "number", "name"])
def test_invoices_by_number_and_supplier(find, coupa, name):
    load_invoices(coupa)
    suppliers = {"id": [1, 2, 3], "number": ["S-1", "S-2", "S-3"], "name": ["N 1", "N 2", "N 3"]}[name]
    wanted = [
        {"invoice-number": f"I-{n}", "supplier": {name: suppliers[place]}}
        for n in range(31)
        for place in range(3)
    ]
    assert find("invoices", wanted) == [
        [1000 + 10 * n + place + 1] if n < 30 else [] for n in range(31) for place in range(3)
    ]


def test_references_in_mixed_shapes(find, coupa):
    load_invoices(coupa)
    shapes = [
        {"id": 1},
        {"number": "S-2"},
        {"name": "n 3"},
        {"number": "s-1", "name": "N 1"},
        {"id": "2", "name": "other"},
    ]
    wanted = [{"invoice-number": f"i-{n}", "supplier": shape} for n, shape in enumerate(shapes)]
    assert find("invoices", wanted) == [[1001], [1012], [1023], [1031], [1042]]


def test_exchange_rates_by_currencies_and_day(find, coupa):
    codes = ["EUR", "USD", "GBP"]
    coupa.load({"currencies": [{"id": n, "code": code} for n, code in enumerate(codes, 1)]})
    currencies = {code: {"id": n, "code": code} for n, code in enumerate(codes, 1)}
    rates = [
        {"id": 100 * day + 10 * currencies[a]["id"] + currencies[b]["id"], "rate-date": f"2026-11-{day:02}T00:00:00-08:00",
         "from-currency": currencies[a], "to-currency": currencies[b], "rate": "1.1"}
        for day in range(1, 21) for a in codes for b in codes if a != b
    ]  # fmt: skip
    coupa.load({"exchange_rates": rates})
    wanted = [
        {"from-currency": {"code": a}, "to-currency": {"code": b}, "rate-date": f"2026-11-{day:02}"}
        for day in (3, 4, 25) for a in codes for b in codes if a != b
    ]  # fmt: skip
    assert find("exchange_rates", wanted) == [
        [100 * day + 10 * currencies[a]["id"] + currencies[b]["id"]] if day < 21 else []
        for day in (3, 4, 25) for a in codes for b in codes if a != b
    ]  # fmt: skip
    one = {"from-currency": {"code": "EUR"}, "to-currency": {"code": "USD"}}
    instants = ["2026-11-03T08:00:00Z", "2026-11-03T23:00:00-08:00", "2026-11-03T00:00:00Z"]
    assert find("exchange_rates", [{**one, "rate-date": instant} for instant in instants]) == [
        [312],
        [312],
        [212],
    ]


def test_lookup_values_and_accounts_and_users(find, coupa):
    coupa.load({"lookups": [{"id": n, "name": f"L {n}"} for n in (1, 2)]})
    coupa.load(
        {
            "lookup_values": [
                {"id": 10 * n + lookup, "name": f"V {n}", "external-ref-num": f"{n}", "lookup": {"id": lookup, "name": f"L {lookup}"}}
                for n in range(20) for lookup in (1, 2)
            ],
            "account_types": [{"id": 1, "name": "T"}],
            "accounts": [{"id": n, "code": f"A-{n}", "account-type": {"id": 1, "name": "T"}} for n in range(1, 30)],
            "users": [{"id": n, "login": f"u{n}@corp.example", "email": f"u{n}@corp.example"} for n in range(1, 30)],
        }
    )  # fmt: skip
    wanted = [
        {"external-ref-num": f"{n}", "lookup": {"name": f"l {lookup}"}}
        for n in range(21)
        for lookup in (1, 2)
    ]
    assert find("lookup_values", wanted) == [
        [10 * n + lookup] if n < 20 else [] for n in range(21) for lookup in (1, 2)
    ]
    accounts = [
        {"code": "a-7", "account-type": {"name": "T"}},
        {"code": "A-8", "account-type": {"name": "U"}},
    ]
    assert find("accounts", accounts) == [[7], []]
    assert find("users", [{"login": "U7@corp.example"}, {"login": "u99@corp.example"}]) == [[7], []]


def test_by_ids(find, coupa):
    coupa.load({"suppliers": [{"id": n, "number": f"S-{n}"} for n in range(1, 61)]})
    assert find("suppliers", [{"id": n} for n in (60, 1, 99, 7)], ["id"]) == [[60], [1], [], [7]]


def test_long_decimals_are_shown_whole(client, coupa):
    coupa.load({"suppliers": [{"id": 1, "number": "S-1", "savings-pct": 0.12345678901234567890}]})
    wanted = [values_of({"number": "S-1"}, ["number"], "suppliers")]
    (found,) = run_in_background(look_up(client.client, "suppliers", wanted, ["savings-pct"]))
    assert isinstance(found[0]["savings-pct"], Decimal | str)


# ---- the queries

TEXTS = st.text(st.sampled_from("aB1,ü日 &%"), min_size=1, max_size=60).filter(str.strip)
SUPPLIERS = (
    st.fixed_dictionaries({"id": st.integers(1, 50)})
    | st.fixed_dictionaries({"number": TEXTS})
    | st.fixed_dictionaries({"name": TEXTS})
)
INVOICES = st.lists(st.fixed_dictionaries({"invoice-number": TEXTS, "supplier": SUPPLIERS}), max_size=130)


@settings(deadline=None)
@given(INVOICES)
def test_every_key_is_in_one_query_that_lets_it_through(records):
    key = ("invoice-number", "supplier")
    wanted = [values_of(record, key, "invoices") for record in records]
    places = Counter()
    for filters, batch in plan("invoices", wanted):
        places.update(batch)
        assert 1 <= len(batch) <= BATCH
        assert len(quote(str(list(filters.values())))) < 12_000
        for name, value in filters.items():
            listed = value if name.endswith("[in]") else [value]
            assert len(batch) == 1 or not any("," in text for text in listed)
            for place in batch:
                (part,) = (part for part in wanted[place] if name.startswith(part.path[0].replace("-", "_")))
                assert str(part.value).strip() in listed
    assert places == Counter(range(len(records)))


@settings(deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "from-currency": st.fixed_dictionaries({"code": st.sampled_from(["EUR", "USD", "GBP"])}),
                "to-currency": st.fixed_dictionaries({"code": st.sampled_from(["EUR", "USD", "GBP"])}),
                "rate-date": st.dates(date(2, 1, 1), date(9998, 12, 31)).map(str),
            }
        ),
        max_size=60,
    )
)
def test_both_currencies_are_never_asked_for_together(records):
    key = checked_key("exchange_rates", None)
    wanted = [values_of(record, key, "exchange_rates") for record in records]
    places = Counter()
    for filters, batch in plan("exchange_rates", wanted):
        places.update(batch)
        names = {name.partition("[")[0] for name in filters}
        assert "rate_date" in names
        assert len(names & {"from_currency", "to_currency"}) == 1
    assert places == Counter(range(len(records)))


def test_a_thousand_long_names_make_no_long_url():
    wanted = [(KeyPart(("name",), "string", "日" * 100),) for _ in range(100)]
    assert max(len(batch) for _, batch in plan("suppliers", wanted)) == 1
    short = [(KeyPart(("name",), "string", f"n{n}"),) for n in range(100)]
    assert [len(batch) for _, batch in plan("suppliers", short)] == [49, 49, 2]


def test_the_keys_are_shown_with_what_is_compared():
    keys = [(KeyPart(("invoice-number",), "string", "1"), KeyPart(("supplier", "number"), "string", "S"))]
    assert with_keys(["status"], keys) == ["id", "status", "invoice-number", {"supplier": ["id", "number"]}]
    shown = with_keys(["id", {"supplier": ["id", "name"]}], keys)
    assert shown == ["id", {"supplier": ["id", "name", "number"]}, "invoice-number"]
    assert with_keys(["id", {"supplier": {}}, "invoice-number"], keys)[1] == {"supplier": {}}
