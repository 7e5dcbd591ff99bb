"""Lists of lines in records: which of them get tables of their own, and their lines one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from coupa_provider.extract.errors import ExtractError
from coupa_provider.extract.schema import Field, column_name, top_level_names
from coupa_provider.extract.split import is_object
from coupa_provider.resources.catalog import find_resource

Explode = Mapping[str, Sequence[Field] | None]
"""Names of lists that get tables of their own, each with the attributes that get columns; None for all."""


@dataclass(frozen=True, slots=True)
class LineList:
    """A list of lines in the records of a resource.

    :param attribute: name on the wire: ``"invoice-lines"``.
    :param table: name of its table: ``"invoice_lines"``.
    :param type_name: type of the lines in the documents; None if they do not know the list.
    :param fields: attributes that get columns; None for all documented ones.
    """

    attribute: str
    table: str
    type_name: str | None
    fields: Sequence[Field] | None


def line_lists(resource: str, explode: Explode | None, fields: Sequence[Field] | None) -> list[LineList]:
    """Return the lists that get tables of their own.

    :param resource: path of the resource.
    :param explode: names of the lists, as on the wire, and what of them gets columns.
    :param fields: Coupa's ``fields`` argument, which has to ask for them; None for all. What it asks of a list
        gives the columns where ``explode`` names none.
    :raises ValueError: something named is no list, is not asked for, or comes twice.
    """
    found: dict[str, LineList] = {}
    for name, columns in (explode or {}).items():
        lines = _line_list(resource, name.replace("_", "-"), columns, fields)
        if lines.table in found:
            raise ValueError(f"explode names {name!r} twice, in two spellings.")
        found[lines.table] = lines
    return list(found.values())


def _line_list(
    resource: str, name: str, columns: Sequence[Field] | None, fields: Sequence[Field] | None
) -> LineList:
    if isinstance(columns, str | Mapping):
        raise ValueError(
            f"explode gives {name!r} the columns {columns!r}; write a list of names, or None for all."
        )
    table = column_name(name)
    if not table or table == "id":
        raise ValueError(f"explode names {name!r}, which cannot be the name of a table.")
    known = find_resource(resource)
    documented = known.attributes if known else {}
    attribute = documented.get(name)
    if attribute is not None and attribute.base not in ("list", "unknown"):
        lists = ", ".join(other.name for other in documented.values() if other.base == "list")
        raise ValueError(
            f"explode names {name!r}, which is no list but a {attribute.base}. Lists of {resource}: {lists or 'none'}."
        )
    if fields is not None:
        if name not in top_level_names(fields):
            raise ValueError(
                f"explode names {name!r}, but fields does not ask for it, so Coupa will not send it. Add it to fields."
            )
        if columns is None:
            columns = _asked_of(name, fields)
    return LineList(name, table, attribute.target if attribute else None, columns)


def _asked_of(name: str, fields: Sequence[Field]) -> Sequence[Field] | None:
    """Return what ``fields`` asks of a list, None for everything."""
    for field in fields:
        if isinstance(field, Mapping):
            for key, inner in field.items():
                if key.replace("_", "-") == name and isinstance(inner, Sequence) and inner:
                    return inner
    return None


def spellings(attribute: str) -> tuple[str, ...]:
    """Return the names under which Coupa may send an attribute, the usual one first."""
    return tuple(dict.fromkeys([attribute, attribute.replace("-", "_")]))


# ---------------------------------------------------------------------------------------------- lines


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of some records.

    :param texts: JSON text of each line, an object.
    :param parents: id of the record of each line.
    :param positions: place of each line in the list that was sent, from 0.
    """

    texts: list[msgspec.Raw]
    parents: list[int]
    positions: list[int]


class LineReader:
    """Takes the lines out of records.

    :param attribute: name of the list on the wire.
    """

    def __init__(self, attribute: str) -> None:
        fields = [
            (
                f"spelling_{place}",
                list[msgspec.Raw] | None | msgspec.UnsetType,
                msgspec.field(default=msgspec.UNSET, name=name),
            )
            for place, name in enumerate(spellings(attribute))
        ]
        self._all = msgspec.json.Decoder(list[msgspec.defstruct("Record", fields, gc=False)])  # type: ignore[misc]
        self._as_dict = msgspec.json.Decoder(dict[str, msgspec.Raw])
        self._spellings = spellings(attribute)

    def read(self, records: Sequence[msgspec.Raw], ids: Sequence[int]) -> Lines:
        """Return the lines of records; what is no list, and what is no object in it, is passed over.

        :param records: the JSON text of each record.
        :param ids: their ids.
        :raises ExtractError: a record is not a JSON object.
        """
        try:
            rows = self._all.decode(b"[" + b",".join(records) + b"]")
            lists = [
                next(
                    (entries for entries in msgspec.structs.astuple(row) if entries is not msgspec.UNSET),
                    None,
                )
                for row in rows
            ]
        except msgspec.DecodeError:
            lists = [self._read_one(record, number) for record, number in zip(records, ids, strict=True)]
        lines = Lines([], [], [])
        for number, entries in zip(ids, lists, strict=True):
            if entries:
                places = [place for place, entry in enumerate(entries) if is_object(entry)]
                lines.texts.extend(
                    entries if len(places) == len(entries) else [entries[place] for place in places]
                )
                lines.parents.extend([number] * len(places))
                lines.positions.extend(places)
        return lines

    def _read_one(self, record: msgspec.Raw, number: int) -> list[msgspec.Raw] | None:
        try:
            row = self._as_dict.decode(record)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ExtractError(f"Record {number} is not a JSON object: {error}.") from error
        for name in self._spellings:
            if name in row:
                return entries_of(row[name])
        return None


class _Line(msgspec.Struct, gc=False):
    """Any object, not looked into."""


_line_lists = msgspec.json.Decoder(list[list[_Line] | None])
_entries = msgspec.json.Decoder(list[msgspec.Raw])


def hold_lines_alone(values: Sequence[msgspec.Raw]) -> bool:
    """Tell at once whether each of the values is a list of objects, or null."""
    try:
        _line_lists.decode(b"[" + b",".join(values) + b"]")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def entries_of(value: msgspec.Raw) -> list[msgspec.Raw] | None:
    """Return the entries of a list as sent; None for anything else."""
    try:
        return _entries.decode(value)
    except msgspec.DecodeError:
        return None
