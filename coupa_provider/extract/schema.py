"""Columns of a table: the same for every extract of a release, whatever was sent."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from coupa_provider.extract.kinds import DAY, INTEGER, Kind, kind_of
from coupa_provider.extract.overrides import Override, read_overrides
from coupa_provider.resources.catalog import Attribute, attributes_of_type, find_resource

Field = str | Mapping[str, object]
"""An element of Coupa's ``fields`` argument: a name, or an association with what to show of it."""

EXTRA = "_extra"
"""Column of everything that has no column, or does not fit its own: a JSON object as text."""
PARENT_ID = "_parent_id"
"""Column of a table of lines with the id of the record that a line belongs to."""
POSITION = "_position"
"""Column of a table of lines with the place of a line in its record, from 0."""
CUSTOM_FIELDS = "custom-fields"
"""Attribute that holds the custom fields of a record, as an object."""

_ID = Attribute("id", "integer")
_CUSTOM_FIELDS = Attribute(CUSTOM_FIELDS, "unknown")
_UNDOCUMENTED_RESOURCE = (Attribute("created-at", "datetime"), Attribute("updated-at", "datetime"))


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    :param name: name in the table, such as ``"invoice_number"``.
    :param attribute: name on the wire, such as ``"invoice-number"`` or ``"custom-fields[region]"``.
    :param kind: what its values are.
    :param custom_field: name on the wire within the object ``custom-fields``; None for the record's own attributes.
    :param companion: repeats an attribute that has a column of its own in another form.
    """

    name: str
    attribute: str
    kind: Kind
    custom_field: str | None = None
    companion: bool = False


@dataclass(frozen=True)
class Schema:
    """The columns of a table; ``_extra`` comes after them.

    :param columns: columns with different names, ``id`` first.
    :param documented: names of columns for all attributes that the documents know, here or not.
    :param exploded: attributes whose lists have tables of their own, and no column here.
    :param of_lines: a table of lines, with ``_parent_id`` and ``_position`` before the columns. Its ``id`` may be
        null.
    """

    columns: tuple[Column, ...]
    documented: frozenset[str]
    exploded: tuple[str, ...] = ()
    of_lines: bool = False

    @cached_property
    def arrow(self) -> pa.Schema:
        """All columns as an Arrow schema."""
        keys = [pa.field(name, pa.int64()) for name in (PARENT_ID, POSITION) if self.of_lines]
        fields = [pa.field(column.name, column.kind.arrow) for column in self.columns]
        return pa.schema([*keys, *fields, pa.field(EXTRA, pa.string())])

    @property
    def types(self) -> dict[str, str]:
        """Type of each column by name, in Arrow's words."""
        return {field.name: str(field.type) for field in self.arrow}


def column_name(attribute: str) -> str:
    """Return the column name of an attribute: ``"invoice-number"`` gives ``"invoice_number"``."""
    return re.sub(r"[^0-9a-z]+", "_", attribute.lower()).strip("_")


