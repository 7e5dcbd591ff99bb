"""Every switch changes what a client meets, in each of its modes."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from coupa_provider.emulator.settings import SettingError
from coupa_provider.emulator.switches import SWITCHES, Switches

if TYPE_CHECKING:
    from tests.emulator.conftest import Caller


def put(coupa: Caller, name: str, mode: str) -> None:
    coupa.emulator.configure(switches={name: mode})


def test_there_are_34_and_each_says_what_it_is_for() -> None:
    assert list(SWITCHES) == [f"U{number}" for number in range(1, 35)]
    assert all(switch.meaning and len(switch.modes) >= 2 for switch in SWITCHES.values())


def test_a_wrong_mode_is_refused_with_the_modes_there_are() -> None:
    with pytest.raises(ValueError, match=r"U7 .*cannot be '999'; modes are 201, 200"):
        Switches({"U7": "999"})
    with pytest.raises(ValueError, match="no switch 'U99'"):
        Switches({"U99": "1"})


def test_the_control_endpoint_refuses_and_changes_nothing(coupa: Caller) -> None:
    with pytest.raises(SettingError):
        coupa.emulator.configure(switches={"U7": "200", "U1": "zork"})
    assert coupa.send("POST", "departments", {"name": "A"}).status_code == 201


@pytest.mark.parametrize("status", ["401", "400"])
def test_u1_status_of_invalid_client(coupa: Caller, status: str) -> None:
    put(coupa, "U1", status)
    assert coupa.token(client_secret="wrong").status_code == int(status)


def test_u2_new_token_is_not_active_at_once(coupa: Caller) -> None:
    coupa.emulator.configure(switches={"U2": "401"}, activation_delay_s=0.3)
    coupa.authorize()
    assert coupa.get("invoices").status_code == 401
    time.sleep(0.35)
    assert coupa.get("invoices").status_code == 200
    put(coupa, "U2", "off")
    coupa.authorize()
    assert coupa.get("invoices").status_code == 200


@pytest.mark.parametrize(
    ("mode", "same", "old_works", "new_survives_reuse"),
    [("rotate", False, False, True), ("keep", True, True, True), ("reuse_detect", False, False, False)],
)
def test_u3_rotation(coupa: Caller, mode: str, same: bool, old_works: bool, new_survives_reuse: bool) -> None:
    put(coupa, "U3", mode)
    old = coupa.emulator.issue_refresh_token("emulator", ["core.user.read"])

    def refresh(token: str) -> httpx.Response:
        return coupa.token(grant_type="refresh_token", refresh_token=token)

    new = refresh(old).json()["refresh_token"]
    assert (new == old) is same
    assert (refresh(old).status_code == 200) is old_works
    assert (refresh(new).status_code == 200) is new_survives_reuse


@pytest.mark.parametrize(
    ("mode", "kind", "begin"),
    [
        ("errors", "application/json", '{"errors":{'),
        ("empty", "text/plain", ""),
        ("html", "text/html", "<html>"),
        ("error", "application/json", '{"error":"'),
    ],
)
def test_u4_bodies_of_401_and_403(coupa: Caller, mode: str, kind: str, begin: str) -> None:
    put(coupa, "U4", mode)
    refused = [coupa.get("invoices", Authorization="")]
    coupa.authorize(scope="core.user.read")
    refused.append(coupa.get("invoices"))
    assert [answer.status_code for answer in refused] == [401, 403]
    for answer in refused:
        assert answer.headers["content-type"].startswith(kind)
        assert answer.text.startswith(begin)
        assert bool(answer.text) == bool(begin)


@pytest.mark.parametrize(("mode", "begin"), [("errors", '{"errors":'), ("html", "<html>"), ("empty", "")])
def test_u5_body_of_404(coupa: Caller, mode: str, begin: str) -> None:
    put(coupa, "U5", mode)
    answer = coupa.get("invoices/99")
    assert answer.status_code == 404
    assert answer.text.startswith(begin)
    assert bool(answer.text) == bool(begin)


@pytest.mark.parametrize("status", ["400", "422"])
def test_u6_failed_validation(coupa: Caller, status: str) -> None:
    put(coupa, "U6", status)
    assert coupa.send("POST", "suppliers", {}).status_code == int(status)


@pytest.mark.parametrize("status", ["201", "200"])
def test_u7_create(coupa: Caller, status: str) -> None:
    put(coupa, "U7", status)
    assert coupa.send("POST", "suppliers", {"name": "Fishy"}).status_code == int(status)


def test_u8_limit_above_50(coupa: Caller) -> None:
    coupa.emulator.load({"departments": [{"name": f"D{n}"} for n in range(60)]})
    assert len(coupa.get("departments", {"limit": 200}).json()) == 50
    put(coupa, "U8", "400")
    assert coupa.get("departments", {"limit": 51}).status_code == 400
    assert len(coupa.get("departments", {"limit": 50}).json()) == 50


def test_u9_unknown_attribute(coupa: Caller) -> None:
    coupa.emulator.load({"departments": [{"name": "A"}]})
    for query in ({"zork": "1"}, {"name[zork]": "1"}, {"order_by": "zork"}, {"supplier[address[city]]": "x"}):
        answer = coupa.get("departments", query)
        assert answer.status_code == 400
        assert list(answer.json()["errors"]) == ["department"]
    put(coupa, "U9", "ignored")
    for query in ({"zork": "1"}, {"order_by": "zork"}, {"supplier[address[city]]": "x"}):
        assert len(coupa.get("departments", query).json()) == 1


def test_u10_unknown_name_in_fields(coupa: Caller) -> None:
    coupa.emulator.load({"departments": [{"id": 1, "name": "A"}]})
    assert coupa.get("departments", {"fields": '["id","zork"]'}).json() == [{"id": 1}]
    put(coupa, "U10", "400")
    assert coupa.get("departments", {"fields": '["id","zork"]'}).status_code == 400
    assert coupa.get("departments", {"fields": '["id","name"]'}).status_code == 200


@pytest.mark.parametrize("mode", ["absent", "seconds", "date"])
def test_u11_retry_after(coupa: Caller, mode: str) -> None:
    coupa.emulator.configure(switches={"U11": mode}, rate_limit=0.001, burst=0, retry_after_s=3)
    coupa.get("invoices")
    answer = coupa.get("invoices")
    assert answer.status_code == 429
    told = answer.headers.get("retry-after")
    if mode == "absent":
        assert told is None
    elif mode == "seconds":
        assert told == "3"
    else:
        assert 0 < parsedate_to_datetime(told or "").timestamp() - time.time() <= 3.1


@pytest.mark.parametrize(
    ("mode", "other_status", "kind"),
    [
        ("client", 200, "application/json"),
        ("instance", 429, "application/json"),
        ("client_html", 200, "text/html"),
        ("instance_html", 429, "text/html"),
    ],
)
def test_u12_scope_and_body_of_the_limit(coupa: Caller, mode: str, other_status: int, kind: str) -> None:
    coupa.emulator.add_client("other", "secret")
    other = coupa.token(client_id="other", client_secret="secret").json()["access_token"]
    coupa.emulator.configure(switches={"U12": mode}, rate_limit=0.001, burst=0)
    coupa.get("invoices")
    refused = coupa.get("invoices")
    assert refused.status_code == 429
    assert refused.headers["content-type"].startswith(kind)
    assert coupa.get("invoices", Authorization=f"Bearer {other}").status_code == other_status


def test_u13_time_limit(coupa: Caller) -> None:
    coupa.emulator.configure(latency={"fixed_ms": 300}, request_time_limit_s=0.05)
    assert coupa.get("invoices").status_code == 200
    put(coupa, "U13", "504")
    answer = coupa.get("invoices")
    assert answer.status_code == 504
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.elapsed.total_seconds() < 0.25


def test_u13_the_write_behind_a_504_is_done(coupa: Caller) -> None:
    coupa.emulator.configure(latency={"fixed_ms": 100}, request_time_limit_s=0.02, switches={"U13": "504"})
    assert coupa.send("POST", "suppliers", {"name": "Fishy"}).status_code == 504
    assert len(coupa.emulator.ids("suppliers")) == 1


def test_u14_deep_offsets(coupa: Caller) -> None:
    coupa.emulator.configure(max_offset=10, slow_offset_ms_per_1000=10_000)
    coupa.emulator.load({"departments": [{"id": n, "name": f"D{n}"} for n in range(1, 31)]})

    def deep() -> httpx.Response:
        return coupa.get("departments", {"offset": 20, "limit": 2, "fields": '["id"]'})

    assert deep().json() == [{"id": 21}, {"id": 22}]
    put(coupa, "U14", "slow")
    assert deep().elapsed.total_seconds() >= 0.2
    put(coupa, "U14", "504")
    assert deep().status_code == 504
    put(coupa, "U14", "cap")
    assert deep().status_code == 400
    put(coupa, "U14", "clamp")
    assert deep().json() == [{"id": 11}, {"id": 12}]


def test_u15_keyset(coupa: Caller) -> None:
    days = {1: 3, 2: 1, 3: 2, 4: 4}
    coupa.emulator.load(
        {"departments": [{"id": i, "updated-at": f"2024-01-0{day}T00:00:00Z"} for i, day in days.items()]}
    )
    query = {"id[gt]": 1, "order_by": "id", "dir": "asc", "fields": '["id"]'}

    def ids(query: dict[str, Any]) -> list[int]:
        return [record["id"] for record in coupa.get("departments", query).json()]

    assert ids(query) == [2, 3, 4]
    put(coupa, "U15", "order_ignored")
    assert ids({**query, "id[gt]": 0}) == [2, 3, 1, 4]
    put(coupa, "U15", "filter_ignored")
    assert ids(query) == [1, 2, 3, 4]
    assert ids({"id[gt]": 1, "fields": '["id"]'}) == [2, 3, 4]


def test_u16_letter_case(coupa: Caller) -> None:
    coupa.emulator.load({"suppliers": [{"id": 1, "name": "MÜLLER"}]})
    queries = ({"name": "müller"}, {"name[contains]": "ülle"}, {"name[in]": "x,müller"})
    assert all(len(coupa.get("suppliers", query).json()) == 1 for query in queries)
    put(coupa, "U16", "sensitive")
    assert all(len(coupa.get("suppliers", query).json()) == 0 for query in queries)
    assert len(coupa.get("suppliers", {"name[starts_with]": "MÜ"}).json()) == 1


def test_u17_conditions_on_lines(coupa: Caller) -> None:
    lines = [{"id": 1, "line-num": 1, "description": "red"}, {"id": 2, "line-num": 2, "description": "blue"}]
    coupa.emulator.load({"invoices": [{"id": 5, "invoice-lines": lines}]})
    crossed = {"invoice-lines[line-num]": 1, "invoice-lines[description]": "blue"}
    both = {"invoice-lines[line-num][in]": "1,2"}

    def found(query: dict[str, Any]) -> int:
        return len(coupa.get("invoices", query).json())

    assert (found(crossed), found(both)) == (0, 1)
    put(coupa, "U17", "any_line")
    assert (found(crossed), found(both)) == (1, 1)
    put(coupa, "U17", "duplicates")
    assert (found(crossed), found(both)) == (0, 2)


def test_u18_exported_flag_and_updated_at(coupa: Caller) -> None:
    old = "2024-01-01T00:00:00-08:00"
    coupa.emulator.load({"invoices": [{"id": 5, "updated-at": old}, {"id": 6, "updated-at": old}]})
    coupa.send("PUT", "invoices/5", exported="true")
    put(coupa, "U18", "no")
    coupa.send("PUT", "invoices/6", exported="true")
    moved, unmoved = coupa.emulator.record("invoices", 5), coupa.emulator.record("invoices", 6)
    assert moved is not None
    assert unmoved is not None
    assert moved["exported"] is unmoved["exported"] is True
    assert moved["updated-at"] != old
    assert unmoved["updated-at"] == old
    assert unmoved["last-exported-at"] > old


def test_u19_null(coupa: Caller) -> None:
    coupa.emulator.load({"suppliers": [{"id": 1, "name": "A", "website": "w", "duns": "d"}]})
    assert coupa.send("PUT", "suppliers/1", {"website": None}).json()["website"] is None
    put(coupa, "U19", "ignored")
    assert coupa.send("PUT", "suppliers/1", {"duns": None}).json()["duns"] == "d"


def test_u20_missing_reference(coupa: Caller) -> None:
    coupa.emulator.load(
        {"suppliers": [{"id": 1, "name": "A"}], "payment_terms": [{"id": 4, "code": "Net 30"}]}
    )
    coupa.send("PUT", "suppliers/1", {"payment-term": {"code": "Net 30"}})
    answer = coupa.send("PUT", "suppliers/1", {"payment-term": {"code": "Net 99"}})
    assert answer.status_code == 400
    assert "Unable to find valid PaymentTerm record for payment_term" in answer.text
    put(coupa, "U20", "ignored")
    answer = coupa.send("PUT", "suppliers/1", {"payment-term": {"code": "Net 99"}})
    assert answer.status_code == 200
    assert answer.json()["payment-term"]["code"] == "Net 30"


def test_u21_run_transitions(coupa: Caller) -> None:
    coupa.emulator.load({"integration_runs": [{"id": n, "status": "pending"} for n in (1, 2)]})
    assert coupa.send("PUT", "integration_runs/1/success").json()["status"] == "successful"
    assert coupa.send("PUT", "integration_runs/1/run").status_code == 400
    put(coupa, "U21", "strict")
    assert coupa.send("PUT", "integration_runs/2/success").status_code == 400
    started = coupa.send("PUT", "integration_runs/2/run", {"total_records": 5}).json()
    assert (started["status"], started["total-records"]) == ("started", 5)
    assert coupa.send("PUT", "integration_runs/2/success").json()["end-time"]


def test_u22_answer_of_resolve(coupa: Caller) -> None:
    coupa.emulator.load({"integration_errors": [{"id": 1, "resolved": False}]})
    assert coupa.send("PUT", "integration_errors/1/resolve").json()["resolved"] is True
    put(coupa, "U22", "array")
    (record,) = coupa.send("PUT", "integration_errors/1/unresolve").json()
    assert record["resolved"] is False


def test_u26_showing_an_attachment(coupa: Caller) -> None:
    coupa.emulator.load({"invoices": [{"id": 5}]})
    made = coupa.http.post(
        "/api/invoices/5/attachments",
        headers=coupa.headers(),
        data={"attachment[type]": "file", "attachment[intent]": "Internal"},
        files={"attachment[file]": ("scan.pdf", b"%PDF-1.4 \x00\xff", "application/pdf")},
    )
    assert made.status_code == 201, made.text
    path = f"invoices/5/attachments/{made.json()['id']}"
    assert coupa.get(path).json()["file-file-name"] == "scan.pdf"
    put(coupa, "U26", "binary")
    shown = coupa.get(path, Accept="application/octet-stream")
    assert shown.content == b"%PDF-1.4 \x00\xff"
    assert shown.headers["content-type"] == "application/pdf"
    link = coupa.send("POST", "invoices/5/attachments", {"type": "url", "url": "https://example.com"}).json()
    assert "does not have a file" in coupa.get(f"invoices/5/attachments/{link['id']}").text


@pytest.mark.parametrize(("mode", "text"), [("empty", ""), ("object", '{"id":'), ("text", "Deleted")])
def test_u28_body_of_delete(coupa: Caller, mode: str, text: str) -> None:
    put(coupa, "U28", mode)
    coupa.emulator.load({"budget_lines": [{"id": 1}]})
    answer = coupa.send("DELETE", "budget_lines/1")
    assert answer.status_code == 200
    assert answer.text.startswith(text)
    assert bool(answer.text) == bool(text)
    assert coupa.get("budget_lines/1").status_code == 404


def test_u29_null_keys(coupa: Caller) -> None:
    coupa.emulator.load({"departments": [{"id": 1, "name": None}]})
    assert "name" in coupa.get("departments/1").json()
    put(coupa, "U29", "omitted")
    assert "name" not in coupa.get("departments/1").json()
    assert "name" not in coupa.get("departments").json()[0]
    assert "name" not in (coupa.emulator.record("departments", 1) or {})


def test_u30_both_currencies(coupa: Caller) -> None:
    coupa.emulator.load(
        {
            "exchange_rates": [
                {"from-currency": {"id": 1, "code": "USD"}, "to-currency": {"id": 2, "code": "EUR"}}
            ]
        }
    )
    both = {"from-currency[code]": "USD", "to-currency[code]": "EUR"}
    assert coupa.get("exchange_rates", both).json() == []
    assert len(coupa.get("exchange_rates", {"from-currency[code]": "USD"}).json()) == 1
    assert len(coupa.get("exchange_rates", {"from_currency_id": 1, "to_currency_id": 2}).json()) == 1
    put(coupa, "U30", "and")
    assert len(coupa.get("exchange_rates", both).json()) == 1


def test_u31_alias_of_the_token_endpoint(coupa: Caller) -> None:
    form = {"grant_type": "client_credentials", "client_id": "emulator", "client_secret": "emulator-secret"}
    assert coupa.http.post("/oauth2/access_tokens", data=form).status_code == 200
    put(coupa, "U31", "404")
    assert coupa.http.post("/oauth2/access_tokens", data=form).status_code == 404
    assert coupa.http.post("/oauth2/token", data=form).status_code == 200


@pytest.mark.parametrize("status", ["401", "400", "403"])
def test_u32_deactivated_client_and_revoked_token(coupa: Caller, status: str) -> None:
    put(coupa, "U32", status)
    coupa.emulator.add_client("leaving", "secret")
    form = {"client_id": "leaving", "client_secret": "secret"}
    bearer = coupa.token(**form).json()["access_token"]
    coupa.emulator.deactivate_client("leaving")
    assert coupa.token(**form).status_code == int(status)
    assert coupa.get("invoices", Authorization=f"Bearer {bearer}").status_code == int(status)
    coupa.emulator.revoke_tokens()
    assert coupa.get("invoices").status_code == int(status)


def test_u33_scope_text(coupa: Caller) -> None:
    assert "scope" in coupa.token().json()
    put(coupa, "U33", "absent")
    assert "scope" not in coupa.token().json()


def test_u34_wrapped_payload(coupa: Caller) -> None:
    wrapped = {"supplier": {"name": "Fishy"}}
    assert coupa.send("POST", "suppliers", wrapped).status_code == 400
    put(coupa, "U34", "accepted")
    assert coupa.send("POST", "suppliers", wrapped).json()["name"] == "Fishy"
