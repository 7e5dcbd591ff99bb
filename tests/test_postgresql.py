"""The throw-away PostgreSQL itself."""

from __future__ import annotations

import dataclasses

import pytest

pytestmark = pytest.mark.postgresql


def test_each_fresh_database_is_empty_and_apart(postgresql):
    import psycopg

    one, other = postgresql.fresh_database(), postgresql.fresh_database()
    with psycopg.connect(one.url) as connection:
        connection.execute("create table here (id int)")
    tables = "select count(*) from information_schema.tables where table_name = 'here'"
    for database, count in ((one, 1), (other, 0)):
        with psycopg.connect(database.url) as connection:
            assert connection.execute(tables).fetchone() == (count,)


def test_a_wrong_password_is_refused(postgresql):
    import psycopg

    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(dataclasses.replace(postgresql, password="wrong").url)


def test_the_password_is_not_shown(postgresql):
    assert postgresql.password not in repr(postgresql)
