"""Records to typed Arrow batches, with everything that has no place kept in ``_extra``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from coupa_provider.extract.custom_fields import CustomFields, note
from coupa_provider.extract.drift import Drift
from coupa_provider.extract.errors import ExtractError
from coupa_provider.extract.explode import hold_lines_alone, spellings
from coupa_provider.extract.kinds import MisfitError
from coupa_provider.extract.schema import CUSTOM_FIELDS, Column, Schema, column_name
from coupa_provider.extract.split import MISSING, RecordSplitter, SplitRecords, all_missing

_UNUSUAL = (MisfitError, msgspec.DecodeError, UnicodeError, OverflowError, pa.ArrowException)
"""What a kind's ``convert`` raises on values it leaves to ``read``."""


class TableDecoder:
    """Turns records into batches of a schema and notes where they differ from it.

    :param schema: columns to fill.
    """

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._columns = schema.columns if schema.of_lines else schema.columns[1:]
        own = [column for column in schema.columns if column.custom_field is None]
        self._attributes = dict.fromkeys([*(column.attribute for column in own), *schema.exploded])
        self._attribute_by_name = {column.name: column.attribute for column in own if not column.companion}
        self._attribute_by_name |= {column_name(attribute): attribute for attribute in schema.exploded}
        self._own_fields = [name for name in self._attributes if column_name(name) not in schema.documented]
        self._unseen = {*(column.attribute for column in self._columns), *schema.exploded}
        self._splitter = RecordSplitter(self._attributes)
        self._custom_fields = CustomFields(
            {column.custom_field: None for column in schema.columns if column.custom_field}
        )
        self._drift = Drift()

    @property
    def drift(self) -> Drift:
        """How the records so far differ from the schema."""
        if self._drift.rows:
            attributes = [*(column.attribute for column in self._columns), *self.schema.exploded]
            self._drift.never_seen = [name for name in dict.fromkeys(attributes) if name in self._unseen]
        return self._drift

    def resume(self, drift: Drift) -> None:
        """Go on where another decoder of the same schema stopped.

        :param drift: what the other one had noted; taken over.
        """
        self._drift = drift
        if drift.rows:
            self._unseen = set(drift.never_seen)

    def decode(
        self, records: Sequence[msgspec.Raw], ids: Sequence[int], positions: Sequence[int] = ()
    ) -> pa.RecordBatch:
        """Decode records into one batch.

        :param records: the JSON text of each record, or line; at least one.
        :param ids: their ids; of a line, the id of its record.
        :param positions: of a line, its place in the record.
        :raises ExtractError: a record is not a JSON object in UTF-8.
        """
        extras = _Extras(ids)
        split = self._splitter.split(records, ids)
        self._drift.rows += len(ids)
        self._gather_unforeseen(split, extras)
        for attribute in self._own_fields:
            note(attribute, split.columns[attribute], self._drift)
        for attribute in self.schema.exploded:
            self._keep_what_is_no_line(attribute, split.columns[attribute], ids, extras)
        custom = self._custom_fields.split(split.columns.get(CUSTOM_FIELDS, ()), ids, self._drift)
        keys = [ids, positions] if self.schema.of_lines else [ids]
        arrays = [pa.array(key, pa.int64()) for key in keys]
        for column in self._columns:
            values = custom[column.custom_field] if column.custom_field else split.columns[column.attribute]
            if all_missing(values):
                arrays.append(pa.nulls(len(ids), column.kind.arrow))
                continue
            self._unseen.discard(column.attribute)
            arrays.append(self._convert(column, values, ids, extras))
        arrays.append(extras.as_array())
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema.arrow)

    def _gather_unforeseen(self, split: SplitRecords, extras: _Extras) -> None:
        for name in [name for name in split.columns if name not in self._attributes]:
            values = split.columns[name]
            attribute = self._attribute_by_name.get(column_name(name))
            if attribute in self.schema.exploded and name not in spellings(attribute):
                attribute = None
            if attribute is not None:
                values = _move_to_column(split, attribute, values)
            found = extras.add(name, values)
            if found:
                self._drift.add_unforeseen(name, found)
                if column_name(name) not in self.schema.documented:
                    note(name, values, self._drift)
        for position, attributes in split.overflow.items():
            for name, value in attributes.items():
                extras.add_one(position, name, value)
                self._drift.add_unforeseen(name, 1)
                if column_name(name) not in self.schema.documented:
                    note(name, [value], self._drift)

    def _keep_what_is_no_line(
        self, attribute: str, values: Sequence[msgspec.Raw], ids: Sequence[int], extras: _Extras
    ) -> None:
        if not all_missing(values):
            self._unseen.discard(attribute)
        if hold_lines_alone(values):
            return
        for position, value in enumerate(values):
            if not hold_lines_alone([value]):
                extras.add_one(position, attribute, value)
                self._drift.add_misfit(attribute, ids[position])

    def _convert(
        self, column: Column, values: Sequence[msgspec.Raw], ids: Sequence[int], extras: _Extras
    ) -> pa.Array:
        try:
            return column.kind.convert(values)
        except _UNUSUAL:
            return pa.array(self._read(column, values, ids, extras), column.kind.arrow)

    def _read(
        self, column: Column, values: Sequence[msgspec.Raw], ids: Sequence[int], extras: _Extras
    ) -> Iterable[Any]:
        for position, value in enumerate(values):
            if value == MISSING:
                yield None
                continue
            try:
                yield column.kind.read(bytes(value))
            except MisfitError:
                if not column.companion:
                    extras.add_one(position, column.attribute, value)
                    self._drift.add_misfit(column.attribute, ids[position])
                yield None
            except (msgspec.DecodeError, UnicodeError) as error:
                raise ExtractError(
                    f"Attribute {column.attribute!r} of record {ids[position]} is not text in UTF-8: {error}."
                ) from error


