"""Names of datasets, as OpenLineage's specification wants them and other tools give them.

No name holds a user, a password or the id of a connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from coupa_provider.extract.destination import Destination

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

#: Schemes by the other names that Airflow's filesystems have for them.
_SCHEMES = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfs": "abfss", "adl": "abfss", "az": "abfss"}
_POSTGRESQL_PORT = 5432


class Name(NamedTuple):
    """Where a dataset is, and what it is called there."""

    namespace: str
    name: str


def name_of_resource(instance: str, resource: str) -> Name:
    """Name a resource of Coupa: the same that the asset ``coupa://instance/resource`` gets.

    :param instance: host of the instance.
    :param resource: path under ``/api``.
    """
    return Name(f"coupa://{instance.lower()}", resource.strip("/"))


def name_of_folder(folder: Destination, child: str | None = None) -> Name:
    """Name the files in a folder, which are one dataset.

    :param folder: the folder.
    :param child: name of a table of lines in it; None for the records.
    """
    scheme = folder.url.partition("://")[0].lower()
    scheme = _SCHEMES.get(scheme, scheme)
    path = f"{folder.root}/{child}" if child else folder.root
    if scheme == "file":
        return Name("file", path)
    bucket, _, key = path.strip("/").partition("/")
    account = getattr(folder.fs, "account_name", None)
    if scheme == "abfss" and account:
        bucket = f"{bucket}@{account}.dfs.core.windows.net"
    return Name(f"{scheme}://{bucket}", key or "/")


def name_of_table(connection: Connection, table: str) -> Name | None:
    """Name a table in a database; None if the connection does not tell which one it is.

    :param connection: connection of the type ``adbc``.
    :param table: ``"schema.table"``.
    """
    from coupa_provider.hooks.adbc_connection import postgresql_uri

    extra = {name.lower(): value for name, value in connection.extra_dejson.items()}
    given: dict[str, Any] = extra.get("db_kwargs") or {}
    if "duckdb" in (extra.get("dialect"), *str(extra.get("driver", "")).split("_")):
        path = str(given.get("path") or given.get("uri") or ":memory:").partition("?")[0]
        database = (
            path.rsplit("/", 1)[-1].removeprefix("md:").partition(".")[0] if path != ":memory:" else "memory"
        )
        return Name(f"duckdb://{path}", f"{database}.{table}")
    url = urlsplit(str(given.get("uri") or postgresql_uri(connection)))
    place = urlsplit(f"//{url.netloc.rpartition('@')[2].partition(',')[0]}")  # the first of several hosts
    database = unquote(url.path.strip("/"))
    if url.scheme not in ("postgresql", "postgres") or not place.hostname or not database:
        return None
    return Name(f"postgres://{place.hostname}:{place.port or _POSTGRESQL_PORT}", f"{database}.{table}")
