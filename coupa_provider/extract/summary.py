"""What a task that made an extract tells the tasks after it."""

from __future__ import annotations

from typing import Any

from coupa_provider.extract.destination import Destination
from coupa_provider.extract.manifest import Manifest


def summary_of(manifest: Manifest, folder: Destination) -> dict[str, Any]:
    """Return an extract in short, as plain JSON.

    :param manifest: what was published.
    :param folder: where.
    """
    return {
        "resource": manifest.resource,
        "manifest": folder.manifest_url,
        "files": [folder.url_of(file.name) for file in manifest.files],
        "records": manifest.records,
        "bytes": sum(file.bytes for file in manifest.all_files),
        "window": [bound.isoformat() if bound else None for bound in manifest.window],
        "tries": manifest.tries,
        "requests": manifest.requests,
        "throttled": manifest.throttled,
        "seconds": manifest.seconds,
    }