def schema_of(
    resource: str,
    fields: Sequence[Field] | None = None,
    *,
    overrides: Mapping[str, str] | None = None,
    exploded: Collection[str] = (),
    decimals_as_text: bool = False,
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
    :param overrides: types that differ from the documented ones, and of attributes they do not know: see
        :func:`~coupa_provider.extract.overrides.read_overrides`. Attributes beyond the others come last.
    :param exploded: attributes that get no column, since their lists have tables of their own.
    :param decimals_as_text: keep decimals as text as sent, for formats without exact decimals.
    :raises ValueError: an override is wrong, or two columns would have one name.
    """
    known = find_resource(resource)
    documented = [*(known.attributes.values() if known else _UNDOCUMENTED_RESOURCE), _CUSTOM_FIELDS]
    read = read_overrides(overrides or {}, decimals_as_text=decimals_as_text)
    chosen = _chosen(documented, fields)
    _check_overrides(read, chosen, fields, exploded)
    columns = _columns([_ID, *chosen], read, exploded, decimals_as_text)
    return Schema(columns, _names(documented), tuple(exploded))


def schema_of_lines(type_name: str | None, fields: Sequence[Field] | None = None) -> Schema:
    """Return the schema of a table of lines.

    It has ``_parent_id``, ``_position``, ``id`` and columns as a resource of this type would have.

    :param type_name: type of the lines in the documents; None or one they only mention for lines with nothing
        known of them, which have ``id`` and all else in ``_extra``.
    :param fields: attributes that get columns; None for all documented ones.
    """
    attributes = attributes_of_type(type_name or "").values()
    documented = [*attributes, _CUSTOM_FIELDS] if attributes else []
    columns = _columns([_ID, *_chosen(documented, fields)], [], (), False)
    return Schema(columns, _names(documented), of_lines=True)


def top_level_names(fields: Sequence[Field]) -> Iterator[str]:
    """Yield the names that a ``fields`` argument asks for, as on the wire."""
    for field in fields:
        for name in [field] if isinstance(field, str) else field:
            yield name.replace("_", "-")


def _names(attributes: Iterable[Attribute]) -> frozenset[str]:
    return frozenset(column_name(attribute.name) for attribute in [_ID, *attributes])


def _chosen(documented: Sequence[Attribute], fields: Sequence[Field] | None) -> list[Attribute]:
    if fields is None:
        return [attribute for attribute in documented if attribute.readable]
    known = {column_name(attribute.name): attribute for attribute in reversed(documented)}
    return [known.get(column_name(name)) or Attribute(name, "unknown") for name in top_level_names(fields)]


def _check_overrides(
    overrides: Sequence[Override],
    chosen: Sequence[Attribute],
    fields: Sequence[Field] | None,
    exploded: Collection[str],
) -> None:
    asked = {column_name(attribute.name) for attribute in chosen}
    for override in overrides:
        name = CUSTOM_FIELDS if override.custom_field else override.attribute
        if column_name(name) == "id":
            raise ValueError("schema names 'id', which is a whole number always. Leave it out.")
        if name in exploded:
            raise ValueError(
                f"schema names {name!r}, which explode takes out to a table of its own. Choose one."
            )
        if fields is not None and column_name(name) not in asked:
            raise ValueError(
                f"schema names {override.attribute!r}, but fields does not ask for {name!r}, so Coupa will not send "
                "it. Add it to fields."
            )


def _columns(
    attributes: Iterable[Attribute],
    overrides: Sequence[Override],
    exploded: Collection[str],
    decimals_as_text: bool,
) -> tuple[Column, ...]:
    by_name: dict[str, Column] = {}
    bases: dict[str, str] = {}
    for attribute in attributes:
        name = column_name(attribute.name)
        if name not in by_name and attribute.name not in exploded:
            kind = INTEGER if name == "id" else kind_of(attribute, decimals_as_text=decimals_as_text)
            by_name[name] = Column(name, attribute.name, kind)
            bases[name] = attribute.base
    overridden: dict[str, str] = {}
    for override in overrides:
        name = column_name(override.attribute)
        present = by_name.get(name)
        if name in overridden or (present and override.custom_field):
            other = overridden.get(name) or (present.attribute if present else "")
            raise ValueError(
                f"schema names {override.attribute!r} and {other!r}, which make one column {name!r}."
            )
        if not name:
            raise ValueError(
                f"schema names {override.attribute!r}, which has no letter or digit for a column name."
            )
        overridden[name] = override.attribute
        attribute_name = present.attribute if present else override.attribute
        by_name[name] = Column(name, attribute_name, override.kind, override.custom_field)
        bases[name] = override.base
    return tuple(_with_days(by_name, bases))


def _with_days(by_name: Mapping[str, Column], bases: Mapping[str, str]) -> Iterator[Column]:
    for name, column in by_name.items():
        yield column
        day = f"{name}_day"
        if bases[name] == "datetime" and name.endswith("_date") and day not in by_name:
            yield Column(day, column.attribute, DAY, column.custom_field, companion=True)
