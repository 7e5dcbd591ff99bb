"""What the Core API answers: lists, records, writes. Pure of HTTP transport; see the server module."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from coupa_provider.emulator import linked
from coupa_provider.emulator.actions import ActionCall, perform
from coupa_provider.emulator.answers import (
    JSON,
    XML,
    Answer,
    Refusal,
    errors_answer,
    html_page,
    json_answer,
    not_found,
    refused_access,
)
from coupa_provider.emulator.attributes import readable_attributes
from coupa_provider.emulator.downloads import download
from coupa_provider.emulator.graphql import GRAPHQL_PATH, GraphQL
from coupa_provider.emulator.instance import Instance
from coupa_provider.emulator.oauth import Token, allows
from coupa_provider.emulator.projection import names_of, projection_of, readable_names
from coupa_provider.emulator.query import ListQuery, QueryError, parse_query
from coupa_provider.emulator.routes import Target, locate
from coupa_provider.emulator.seed.catalogue import parent_path
from coupa_provider.emulator.selective import narrowed
from coupa_provider.emulator.shape import limited, project, shallow, without_nulls
from coupa_provider.emulator.sql import Compiler, Statement
from coupa_provider.emulator.store import decode, encode
from coupa_provider.emulator.writes import Writer
from coupa_provider.emulator.xml import record_to_xml, records_to_xml, singular
from coupa_provider.resources import Resource

_PLURAL_CREATE_SCOPE = {"invoices": ("core.invoice.create",)}
# Calls about invoices that the scope for writing does not cover.
_SCOPES_OF_CALLS = {
    "abandon": "core.invoice.delete",
    "add_approver": "core.invoice.approval.write",
    "bypass_approvals": "core.invoice.approval.bypass",
    "bypass_current_approval": "core.invoice.approval.bypass",
    "remove_approval": "core.invoice.approval.write",
    "restart_approvals": "core.invoice.approval.write",
    "void": "core.invoice.delete",
}


@dataclass(slots=True)
class Call:
    """One request to the API.

    :param method: HTTP method.
    :param path: path without query.
    :param query: query string as sent.
    :param headers: by lower-case name.
    :param body: all of the body.
    :param token: the access token; it is good.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    token: Token


def wants_xml(accept: str | None) -> bool:
    """Tell whether an answer is to be XML, as it is when nothing is said.

    :param accept: the ``Accept`` headers, joined by commas.
    :return: True for XML.
    """
    for part in (accept or "").split(","):
        kind = part.partition(";")[0].strip().lower()
        if kind in ("application/json", "text/json", "text/javascript"):
            return False
        if kind in ("application/xml", "text/xml"):
            return True
    return True


