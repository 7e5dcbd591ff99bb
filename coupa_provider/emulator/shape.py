"""The shape of records in an answer: ``fields``, ``return_object``, saved filters, null keys."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from coupa_provider.emulator.attributes import CUSTOM_FIELDS, home_of_type, readable_attributes
from coupa_provider.emulator.query import QueryError
from coupa_provider.resources import attributes_of_type, find_resource

Record = dict[str, Any]
Fetch = Callable[[str, int], Record | None]
"""Gives the full record behind a reference: from path and id."""

# References show these when an answer is to be shallow, besides the natural key of their resource.
_ALWAYS_SHOWN = ("id", "name", "code", "number", "login", "email")


def project(
    record: Record, fields: Sequence[Any], type_name: str, fetch: Fetch, strict: Collection[str] | None
) -> Record:
    """Keep what ``fields`` names, and look up what a reference does not show by itself.

    :param record: the full record.
    :param fields: names, and objects of name to the fields below; an empty object means everything.
    :param type_name: type of the record.
    :param fetch: gives referred records.
    :param strict: top-level names that exist beyond the documented ones, when an unknown name is an
        error; None when it is ignored.
    :return: a new record.
    :raises QueryError: for an unknown name where those are errors.
    """
    shown: Record = {}
    attributes = attributes_of_type(type_name.replace("::", "-")) if type_name else {}
    for entry in fields:
        name, below = (entry, {}) if isinstance(entry, str) else next(iter(entry.items()))
        if isinstance(entry, dict) and len(entry) > 1:
            for key, value in entry.items():
                shown.update(project(record, [{key: value}], type_name, fetch, strict))
            continue
        if name not in record:
            known = name in attributes or name == CUSTOM_FIELDS or not attributes
            if strict is not None and not known and name not in strict:
                raise QueryError(f"fields names {name}, which does not exist")
            if known and attributes.get(name) is not None and attributes[name].readable:
                shown[name] = None
            continue
        value = record[name]
        if not below:
            shown[name] = value
            continue
        attribute = attributes.get(name)
        target = attribute.target or "" if attribute else ""
        below_strict = () if strict is not None else None
        if isinstance(value, list):
            shown[name] = [
                project(one, below, target, fetch, below_strict) if isinstance(one, dict) else one
                for one in value
            ]
        elif isinstance(value, dict):
            shown[name] = project(_filled(value, below, target, fetch), below, target, fetch, below_strict)
        else:
            shown[name] = value
    return shown


def _filled(stub: Record, fields: Sequence[Any], target: str, fetch: Fetch) -> Record:
    names = [entry if isinstance(entry, str) else next(iter(entry)) for entry in fields]
    if all(name in stub for name in names):
        return stub
    home = home_of_type(target)
    record_id = stub.get("id")
    full = fetch(home, record_id) if home and isinstance(record_id, int) else None
    return {**full, **stub} if full else stub


def limited(record: Record) -> Record:
    """Keep the id alone, as ``return_object=limited`` does."""
    return {"id": record.get("id")}


def shallow(record: Record, type_name: str) -> Record:
    """Keep own attributes, and of associations what identifies them, as ``return_object=shallow`` does.

    :param record: the full record.
    :param type_name: type of the record.
    :return: a new record.
    """
    attributes = readable_attributes(type_name)
    shown: Record = {}
    for name, value in record.items():
        target = attributes[name].target if name in attributes else None
        if isinstance(value, dict) and name != CUSTOM_FIELDS:
            shown[name] = _known_by(value, target)
        elif isinstance(value, list):
            shown[name] = [_known_by(one, target) if isinstance(one, dict) else one for one in value]
        else:
            shown[name] = value
    return shown


def _known_by(value: Record, target: str | None) -> Record:
    home = home_of_type(target)
    resource = find_resource(home) if home else None
    names = dict.fromkeys((*_ALWAYS_SHOWN, *(resource.natural_key if resource else ())))
    return {name: value[name] for name in names if name in value and not isinstance(value[name], dict)}


def without_nulls(value: Any) -> Any:
    """Leave out keys whose value is null, at every depth.

    :param value: decoded JSON.
    :return: a copy.
    """
    if isinstance(value, Mapping):
        return {name: without_nulls(below) for name, below in value.items() if below is not None}
    if isinstance(value, list):
        return [without_nulls(one) for one in value]
    return value
