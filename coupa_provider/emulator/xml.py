"""Records and errors as Coupa's XML."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from coupa_provider.resources import attributes_of_type

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_TYPES = {
    "integer": "integer",
    "decimal": "decimal",
    "float": "float",
    "boolean": "boolean",
    "datetime": "dateTime",
    "date": "date",
}
# XML 1.0 cannot hold these at all.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f￾￿]")
_NAME = re.compile(r"[A-Za-z_][\w.-]*\Z")


def singular(plural: str) -> str:
    """Return the name of one of several.

    :param plural: name of a list, as ``order-headers``.
    :return: name of one element, as ``order-header``.
    """
    if plural.endswith("ies"):
        return plural[:-3] + "y"
    if plural.endswith(("sses", "xes")):
        return plural[:-2]
    if plural.endswith("s") and not plural.endswith("ss"):
        return plural[:-1]
    return plural


def records_to_xml(records: Sequence[Any], root: str, type_name: str) -> bytes:
    """Render a list.

    :param records: decoded records.
    :param root: root element, plural.
    :param type_name: type of the records.
    :return: the document.
    """
    inner = "".join(_element(singular(root), record, type_name, None) for record in records)
    return f'{_HEAD}<{root} type="array">{inner}</{root}>\n'.encode()


def record_to_xml(record: Any, root: str, type_name: str) -> bytes:
    """Render one record.

    :param record: decoded record.
    :param root: root element of a list of such records, plural.
    :param type_name: type of the record.
    :return: the document.
    """
    return (_HEAD + _element(singular(root), record, type_name, None) + "\n").encode()


def errors_to_xml(messages: Sequence[str]) -> bytes:
    """Render errors.

    :param messages: what is wrong.
    :return: the document.
    """
    inner = "".join(f"<error>{_text(message)}</error>" for message in messages)
    return f"{_HEAD}<errors>{inner}</errors>\n".encode()


def _text(value: object) -> str:
    return escape(_FORBIDDEN.sub("", str(value)))


def _element(name: str, value: Any, type_name: str | None, base: str | None) -> str:
    if not _NAME.match(name):
        name = re.sub(r"[^\w.-]", "-", name)
        name = name if _NAME.match(name) else f"_{name}"
    if value is None:
        return f'<{name} nil="true"/>'
    if isinstance(value, Mapping):
        attributes = attributes_of_type(type_name.replace("::", "-")) if type_name else {}
        inner = []
        for key, below in value.items():
            known = attributes.get(key)
            inner.append(_element(key, below, known.target if known else None, known.base if known else None))
        return f"<{name}>{''.join(inner)}</{name}>"
    if isinstance(value, list):
        each = singular(name)
        inner = [_element(each, entry, type_name, None) for entry in value]
        return f'<{name} type="array">{"".join(inner)}</{name}>'
    if isinstance(value, bool):
        return f'<{name} type="boolean">{str(value).lower()}</{name}>'
    kind = _TYPES.get(base or "", "integer" if isinstance(value, int) else "")
    mark = f' type="{kind}"' if kind else ""
    return f"<{name}{mark}>{_text(value)}</{name}>"
