"""From a connection of the type ``adbc`` to a database, with what ``AdbcHook`` 0.1 leaves to the user."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

from airflow.providers.common.compat.sdk import AirflowFailException

from coupa_provider.load.errors import LoadError

if TYPE_CHECKING:
    from airflow.providers.apache.arrow.hooks.adbc import AdbcHook
    from airflow.providers.common.compat.sdk import Connection

_IN_URI = re.compile(r"://[^/\s]*@")


def connect(adbc_conn_id: str) -> Any:
    """Connect, with autocommit off.

    ``AdbcHook`` hands the extras of a connection to PostgreSQL as part of the URI, which refuses them, and does
    not find the driver inside the ``duckdb`` package. Both are put right here; all else is the hook's.

    :param adbc_conn_id: connection of the type ``adbc``.
    :return: a connection of ADBC's DBAPI.
    :raises AirflowFailException: a package is missing.
    :raises LoadError: the database cannot be reached, or does not let this user in.
    """
    try:
        from adbc_driver_manager import dbapi
        from airflow.providers.apache.arrow.hooks.adbc import AdbcHook
    except ImportError as error:
        raise AirflowFailException(f"Loading needs more packages ({error}): {_install('database')}") from None

    hook = AdbcHook(adbc_conn_id=adbc_conn_id)
    try:
        return _open(hook)
    except dbapi.Error as error:
        said = _without_secrets(str(error).partition("\n")[0], hook.connection)
        raise LoadError(f"Connection {adbc_conn_id!r} cannot be opened: {said}") from None
    except ModuleNotFoundError as error:
        raise AirflowFailException(
            f"The driver of connection {adbc_conn_id} is not installed ({error}). For PostgreSQL: "
            f"{_install('database')}; for DuckDB: {_install('duckdb')}"
        ) from None


def _open(hook: AdbcHook) -> Any:
    from adbc_driver_manager import dbapi

    given = hook.connection_extra_lower.get("db_kwargs", {})
    if hook.driver == "adbc_driver_duckdb":
        from adbc_driver_duckdb import driver_path

        return dbapi.connect(
            driver=driver_path(), entrypoint="duckdb_adbc_init", db_kwargs=given, conn_kwargs=hook.conn_kwargs
        )
    if hook.driver == "adbc_driver_postgresql" and "uri" not in given:
        hook.uri = postgresql_uri(hook.connection)
    return hook.get_conn()


def _without_secrets(text: str, connection: Connection) -> str:
    """Leave out the password, which a client library quotes with a URI it cannot read."""
    for secret in (connection.password, quote(connection.password or "", safe="")):
        if secret:
            text = text.replace(secret, "***")
    return _IN_URI.sub("://***@", text)


def _install(extra: str) -> str:
    return f"pip install 'airflow-provider-coupa[{extra}]'"


def postgresql_uri(connection: Connection) -> str:
    """Return the URI that PostgreSQL's client library takes.

    :param connection: host is a name, or a URL such as ``"postgresql://db:5432/warehouse?sslmode=require"``, as
        Airflow's form has no field for the rest; login and password are added to it.
    """
    address = connection.host or ""
    if "://" not in address:
        port = f":{connection.port}" if connection.port else ""
        address = f"postgresql://{address}{port}/{quote(connection.schema or '', safe='')}"
    url = urlsplit(address)
    place = url.netloc.rpartition("@")[2]
    if connection.login:
        password = f":{quote(connection.password, safe='')}" if connection.password else ""
        place = f"{quote(connection.login, safe='')}{password}@{place}"
    elif "@" in url.netloc:
        place = url.netloc
    return urlunsplit(url._replace(netloc=place))
