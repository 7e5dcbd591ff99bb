"""Custom fields found by looking: which there are, how many records use them, and what they seem to hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from coupa_provider.extract.drift import MIXED, NOTHING, Drift
from coupa_provider.extract.schema import CUSTOM_FIELDS
from coupa_provider.extract.split import MISSING, RecordSplitter, all_missing, is_object

_NONE = msgspec.Raw(b"{}")
_TOGETHER = 512
"""Records looked at together: few enough for the processor's caches."""
_LOOKED_AT = 8
"""Values of a field whose kind is looked at, of those looked at together."""

_DATE = re.compile(rb'"\d{4}-\d\d-\d\d"')
_TIME = re.compile(rb'"\d{4}-\d\d-\d\d[T ]\d\d:\d\d[^"]*"')
_KIND_BY_FIRST_BYTE = {ord("{"): "reference", ord("["): "list", ord("t"): "boolean", ord("f"): "boolean"}


class CustomFields:
    """Looks into the objects ``custom-fields``.

    :param names: fields whose values are wanted.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = list(names)
        self._splitter = RecordSplitter(self._names)

    def split(
        self, objects: Sequence[msgspec.Raw], ids: Sequence[int], drift: Drift
    ) -> dict[str, list[msgspec.Raw]]:
        """Note the fields that there are, and return the values of those that are wanted.

        :param objects: the value of ``custom-fields`` in each record. One that is no object has no fields.
        :param ids: ids of the records.
        :param drift: where to note them.
        """
        wanted: dict[str, list[msgspec.Raw]] = {name: [] for name in self._names}
        for first in range(0, len(objects), _TOGETHER):
            some = objects[first : first + _TOGETHER]
            if self._names or some.count(MISSING) < len(some):
                columns = self._split(some, ids[first : first + _TOGETHER], drift)
                for name, values in wanted.items():
                    values += columns[name]
        return wanted

    def _split(
        self, objects: Sequence[msgspec.Raw], ids: Sequence[int], drift: Drift
    ) -> dict[str, Sequence[msgspec.Raw]]:
        split = self._splitter.split([value if is_object(value) else _NONE for value in objects], ids)
        for name, values in split.columns.items():
            note(f"{CUSTOM_FIELDS}[{name}]", values, drift)
        for fields in split.overflow.values():
            for name, value in fields.items():
                note(f"{CUSTOM_FIELDS}[{name}]", [value], drift)
        return split.columns


def note(name: str, values: Sequence[msgspec.Raw], drift: Drift) -> None:
    """Note an attribute the documents do not know, if any record has it.

    :param name: name in the drift.
    :param values: its value in each record.
    :param drift: where to note it.
    """
    if name not in drift.custom_fields and all_missing(values):
        return
    count = len(values) - values.count(MISSING)
    drift.add_custom_field(name, count, _common_kind(values) if count else NOTHING)


def _common_kind(values: Sequence[msgspec.Raw]) -> str:
    """Return what some of the values are; at least one is not null."""
    kinds = {_kind_of(value) for value in values[:: len(values) // _LOOKED_AT + 1]} - {NOTHING}
    if not kinds:
        kinds = {_kind_of(next(value for value in values if value != MISSING))}
    return kinds.pop() if len(kinds) == 1 else MIXED


def _kind_of(value: msgspec.Raw) -> str:
    first = memoryview(value)[0]
    if first == ord('"'):
        text = bytes(value)
        return "date" if _DATE.fullmatch(text) else "datetime" if _TIME.fullmatch(text) else "string"
    if first == ord("n"):
        return NOTHING
    return _KIND_BY_FIRST_BYTE.get(first, "number")
