"""Whatever Coupa really does where its documents are silent: a right result or a clear refusal, never a short one.

Every mode of every switch of the emulator that touches reading is run through the operator.
"""

from __future__ import annotations

from collections import Counter

import pytest
from airflow.exceptions import AirflowException

from coupa_provider.client.errors import CoupaError
from coupa_provider.emulator.switches import SWITCHES

INVOICES = 3_000
READING = [
    "U1", "U2", "U4", "U5", "U8", "U9", "U10", "U11", "U12", "U13", "U14", "U15", "U16", "U17", "U29", "U30", "U31",
    "U32", "U33",
]  # fmt: skip
#: Those that concern refresh tokens, writes, actions or downloads are tested where these are.
NOT_READING = [
    "U3",
    "U6",
    "U7",
    "U18",
    "U19",
    "U20",
    "U21",
    "U22",
    "U23",
    "U24",
    "U25",
    "U26",
    "U27",
    "U28",
    "U34",
]
MODES = [(name, mode) for name in READING for mode in SWITCHES[name].modes]


def test_every_switch_is_placed():
    assert sorted(READING + NOT_READING) == sorted(SWITCHES)


@pytest.mark.parametrize(("name", "mode"), MODES)
def test_a_full_extract_is_complete_or_refused(coupa, extract, name, mode):
    """With a tight rate limit, so that limits and their answers come into play as well."""
    before = coupa.ids("invoices")
    coupa.configure(switches={name: mode}, rate_limit=250, burst=5)
    if name == "U2":
        coupa.configure(activation_delay_s=0.6)
    if (name, mode) == ("U15", "filter_ignored"):
        with pytest.raises(AirflowException, match=r"ignored a part of the query.*id\[gt\]"):
            extract()
        assert not extract.landing.published
    else:
        assert extract(requests_per_second=300).ids() == Counter(before)


@pytest.mark.parametrize(
    ("name", "mode"), [(n, m) for n in ("U9", "U15", "U16", "U17", "U29") for m in SWITCHES[n].modes]
)
@pytest.mark.parametrize(
    "filters",
    [
        {"status[in]": ["approved", "voided"]},
        {"invoice-lines[line-num]": 1},
        {"invoice-lines[line-num][gt]": 0, "status[not_eq]": "draft"},
        {"supplier[name][contains]": "a"},
        {"total-with-taxes[gt]": "100.00"},
    ],
    ids=["in", "one-to-many", "two on lines", "contains", "decimal"],
)
def test_a_filtered_extract_is_complete_or_refused(coupa, extract, name, mode, filters):
    """The same set as in the documented mode, or a refusal; half of each kind is enough to tell."""
    everything = {"filters": filters, "fields": ["id", "status", "total-with-taxes", {"supplier": ["name"]}]}
    reference = extract(**everything).ids()
    assert len(reference) > 100
    coupa.configure(switches={name: mode})
    if (name, mode) == ("U15", "filter_ignored"):
        with pytest.raises(AirflowException, match=r"ignored a part of the query.*id\[gt\]"):
            extract(**everything)
        assert not extract.landing.published
        return
    found = extract(**everything).ids()
    if (name, mode) == ("U16", "sensitive") and "supplier[name][contains]" in filters:
        assert set(found) <= set(reference)  # Coupa itself means another set
    else:
        assert found == reference


@pytest.mark.parametrize("u9", SWITCHES["U9"].modes)
@pytest.mark.parametrize("u29", SWITCHES["U29"].modes)
def test_an_unknown_filter_is_refused_not_dropped(coupa, extract, u9, u29):
    coupa.configure(switches={"U9": u9, "U29": u29})
    with pytest.raises((CoupaError, AirflowException), match=r"no[-_]such"):
        extract(filters={"no-such-attribute": "x"})
    assert not extract.landing.published


@pytest.mark.parametrize("mode", SWITCHES["U30"].modes)
def test_exchange_rates_by_both_currencies_are_refused(coupa, extract, mode):
    """In one mode Coupa would answer with nothing, which looks like an empty table."""
    coupa.configure(switches={"U30": mode})
    with pytest.raises((CoupaError, AirflowException), match="no rows at all"):
        extract(
            "exchange_rates", fields=None, filters={"from-currency[code]": "USD", "to-currency[code]": "EUR"}
        )


def test_a_time_limit_is_met_with_smaller_pages(coupa, extract):
    coupa.configure(switches={"U13": "504"}, request_time_limit_s=0.3, latency={"fixed_ms": 5})
    assert extract().ids() == Counter(coupa.ids("invoices"))
