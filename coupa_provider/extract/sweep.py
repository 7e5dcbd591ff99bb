"""Find deletions: ids that earlier extracts hold and Coupa no longer does.

Coupa reports no deletion, so the only proof is that an id is missing from a complete walk. The walk asks for
ids alone. Each id it did not bring is then asked for by name, and counts as deleted only if it is missing
again: whoever loads the result removes rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyroaring import BitMap64

from coupa_provider import __version__
from coupa_provider.client.blocking import BlockingWalk
from coupa_provider.client.errors import CoupaIncompleteError
from coupa_provider.client.page import Counters
from coupa_provider.extract.destination import Destination, Publication
from coupa_provider.extract.errors import ExtractError
from coupa_provider.extract.manifest import File, Manifest
from coupa_provider.extract.manifest_reader import ManifestReader
from coupa_provider.extract.progress import Progress, Reporter

_PART = "part-00000.parquet"
_SCHEMA = pa.schema([pa.field("id", pa.int64(), nullable=False)])
_ROWS_AT_ONCE = 64 * 1024
#: One fewer than a page holds: a page that is not full needs no second one to prove that it was all.
_ASKED_AT_ONCE = 49


@dataclass(frozen=True, slots=True)
class Deletions:
    """What a sweep found.

    :param manifest: the manifest that was published.
    :param compared: ids that the extracts hold.
    :param ids: those of them that Coupa no longer holds; an ordered set.
    """

    manifest: Manifest
    compared: int
    ids: BitMap64


def sweep_deletions(
    begin_walk: Callable[[Mapping[str, Any]], BlockingWalk],
    extracts: Sequence[ManifestReader],
    destination: Destination,
    *,
    instance: str,
    filters: Mapping[str, Any] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    progress_seconds: float = 5.0,
) -> Deletions:
    """Compare extracts with what Coupa holds now, and publish the ids that are gone.

    Memory is bounded by a bit or two bytes an id. The result is an extract of the kind ``deletions``: a Parquet
    file with one column ``id``, and a manifest. If anything fails, nothing is published.

    :param begin_walk: begins a walk over the ids of the extracts' resource, with filters.
    :param extracts: what was extracted before, oldest first. Records add their ids, deletions take them away.
    :param destination: the folder; parts and manifest of an earlier run there are replaced.
    :param instance: host the walks go to.
    :param filters: what the records have to satisfy; a record that no longer does counts as deleted.
    :param on_progress: called every ``progress_seconds`` from another thread.
    :param progress_seconds: seconds between reports.
    :return: what was found.
    :raises CoupaIncompleteError: Coupa shows no record at all.
    :raises ExtractError: the extracts do not belong together, or not to this instance or destination.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    resource = _check_extracts(extracts, destination, instance)
    missing = _ids_alive_in(extracts)
    compared = len(missing)
    with begin_walk(filters or {}) as walk:
        tallies = [walk.counters]
        with Reporter(walk.counters, on_progress, progress_seconds) as reporter:
            for page in walk:
                missing -= BitMap64(page.ids)
                reporter.records += len(page)
        if compared and not reporter.records:
            raise CoupaIncompleteError(
                f"Coupa shows no record of {resource!r} at all, though the extracts hold {compared:,}. That all were "
                "deleted is less likely than a lost permission or content group of the connection's user, or a wrong "
                "filter: check these. Nothing was published"
            )
    for batch in _batches(missing, _ASKED_AT_ONCE):
        with begin_walk({**(filters or {}), "id[in]": batch}) as second:
            tallies.append(second.counters)
            for page in second:
                missing -= BitMap64(page.ids)
    with Publication(destination) as publication:
        file = _write_part(missing, publication)
        manifest = Manifest(
            kind="deletions",
            resource=resource,
            instance=instance,
            query=walk.query,
            window=(None, None),
            id_range=(0, None),
            file_format="parquet",
            records=file.rows,
            min_id=file.min_id,
            max_id=file.max_id,
            files=[file],
            columns={"id": "int64"},
            drift=None,
            reports=walk.reports,
            started=started,
            finished=datetime.now(UTC),
            seconds=round(time.monotonic() - clock, 3),
            requests=_sum(tallies, "requests"),
            throttled=_sum(tallies, "throttled"),
            retried=_sum(tallies, "retried"),
            provider_version=__version__,
        )
        publication.publish(manifest.to_json())
    return Deletions(manifest, compared, missing)


def _check_extracts(extracts: Sequence[ManifestReader], destination: Destination, instance: str) -> str:
    """Return the resource of the extracts."""
    resources = sorted({extract.manifest.resource for extract in extracts})
    if len(resources) != 1:
        named = ", ".join(resources) or "none"
        raise ExtractError(f"A sweep needs the extracts of one resource; the manifests given name {named}.")
    for extract in extracts:
        if extract.manifest.instance != instance:
            raise ExtractError(
                f"{extract.folder.manifest_url} was extracted from {extract.manifest.instance}, but the connection "
                f"leads to {instance}, where the same ids are other records. Use the connection of the extract."
            )
        if f"{destination.root}/".startswith(f"{extract.folder.root}/"):
            raise ExtractError(
                f"{destination.url} is the folder of {extract.folder.manifest_url} or lies in it, so one would replace "
                "the other. Give the deletions a folder of their own."
            )
    return resources[0]


def _ids_alive_in(extracts: Sequence[ManifestReader]) -> BitMap64:
    """Return the ids that extracts hold, those left out that a later list of deletions names."""
    alive = BitMap64()
    for extract in extracts:
        for rows in extract.batches(["id"]):
            ids = BitMap64(rows.column(0).to_pylist())
            if extract.manifest.kind == "records":
                alive |= ids
            else:
                alive -= ids
    return alive


def _write_part(ids: BitMap64, publication: Publication) -> File:
    path: Path = publication.stage(_PART)
    with pq.ParquetWriter(str(path), _SCHEMA, compression="zstd", use_dictionary=False) as writer:
        for batch in _batches(ids, _ROWS_AT_ONCE):
            writer.write_batch(pa.record_batch([pa.array(batch, pa.int64())], schema=_SCHEMA))
    put = publication.put(_PART)
    return File(
        _PART, len(ids), put.bytes, put.sha256, ids.min() if ids else None, ids.max() if ids else None
    )


def _batches(ids: BitMap64, size: int) -> Iterator[list[int]]:
    """Yield the ids in rising order, as they were when the iteration began."""
    rising = iter(ids.copy())
    while batch := list(islice(rising, size)):
        yield batch


def _sum(tallies: Sequence[Counters], name: str) -> int:
    return sum(getattr(tally, name) for tally in tallies)
