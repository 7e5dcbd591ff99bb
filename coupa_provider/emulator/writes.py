"""Create, update and delete records, with the validation that Coupa documents."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from coupa_provider.emulator.answers import JSON, TEXT, Answer, Refusal, errors_answer, html_page, not_found
from coupa_provider.emulator.attributes import CUSTOM_FIELDS, Step, home_of_type, readable_attributes
from coupa_provider.emulator.coercion import Invalid, coerced, floored_to_day, label
from coupa_provider.emulator.exported import set_exported
from coupa_provider.emulator.instance import Instance
from coupa_provider.emulator.integration_runs import lacks_run, show_in_run
from coupa_provider.emulator.payloads import PayloadError, Upload, read_form, read_json_payload
from coupa_provider.emulator.query import ListQuery, order_kind
from coupa_provider.emulator.references import References
from coupa_provider.emulator.routes import Target
from coupa_provider.emulator.rules import INITIAL, OWNED_TYPES, REQUIRED, unique_keys
from coupa_provider.emulator.stamps import parse_instant
from coupa_provider.emulator.store import Record, fold
from coupa_provider.emulator.xml import singular
from coupa_provider.resources import Attribute, attributes_of_type

# Times of a record are its own affair, though some tables call them writable.
_NEVER_WRITTEN = frozenset(("id", "created-at", "updated-at", "created-by", "updated-by"))
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
        self._references = References(instance)
        self._target = target
        self._resource = target.resource
        self._key = singular(target.resource.xml_root)
        self._as_xml = as_xml
        self._errors: list[str] = []
        self._now = instance.stamp()

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
        self._apply(record, self._resource.type, payload, is_new=True)
        self._derive(record)
        self._validate(record, is_new=True)
        record["id"] = self._store.new_id(path)
        if upload is not None:
            self._keep_upload(record, upload)
        self._store.put(path, record, self._target.parent_id)
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
        self._apply(record, self._resource.type, payload, is_new=False)
        self._derive(record)
        self._validate(record, is_new=False)
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
        self._instance.uploads[self._resource.path, record["id"]] = upload

    # ---- values

    def _first_values(self, record: Record) -> None:
        attributes = readable_attributes(self._resource.type)
        if "active" in attributes:
            record["active"] = True
        users = self._instance.store.ids("users")
        creator = self._instance.store.record("users", users[0]) if users else None
        for name in ("created-by", "updated-by"):
            if name in attributes:
                record[name] = self._references.shown("User", creator) if creator else None

    def _apply(self, record: Record, type_name: str, payload: Record, is_new: bool) -> None:
        """Take over what may be written; the rest is ignored without a word, as in Coupa."""
        attributes = attributes_of_type(type_name.replace("::", "-"))
        own_names = self._store.collection(self._resource.path).own_names
        for name, value in payload.items():
            if name in _NEVER_WRITTEN:
                continue
            attribute = attributes.get(name)
            if name == CUSTOM_FIELDS and isinstance(value, dict):
                record[CUSTOM_FIELDS] = {**(record.get(CUSTOM_FIELDS) or {}), **value}
            elif attribute is None:
                self._apply_undocumented(record, name, value, attributes, name in own_names or not attributes)
            elif attribute.writable:
                try:
                    self._set(record, attribute, value, is_new)
                except Invalid as error:
                    self._errors.append(str(error))
        if type_name == "OrderHeader":
            if payload.get("_cancel") in (True, "true"):
                record["status"] = "cancelled"
            if payload.get("_close") in (True, "true"):
                record["status"] = "closed"

    def _apply_undocumented(
        self, record: Record, name: str, value: Any, attributes: Any, known_here: bool
    ) -> None:
        reference = attributes.get(name.removesuffix("-id"))
        if (
            name.endswith("-id")
            and reference is not None
            and reference.base == "reference"
            and reference.writable
        ):
            try:
                self._set(record, reference, None if value is None else {"id": value}, False)
            except Invalid as error:
                self._errors.append(str(error))
        elif known_here and not name.startswith("_"):
            record[name] = value

    def _set(self, record: Record, attribute: Attribute, value: Any, is_new: bool) -> None:
        name = attribute.name
        if value is None:
            if attribute.readable and (is_new or self._switches["U19"] == "clears"):
                record[name] = [] if attribute.base == "list" else None
        elif attribute.base == "reference":
            self._set_reference(record, attribute, value)
        elif attribute.base == "list":
            self._set_list(record, attribute, value)
        else:
            kept = coerced(attribute, value, self._zone)
            if attribute.readable:
                record[name] = kept

    def _set_reference(self, record: Record, attribute: Attribute, value: Any) -> None:
        name, target = attribute.name, attribute.target or ""
        if not isinstance(value, dict):
            raise Invalid(f"{label(name)} must be an object")
        if home_of_type(target) is None:
            # Nothing to look up: such objects live inside their parent, and are edited in place.
            before = record.get(name)
            record[name] = {**before, **value} if isinstance(before, dict) else value
            return
        found = self._references.find(name, target, value)
        if found is None:
            if self._switches["U20"] == "400":
                raise self._references.not_found(name, target, value)
            return
        if attribute.readable:
            record[name] = self._references.shown(target, found)
        elif f"{name}-id" in record:
            record[f"{name}-id"] = found["id"]

    def _set_list(self, record: Record, attribute: Attribute, value: Any) -> None:
        entries = _entries(attribute.name, value)
        target = attribute.target or ""
        if home_of_type(target) is not None and target not in OWNED_TYPES:
            self._set_references(record, attribute, entries)
            return
        held = record.get(attribute.name)
        lines: list[Any] = list(held) if isinstance(held, list) else []
        for entry in entries:
            if not isinstance(entry, dict):
                raise Invalid(f"{label(attribute.name)} must hold objects")
            self._edit_line(lines, target, entry, attribute.name)
        if attribute.readable:
            record[attribute.name] = lines

    def _set_references(self, record: Record, attribute: Attribute, entries: list[Any]) -> None:
        target = attribute.target or ""
        shown: list[Any] = []
        for entry in entries:
            keys = entry if isinstance(entry, dict) else {"id": entry}
            found = self._references.find(attribute.name, target, keys)
            if found is not None:
                shown.append(self._references.shown(target, found))
            elif self._switches["U20"] == "400":
                raise self._references.not_found(attribute.name, target, keys)
        if attribute.readable:
            record[attribute.name] = shown

    def _edit_line(self, lines: list[Any], target: str, entry: Record, list_name: str) -> None:
        """A line without id is new, with id it is changed, and with ``_delete`` it goes."""
        if entry.get("id") is None:
            number = entry.get("line-num")
            taken = [str(line.get("line-num")) for line in lines]
            if target == "RequisitionLine" and number is not None and str(number) in taken:
                return  # documented: a duplicate number is ignored
            line = self._new_line(lines, target)
            self._apply(line, target, entry, is_new=True)
            _line_total(line)
            lines.append(line)
            return
        place = next((at for at, line in enumerate(lines) if str(line.get("id")) == str(entry["id"])), None)
        if place is None:
            if self._switches["U20"] == "400":
                raise Invalid(f"{label(list_name)} has no line with id {entry['id']}")
            return
        if entry.get("_delete") in (True, "true"):
            del lines[place]
            return
        line = dict(lines[place])
        self._apply(line, target, entry, is_new=False)
        if line != lines[place]:
            line["updated-at"] = self._now
            if not {"total"} & set(entry):
                _line_total(line)
            lines[place] = line

    def _new_line(self, lines: list[Any], target: str) -> Record:
        attributes = readable_attributes(target)
        line: Record = {name: [] if a.base == "list" else None for name, a in attributes.items()}
        home = home_of_type(target)
        # Lines without a collection of their own still get ids that no other line has.
        line["id"] = self._store.new_id(home) if home else self._instance.new_line_id()
        line["created-at"] = line["updated-at"] = self._now
        if "line-num" in attributes:
            numbers = [int(n) for n in (str(one.get("line-num") or "") for one in lines) if n.isdecimal()]
            number = max(numbers, default=0) + 1
            line["line-num"] = number if attributes["line-num"].base == "integer" else str(number)
        return line

    def _derive(self, record: Record) -> None:
        """Attributes that follow from others."""
        type_name = self._resource.type
        if type_name == "Account":
            segments = [record.get(f"segment-{place}") for place in range(1, 21)]
            code = "-".join(segment for segment in segments if segment)
            record["code"] = code or record.get("code")
        elif type_name == "User":
            names = [record.get("firstname"), record.get("lastname")]
            record["fullname"] = " ".join(name for name in names if name)
        elif type_name == "ExchangeRate" and isinstance(record.get("rate-date"), str):
            record["rate-date"] = floored_to_day(record["rate-date"], self._zone)
        elif type_name == "InvoiceHeader":
            record["line-count"] = len(record.get("invoice-lines") or ())

    # ---- validation

    def _validate(self, record: Record, is_new: bool) -> None:
        for name in REQUIRED.get(self._resource.path, ()):
            if record.get(name) in (None, "", {}) and not any(e.startswith("Unable") for e in self._errors):
                self._errors.append(f"{label(name)} can't be blank")
        for names in unique_keys(self._resource.path):
            if self._is_taken(record, names, is_new):
                self._errors.append(f"{label(names[0])} has already been taken")
        if lacks_run(self._instance, record):
            keys = {"id": record["integration-run-id"]}
            self._errors.append(str(self._references.not_found("integration-run", "IntegrationRun", keys)))
        if self._errors:
            status = int(self._switches["U6"])
            raise Refusal(errors_answer(status, self._key, self._errors, self._as_xml))

    def _is_taken(self, record: Record, names: tuple[str, ...], is_new: bool) -> bool:
        attributes = self._resource.attributes
        equal: list[tuple[tuple[Step, ...], str, Any]] = []
        for name in names:
            attribute = attributes.get(name)
            value = record.get(name)
            if attribute is None or value in (None, "", {}):
                return False
            if isinstance(value, dict):
                equal.append(((Step(name, "reference"), Step("id", "integer")), "number", value.get("id")))
            elif attribute.base == "datetime":
                equal.append(((Step(name, "datetime"),), "instant", int(parse_instant(value).timestamp())))
            else:
                step = Step(name, attribute.base)
                kind = order_kind([step])
                equal.append(((step,), kind, fold(value) if kind == "text" else value))
        found = self._store.matching(self._resource.path, equal)
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


def _entries(name: str, value: Any) -> list[Any]:
    """Accept ``[..]``, ``{"payment": [..]}`` and ``{"payment": {..}}`` for ``payments``, as documented."""
    if isinstance(value, list):
        return value
    inner = value.get(singular(name)) if isinstance(value, dict) else None
    if isinstance(inner, list):
        return inner
    if isinstance(inner, dict):
        return [inner]
    raise Invalid(f"{label(name)} must be a list")


def _line_total(line: Record) -> None:
    price = line.get("price") if line.get("price") is not None else line.get("unit-price")
    if "total" not in line or price is None or line.get("quantity") is None:
        return
    try:
        line["total"] = str(Decimal(str(price)) * Decimal(str(line["quantity"])))
    except InvalidOperation:
        return


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
