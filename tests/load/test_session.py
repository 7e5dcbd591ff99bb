"""A database that this release does not know."""

from __future__ import annotations

import pytest

from coupa_provider.load.errors import TableError
from coupa_provider.load.session import Session


class Unknown:
    """A connection to some other database."""

    Error = RuntimeError

    def adbc_get_info(self):
        return {"vendor_name": "Redshift"}


def test_another_database_is_refused_by_name():
    with pytest.raises(
        TableError, match="The database is Redshift; this release loads into PostgreSQL and duckdb"
    ):
        Session(Unknown())
