"""While records are inserted, updated and deleted, a walk by id loses nothing; paging by offset does."""

from __future__ import annotations

import httpx
import pytest

INVOICES = 20_000
DRIFT = {"updates_per_s": 20, "inserts_per_s": 5, "deletes_per_s": 2}


@pytest.mark.slow
def test_a_walk_at_coupas_pace_loses_nothing(coupa, extract, there_all_along):
    """20,000 invoices at 24 requests a second under the rate limit, while they drift: about 18 seconds."""
    before = coupa.ids("invoices")
    coupa.configure(drift=DRIFT, rate_limit=25)
    landing = extract(requests_per_second=24)
    found = landing.ids()
    log = coupa.drift_log()
    assert len(log["updated"]) > 200
    assert len(log["deleted"]) > 20
    assert max(found.values()) == 1
    assert there_all_along(before) - set(found) == set()
    assert landing.manifest["throttled"] == coupa.seen()["throttled"] == 0
    # Rows born during the walk come too, up to the moment of the last request.
    assert len({event["id"] for event in log["inserted"]} & set(found)) > 50


@pytest.mark.slow
def test_paging_by_offset_loses_rows(coupa, there_all_along):
    """The reason for all this: what the usual loop over offsets makes of the same drift.

    The loop orders by updated-at, as incremental taps do, and takes 100 ms a page, 40 s in all; to spare
    that time, pages take 10 ms here and the drift is ten times as fast, which is the same drift per page.
    """
    before = coupa.ids("invoices")
    coupa.configure(drift={name: 10 * rate for name, rate in DRIFT.items()}, latency={"fixed_ms": 5})
    found: list[int] = []
    form = {
        "client_id": coupa.client_id,
        "client_secret": coupa.client_secret,
        "grant_type": "client_credentials",
    }
    with httpx.Client(base_url=coupa.url, trust_env=False) as http:
        token = http.post("/oauth2/token", data=form).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        while True:
            query = {
                "limit": 50,
                "offset": len(found),
                "order_by": "updated_at",
                "dir": "asc",
                "fields": '["id"]',
            }
            page = http.get("/api/invoices", params=query, headers=headers).json()
            found += [record["id"] for record in page]
            if len(page) < 50:
                break
    missing = there_all_along(before) - set(found)
    twice = len(found) - len(set(found))
    print(
        f"offset paging: {len(missing)} of {len(before)} missing ({len(missing) / len(before):.1%}), {twice} twice"
    )
    assert len(missing) > 100
