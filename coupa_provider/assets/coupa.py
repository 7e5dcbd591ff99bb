"""Assets of the form ``coupa://instance/resource``, such as ``coupa://acme.coupahost.com/invoices``.

Airflow finds these functions by the provider info and calls them when it makes, checks or reports an asset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from airflow.providers.common.compat.openlineage.facet import Dataset as OpenLineageDataset
    from airflow.providers.common.compat.sdk import Asset


def create_asset(*, instance: str, resource: str, extra: dict[str, Any] | None = None) -> Asset:
    """Return the asset of a resource.

    :param instance: host of the instance: ``"acme.coupahost.com"``.
    :param resource: path under ``/api``: ``"invoices"`` or ``"suppliers/7/addresses"``.
    :param extra: anything to note with it.
    """
    from airflow.providers.common.compat.assets import Asset

    return Asset(uri=f"coupa://{instance.lower()}/{resource.strip('/')}", extra=extra or {})


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Return the one spelling of an asset's URI: the host in small letters, no slash at the end.

    :param uri: the URI in parts.
    :raises ValueError: it names no instance or no resource, or holds a query.
    """
    path = uri.path.rstrip("/")
    if not uri.hostname or not path:
        raise ValueError(
            "A Coupa asset names an instance and a resource, as in coupa://acme.coupahost.com/invoices."
        )
    if uri.query or uri.fragment:
        raise ValueError("A Coupa asset is a whole resource: its URI has no query and no fragment.")
    return uri._replace(netloc=uri.netloc.rpartition("@")[2].lower(), path=path)


def convert_asset_to_openlineage(asset: Asset, lineage_context: Any) -> OpenLineageDataset:
    """Return the OpenLineage dataset of an asset: the instance as namespace, the resource as name.

    :param asset: an asset of this scheme.
    :param lineage_context: the hook that used it.
    """
    from urllib.parse import urlsplit

    from airflow.providers.common.compat.openlineage.facet import Dataset as OpenLineageDataset

    uri = urlsplit(asset.uri)
    return OpenLineageDataset(namespace=f"coupa://{uri.netloc}", name=uri.path.lstrip("/"))
