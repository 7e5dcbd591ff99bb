"""Make one extract of those of its partitions: a manifest above theirs, without copying a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from coupa_provider import __version__
from coupa_provider.extract import partition_folder
from coupa_provider.extract.destination import Destination, Publication
from coupa_provider.extract.drift import Drift
from coupa_provider.extract.errors import ExtractError
from coupa_provider.extract.manifest import ChildTable, File, Manifest
from coupa_provider.extract.manifest_reader import ManifestReader

_PARTITION_FOLDER = re.compile(r"partition-\d{5,}")
_ID_BOUNDS = ("id[gt]", "id[lt_or_eq]")


def gather_manifests(
    extracts: Sequence[ManifestReader],
    destination: Destination,
    *,
    planned: Sequence[tuple[int, int | None]] | None = None,
) -> Manifest:
    """Publish one manifest for all partitions of an extract, once it is proved that none is missing.

    The files stay where they are and so do the partitions' own manifests. Folders of partitions that do not belong
    to it, left by an earlier plan, are removed.

    :param extracts: the partitions, in any order.
    :param destination: the folder that theirs are in.
    :param planned: the range of ids of each partition, as planned, rising; the last may be open where the query has
        a bound of its own. None: the last has to be open, since nothing else shows that it is the last.
    :return: the manifest that was published.
    :raises ExtractError: the partitions do not make one whole, or the destination is used by someone else.
    """
    if not extracts:
        raise ExtractError("There is no partition to gather: the transfers before brought no manifest.")
    folders = _by_folder(extracts, destination)
    manifests = {name: extract.manifest for name, extract in folders.items()}
    _check_alike(manifests)
    _check_ranges(manifests, planned)
    for extract in folders.values():
        _check_files(extract)
    merged = _merge(manifests)
    with Publication(destination) as publication:
        publication.publish(merged.to_json())
    _remove_others(destination, folders)
    return merged


def _by_folder(extracts: Sequence[ManifestReader], destination: Destination) -> dict[str, ManifestReader]:
    """Return the extracts by the names of their folders, in the order of their ids."""
    found: dict[str, ManifestReader] = {}
    for extract in extracts:
        name = extract.folder.url.removeprefix(f"{destination.url}/")
        if not _PARTITION_FOLDER.fullmatch(name):
            raise ExtractError(
                f"{extract.folder.url} is no folder of a partition in {destination.url}. Give this task and the "
                "transfers the same destination."
            )
        if name in found:
            raise ExtractError(f"{extract.folder.url} was given twice.")
        found[name] = extract
    names = [partition_folder(number) for number in range(len(found))]
    missing = [name for name in names if name not in found]
    if missing:
        raise ExtractError(
            f"{missing[0]} is not among the {len(found)} partitions given for {destination.url}, so records would be "
            "missing. Look at the transfers before: each has to succeed."
        )
    return {name: found[name] for name in names}


def _check_alike(manifests: dict[str, Manifest]) -> None:
    """Make sure that the partitions are those of one query."""
    (first_name, first), *others = manifests.items()
    for name, manifest in others:
        for what, one, other in zip(_SAME, _same_of(first), _same_of(manifest), strict=True):
            if one != other:
                raise ExtractError(
                    f"{first_name} and {name} differ in {what}: {one} and {other}. Clear all transfers of the plan "
                    "together, so that they ask for the same."
                )


_SAME = ("kind", "resource", "instance", "window", "query", "file format", "columns", "tables of lines")


def _same_of(manifest: Manifest) -> tuple[object, ...]:
    return (
        manifest.kind,
        manifest.resource,
        manifest.instance,
        manifest.window,
        _query_of(manifest),
        manifest.file_format,
        manifest.columns,
        {name: (table.attribute, table.columns) for name, table in manifest.children.items()},
    )


def _query_of(manifest: Manifest) -> dict[str, str]:
    return {name: text for name, text in manifest.query.items() if name not in _ID_BOUNDS}


def _check_ranges(manifests: dict[str, Manifest], planned: Sequence[tuple[int, int | None]] | None) -> None:
    """Make sure that every id belongs to one partition."""
    for (name, one), (next_name, following) in pairwise(manifests.items()):
        if one.id_range[1] != following.id_range[0]:
            raise ExtractError(
                f"{name} ends with id {one.id_range[1]} and {next_name} begins after {following.id_range[0]}, so "
                "records would be missing or there twice. The partitions come from different plans: clear the task "
                "that plans, and all after it."
            )
    ranges = [manifest.id_range for manifest in manifests.values()]
    if planned is None:
        if ranges[-1][1] is not None:
            raise ExtractError(
                f"The last partition ends with id {ranges[-1][1]}, which does not show that none is missing after it. "
                "Pass partitions=plan.output, too."
            )
        return
    wanted = list(planned)
    if wanted and wanted[-1][1] is None:
        wanted[-1] = (wanted[-1][0], ranges[-1][1])  # the query may have an end of its own
    if ranges != wanted:
        raise ExtractError(
            f"{len(planned)} partitions were planned, {len(ranges)} were given, and their ids are not those of the "
            "plan. Clear the transfers."
        )


def _check_files(extract: ManifestReader) -> None:
    """Make sure that the files are there."""
    present = extract.folder.own_files()
    for file in extract.manifest.all_files:
        if present.get(file.name) != file.bytes:
            raise ExtractError(
                f"{extract.folder.url_of(file.name)} is gone or not the file its manifest describes. Clear the "
                "transfer of this partition."
            )


def _merge(manifests: dict[str, Manifest]) -> Manifest:
    """Describe all partitions as one extract."""
    parts = list(manifests.values())
    first, after, upto = parts[0], parts[0].id_range[0], parts[-1].id_range[1]
    started, finished = min(part.started for part in parts), max(part.finished for part in parts)
    query = _query_of(first)
    if after > 0:
        query["id[gt]"] = str(after)
    if upto is not None:
        query["id[lt_or_eq]"] = str(upto)
    return Manifest(
        resource=first.resource,
        instance=first.instance,
        query=query,
        window=first.window,
        id_range=(after, upto),
        file_format=first.file_format,
        records=sum(part.records for part in parts),
        min_id=min((part.min_id for part in parts if part.min_id is not None), default=None),
        max_id=max((part.max_id for part in parts if part.max_id is not None), default=None),
        files=[file for name, part in manifests.items() for file in _within(name, part.files)],
        columns=first.columns,
        children={table: _merge_lines(table, manifests) for table in first.children},
        drift=_merge_drift(part.drift for part in parts),
        reports=list(dict.fromkeys(report for part in parts for report in part.reports)),
        started=started,
        finished=finished,
        seconds=round((finished - started).total_seconds(), 3),
        tries=max(part.tries for part in parts),
        requests=sum(part.requests for part in parts),
        throttled=sum(part.throttled for part in parts),
        retried=sum(part.retried for part in parts),
        provider_version=__version__,
    )


def _merge_lines(table: str, manifests: dict[str, Manifest]) -> ChildTable:
    tables = {name: part.children[table] for name, part in manifests.items()}
    return msgspec.structs.replace(
        next(iter(tables.values())),
        records=sum(part.records for part in tables.values()),
        files=[file for name, part in tables.items() for file in _within(name, part.files)],
        drift=_merge_drift(part.drift for part in tables.values()),
    )


def _within(folder: str, files: Sequence[File]) -> list[File]:
    """Name files as they are seen from the folder above."""
    return [msgspec.structs.replace(file, name=f"{folder}/{file.name}") for file in files]


def _merge_drift(drifts: Iterable[Drift | None]) -> Drift | None:
    merged: Drift | None = None
    for drift in drifts:
        if drift is not None:
            merged = merged or Drift()
            merged.add(drift)
    return merged


def _remove_others(destination: Destination, names: Iterable[str]) -> None:
    """Remove the partitions of an earlier plan, which somebody who reads the whole folder would take for some of these."""
    kept, fs = set(names), destination.fs
    fs.invalidate_cache()
    for path in fs.ls(destination.root, detail=False):
        name = str(path).rstrip("/").rpartition("/")[2]
        if _PARTITION_FOLDER.fullmatch(name) and name not in kept:
            fs.rm(destination.path_of(name), recursive=True)
