"""Columns of a resource's table: the same for every extract of a release, whatever was sent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from coupa_provider.extract.kinds import DAY, INTEGER, Kind, kind_of
from coupa_provider.resources.catalog import Attribute, find_resource

Field = str | Mapping[str, object]
"""An element of Coupa's ``fields`` argument: a name, or an association with what to show of it."""

EXTRA = "_extra"
"""Column of everything that has no column, or does not fit its own: a JSON object as text."""

_ID = Attribute("id", "integer")
_CUSTOM_FIELDS = Attribute("custom-fields", "unknown")
_UNDOCUMENTED_RESOURCE = (Attribute("created-at", "datetime"), Attribute("updated-at", "datetime"))


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    :param name: name in the table, such as ``"invoice_number"``.
    :param attribute: name on the wire, such as ``"invoice-number"``.
    :param kind: what its values are.
    :param companion: repeats an attribute that has a column of its own in another form.
    """

    name: str
    attribute: str
    kind: Kind
    companion: bool = False


@dataclass(frozen=True)
class Schema:
    """The columns of a table, ``id`` first; ``_extra`` comes after them.

    :param columns: columns with different names.
    """

    columns: tuple[Column, ...]

    @cached_property
    def arrow(self) -> pa.Schema:
        """All columns as an Arrow schema."""
        fields = [pa.field(column.name, column.kind.arrow) for column in self.columns]
        return pa.schema([*fields, pa.field(EXTRA, pa.string())])

    @property
    def types(self) -> dict[str, str]:
        """Type of each column by name, in Arrow's words."""
        return {field.name: str(field.type) for field in self.arrow}


def column_name(attribute: str) -> str:
    """Return the column name of an attribute: ``"invoice-number"`` gives ``"invoice_number"``."""
    return re.sub(r"[^0-9a-z]+", "_", attribute.lower()).strip("_")


def schema_of(
    resource: str, fields: Sequence[Field] | None = None, *, decimals_as_text: bool = False
) -> Schema:
    """Return the table schema of a resource.

    Without ``fields`` there is a column for each documented attribute that Coupa sends in answers, and
    ``custom_fields``. With ``fields`` there is one for each name asked for, in that order; a name the
    documents do not know is kept as JSON text. ``id`` is always there. A resource the documents do not know
    has ``id``, ``created_at``, ``updated_at`` and ``custom_fields``, all else in ``_extra``; name its fields
    to get columns. A ``datetime`` called ``...-date`` is a calendar day that Coupa stores as midnight of the
    company's zone: beside the instant it gets a column ``..._day`` with the day shown.

    :param resource: path under ``/api``, ids included: ``"suppliers/7/addresses"``.
    :param fields: Coupa's ``fields`` argument; None for all.
    :param decimals_as_text: keep decimals as text as sent, for formats without exact decimals.
    """
    known = find_resource(resource)
    attributes = list(known.attributes.values()) if known else []
    if fields is not None:
        documented = {column_name(attribute.name): attribute for attribute in [_CUSTOM_FIELDS, *attributes]}
        asked = [name.replace("_", "-") for name in _top_level_names(fields)]
        chosen = [documented.get(column_name(name)) or Attribute(name, "unknown") for name in asked]
    elif known:
        chosen = [attribute for attribute in attributes if attribute.readable] + [_CUSTOM_FIELDS]
    else:
        chosen = [*_UNDOCUMENTED_RESOURCE, _CUSTOM_FIELDS]
    return Schema(tuple(_columns([_ID, *chosen], decimals_as_text)))


def _top_level_names(fields: Sequence[Field]) -> Iterator[str]:
    for field in fields:
        if isinstance(field, str):
            yield field
        else:
            yield from field


def _columns(attributes: Iterable[Attribute], decimals_as_text: bool) -> Iterator[Column]:
    by_name: dict[str, Attribute] = {}
    for attribute in attributes:
        by_name.setdefault(column_name(attribute.name), attribute)
    for name, attribute in by_name.items():
        kind = INTEGER if name == "id" else kind_of(attribute, decimals_as_text=decimals_as_text)
        yield Column(name, attribute.name, kind)
        day = f"{name}_day"
        if attribute.base == "datetime" and name.endswith("_date") and day not in by_name:
            yield Column(day, attribute.name, DAY, companion=True)
