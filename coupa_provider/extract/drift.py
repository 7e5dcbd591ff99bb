"""Where the records differ from the documents."""

from __future__ import annotations

import msgspec

_LONGEST_LIST = 1000
_OTHERS = "(others)"
_SAMPLES = 3


class Misfits(msgspec.Struct):
    """Values of an attribute that did not fit its column and stand in ``_extra`` instead.

    :param count: how many.
    :param sample_ids: ids of the first records that have one.
    """

    count: int = 0
    sample_ids: list[int] = msgspec.field(default_factory=list)


class Drift(msgspec.Struct):
    """How the records differ from the schema; nothing of it was lost.

    :param unforeseen: attributes without a column, by name on the wire, and how many records have each. They
        stand in ``_extra``. Names after the first thousand are counted together as ``(others)``.
    :param misfits: attributes with values that did not fit their column.
    :param never_seen: attributes with a column that no record had, not even as ``null``.
    """

    unforeseen: dict[str, int] = msgspec.field(default_factory=dict)
    misfits: dict[str, Misfits] = msgspec.field(default_factory=dict)
    never_seen: list[str] = msgspec.field(default_factory=list)

    def add_unforeseen(self, attribute: str, count: int) -> None:
        """Count records that have an attribute without a column."""
        if attribute not in self.unforeseen and len(self.unforeseen) >= _LONGEST_LIST:
            attribute = _OTHERS
        self.unforeseen[attribute] = self.unforeseen.get(attribute, 0) + count

    def add_misfit(self, attribute: str, record_id: int) -> None:
        """Count a value that did not fit."""
        misfits = self.misfits.setdefault(attribute, Misfits())
        misfits.count += 1
        if len(misfits.sample_ids) < _SAMPLES:
            misfits.sample_ids.append(record_id)
