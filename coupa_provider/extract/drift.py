"""Where the records differ from the documents."""

from __future__ import annotations

import msgspec

_LONGEST_LIST = 1000
_SAMPLES = 3
OTHERS = "(others)"
NOTHING = "null"
MIXED = "mixed"


class Misfits(msgspec.Struct):
    """Values of an attribute that did not fit its column and stand in ``_extra`` instead.

    :param count: how many.
    :param sample_ids: ids of the first records that have one.
    """

    count: int = 0
    sample_ids: list[int] = msgspec.field(default_factory=list)


class FoundField(msgspec.Struct):
    """An attribute that the documents do not know and the records have.

    :param count: records that hold a value in it, ``null`` not counted.
    :param kind: what the values looked at are: ``string``, ``number``, ``boolean``, ``date``, ``datetime``,
        ``reference``, ``list``, ``mixed``, or ``null`` where there was no value. Coupa may send numbers as text.
    """

    count: int = 0
    kind: str = NOTHING


class Drift(msgspec.Struct):
    """How the records differ from the schema; nothing of it was lost.

    It holds all that is counted while records are written, so that another process can go on from it.

    :param rows: rows looked at.
    :param unforeseen: attributes without a column, by name on the wire, and how many records have each. They
        stand in ``_extra``. Names after the first thousand are counted together as ``(others)``.
    :param misfits: attributes with values that did not fit their column.
    :param never_seen: attributes with a column that no record had, not even as ``null``.
    :param custom_fields: attributes the documents do not know, found by looking: ``custom-fields[cost-center]``
        for one in the object ``custom-fields``, ``cost-center`` for one beside the documented attributes. Those
        after the first thousand are left out.
    """

    rows: int = 0
    unforeseen: dict[str, int] = msgspec.field(default_factory=dict)
    misfits: dict[str, Misfits] = msgspec.field(default_factory=dict)
    never_seen: list[str] = msgspec.field(default_factory=list)
    custom_fields: dict[str, FoundField] = msgspec.field(default_factory=dict)

    def add_unforeseen(self, attribute: str, count: int) -> None:
        """Count records that have an attribute without a column."""
        if attribute not in self.unforeseen and len(self.unforeseen) >= _LONGEST_LIST:
            attribute = OTHERS
        self.unforeseen[attribute] = self.unforeseen.get(attribute, 0) + count

    def add_misfit(self, attribute: str, record_id: int) -> None:
        """Count a value that did not fit."""
        misfits = self.misfits.setdefault(attribute, Misfits())
        misfits.count += 1
        if len(misfits.sample_ids) < _SAMPLES:
            misfits.sample_ids.append(record_id)

    def add_custom_field(self, name: str, count: int, kind: str) -> None:
        """Count records that hold a value in an attribute the documents do not know."""
        found = self.custom_fields.get(name)
        if found is None:
            if len(self.custom_fields) >= _LONGEST_LIST:
                return
            found = self.custom_fields[name] = FoundField()
        found.count += count
        if NOTHING not in (kind, found.kind) and kind != found.kind:
            found.kind = MIXED
        elif found.kind == NOTHING:
            found.kind = kind

    def add(self, other: Drift) -> None:
        """Count in what was found in other rows of the same table.

        :param other: stays as it is.
        """
        if not self.rows:
            self.never_seen = list(other.never_seen)
        elif other.rows:
            self.never_seen = [name for name in self.never_seen if name in other.never_seen]
        self.rows += other.rows
        for attribute, count in other.unforeseen.items():
            self.add_unforeseen(attribute, count)
        for attribute, misfits in other.misfits.items():
            own = self.misfits.setdefault(attribute, Misfits())
            own.count += misfits.count
            own.sample_ids = [*own.sample_ids, *misfits.sample_ids][:_SAMPLES]
        for name, found in other.custom_fields.items():
            self.add_custom_field(name, found.count, found.kind)
