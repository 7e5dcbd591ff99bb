"""A GraphQL schema made of the catalog.

Documented are one object by id, collections with REST conditions in ``query``, associations, ``customFields`` read
by fragments, lower camel case, and that there are no mutations. The names of types and scalars, and what a custom
field looks like, are this emulator's own.
"""

from __future__ import annotations

import re
from functools import cache, partial
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLBoolean,
    GraphQLField,
    GraphQLFieldMap,
    GraphQLID,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLString,
    GraphQLUnionType,
)

from coupa_provider.emulator.attributes import CUSTOM_FIELDS, home_of_type, readable_attributes
from coupa_provider.emulator.graphql_reader import Reader, Reference
from coupa_provider.emulator.store import Record
from coupa_provider.emulator.xml import singular
from coupa_provider.resources import Attribute, Resource, attributes_of_type, find_resource, resource_paths

_JSON = GraphQLScalarType("JSON")
#: Written as the REST API writes it: a number as text, no digit lost.
_DECIMAL = GraphQLScalarType("Decimal")
_SCALARS: dict[str, GraphQLOutputType] = {
    "string": GraphQLString,
    "text": GraphQLString,
    "integer": GraphQLInt,
    "decimal": _DECIMAL,
    "float": _DECIMAL,
    "boolean": GraphQLBoolean,
    "datetime": GraphQLScalarType("DateTime"),
    "date": GraphQLScalarType("Date"),
}


@cache
def schema(paging_arguments: bool) -> GraphQLSchema:
    """Make the schema of all documented resources, once.

    :param paging_arguments: collections take ``limit`` and ``offset`` as arguments.
    :return: the schema.
    """
    fields: GraphQLFieldMap = {}
    for path in resource_paths():
        resource = find_resource(path)
        if resource is None or ":" in path:
            continue
        plural = _camel(path.rpartition("/")[2] if path.startswith("/") else path)
        fields[plural] = _collection(resource, paging_arguments)
        fields.setdefault(singular(plural), _single(resource))
    return GraphQLSchema(GraphQLObjectType("Query", fields))


def _single(resource: Resource) -> GraphQLField:
    def resolve(_: object, info: GraphQLResolveInfo[Reader], id: str) -> Record | None:
        return info.context.one(resource, id)

    arguments = {"id": GraphQLArgument(GraphQLNonNull(GraphQLID))}
    return GraphQLField(_record_type(resource.type), arguments, resolve)


def _collection(resource: Resource, paging_arguments: bool) -> GraphQLField:
    def resolve(
        _: object,
        info: GraphQLResolveInfo[Reader],
        query: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> list[Record]:
        return info.context.page(resource, query or "", limit, offset)

    arguments = {"query": GraphQLArgument(GraphQLString)}
    if paging_arguments:
        arguments |= {"limit": GraphQLArgument(GraphQLInt), "offset": GraphQLArgument(GraphQLInt)}
    return GraphQLField(GraphQLList(_record_type(resource.type)), arguments, resolve)


@cache
def _record_type(type_name: str) -> GraphQLObjectType:
    return GraphQLObjectType(type_name.replace("-", ""), partial(_fields, type_name))


def _fields(type_name: str) -> GraphQLFieldMap:
    fields: GraphQLFieldMap = {}
    for name, attribute in readable_attributes(type_name).items():
        fields.setdefault(_camel(name), _field(attribute))
    fields[_camel(CUSTOM_FIELDS)] = GraphQLField(GraphQLList(_CUSTOM_FIELD), resolve=_custom_fields)
    return fields


def _field(attribute: Attribute) -> GraphQLField:
    target = (attribute.target or "").replace("::", "-")
    home = find_resource(home_of_type(target) or "") if target else None
    shown = _SCALARS.get(attribute.base) or (_record_type(target) if attributes_of_type(target) else _JSON)
    if attribute.base in ("integer", "boolean") and not all(map(str.isdecimal, attribute.allowed)):
        shown = GraphQLString  # the documented values are words
    if attribute.base == "list":
        shown = GraphQLList(shown)
    return GraphQLField(shown, resolve=partial(_attribute, attribute.name, home))


def _attribute(name: str, home: Resource | None, record: Record, info: GraphQLResolveInfo[Reader]) -> Any:
    if name not in record and isinstance(record, Reference):
        info.context.complete(record)
    value = record.get(name)
    if home is not None and isinstance(value, dict):
        value = Reference(value)
        value.home = home
    return value


def _custom_fields(record: Record, info: GraphQLResolveInfo[Reader]) -> list[dict[str, Any]]:
    held = _attribute(CUSTOM_FIELDS, None, record, info) or {}
    return [{"name": name, "value": _custom_value(value)} for name, value in held.items()]


def _custom_value(value: Any) -> Any:
    return value if value is None or (isinstance(value, dict) and "id" in value) else {"value": value}


def _custom_type(value: Any) -> str | None:
    """Return the name of the type that a custom field has; None for one without a value."""
    if value is None:
        return None
    if "id" in value:
        return "User" if "login" in value else "LookupValue"
    if isinstance(value["value"], bool):
        return "BooleanValue"
    return {str: "StringValue", int: "IntegerValue"}.get(type(value["value"]), "JSONValue")


_PLAIN_VALUES = {
    "StringValue": GraphQLString,
    "IntegerValue": GraphQLInt,
    "BooleanValue": GraphQLBoolean,
    "JSONValue": _JSON,
}
_CUSTOM_VALUE = GraphQLUnionType(
    "CustomFieldValue",
    [
        *(GraphQLObjectType(name, {"value": GraphQLField(kind)}) for name, kind in _PLAIN_VALUES.items()),
        _record_type("User"),
        _record_type("LookupValue"),
    ],
    resolve_type=lambda value, *_: _custom_type(value),
)
_CUSTOM_FIELD = GraphQLObjectType(
    "CustomField",
    {
        "name": GraphQLField(GraphQLString),
        "type": GraphQLField(GraphQLString, resolve=lambda field, _: _custom_type(field["value"])),
        "value": GraphQLField(_CUSTOM_VALUE),
    },
)


def _camel(name: str) -> str:
    first, *others = re.split(r"[-_/]+", name)
    return first + "".join(part[:1].upper() + part[1:] for part in others)
