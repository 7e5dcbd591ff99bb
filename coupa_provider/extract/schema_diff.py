"""How the tables of one extract differ from those of an earlier one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from coupa_provider.extract import SCHEMA_CHANGES
from coupa_provider.extract.drift import OTHERS, Drift
from coupa_provider.extract.manifest import Manifest
from coupa_provider.extract.schema import column_name

What = Literal["removed", "retyped", "added", "vanished", "appeared", "misfit"]
_BREAKING = ("removed", "retyped")


class Change(msgspec.Struct, frozen=True):
    """One difference.

    :param what: one of ``coupa_provider.extract.SCHEMA_CHANGES``.
    :param table: the resource, or the table of lines.
    :param name: the column, or the attribute on the wire; None for a table as a whole.
    :param before: type of the column, or what the attribute seemed to hold; None if there was none.
    :param after: the same in the new extract.
    """

    what: What
    table: str
    name: str | None
    before: str | None = None
    after: str | None = None

    def __str__(self) -> str:
        place = self.table if self.name is None else f"{self.table}: {self.name}"
        if self.before and self.after:
            return f"{self.what:<8}  {place}, {self.before} -> {self.after}"
        about = self.after or self.before
        return f"{self.what:<8}  {place}" + (f", {about}" if about else "")


class SchemaDiff(msgspec.Struct, frozen=True):
    """The differences between two extracts of a resource.

    :param resource: path under ``/api``.
    :param changes: what differs, the worst first.
    :param releases: release of this package that wrote the old one and the new one.
    """

    resource: str
    changes: list[Change]
    releases: tuple[str, str]

    @property
    def breaking(self) -> bool:
        """Whether a column went away or has another type, so that readers of the tables may fail."""
        return bool(self.of(*_BREAKING))

    def of(self, *what: str) -> list[Change]:
        """Return the changes of some kinds."""
        return [change for change in self.changes if change.what in what]

    def __str__(self) -> str:
        if not self.changes:
            return f"{self.resource}: nothing changed"
        lines = [
            f"{self.resource}: {len(self.changes)} change(s)",
            *(f"  {change}" for change in self.changes),
        ]
        if self.releases[0] != self.releases[1]:
            lines.append(
                f"  The releases {self.releases[0]} and {self.releases[1]} of airflow-provider-coupa wrote them; "
                "columns may differ for that reason."
            )
        return "\n".join(lines)


def compare_schemas(old: Manifest, new: Manifest) -> SchemaDiff:
    """Tell how the tables of an extract differ from those of an earlier one.

    What Coupa sent can only be told of tables with rows, so attributes are compared where both have some. An
    attribute that few records hold may be missing from a small extract by chance.

    :param old: the earlier one; another release of this package may have written it.
    :param new: the later one.
    :raises ValueError: they hold different things.
    """
    for key in ("resource", "file_format", "kind"):
        before, after = getattr(old, key), getattr(new, key)
        if before != after:
            raise ValueError(
                f"The manifests have the {key} {before!r} and {after!r}; only the same can be compared."
            )
    sides = [_Side(each.columns, each.drift, _lists(each)) for each in (old, new)]
    changes = [*_changes(old.resource, *sides)]
    for table in sorted(old.children.keys() | new.children.keys()):
        lines = [each.children.get(table) for each in (old, new)]
        present = [_Side(each.columns, each.drift) for each in lines if each is not None]
        if len(present) == 2:
            changes += _changes(table, *present)
        else:
            changes.append(Change("added" if lines[0] is None else "removed", table, None))
    changes.sort(key=lambda change: SCHEMA_CHANGES.index(change.what))
    return SchemaDiff(old.resource, changes, (old.provider_version, new.provider_version))


def _lists(manifest: Manifest) -> frozenset[str]:
    return frozenset(column_name(child.attribute) for child in manifest.children.values())


@dataclass(frozen=True)
class _Side:
    """A table of one of the two extracts."""

    types: Mapping[str, str]
    drift: Drift | None
    lists: frozenset[str] = frozenset()

    def sent(self, attribute: str) -> bool:
        """Tell whether records had an attribute."""
        assert self.drift is not None  # noqa: S101
        if attribute in self.drift.custom_fields or attribute in self.drift.unforeseen:
            return True
        name = column_name(attribute)
        return attribute not in self.drift.never_seen and (name in self.types or name in self.lists)

    def kind(self, attribute: str) -> str | None:
        """Tell what an attribute holds, if that is known."""
        assert self.drift is not None  # noqa: S101
        found = self.drift.custom_fields.get(attribute)
        return found.kind if found else self.types.get(column_name(attribute))


def _changes(table: str, old: _Side, new: _Side) -> Iterator[Change]:
    moved = set()
    for name in dict.fromkeys([*old.types, *new.types]):
        before, after = old.types.get(name), new.types.get(name)
        if before != after:
            what: What = "added" if before is None else "removed" if after is None else "retyped"
            yield Change(what, table, name, before, after)
        if before is None or after is None:
            moved.add(name)
    if old.drift is None or new.drift is None or not old.drift.rows or not new.drift.rows:
        return
    names = {
        name
        for drift in (old.drift, new.drift)
        for name in (*drift.never_seen, *drift.unforeseen, *drift.custom_fields)
        if name != OTHERS and column_name(name) not in moved
    }
    for name in sorted(names):
        if old.sent(name) and not new.sent(name):
            yield Change("vanished", table, name, before=old.kind(name))
        elif new.sent(name) and not old.sent(name):
            yield Change("appeared", table, name, after=new.kind(name))
    for name in sorted(new.drift.misfits.keys() - old.drift.misfits.keys()):
        yield Change("misfit", table, name, after=f"{new.drift.misfits[name].count} value(s)")
