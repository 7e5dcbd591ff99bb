"""Create, update and delete records, with the validation that Coupa documents."""

from __future__ import annotations

import re

from coupa_provider.emulator.answers import JSON, TEXT, Answer, Refusal, errors_answer, html_page, not_found
from coupa_provider.emulator.attached import show_attachments
from coupa_provider.emulator.attributes import home_of_type, readable_attributes
from coupa_provider.emulator.coercion import label
from coupa_provider.emulator.derived import derive, set_defaults
from coupa_provider.emulator.exported import set_exported
from coupa_provider.emulator.instance import Instance
from coupa_provider.emulator.integration_runs import lacks_run, show_in_run
from coupa_provider.emulator.payloads import PayloadError, Upload, read_form, read_json_payload
from coupa_provider.emulator.query import ListQuery
from coupa_provider.emulator.routes import Target
from coupa_provider.emulator.rules import INITIAL, REQUIRED, unique_keys
from coupa_provider.emulator.store import Record
from coupa_provider.emulator.values import Values
from coupa_provider.emulator.xml import singular

# Changes of an order that make no new version of it.
_NO_NEW_VERSION = frozenset(("exported", "last-exported-at", "status", "version", "acknowledged-flag"))


class Writer:
    """Carries out one write.

    :param instance: the instance.
    :param target: what is written.
    :param as_xml: the client asked for XML.
    """

    def __init__(self, instance: Instance, target: Target, as_xml: bool) -> None:
        self._instance = instance
        self._store = instance.store
        self._switches = instance.settings.switches
        self._zone = instance.seeder.world.zone
        self._target = target
        self._resource = target.resource
        self._key = singular(target.resource.xml_root)
        self._as_xml = as_xml
        self._now = instance.stamp()
        own_names = instance.store.collection(target.resource.path).own_names
        self._values = Values(instance, target.resource, own_names, self._now)

    def create(self, content_type: str | None, body: bytes) -> int:
        """Make a record.

        :param content_type: header of that name.
        :param body: the payload.
        :return: id of the new record.
        :raises Refusal: when it cannot be made.
        """
        path = self._resource.path
        if "create" not in self._resource.actions:
            raise Refusal(html_page(404, "The page you were looking for does not exist"))
        payload, upload = self._payload(content_type, body)
        record = self._instance.completed(self._resource, {"id": 0})
        record.update(INITIAL.get(path, {}))
        self._first_values(record)
        self._values.apply(record, self._resource.type, payload, is_new=True)
        derive(record, None, self._resource.type, self._store, self._zone)
        self._validate(record, None)
        record["id"] = self._store.new_id(path)
        set_defaults(record, self._resource.type)
        if upload is not None:
            self._keep_upload(record, upload)
        elif record.get("type") == "url" and self._resource.type == "Attachment":
            record["file-url"] = payload.get("url")  # the one readable attribute where it can stand
        self._store.put(path, record, self._target.parent_id)
        if self._resource.type == "Attachment":
            show_attachments(self._store, path, self._target.parent_id)
        self._spread_lines(record)
        if path == "integration_errors":
            show_in_run(self._instance, record)
        return int(record["id"])

    def update(self, content_type: str | None, body: bytes, query: ListQuery) -> int:
        """Change a record.

        :param content_type: header of that name.
        :param body: the payload; attributes that it leaves out stay.
        :param query: query string, where the exported flag can be set.
        :return: id of the record.
        :raises Refusal: when it cannot be changed.
        """
        path, record_id = self._resource.path, self._target.record_id or 0
        documented = {"update"} & set(self._resource.actions)
        flag = next(
            (c for c in query.conditions if c.steps[0].name == "exported" and len(c.steps) == 1), None
        )
        if not documented and flag is None:
            raise Refusal(html_page(404, "The page you were looking for does not exist"))
        if self._resource.type == "Attachment":
            raise Refusal(errors_answer(400, self._key, ["Attachments cannot be updated."], self._as_xml))
        record = self._store.record(path, record_id)
        if record is None:
            raise Refusal(not_found(self._key, "It is gone.", self._switches, self._as_xml))
        if flag is not None:
            # Other changes in the same request are not looked at.
            set_exported(self._instance, path, record, bool(flag.values[0]))
            return record_id
        payload, _ = self._payload(content_type, body)
        before = self._store.record(path, record_id) or {}
        if self._resource.type == "Address" and record.get("active") is False:
            self._values.errors.append("Address is inactive and cannot be updated")
        self._values.apply(record, self._resource.type, payload, is_new=False)
        derive(record, before, self._resource.type, self._store, self._zone)
        self._validate(record, before)
        if record != before:
            self._new_order_version(record, before)
            record["updated-at"] = self._now
            if "lock-version-key" in record and isinstance(record["lock-version-key"], int):
                record["lock-version-key"] += 1
            self._store.put(path, record)
            self._spread_lines(record, before)
        return record_id

    def delete(self) -> Answer:
        """Remove a record.

        :return: the answer, see switch U28.
        """
        path, record_id = self._resource.path, self._target.record_id
        if record_id is None or f"DELETE {path}/:id" not in self._resource.actions.values():
            return html_page(404, "The page you were looking for does not exist")
        body = self._store.body(path, record_id, self._target.parent_id)
        if body is None:
            return not_found(
                self._key, f"There is no {self._key} with id {record_id}.", self._switches, self._as_xml
            )
        self._store.delete(path, record_id)
        if self._resource.type == "Attachment":
            show_attachments(self._store, path, self._target.parent_id)
        if self._switches["U28"] == "object":
            return Answer(200, body, JSON)
        if self._switches["U28"] == "text":
            return Answer(200, b"Deleted", TEXT)
        return Answer(200, b"", JSON)

    # ---- reading the payload

    def _payload(self, content_type: str | None, body: bytes) -> tuple[Record, Upload | None]:
        try:
            if content_type and content_type.lower().startswith("multipart/form-data"):
                if self._resource.type != "Attachment":
                    raise PayloadError(415, "Only attachments are taken as multipart forms.")
                texts, files = read_form(content_type, body)
                upload = files.get("file")
                if upload is None and texts.get("type", "file") == "file":
                    raise PayloadError(400, "attachment[file] is missing.")
                return {"type": "file", **texts}, upload
            singulars = (self._key, singular(self._resource.path.rpartition("/")[2].replace("_", "-")))
            unwrap = self._switches["U34"] == "accepted"
            return read_json_payload(content_type, body, singulars, unwrap), None
        except PayloadError as error:
            raise Refusal(errors_answer(error.status, self._key, [str(error)], self._as_xml)) from None

    def _keep_upload(self, record: Record, upload: Upload) -> None:
        record["file-file-name"] = record["file"] = upload.name
        record["file-content-type"] = upload.content_type
        record["file-file-size"] = str(len(upload.content))
        place = re.sub(r":\w+", str(self._target.parent_id), self._resource.path)
        record["file-url"] = f"/api/{place}/{record['id']}/file"
        self._instance.uploads[self._resource.path, record["id"]] = upload

    # ---- before and after the values of the payload

    def _first_values(self, record: Record) -> None:
        attributes = readable_attributes(self._resource.type)
        if "active" in attributes:
            record["active"] = True
        first = self._store.first_id("users")
        creator = self._store.record("users", first) if first is not None else None
        shown = self._values.references.shown("User", creator) if creator else None
        for name in ("created-by", "updated-by"):
            if name in attributes:
                record[name] = shown

    def _validate(self, record: Record, before: Record | None) -> None:
        """Refuse what is wrong; of a change only what it makes wrong, as records loaded by a test may be."""
        errors = self._values.errors
        for name in REQUIRED.get(self._resource.path, ()):
            is_lost = before is None or record.get(name) != before.get(name)
            if (
                is_lost
                and record.get(name) in (None, "", {})
                and name.removesuffix("-id") not in self._values.refused
            ):
                errors.append(f"{label(name)} can't be blank")
        for names in unique_keys(self._resource.path):
            is_moved = before is None or any(record.get(name) != before.get(name) for name in names)
            if is_moved and self._is_taken(record, names, before is None):
                errors.append(f"{label(names[0])} has already been taken")
        if lacks_run(self._instance, record):
            keys = {"id": record["integration-run-id"]}
            errors.append(str(self._values.references.not_found("integration-run", "IntegrationRun", keys)))
        if errors:
            status = int(self._switches["U6"])
            raise Refusal(errors_answer(status, self._key, list(dict.fromkeys(errors)), self._as_xml))

    def _is_taken(self, record: Record, names: tuple[str, ...], is_new: bool) -> bool:
        equal = self._values.references.keys_of_record(self._resource.type, names, record)
        if equal is None:
            return False
        found = self._store.matching(self._resource.path, equal, parent_id=self._target.parent_id)
        return any(is_new or other != record["id"] for other in found)

    # ---- consequences

    def _new_order_version(self, record: Record, before: Record) -> None:
        if self._resource.type != "OrderHeader" or before.get("status") != "issued":
            return
        changed = {name for name in record if record[name] != before.get(name)} - _NO_NEW_VERSION
        if changed and not _only_accounts_differ(record, before):
            record["version"] = int(before.get("version") or 1) + 1
            record["exported"] = False

    def _spread_lines(self, record: Record, before: Record | None = None) -> None:
        """Lines that are also a collection of their own are kept there too."""
        for name, attribute in self._resource.attributes.items():
            home = home_of_type(attribute.target) if attribute.base == "list" else None
            if home not in ("purchase_order_lines", "expense_lines") or home == self._resource.path:
                continue
            lines = {line["id"]: line for line in record.get(name) or () if isinstance(line, dict)}
            old = {line["id"]: line for line in (before or {}).get(name) or () if isinstance(line, dict)}
            back = "order-header-id" if home == "purchase_order_lines" else "expense-report-id"
            for line_id, line in lines.items():
                if old.get(line_id) != line:
                    self._store.put(home, {**line, back: record["id"]})
            for line_id in old.keys() - lines.keys():
                self._store.delete(home, line_id)


def _only_accounts_differ(record: Record, before: Record) -> bool:
    """Edits of accounts alone make no new version of an order."""
    if any(record[n] != before.get(n) for n in record if n != "order-lines" and n not in _NO_NEW_VERSION):
        return False
    old = {line.get("id"): line for line in before.get("order-lines") or ()}
    new = {line.get("id"): line for line in record.get("order-lines") or ()}
    if old.keys() != new.keys():
        return False
    skipped = {"account", "account-allocations", "updated-at"}
    return all(
        {k: v for k, v in line.items() if k not in skipped}
        == {k: v for k, v in old[i].items() if k not in skipped}
        for i, line in new.items()
    )
