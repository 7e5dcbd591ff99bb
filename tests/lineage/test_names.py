"""Names of datasets: those of OpenLineage's own naming rules, and nothing secret in them."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import Connection
from openlineage.client.naming import dataset as rules

from coupa_provider.assets.coupa import convert_asset_to_openlineage, create_asset
from coupa_provider.extract.destination import Destination
from coupa_provider.lineage.names import name_of_folder, name_of_resource, name_of_table
from coupa_provider.object_storage import open_folder

SECRET = "pw-4711"


def folder(url: str, root: str, **filesystem: str) -> Destination:
    return Destination(SimpleNamespace(**filesystem), root, url)


def named(rule: rules.DatasetNaming) -> tuple[str, str]:
    return rule.get_namespace(), rule.get_name()


def test_a_resource_is_named_as_its_asset_is():
    asset = create_asset(instance="Acme.coupahost.com", resource="suppliers/7/addresses")
    converted = convert_asset_to_openlineage(asset, None)
    name = name_of_resource("Acme.coupahost.com", "/suppliers/7/addresses")
    assert name == ("coupa://acme.coupahost.com", "suppliers/7/addresses")
    assert name == (converted.namespace, converted.name)


@pytest.mark.parametrize("scheme", ["s3", "s3a", "s3n"])
def test_s3(scheme):
    there = folder(f"{scheme}://aws_default@lake/coupa/invoices/2026-11-23", "lake/coupa/invoices/2026-11-23")
    assert name_of_folder(there) == named(rules.S3("lake", "coupa/invoices/2026-11-23"))
    assert name_of_folder(there, "invoice_lines") == (
        "s3://lake",
        "coupa/invoices/2026-11-23/invoice_lines",
    )


@pytest.mark.parametrize("scheme", ["gs", "gcs"])
def test_google_cloud_storage(scheme):
    there = folder(f"{scheme}://google@lake/coupa/invoices", "lake/coupa/invoices")
    assert name_of_folder(there) == named(rules.GCS("lake", "coupa/invoices"))


@pytest.mark.parametrize("scheme", ["abfs", "abfss", "adl"])
def test_azure_names_the_account_that_the_connection_has(scheme):
    there = folder(f"{scheme}://azure@lake/coupa/invoices", "lake/coupa/invoices", account_name="acme")
    assert name_of_folder(there) == named(rules.ABFSS("lake", "acme", "coupa/invoices"))
    unknown = folder(f"{scheme}://azure@lake/coupa/invoices", "lake/coupa/invoices")
    assert name_of_folder(unknown) == ("abfss://lake", "coupa/invoices")


def test_local_files(tmp_path):
    there = open_folder(f"file://{tmp_path}/coupa/")
    assert name_of_folder(there) == named(rules.LocalFileSystem(f"{tmp_path}/coupa"))
    assert name_of_folder(there, "invoice_lines") == ("file", f"{tmp_path}/coupa/invoice_lines")


def test_a_bucket_alone_and_other_stores():
    assert name_of_folder(folder("s3://lake", "lake")) == ("s3://lake", "/")
    assert name_of_folder(folder("memory://lake/coupa", "/lake/coupa")) == ("memory://lake", "coupa")


POSTGRESQL = named(rules.Postgres("db.acme.com", "5433", "ware house", "coupa", "invoices"))


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"host": "db.acme.com", "port": 5433, "schema": "ware house"}, POSTGRESQL),
        ({"host": "postgresql://db.acme.com:5433/ware%20house?sslmode=require"}, POSTGRESQL),
        (
            {"extra": {"db_kwargs": {"uri": f"postgresql://me:{SECRET}@db.acme.com:5433/ware%20house"}}},
            POSTGRESQL,
        ),
        (
            {"host": f"postgresql://me:{SECRET}@db1,db2:5433/warehouse"},
            ("postgres://db1:5432", "warehouse.coupa.invoices"),
        ),
        ({"host": "db", "schema": "warehouse"}, ("postgres://db:5432", "warehouse.coupa.invoices")),
        ({"host": "db"}, None),
        ({"extra": {"db_kwargs": {"uri": f"host=db dbname=warehouse password={SECRET}"}}}, None),
        (
            {"extra": {"dialect": "duckdb", "db_kwargs": {"uri": "/data/warehouse.duckdb"}}},
            ("duckdb:///data/warehouse.duckdb", "warehouse.coupa.invoices"),
        ),
        (
            {"extra": {"driver": "adbc_driver_duckdb", "db_kwargs": {"path": f"md:lake?token={SECRET}"}}},
            ("duckdb://md:lake", "lake.coupa.invoices"),
        ),
        ({"extra": {"dialect": "duckdb"}}, ("duckdb://:memory:", "memory.coupa.invoices")),
    ],
)
def test_tables(fields, name):
    fields = {"login": "me", "password": SECRET, **fields}
    connection = Connection(
        conn_id="w", conn_type="adbc", **fields | {"extra": json.dumps(fields.get("extra", {}))}
    )
    found = name_of_table(connection, "coupa.invoices")
    assert found == name
    assert SECRET not in str(found)
