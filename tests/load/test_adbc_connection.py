"""Airflow connections as the docs show them lead to the database."""

from __future__ import annotations

import json
import sys
import traceback

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, Connection

from coupa_provider.hooks.adbc_connection import connect, postgresql_uri
from coupa_provider.load.errors import LoadError


def test_the_connections_of_the_docs_work(database, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", database.connection_json())
    with connect("warehouse") as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE here (id bigint)")
        connection.rollback()  # autocommit is off
        cursor.execute("CREATE TABLE there (id bigint)")
        connection.commit()
    assert database.tables() == ["there"]


@pytest.mark.postgresql
def test_a_uri_among_the_extras_is_taken_as_it_is(server, monkeypatch):
    extra = {"driver": "adbc_driver_postgresql", "db_kwargs": {"uri": server.place.url}}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "adbc", "extra": extra}))
    with connect("warehouse") as connection:
        assert connection.adbc_get_info()["vendor_name"] == "PostgreSQL"


@pytest.mark.parametrize(
    ("fields", "uri"),
    [
        ({"host": "db"}, "postgresql://db/"),
        ({"host": "db", "port": 5433, "schema": "ware house"}, "postgresql://db:5433/ware%20house"),
        (
            {"host": "db", "login": "me@corp", "password": "p/w:@%"},
            "postgresql://me%40corp:p%2Fw%3A%40%25@db/",
        ),
        (
            {"host": "postgresql://db:5432/warehouse?sslmode=require", "login": "me", "password": "pw"},
            "postgresql://me:pw@db:5432/warehouse?sslmode=require",
        ),
        ({"host": "postgresql://other@db/warehouse", "login": "me"}, "postgresql://me@db/warehouse"),
        ({"host": "postgresql://me:pw@db/warehouse"}, "postgresql://me:pw@db/warehouse"),
    ],
)
def test_fields_become_a_uri(fields, uri):
    assert postgresql_uri(Connection(conn_id="warehouse", conn_type="adbc", **fields)) == uri


@pytest.mark.parametrize(
    ("dialect", "module", "extra"),
    [("duckdb", "adbc_driver_duckdb", "duckdb"), ("postgresql", "adbc_driver_postgresql", "database")],
)
def test_a_missing_driver_is_named_with_its_extra(monkeypatch, dialect, module, extra):
    connection = {"conn_type": "adbc", "host": "127.0.0.1", "extra": {"dialect": dialect}}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(connection))
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        AirflowFailException, match=rf"{module}.*pip install 'airflow-provider-coupa\[{extra}\]'"
    ):
        connect("warehouse")


@pytest.mark.postgresql
@pytest.mark.parametrize(
    "change",
    [
        {"password": "wrong-secret"},
        {"port": 1},
        {"extra": {"dialect": "postgresql", "db_kwargs": {"no": "1"}}},
    ],
)
def test_a_connection_that_fails_does_not_tell_the_password(server, monkeypatch, change):
    connection = json.loads(server.connection_json()) | change
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(connection))
    with pytest.raises(Exception, match=r".") as caught:
        connect("warehouse")
    told = "".join(traceback.format_exception(caught.value))
    assert connection["password"] not in told


def test_a_database_that_cannot_be_opened(monkeypatch, tmp_path):
    kwargs = {"uri": f"{tmp_path}/no/such/folder/w.duckdb"}
    extra = {"dialect": "duckdb", "db_kwargs": kwargs}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "adbc", "extra": extra}))
    with pytest.raises(LoadError, match=r"Connection 'warehouse' cannot be opened: .*no/such/folder"):
        connect("warehouse")


@pytest.mark.parametrize("host", ["127.0.0.1:1", "a host with spaces", "[::1"])
def test_an_error_of_the_client_library_shows_no_password(monkeypatch, host):
    fields = {
        "conn_type": "adbc",
        "host": f"postgresql://{host}/w",
        "login": "loader",
        "password": "s3cret p@ss/word",
    }
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(fields | {"extra": {"dialect": "postgresql"}}))
    with pytest.raises((LoadError, ValueError)) as caught:
        connect("warehouse")
    for secret in ("s3cret p@ss/word", "s3cret%20p%40ss%2Fword"):
        assert secret not in str(caught.value)