def _move_to_column(
    split: SplitRecords, attribute: str, values: Sequence[msgspec.Raw]
) -> Sequence[msgspec.Raw]:
    """Take values that came under another spelling (``postal_code``) where the usual one is missing.

    :return: the values that stay unforeseen: those of records with both spellings.
    """
    usual = split.columns[attribute]
    split.columns[attribute] = [
        other if value is MISSING else value for value, other in zip(usual, values, strict=True)
    ]
    return [MISSING if value is MISSING else other for value, other in zip(usual, values, strict=True)]


class _Extras:
    """The ``_extra`` column of one batch while it is gathered."""

    def __init__(self, ids: Sequence[int]) -> None:
        self._ids = ids
        self._members: list[list[bytes] | None] = [None] * len(ids)

    def add(self, name: str, values: Sequence[msgspec.Raw]) -> int:
        """Add an attribute of all records that have it and return how many have."""
        key = msgspec.json.encode(name) + b":"
        members = self._members
        found = 0
        for position, value in enumerate(values):
            if value is not MISSING:
                found += 1
                others = members[position]
                if others is None:
                    members[position] = [key + value]
                else:
                    others.append(key + value)
        return found

    def add_one(self, position: int, name: str, value: msgspec.Raw) -> None:
        """Add an attribute of one record."""
        member = msgspec.json.encode(name) + b":" + value
        self._members[position] = [*(self._members[position] or ()), member]

    def as_array(self) -> pa.Array:
        texts = [None if members is None else b"{" + b",".join(members) + b"}" for members in self._members]
        try:
            return pa.array(texts, pa.string())
        except pa.ArrowInvalid as error:
            for number, text in zip(self._ids, texts, strict=True):
                _check_utf8(number, text or b"")
            raise ExtractError(f"Unforeseen attributes cannot be kept: {error}.") from error


def _check_utf8(number: int, text: bytes) -> None:
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise ExtractError(f"Record {number} is not text in UTF-8: {error}.") from error
