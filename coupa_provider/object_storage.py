"""From a URL as Airflow's users write it to a folder that an extract can be written to or read from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coupa_provider.extract.destination import MANIFEST_NAME, Destination

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import ObjectStoragePath


def open_folder(url: str | ObjectStoragePath) -> Destination:
    """Return the folder at a URL; nothing is read or written yet.

    :param url: URL of a folder, or of the manifest in it, as for ``ObjectStoragePath``:
        ``"s3://aws_default@lake/coupa/invoices/2026-11-23"``.
    """
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    target = ObjectStoragePath(url)
    if target.name == MANIFEST_NAME:
        target = target.parent
    return Destination(target.fs, target.path.rstrip("/"), str(target).rstrip("/"))
