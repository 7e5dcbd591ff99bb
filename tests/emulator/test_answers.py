"""The shape of answers: fields, return_object, saved filters, XML, paths and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from coupa_provider.emulator.api import wants_xml
from coupa_provider.emulator.xml import record_to_xml, singular
from coupa_provider.resources import find_resource, resource_paths

if TYPE_CHECKING:
    from tests.emulator.conftest import Caller

XML = "application/xml"


class TestFields:
    def test_only_what_is_named(self, seeded: Caller) -> None:
        query = {"limit": 1, "fields": '["id",{"invoice_lines":["id","line_num"]},{"custom_fields":{}}]'}
        (record,) = seeded.get("invoices", query).json()
        assert set(record) == {"id", "invoice-lines", "custom-fields"}
        assert all(set(line) == {"id", "line-num"} for line in record["invoice-lines"])

    def test_the_id_is_not_added(self, seeded: Caller) -> None:
        assert seeded.get("invoices", {"limit": 1, "fields": '["status"]'}).json()[0].keys() == {"status"}

    def test_below_a_reference_the_other_record_is_looked_up(self, seeded: Caller) -> None:
        query = {"limit": 1, "fields": '[{"supplier":["id",{"primary_contact":["email"]}]}]'}
        (record,) = seeded.get("invoices", query).json()
        supplier = seeded.emulator.record("suppliers", record["supplier"]["id"]) or {}
        assert record["supplier"]["primary-contact"] == {"email": supplier["primary-contact"]["email"]}

    def test_on_one_record_and_on_a_write(self, coupa: Caller) -> None:
        coupa.emulator.load({"invoices": [{"id": 25, "exported": False}]})
        fields = '["id","exported"]'
        assert coupa.get("invoices/25", {"fields": fields}).json() == {"id": 25, "exported": False}
        answer = coupa.send("PUT", "invoices/25", exported="true", fields=fields)
        assert answer.json() == {"id": 25, "exported": True}

    @pytest.mark.parametrize(
        "fields",
        [
            '["id","updated-at","status"]',
            '["id",{"supplier":["name"]},{"custom_fields":{}},"zork","erp-batch"]',
            '["currency",{"invoice-lines":["id",{"account":["code"]}]},{"invoice-lines":{}}]',
            "[]",
        ],
    )
    def test_the_short_way_for_lists_answers_what_the_long_way_for_one_does(
        self, seeded: Caller, fields: str
    ) -> None:
        for shown, record_id in zip(
            seeded.get("invoices", {"fields": fields, "limit": 5}).json(),
            seeded.emulator.ids("invoices"),
            strict=False,
        ):
            assert shown == seeded.get(f"invoices/{record_id}", {"fields": fields}).json()


class TestReturnObject:
    def test_limited(self, seeded: Caller) -> None:
        assert all(set(r) == {"id"} for r in seeded.get("invoices", {"return_object": "limited"}).json())

    def test_shallow(self, seeded: Caller) -> None:
        (record,) = seeded.get("invoices", {"return_object": "shallow", "limit": 1}).json()
        assert set(record["invoice-lines"][0]) == {"id"}
        assert set(record["supplier"]) == {"id", "name", "number"}
        assert record["invoice-number"]

    def test_none_on_writes(self, coupa: Caller) -> None:
        answer = coupa.send("POST", "suppliers", {"name": "A"}, return_object="none")
        assert (answer.status_code, answer.content) == (201, b"")


class TestSavedFilters:
    def test_chooses_attributes_not_rows(self, coupa: Caller) -> None:
        coupa.emulator.load({"suppliers": [{"id": 1, "name": "A"}, {"id": 2, "name": "B"}]})
        coupa.emulator.configure(api_filters={"slim": ["id", "name"]}, default_filters={"suppliers": "slim"})
        slim = [{"id": 1, "name": "A"}, {"id": 2, "name": "B"}]
        assert coupa.get("suppliers", {"filter": "slim"}).json() == slim
        assert coupa.get("suppliers").json() == slim
        assert coupa.get("suppliers", {"fields": '["id"]'}).json() == [{"id": 1}, {"id": 2}]

    def test_the_seeded_name(self, seeded: Caller) -> None:
        query = {"filter": "default_purchase_orders_filter", "limit": 1}
        (record,) = seeded.get("purchase_orders", query).json()
        assert "order-lines" not in record
        assert record["po-number"]


class TestXml:
    def test_it_is_what_comes_without_accept(self) -> None:
        assert wants_xml(None)
        assert wants_xml("*/*")
        assert not wants_xml("application/octet-stream, application/json, application/xml")

    @pytest.mark.parametrize("accept", [XML, "*/*"])
    def test_a_list(self, seeded: Caller, accept: str) -> None:
        answer = seeded.get("invoices", {"limit": 2}, Accept=accept)
        assert answer.headers["content-type"].startswith(XML)
        root = ElementTree.fromstring(answer.content)
        assert (root.tag, root.get("type")) == ("invoice-headers", "array")
        assert [child.tag for child in root] == ["invoice-header"] * 2
        first = root[0]
        assert (first.findtext("id"), first.find("id").get("type")) == (
            str(seeded.emulator.ids("invoices")[0]),
            "integer",
        )  # type: ignore[union-attr]
        assert first.find("gross-total").get("type") == "decimal"  # type: ignore[union-attr]
        assert first.find("exported").get("type") == "boolean"  # type: ignore[union-attr]
        assert first.find("invoice-lines").get("type") == "array"  # type: ignore[union-attr]
        assert first.find("invoice-lines")[0].tag == "invoice-line"  # type: ignore[index]
        assert first.find("contract").get("nil") == "true"  # type: ignore[union-attr]

    def test_one(self, seeded: Caller) -> None:
        answer = seeded.get(f"purchase_orders/{seeded.emulator.ids('purchase_orders')[0]}", Accept=XML)
        assert ElementTree.fromstring(answer.content).tag == "order-header"

    def test_nothing_found_is_404(self, seeded: Caller) -> None:
        answer = seeded.get("invoices", {"id": 0}, Accept=XML)
        assert answer.status_code == 404
        error = ElementTree.fromstring(answer.content).findtext("error")
        assert error == "No results match your search criteria."
        assert seeded.get("invoices", {"id": 0}).json() == []

    def test_errors(self, seeded: Caller) -> None:
        answer = seeded.get("invoices", {"zork": 1}, Accept=XML)
        assert answer.status_code == 400
        assert "zork" in (ElementTree.fromstring(answer.content).findtext("error") or "")

    def test_every_seeded_value_survives(self, seeded: Caller) -> None:
        for path in ("suppliers", "expense_reports", "contracts"):
            records = seeded.get(path, {"limit": 20}).json()
            root = ElementTree.fromstring(seeded.get(path, {"limit": 20}, Accept=XML).content)
            for record, element in zip(records, root, strict=True):
                for name, value in record.items():
                    if isinstance(value, str):
                        assert (element.findtext(name) or "").split() == value.split()

    def test_what_xml_cannot_hold_is_left_out(self) -> None:
        text = record_to_xml({"id": 1, "name": "a\x00<b>&", "odd name": 1}, "departments", "Department")
        root = ElementTree.fromstring(text)
        assert root.findtext("name") == "a<b>&"
        assert root.findtext("odd-name") == "1"

    @pytest.mark.parametrize(
        ("plural", "one"),
        [
            ("currencies", "currency"),
            ("addresses", "address"),
            ("invoice-headers", "invoice-header"),
            ("taxes", "tax"),
        ],
    )
    def test_singular(self, plural: str, one: str) -> None:
        assert singular(plural) == one


class TestPaths:
    def test_a_search_by_id_is_a_list(self, seeded: Caller) -> None:
        first = seeded.emulator.ids("invoices")[0]
        assert isinstance(seeded.get("invoices", {"id": first}).json(), list)
        assert seeded.get(f"invoices/{first}").json()["id"] == first

    def test_an_unknown_path_gets_the_page_that_people_get(self, seeded: Caller) -> None:
        answer = seeded.get("zork")
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith("text/html")

    @pytest.mark.parametrize("path", resource_paths())
    def test_every_resource_of_the_catalog_answers(self, seeded: Caller, path: str) -> None:
        resource = find_resource(path)
        assert resource is not None
        parts = [part if not part.startswith(":") else "*" for part in path.split("/")]
        url = path
        if "*" in parts:
            parent = "/".join(parts[: parts.index("*")])
            ids = seeded.emulator.ids(parent) if find_resource(parent) else [1]
            url = "/".join(str(ids[0]) if part == "*" else part for part in parts)
        address = url if url.startswith("/") else f"/api/{url}"
        answer = seeded.http.get(address, headers=seeded.headers(), params={"limit": 3})
        assert answer.status_code == 200, answer.text
        records = answer.json()
        assert records
        documented = {name for name, attribute in resource.attributes.items() if attribute.readable}
        assert documented <= set(records[0])
        one = seeded.http.get(f"{address}/{records[0]['id']}", headers=seeded.headers())
        assert one.json() == records[0]

    def test_a_nested_collection_holds_the_children_of_its_parent(self, seeded: Caller) -> None:
        suppliers = seeded.emulator.ids("suppliers")
        one, two = (seeded.get(f"suppliers/{i}/addresses").json() for i in suppliers[:2])
        assert not {r["id"] for r in one} & {r["id"] for r in two}
        assert seeded.get(f"suppliers/{suppliers[0]}/addresses/{two[0]['id']}").status_code == 404
        assert seeded.get("suppliers/999999999/addresses").status_code == 404

    def test_attachments_of_a_comment_that_does_not_exist_are_an_internal_error(self, seeded: Caller) -> None:
        assert seeded.get("comments/999999999/attachments").status_code == 500

    def test_an_action_that_is_not_served_says_so(self, seeded: Caller) -> None:
        answer = seeded.send("PUT", "asset_tags/bulk_update")
        assert answer.status_code == 404
        assert "not served by this emulator" in answer.text

    def test_what_no_document_lists_is_404(self, seeded: Caller) -> None:
        assert seeded.send("DELETE", "suppliers/1").status_code == 404
        assert seeded.send("POST", "uoms", {"code": "X"}).status_code == 404
        assert seeded.send("POST", "invoices/1", {}).status_code == 404
