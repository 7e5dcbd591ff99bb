"""Calls beyond reading and writing: which are served, when they are legal, and what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coupa_provider.emulator import Emulator
from coupa_provider.resources import find_resource
from coupa_provider.resources.actions import Action, actions_of, all_actions

if TYPE_CHECKING:
    import httpx

    from tests.emulator.conftest import Caller

# Their bodies are not documented, or what they do happens outside of what an API shows.
NOT_SERVED = {
    "asset_tags bulk_update",
    "contracts update_legal_agreement_published",
    "data_file_sources load_files",
    "data_file_sources load_from_coupa_file_service",
    "data_file_sources validate_api_key",
    "expense_lines/expense_artifacts update_with_ocr_response",
    "expense_reports send_back_line",
    "pick_lists update_fulfillments",
    "receipt_requests add_watcher",
    "receipt_requests remove_watcher",
    "requisitions schedule_issuance",
    "requisitions unschedule_issuance",
    "suppliers create_supplier_user_preferences",
    "suppliers supplier_user_integration_contacts_add",
    "suppliers supplier_user_integration_contacts_remove",
    "suppliers sync_supplier_user_locale",
}
NOT_SERVED_RESOURCES = ("business_groups", "easy_form_responses")
# Tested with integrations and with files.
ELSEWHERE = ("integration_runs", "integration_errors", "integration_history_records")
ELSEWHERE_NAMES = (
    "attach", "avatar", "image_scan", "legal_agreement", "load_file", "load_from_sftp",
)  # fmt: skip

QUERIES = {"add_approver": {"approver_id": 1}}
BODIES: dict[str, dict[str, Any]] = {
    "accounts validate_account": {"id": 1},
    "budget_lines adjust": {"adjustment-amount": "-10.50"},
    "invoices dispute": {"dispute-reason": {"code": "price"}, "comment": "Too dear"},
}
# Words that the emulator uses where the documents list no statuses.
WORDS = (
    None, "draft", "pending_approval", "approved", "published", "pending_signature", "created",
    "soft_closed_for_invoicing", "soft_closed_for_receiving", "pending_receipt",
)  # fmt: skip


def name_of(action: Action) -> str:
    return f"{action.resource} {action.name}"


def is_elsewhere(action: Action) -> bool:
    return action.resource in ELSEWHERE or action.name in ELSEWHERE_NAMES


def is_served(action: Action) -> bool:
    return name_of(action) not in NOT_SERVED and not action.resource.endswith(NOT_SERVED_RESOURCES)


ACTIONS = [action for action in all_actions() if not is_elsewhere(action)]
SERVED = [action for action in ACTIONS if is_served(action)]


def statuses_of(resource: str) -> tuple[str | None, ...]:
    status = find_resource(resource).attributes.get("status")
    return status.allowed if status is not None and status.allowed else WORDS


def errors(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 400, answer.text
    (messages,) = answer.json()["errors"].values()
    return list(messages)


def load(coupa: Caller, resource: str, record: dict[str, Any]) -> None:
    path = "/".join("1" if part.startswith(":") else part for part in resource.split("/"))
    coupa.emulator.load({path: [record]})


def send(coupa: Caller, action: Action, record_id: int = 7) -> httpx.Response:
    parts = [str(record_id) if part == ":id" else part for part in action.path.strip("/").split("/")]
    path = "/".join("1" if part.startswith(":") else part for part in parts)
    body, query = BODIES.get(name_of(action)), QUERIES.get(action.name, {})
    if not path.startswith("qualitycollaboration"):
        return coupa.send(action.method, path, body, **query)
    headers = {**coupa.headers(), "Content-Type": "application/json"}
    return coupa.http.request(action.method, f"/{path}", headers=headers)


@pytest.fixture
def stocked(coupa: Caller) -> Caller:
    coupa.emulator.load(
        {
            "users": [{"id": 1, "login": "ap"}, {"id": 2, "login": "cfo"}],
            "accounts": [{"id": 1, "code": "SF-1"}],
            "contracts": [{"id": 1, "name": "Rent", "status": "draft"}],
        }
    )
    return coupa


@pytest.fixture
def invoice(stocked: Caller) -> dict[str, Any]:
    load(stocked, "suppliers", {"id": 17, "name": "Fishy"})
    made = stocked.send("POST", "invoices", {"invoice-number": "A-1", "supplier": {"id": 17}})
    assert made.status_code == 201
    return made.json()


def approvals_of(coupa: Caller, kind: str, document_id: int, status: str = "pending_approval") -> list[int]:
    query = {"approvable-type": kind, "approvable-id": document_id, "status": status}
    return coupa.ids("approvals", query)


class TestEveryAction:
    @pytest.mark.parametrize("action", SERVED, ids=name_of)
    def test_is_served_in_some_status(self, stocked: Caller, action: Action) -> None:
        answers = []
        for status in statuses_of(action.resource):
            load(stocked, action.resource, {"id": 7, "name": "X", "status": status})
            if action.name == "remove_approval":
                add = next(one for one in actions_of(action.resource) if one.name == "add_approver")
                send(stocked, add)
            answers.append(send(stocked, action))
        codes = {answer.status_code for answer in answers}
        good = next(answer for answer in answers if answer.status_code < 300)
        assert codes <= {200, 201, 400}
        if action.name == "award":
            assert (good.status_code, good.content) == (200, b"")
        else:
            assert good.status_code == (201 if action.method == "POST" else 200)
            assert good.json()["id"]

    @pytest.mark.parametrize("action", [action for action in ACTIONS if not is_served(action)], ids=name_of)
    def test_or_says_that_it_is_not_served(self, stocked: Caller, action: Action) -> None:
        load(stocked, action.resource, {"id": 7, "name": "X"})
        load(stocked, "suppliers", {"id": 1, "name": "Fishy"})
        load(stocked, "supplier_information", {"id": 1})
        answer = send(stocked, action)
        assert answer.status_code == 404
        assert "not served by this emulator" in answer.text

    @pytest.mark.parametrize("action", [action for action in SERVED if ":id" in action.path], ids=name_of)
    def test_needs_a_record(self, stocked: Caller, action: Action) -> None:
        assert send(stocked, action, 999).status_code == 404

    @pytest.mark.parametrize("action", SERVED, ids=name_of)
    def test_reaches_no_undocumented_status_and_refusals_change_nothing(
        self, stocked: Caller, action: Action
    ) -> None:
        attribute = find_resource(action.resource).attributes.get("status")
        for status in statuses_of(action.resource):
            load(stocked, action.resource, {"id": 7, "name": "X", "status": status})
            before = stocked.emulator.record(action.resource, 7)
            answer = send(stocked, action)
            after = stocked.emulator.record(action.resource, 7)
            if answer.status_code == 400:
                assert after == before
            elif attribute is not None and attribute.allowed:
                assert after["status"] in attribute.allowed
            if answer.status_code == 400 and action.allowed_from:
                assert status not in action.allowed_from
            if status in action.forbidden_from or (action.allowed_from and status not in action.allowed_from):
                assert answer.status_code == 400
            if answer.status_code < 300 and action.leads_to and ":id" in action.path:
                assert after["status"] == action.leads_to

    @pytest.mark.parametrize("method", ["PUT", "PATCH"])
    @pytest.mark.parametrize("call", ["payables/orders/7/ready_to_pay", "payables/invoices/7/pay_externally"])
    def test_twins_do_the_same(self, stocked: Caller, method: str, call: str) -> None:
        load(stocked, call.partition("/7")[0], {"id": 7, "status": "created"})
        assert stocked.send(method, call).json()["status"] == call.rpartition("/")[2].replace("pay_", "paid_")

    def test_answers_and_refusals_come_in_xml_too(self, stocked: Caller, invoice: dict[str, Any]) -> None:
        stocked.accept = "application/xml"
        voided = stocked.send("PUT", f"invoices/{invoice['id']}/void")
        assert "<status>voided</status>" in voided.text
        refused = stocked.send("PUT", f"invoices/{invoice['id']}/void")
        assert refused.status_code == 400
        assert "<errors><error>" in refused.text

    def test_the_answer_is_shaped_as_asked(self, stocked: Caller) -> None:
        load(stocked, "projects", {"id": 7})
        assert stocked.send("POST", "projects/7/planned", return_object="none").content == b""
        answer = stocked.send("POST", "projects/7/complete", fields='["id","status"]')
        assert answer.json() == {"id": 7, "status": "completed"}
        assert stocked.send("POST", "projects/7/draft", return_object="limited").json() == {"id": 7}

    def test_arguments_are_no_query(self, stocked: Caller, invoice: dict[str, Any]) -> None:
        made = stocked.send("PUT", f"invoices/{invoice['id']}/submit", comment="unknown", reason="x")
        assert made.status_code == 200


class TestInvoices:
    def test_a_submitted_invoice_is_approved_by_its_last_approval(
        self, stocked: Caller, invoice: dict[str, Any]
    ) -> None:
        path = f"invoices/{invoice['id']}"
        submitted = stocked.send("PUT", f"{path}/submit").json()
        assert submitted["status"] == "pending_approval"
        assert submitted["lock-version-key"] == invoice["lock-version-key"]
        assert stocked.send("PUT", f"{path}/add_approver", approver_id=2).status_code == 200
        first, second = approvals_of(stocked, "InvoiceHeader", invoice["id"])
        assert stocked.get(f"approvals/{second}").json()["approver"]["login"] == "cfo"
        assert stocked.send("PUT", f"approvals/{first}/approve").json()["status"] == "approved"
        assert stocked.get(path).json()["status"] == "pending_approval"
        approved = stocked.send("PUT", f"approvals/{second}/approve").json()
        assert approved["approval-date"]
        assert approved["approved-by"]["login"] == "ap"
        after = stocked.get(path).json()
        assert after["status"] == "approved"
        assert [one["status"] for one in after["approvals"]] == ["approved", "approved"]

    def test_a_rejected_invoice_can_be_submitted_again(
        self, stocked: Caller, invoice: dict[str, Any]
    ) -> None:
        path = f"invoices/{invoice['id']}"
        stocked.send("PUT", f"{path}/submit")
        stocked.send("PUT", f"{path}/add_approver", approver_id=2)
        first, _ = approvals_of(stocked, "InvoiceHeader", invoice["id"])
        answer = stocked.send("PUT", f"approvals/{first}/reject", reason="Too dear & late")
        assert (answer.json()["status"], answer.json()["note"]) == ("rejected", "Too dear & late")
        assert stocked.get(path).json()["status"] == "rejected"
        assert approvals_of(stocked, "InvoiceHeader", invoice["id"]) == [], "nobody else need be asked"
        assert stocked.send("PUT", f"{path}/submit").json()["status"] == "pending_approval"
        assert len(approvals_of(stocked, "InvoiceHeader", invoice["id"])) == 1

    def test_what_is_not_pending_cannot_be_answered(self, stocked: Caller, invoice: dict[str, Any]) -> None:
        stocked.send("PUT", f"invoices/{invoice['id']}/submit")
        (approval,) = approvals_of(stocked, "InvoiceHeader", invoice["id"])
        assert stocked.send("PUT", f"approvals/{approval}/hold").json()["status"] == "on_hold"
        assert errors(stocked.send("PUT", f"approvals/{approval}/hold"))
        assert stocked.send("PUT", f"approvals/{approval}/approve").status_code == 200
        for call in ("approve", "reject", "hold"):
            (message,) = errors(stocked.send("PUT", f"approvals/{approval}/{call}"))
            assert message == "Approval is not pending but approved"

    def test_a_voided_invoice_is_exported_once_more(self, stocked: Caller, invoice: dict[str, Any]) -> None:
        path = f"invoices/{invoice['id']}"
        stocked.send("PUT", path, exported="true")
        voided = stocked.send("PUT", f"{path}/void").json()
        assert (voided["status"], voided["canceled"], voided["exported"]) == ("voided", True, False)
        assert stocked.ids("invoices", {"exported": "false"}) == [invoice["id"]]
        assert errors(stocked.send("PUT", f"{path}/void")) == ["Status cannot change from voided by void"]

    def test_a_dispute_has_a_reason_and_a_comment(self, stocked: Caller, invoice: dict[str, Any]) -> None:
        path = f"invoices/{invoice['id']}"
        assert errors(stocked.send("PUT", f"{path}/dispute"))
        stocked.send("PUT", f"{path}/submit")
        body = {"dispute-reason": {"code": "price"}, "comment": "Too dear"}
        disputed = stocked.send("PUT", f"{path}/dispute", body).json()
        assert disputed["status"] == "disputed"
        assert [reason["code"] for reason in disputed["dispute-reasons"]] == ["price"]
        (comment,) = stocked.get(f"{path}/comments").json()
        assert comment["comments"] == "Too dear"
        withdrawn = stocked.send("PUT", f"{path}/withdraw_dispute").json()
        assert (withdrawn["status"], withdrawn["dispute-reasons"]) == ("pending_approval", [])
        assert errors(stocked.send("PUT", f"{path}/withdraw_dispute"))

    def test_approvals_are_bypassed_and_restarted(self, stocked: Caller, invoice: dict[str, Any]) -> None:
        path = f"invoices/{invoice['id']}"
        assert errors(stocked.send("PUT", f"{path}/bypass_approvals"))
        stocked.send("PUT", f"{path}/submit")
        stocked.send("PUT", f"{path}/add_approver", approver_id=2)
        assert stocked.send("PUT", f"{path}/bypass_current_approval").json()["status"] == "pending_approval"
        assert len(approvals_of(stocked, "InvoiceHeader", invoice["id"])) == 1
        restarted = stocked.send("PUT", f"{path}/restart_approvals").json()
        assert [one["status"] for one in restarted["approvals"]] == ["pending_approval"]
        assert stocked.send("PUT", f"{path}/bypass_approvals").json()["status"] == "approved"

    def test_approvers_come_and_go(self, stocked: Caller, invoice: dict[str, Any]) -> None:
        path = f"invoices/{invoice['id']}"
        for wanted in ({}, {"approver_id": "x"}, {"approver_id": 99}):
            (message,) = errors(stocked.send("PUT", f"{path}/add_approver", **wanted))
            assert "There is no user with approver_id" in message
        stocked.send("PUT", f"{path}/add_approver", approver_id=2)
        assert stocked.send("PUT", f"{path}/submit").json()["approvals"][0]["approver"]["id"] == 2
        stocked.send("PUT", f"{path}/add_approver", approver_id=1)
        assert errors(stocked.send("PUT", f"{path}/remove_approval", approver_id=99))
        left = stocked.send("PUT", f"{path}/remove_approval", approver_id=2).json()
        assert [one["approver"]["id"] for one in left["approvals"]] == [1]
        approved = stocked.send("PUT", f"{path}/remove_approval", approval_id=left["approvals"][0]["id"])
        assert approved.json()["status"] == "approved", "there is nobody left to ask"

    def test_accounts_of_lines_are_changed(self, stocked: Caller, invoice: dict[str, Any]) -> None:
        path = f"invoices/{invoice['id']}"
        line = {"description": "Bulbs", "price": "1.00", "quantity": "1"}
        made = stocked.send("PUT", path, {"invoice-lines": [line]}).json()
        changed = {"id": made["invoice-lines"][0]["id"], "account": {"id": 1}}
        answer = stocked.send("PUT", f"{path}/update_line_accounts", {"invoice-lines": [changed]})
        assert answer.json()["invoice-lines"][0]["account"]["code"] == "SF-1"

    def test_a_notice_is_made_of_an_invoice(self, stocked: Caller, invoice: dict[str, Any]) -> None:
        assert stocked.send("PUT", f"invoices/{invoice['id']}/flip_to_advance_ship_notice").status_code == 200
        (notice,) = stocked.get("asn/headers").json()
        assert notice["supplier"]["id"] == 17


class TestRequisitions:
    @pytest.mark.parametrize(
        "call", ["requisitions/submit_for_approval", "requisitions/new/submit_for_approval"]
    )
    def test_both_spellings_create_and_submit(self, stocked: Caller, call: str) -> None:
        made = stocked.send("POST", call, {"requisition-lines": [{"description": "Bulbs"}]})
        assert made.status_code == 201
        assert made.json()["status"] == "pending_approval"
        assert made.json()["current-approval"]["approver"]["login"] == "ap"
        (approval,) = approvals_of(stocked, "RequisitionHeader", made.json()["id"])
        stocked.send("PUT", f"approvals/{approval}/approve")
        after = stocked.get(f"requisitions/{made.json()['id']}").json()
        assert (after["status"], after["current-approval"]) == ("approved", None)

    def test_a_rejected_one_is_a_draft_with_a_reason(self, stocked: Caller) -> None:
        made = stocked.send("POST", "requisitions/submit_for_approval", {}).json()
        (approval,) = approvals_of(stocked, "RequisitionHeader", made["id"])
        stocked.send("PUT", f"approvals/{approval}/reject", reason="No budget")
        after = stocked.get(f"requisitions/{made['id']}").json()
        assert (after["status"], after["reject-reason-comment"]) == ("draft", "No budget")
        changed = {"requisition-lines": [{"description": "Cheap bulbs"}]}
        again = stocked.send("PUT", f"requisitions/{made['id']}/update_and_submit_for_approval", changed)
        assert again.json()["status"] == "pending_approval"
        assert again.json()["requisition-lines"][0]["description"] == "Cheap bulbs"
        assert errors(stocked.send("PUT", f"requisitions/{made['id']}/update_and_submit_for_approval"))

    def test_the_cart_takes_lines_until_it_is_saved_for_later(self, stocked: Caller) -> None:
        assert stocked.get("requisitions/current_cart").status_code == 404
        line = {"requisition-lines": [{"description": "Bulbs"}]}
        cart = stocked.send("POST", "requisitions/add_to_cart", line).json()
        assert cart["status"] == "cart"
        more = stocked.send("POST", "requisitions/add_to_cart", line).json()
        assert more["id"] == cart["id"]
        assert len(more["requisition-lines"]) == 2
        assert stocked.get("requisitions/current_cart").json()["id"] == cart["id"]
        saved = stocked.send("PUT", f"requisitions/{cart['id']}/save_for_later").json()
        assert saved["status"] == "draft"
        assert errors(stocked.send("PUT", f"requisitions/{cart['id']}/save_for_later"))
        assert stocked.get("requisitions/current_cart").status_code == 404

    def test_what_is_inactive_cannot_be_named(self, stocked: Caller) -> None:
        stocked.emulator.load(
            {
                "users": [{"id": 5, "login": "gone", "active": False}],
                "suppliers": [{"id": 5, "name": "Closed", "status": "inactive"}],
                "currencies": [{"id": 5, "code": "DEM", "enabled": False}],
            }
        )
        for call in ("requisitions", "requisitions/submit_for_approval"):
            body = {
                "requested-by": {"login": "gone"},
                "requisition-lines": [
                    {"description": "Bulbs", "supplier": {"id": 5}},
                    {"description": "Bulbs", "currency": {"code": "DEM"}},
                ],
            }
            messages = errors(stocked.send("POST", call, body))
            assert len(messages) == 3
            assert all(message.startswith("Unable to find valid") for message in messages)
        assert stocked.emulator.ids("requisitions") == []
        load(stocked, "currencies", {"id": 5, "code": "DEM", "enabled": True})
        lines = [{"description": "Bulbs", "currency": {"code": "DEM"}}]
        assert stocked.send("POST", "requisitions", {"requisition-lines": lines}).status_code == 201
        order = stocked.send("POST", "purchase_orders", {"supplier": {"id": 5}})
        assert order.status_code == 201, "documented for requisitions only"


class TestOthers:
    def test_a_voided_receipt_is_exported_once_more(self, stocked: Caller) -> None:
        load(stocked, "receiving_transactions", {"id": 7, "status": "created", "exported": True})
        voided = stocked.send("PUT", "receiving_transactions/7/void").json()
        assert (voided["status"], voided["exported"]) == ("voided", False)
        assert stocked.ids("receiving_transactions", {"exported": "false"}) == [7]
        assert errors(stocked.send("PUT", "receiving_transactions/7/void"))

    def test_a_line_is_closed_softly_where_it_stands_and_in_its_order(self, stocked: Caller) -> None:
        load(stocked, "suppliers", {"id": 17, "name": "Fishy"})
        body = {"supplier": {"id": 17}, "order-lines": [{"description": "Bulbs"}]}
        order = stocked.send("POST", "purchase_orders", body).json()
        line_id = order["order-lines"][0]["id"]
        closed = stocked.send("PUT", f"purchase_order_lines/{line_id}/soft_close_for_receiving").json()
        shown = stocked.get(f"purchase_orders/{order['id']}").json()["order-lines"][0]
        assert closed["status"] == shown["status"] == "soft_closed_for_receiving"
        assert errors(stocked.send("PUT", f"purchase_order_lines/{line_id}/reopen_for_invoicing"))
        opened = stocked.send("PUT", f"purchase_order_lines/{line_id}/reopen_for_receiving").json()
        assert opened["status"] == "created"

    def test_a_rejected_expense_report_says_why(self, stocked: Caller) -> None:
        load(stocked, "expense_reports", {"id": 7, "status": "draft"})
        assert stocked.send("PUT", "expense_reports/7/submit").json()["submitted-at"]
        (approval,) = approvals_of(stocked, "ExpenseReport", 7)
        stocked.send("PUT", f"approvals/{approval}/reject", reason="No receipt")
        after = stocked.get("expense_reports/7").json()
        assert (after["status"], after["reject-reason"]) == ("rejected", "No receipt")

    def test_a_receipt_request_is_withdrawn(self, stocked: Caller) -> None:
        load(stocked, "receipt_requests", {"id": 7, "status": "draft"})
        assert stocked.send("POST", "receipt_requests/7/submit").json()["status"] == "pending_approval"
        assert stocked.send("POST", "receipt_requests/7/withdraw").json()["status"] == "withdrawn"
        assert approvals_of(stocked, "ReceiptRequest", 7) == []

    def test_a_budget_line_is_adjusted_by_a_number(self, stocked: Caller) -> None:
        load(stocked, "budget_lines", {"id": 7, "amount": "100.00"})
        body = {"adjustment-amount": "-10.50"}
        assert stocked.send("PUT", "budget_lines/7/adjust", body).json()["amount"] == "89.50"
        for wrong in ({}, {"adjustment-amount": "lots"}):
            assert errors(stocked.send("PUT", "budget_lines/7/adjust", wrong))

    def test_a_chart_is_copied_under_another_name(self, stocked: Caller) -> None:
        load(stocked, "account_types", {"id": 7, "name": "Ace"})
        first = stocked.send("POST", "account_types/7/copy").json()
        second = stocked.send("POST", "account_types/7/copy").json()
        assert len({7, first["id"], second["id"]}) == len({"Ace", first["name"], second["name"]}) == 3

    def test_an_account_is_checked(self, stocked: Caller) -> None:
        assert stocked.send("POST", "accounts/validate_account", {"code": "SF-1"}).json()["id"] == 1
        assert errors(stocked.send("POST", "accounts/validate_account", {"code": "SF-9"}))

    def test_payables_are_exported_and_paid(self, stocked: Caller) -> None:
        load(stocked, "payables/invoices", {"id": 7})
        assert stocked.send("PATCH", "payables/invoices/7/export").json()["last-exported-at"]
        paid = stocked.send("PUT", "payables/invoices/7/pay_externally").json()
        assert paid["paid-date"]


class TestCommentsAndTasks:
    def test_a_comment_stands_below_its_document_and_on_its_own(
        self, stocked: Caller, invoice: dict[str, Any]
    ) -> None:
        below = f"invoices/{invoice['id']}/comments"
        first = stocked.send("POST", below, {"comments": "Hello @[User:2]"}).json()
        assert (first["commentable-type"], first["commentable-id"]) == ("InvoiceHeader", invoice["id"])
        body = {"comments": "Again", "commentable-type": "InvoiceHeader", "commentable-id": invoice["id"]}
        second = stocked.send("POST", "comments", body).json()
        ids = [first["id"], second["id"]]
        assert stocked.ids(below, {}) == stocked.ids("comments", {}) == ids
        assert stocked.get(f"comments/{ids[0]}").json() == first
        assert stocked.get(f"{below}/{ids[1]}").json() == second
        changed = stocked.send("PUT", f"{below}/{ids[0]}", {"comments": "Bye"}).json()
        assert stocked.get(f"comments/{ids[0]}").json() == changed

    def test_comments_of_several_documents_do_not_meet(
        self, stocked: Caller, invoice: dict[str, Any]
    ) -> None:
        load(stocked, "requisitions", {"id": invoice["id"], "status": "draft"})
        paths = [f"{path}/{invoice['id']}/comments" for path in ("invoices", "requisitions", "invoices")]
        ids = [stocked.send("POST", path, {"comments": path}).json()["id"] for path in paths]
        assert len(set(ids)) == 3
        assert stocked.ids(paths[0], {}) == [ids[0], ids[2]]
        assert stocked.ids(paths[1], {}) == [ids[1]]
        assert stocked.ids("comments", {}) == ids

    def test_a_comment_on_what_is_nowhere_stands_alone(self, stocked: Caller) -> None:
        body = {"comments": "?", "commentable-type": "Unheard", "commentable-id": 1}
        assert stocked.send("POST", "comments", body).status_code == 201
        assert stocked.send("POST", "comments", {"comments": "!"}).status_code == 201

    def test_a_task_is_deleted_in_both_places(self, stocked: Caller) -> None:
        load(stocked, "projects", {"id": 7})
        made = stocked.send("POST", "projects/7/tasks", {"title": "Dig"}).json()
        assert (made["linkable-type"], made["linkable-id"]) == ("Project", 7)
        assert stocked.get(f"tasks/{made['id']}").json() == made
        assert stocked.send("DELETE", f"tasks/{made['id']}").status_code == 200
        assert stocked.ids("projects/7/tasks", {}) == []

    def test_seeded_comments_are_not_overwritten(self, caller: type[Caller]) -> None:
        with Emulator(seed=7, scale=0.05, rate_limit=None) as emulator:
            coupa = caller(emulator)
            before = set(coupa.ids("comments", {}))
            made = coupa.send("POST", f"invoices/{emulator.ids('invoices')[0]}/comments", {"comments": "x"})
            assert set(coupa.ids("comments", {})) == before | {made.json()["id"]}
            assert made.json()["id"] not in before


STEPS = st.lists(
    st.sampled_from(
        [
            *(("invoices", one.name) for one in actions_of("invoices") if one.name != "image_scan"),
            *(("purchase_orders", one.name) for one in actions_of("purchase_orders")),
            *(("approvals", one.name) for one in actions_of("approvals")),
        ]
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, pick=st.integers(0, 3))
def test_no_sequence_leaves_the_documented_statuses(
    module_emulator: Emulator, caller: type[Caller], steps: list[tuple[str, str]], pick: int
) -> None:
    module_emulator.reset()
    coupa = caller(module_emulator)
    module_emulator.load(
        {
            "users": [{"id": 1, "login": "ap"}],
            "invoices": [{"id": 7, "status": "draft"}],
            "purchase_orders": [{"id": 7, "status": "draft"}],
        }
    )
    words = {
        path: set(find_resource(path).attributes["status"].allowed)
        for path in ("invoices", "purchase_orders")
    }
    words["approvals"] = {"pending_approval", "on_hold", "approved", "rejected"}
    for path, call in steps:
        ids = module_emulator.ids(path)
        if not ids:
            continue
        record_id = ids[pick % len(ids)]
        state = {one: [module_emulator.record(one, i) for i in module_emulator.ids(one)] for one in words}
        query = {"approver_id": 1} if call == "add_approver" else {}
        answer = coupa.send("PUT", f"{path}/{record_id}/{call}", **query)
        after = {one: [module_emulator.record(one, i) for i in module_emulator.ids(one)] for one in words}
        assert answer.status_code in (200, 400), answer.text
        if answer.status_code == 400:
            assert after == state
        for one, records in after.items():
            assert {record["status"] for record in records} <= words[one]
        waiting = {"pending_approval", "on_hold"} & {record["status"] for record in after["approvals"]}
        assert not waiting or after["invoices"][0]["status"] not in (
            "approved", "voided", "abandoned", "rejected",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("call", "scope"),
    [
        ("submit", "core.invoice.write"),
        ("void", "core.invoice.delete"),
        ("abandon", "core.invoice.delete"),
        ("add_approver", "core.invoice.approval.write"),
        ("bypass_approvals", "core.invoice.approval.bypass"),
    ],
)
def test_some_calls_about_invoices_need_a_scope_of_their_own(
    module_emulator: Emulator, caller: type[Caller], call: str, scope: str
) -> None:
    module_emulator.reset()
    module_emulator.load({"users": [{"id": 1, "login": "ap"}]})
    coupa = caller(module_emulator)
    for granted in ("core.invoice.write", "core.invoice.delete", scope):
        status = "pending_approval" if call == "bypass_approvals" else "draft"
        module_emulator.load({"invoices": [{"id": 7, "status": status}]})
        coupa.authorize(scope=granted)
        answer = coupa.send("PUT", f"invoices/7/{call}", approver_id=1)
        assert answer.status_code == (200 if granted == scope else 403)