class Api:
    """Answers the calls to one instance.

    :param instance: the instance.
    """

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._store = instance.store
        self._graphql = GraphQL(instance, self._search)

    def answer(self, call: Call) -> Answer:
        """Answer a call.

        :param call: the call.
        :return: the answer; never raises for what a client did.
        """
        switches = self._instance.settings.switches
        as_xml = wants_xml(call.headers.get("accept"))
        if (call.method, call.path) == ("POST", GRAPHQL_PATH):
            return self._graphql.answer(call.body, call.token)
        target = locate(call.method, call.path)
        if target is None:
            # An unknown path never reaches the API: it gets the page that people get.
            return html_page(404, "The page you were looking for does not exist")
        key = singular(target.resource.xml_root)
        try:
            self._check_scope(call, target, as_xml)
            self._check_parent(target, as_xml)
            if target.action is not None:
                return self._act(call, target, as_xml)
            if call.method == "GET" and target.record_id is None:
                return self._list(call, target, as_xml)
            if call.method == "GET":
                return self._show(call, target, as_xml)
            return self._write(call, target, as_xml)
        except Refusal as refusal:
            return refusal.answer
        except QueryError as error:
            return errors_answer(400, key, [str(error)], as_xml)
        except _Missing:
            return not_found(key, f"There is no {key} with id {target.record_id}.", switches, as_xml)

    def _check_scope(self, call: Call, target: Target, as_xml: bool) -> None:
        resource = target.resource
        scope = resource.read_scope if call.method == "GET" else resource.write_scope
        if call.method != "GET" and scope is None and resource.read_scope is not None:
            scope = resource.read_scope.removesuffix("read") + "write"
        if resource.path == "invoices":
            scope = _SCOPES_OF_CALLS.get(target.action or "", scope)
        others = _PLURAL_CREATE_SCOPE.get(resource.path, ()) if call.method == "POST" else ()
        if not allows(call.token, scope, others):
            message = "The token has no scope for this."
            raise Refusal(refused_access(403, message, self._instance.settings.switches, as_xml))

    def _check_parent(self, target: Target, as_xml: bool) -> None:
        path = target.resource.path
        parent = parent_path(path)
        if parent is None or target.parent_id is None:
            return
        if self._store.body(parent, target.parent_id) is None:
            if parent == "comments":
                # Documented: a bad id here is an internal error, not a 404.
                raise Refusal(html_page(500, "We're sorry, but something went wrong"))
            message = f"There is no record with id {target.parent_id}."
            switches = self._instance.settings.switches
            raise Refusal(not_found(singular(target.resource.xml_root), message, switches, as_xml))

    def _act(self, call: Call, target: Target, as_xml: bool) -> Answer:
        done = perform(
            ActionCall(
                self._instance, target, call.query, call.headers.get("content-type"), call.body, as_xml
            )
        )
        if done is None:
            message = (
                f"{target.action} is documented for {target.resource.path}, but not served by this emulator."
            )
            return errors_answer(404, singular(target.resource.xml_root), [message], as_xml)
        if isinstance(done, Answer):
            return done
        if isinstance(done, list):
            return Answer(200, encode(done), JSON)
        # Arguments of the call stand beside those that shape the answer.
        shaping = urlencode(
            [(k, v) for k, v in parse_qsl(call.query) if k in ("fields", "return_object", "filter")]
        )
        switches = self._instance.settings.switches
        query = parse_query(shaping, target.resource.type, switches, ())
        status = int(switches["U7"]) if call.method == "POST" else 200
        if query.return_object == "none":
            return Answer(status, b"", XML if as_xml else JSON)
        return self._one(status, encode(done), query, target, as_xml)

    def _query(self, query: str, target: Target) -> ListQuery:
        own_names = self._store.collection(target.resource.path).own_names
        return parse_query(query, target.resource.type, self._instance.settings.switches, own_names)

    def _search(self, resource: Resource, query: str) -> list[bytes]:
        target = Target(resource)
        asked = self._query(query, target)
        return [] if self._is_futile(asked, target) else self._select(asked, target)

    def _list(self, call: Call, target: Target, as_xml: bool) -> Answer:
        resource, settings = target.resource, self._instance.settings
        query = self._query(call.query, target)
        switches = settings.switches
        if query.offset > settings.max_offset and switches["U14"] in ("504", "cap", "clamp"):
            if switches["U14"] == "504":
                return html_page(504, "Gateway Timeout")
            if switches["U14"] == "cap":
                raise QueryError(f"offset must not be greater than {settings.max_offset}")
            query.offset = settings.max_offset
        bodies = [] if self._is_futile(query, target) else self._select(query, target)
        answer = self._page(bodies, query, target, as_xml)
        answer.shows = (resource.path, bodies)
        return answer

    def _page(self, bodies: Sequence[bytes], query: ListQuery, target: Target, as_xml: bool) -> Answer:
        resource, switches = target.resource, self._instance.settings.switches
        fields = self._fields(query, target)
        plain = not as_xml and fields is None and query.return_object in (None, "full", "none")
        if plain and switches["U29"] == "present":
            return Answer(200, b"[" + b",".join(bodies) + b"]", JSON)
        names = (
            names_of(fields) if fields is not None and not as_xml and switches["U29"] == "present" else None
        )
        if fields is not None and names is not None:
            return Answer(200, self._projected(bodies, fields, names, target), JSON)
        records = [self._shaped(decode(body), query, fields, target) for body in bodies]
        if not as_xml:
            return json_answer(200, records)
        if not records:
            return errors_answer(404, "base", ["No results match your search criteria."], True)
        return Answer(200, records_to_xml(records, resource.xml_root, resource.type), XML)

    def _projected(
        self, bodies: Sequence[bytes], fields: Sequence[Any], names: tuple[str, ...], target: Target
    ) -> bytes:
        type_name = target.resource.type
        projection, readable = projection_of(names), readable_names(type_name)

        def nested(record: dict[str, Any], entry: Any) -> dict[str, Any]:
            return project(record, [entry], type_name, self._store.record, self._strict_names(target))

        shown = (projection.apply(body, fields, nested, readable) for body in bodies)
        return b"[" + b",".join(shown) + b"]"

    def _strict_names(self, target: Target) -> Collection[str] | None:
        """Names beyond the documented ones, when unknown names in fields are errors."""
        if self._instance.settings.switches["U10"] != "400":
            return None
        return self._store.collection(target.resource.path).own_names

    def _is_futile(self, query: ListQuery, target: Target) -> bool:
        """Both currencies of an exchange rate together find nothing, as Coupa documents."""
        if target.resource.type != "ExchangeRate" or self._instance.settings.switches["U30"] == "and":
            return False
        through = {condition.steps[0].name for condition in query.conditions if len(condition.steps) > 1}
        return {"from-currency", "to-currency"} <= through

    def _select(self, query: ListQuery, target: Target) -> list[bytes]:
        path = target.resource.path
        self._store.collection(path)
        switches = self._instance.settings.switches
        compiler = Compiler(path, switches, self._table_of)
        extra = [Statement("t.parent_id = ?", (target.parent_id,))] if target.parent_id is not None else []
        few = narrowed(self._store, path, query.conditions, switches["U16"] == "sensitive")
        if few is not None:
            ids, rest = few
            extra.append(Statement("t.id IN (SELECT value FROM json_each(?))", (encode(ids).decode(),)))
            query = replace(query, conditions=rest)
        return self._store.select(compiler.page(query, extra))

    def _table_of(self, path: str) -> str | None:
        self._store.collection(path)
        return path

    def _fields(self, query: ListQuery, target: Target) -> Sequence[Any] | None:
        settings, path = self._instance.settings, target.resource.path
        if query.fields is not None:
            strict = self._strict_names(target)
            if strict is not None:
                # Also when no row is found: the names are wrong all the same.
                project({}, query.fields, target.resource.type, self._store.record, strict)
            return query.fields
        name = query.saved_filter or settings.default_filters.get(path)
        if name is None:
            return None
        if name in settings.api_filters:
            return settings.api_filters[name]
        if name == f"default_{path}_filter":
            attributes = readable_attributes(target.resource.type)
            return [name for name, attribute in attributes.items() if attribute.base != "list"]
        raise QueryError(f"there is no API filter {name}")

    def _shaped(self, record: Any, query: ListQuery, fields: Sequence[Any] | None, target: Target) -> Any:
        switches = self._instance.settings.switches
        if fields is not None:
            strict = self._strict_names(target)
            record = project(record, fields, target.resource.type, self._store.record, strict)
        elif query.return_object == "limited":
            record = limited(record)
        elif query.return_object == "shallow":
            record = shallow(record, target.resource.type)
        return without_nulls(record) if switches["U29"] == "omitted" else record

    def _show(self, call: Call, target: Target, as_xml: bool) -> Answer:
        query = self._query(call.query, target)
        body = self._store.body(target.resource.path, target.record_id or 0, target.parent_id)
        if body is None:
            raise _Missing
        if target.resource.type == "Attachment" and self._instance.settings.switches["U26"] == "binary":
            return download(self._instance, target, decode(body), singular(target.resource.xml_root), as_xml)
        answer = self._one(200, body, query, target, as_xml)
        answer.shows = (target.resource.path, [body])
        return answer

    def _one(self, status: int, body: bytes, query: ListQuery, target: Target, as_xml: bool) -> Answer:
        fields = self._fields(query, target)
        record = self._shaped(decode(body), query, fields, target)
        if as_xml:
            return Answer(status, record_to_xml(record, target.resource.xml_root, target.resource.type), XML)
        return Answer(status, encode(record), JSON)

    def _write(self, call: Call, target: Target, as_xml: bool) -> Answer:
        writer = Writer(self._instance, target, as_xml)
        if call.method == "DELETE":
            answer = writer.delete()
            if answer.status == 200:
                linked.remove(self._instance, target)
            return answer
        query = parse_query(
            call.query,
            target.resource.type,
            self._instance.settings.switches,
            self._store.collection(target.resource.path).own_names,
        )
        self._fields(query, target)  # wrong ones are refused before anything is written
        if call.method == "POST" and target.record_id is None:
            linked.reserve_id(self._instance, target)
            record_id = writer.create(call.headers.get("content-type"), call.body)
            status = int(self._instance.settings.switches["U7"])
        elif call.method in ("PUT", "PATCH") and target.record_id is not None:
            if self._store.body(target.resource.path, target.record_id, target.parent_id) is None:
                raise _Missing
            record_id = writer.update(call.headers.get("content-type"), call.body, query)
            status = 200
        else:
            return html_page(404, "The page you were looking for does not exist")
        linked.spread(self._instance, target, record_id)
        if query.return_object == "none":
            return Answer(status, b"", XML if as_xml else JSON)
        body = self._store.body(target.resource.path, record_id)
        answer = self._one(status, body or b"null", query, target, as_xml)
        warnings = self._instance.settings.warnings.get(target.resource.path)
        if warnings and not as_xml:
            answer.body = encode({**decode(answer.body), "errors": {"warnings": list(warnings)}})
        return answer


class _Missing(Exception):
    """The record that is asked for does not exist."""
