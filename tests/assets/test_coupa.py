"""Assets of Coupa resources."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from coupa_provider.assets.coupa import convert_asset_to_openlineage, create_asset, sanitize_uri
from coupa_provider.get_provider_info import get_provider_info


def test_an_asset_names_the_instance_and_the_resource() -> None:
    asset = create_asset(instance="acme.coupahost.com", resource="/suppliers/7/addresses", extra={"a": 1})
    assert asset.uri == "coupa://acme.coupahost.com/suppliers/7/addresses"
    assert asset.extra == {"a": 1}
    assert (
        create_asset(instance="ACME.coupahost.com", resource="invoices").uri
        == "coupa://acme.coupahost.com/invoices"
    )


@pytest.mark.parametrize(
    ("uri", "clean"),
    [
        ("coupa://ACME.coupahost.com/invoices/", "coupa://acme.coupahost.com/invoices"),
        ("coupa://user:secret@127.0.0.1:8810/invoices", "coupa://127.0.0.1:8810/invoices"),
        ("coupa://acme.coupahost.com/coupa_pay/payments", "coupa://acme.coupahost.com/coupa_pay/payments"),
    ],
)
def test_a_uri_has_one_spelling(uri: str, clean: str) -> None:
    assert sanitize_uri(urlsplit(uri)).geturl() == clean


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("coupa:///invoices", "names an instance and a resource"),
        ("coupa://acme.coupahost.com/", "names an instance and a resource"),
        ("coupa://acme.coupahost.com/invoices?status=new", "has no query"),
    ],
)
def test_a_uri_that_names_no_resource_is_refused(uri: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sanitize_uri(urlsplit(uri))


def test_openlineage_names(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.providers.common.compat.openlineage import facet

    monkeypatch.setattr(facet, "Dataset", SimpleNamespace)  # the real one needs the OpenLineage client
    asset = create_asset(instance="acme.coupahost.com", resource="invoices")
    dataset = convert_asset_to_openlineage(asset, None)
    assert (dataset.namespace, dataset.name) == ("coupa://acme.coupahost.com", "invoices")


def test_airflow_is_told_where_these_functions_are() -> None:
    def import_string(path: str) -> object:
        module, _, name = path.rpartition(".")
        return getattr(importlib.import_module(module), name)

    (entry,) = get_provider_info()["asset-uris"]
    assert import_string(entry["handler"]) is sanitize_uri
    assert import_string(entry["factory"]) is create_asset
    assert import_string(entry["to_openlineage_converter"]) is convert_asset_to_openlineage
