"""No Docker engine is needed: what can be wrong on paper is looked for on paper."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
AIRFLOW_COMMANDS = {"api-server", "scheduler", "dag-processor", "triggerer"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())


def test_it_is_valid_compose(compose: dict[str, Any]) -> None:
    from jsonschema import Draft7Validator

    schemas = resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((schemas / "compose-spec.json").read_text())
    Draft7Validator(schema).validate(compose)


def test_all_parts_of_airflow_3_are_there(compose: dict[str, Any]) -> None:
    started = {tuple(service.get("command", ())) for service in compose["services"].values()}
    assert {("airflow", command) for command in AIRFLOW_COMMANDS} <= started
    assert ("airflow", "db", "migrate") in started


def test_dependencies_and_shared_networks_name_services(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for service in services.values():
        for name, dependency in service.get("depends_on", {}).items():
            assert name in services
            if dependency["condition"] == "service_healthy":
                assert "healthcheck" in services[name]
        if network := service.get("network_mode"):
            assert network.removeprefix("service:") in services


def test_a_service_in_another_ones_network_publishes_no_port(compose: dict[str, Any]) -> None:
    """Docker refuses to start such a container."""
    for name, service in compose["services"].items():
        assert not (service.get("network_mode") and service.get("ports")), name


def test_named_volumes_are_declared(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (DOCKER / source).is_dir()
            else:
                assert source in compose["volumes"]


def test_only_this_machine_reaches_it(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_connection_is_one_the_provider_takes(compose: dict[str, Any]) -> None:
    from coupa_provider.client.config import CoupaConfig

    environment = compose["services"]["scheduler"]["environment"]
    fields = json.loads(environment["AIRFLOW_CONN_COUPA_DEFAULT"])
    assert fields.pop("conn_type") == "coupa"
    config = CoupaConfig.from_fields("coupa_default", **fields)
    port = compose["services"]["coupa"]["command"][-1]
    assert config.base_url == f"http://127.0.0.1:{port}"


def test_the_dockerfile_copies_what_exists() -> None:
    lines = (DOCKER / "Dockerfile").read_text().splitlines()
    ignore = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    copied = [
        word for line in lines if line.startswith("COPY") for word in line.split()[1:-1] if "--" not in word
    ]
    assert copied
    for path in copied:
        assert (ROOT / path).exists(), path
        assert f"!{path}" in ignore, path


def test_the_base_image_is_an_argument_in_both() -> None:
    dockerfile = (DOCKER / "Dockerfile").read_text()
    (default,) = re.findall(r"^ARG AIRFLOW_IMAGE=(\S+)$", dockerfile, re.M)
    assert "FROM ${AIRFLOW_IMAGE}" in dockerfile
    assert f"${{AIRFLOW_IMAGE:-{default}}}" in (DOCKER / "compose.yaml").read_text()
