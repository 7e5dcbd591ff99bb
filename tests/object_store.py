"""An S3 on this machine for tests: the fixture ``s3``.

One server for the whole session: Airflow keeps the filesystem of a connection for the life of its process, so a
second server under the same connection would never be asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

BUCKET = "lake"


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Give the URL of a server that speaks S3."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give a client for the empty bucket ``lake``, to which the connection ``aws_default`` leads."""
    import boto3

    place = {"endpoint_url": s3_server, "region_name": "us-east-1"}
    client = boto3.client("s3", aws_access_key_id="test", aws_secret_access_key="test", **place)
    client.create_bucket(Bucket=BUCKET)
    connection = {"conn_type": "aws", "login": "test", "password": "test", "extra": place}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    yield client
    for entry in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=entry["Key"])
