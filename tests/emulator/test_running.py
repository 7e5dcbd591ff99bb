"""The emulator as a process, as a fixture and with a user's own records."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from coupa_provider.emulator import Emulator
from coupa_provider.emulator import emulator as emulator_module
from coupa_provider.emulator.__main__ import build_parser, main
from coupa_provider.emulator.profiles import PROFILES
from coupa_provider.emulator.running import server_for
from coupa_provider.emulator.settings import SettingError, Settings

if TYPE_CHECKING:
    from tests.emulator.conftest import Caller

ROOT = Path(__file__).parents[2]


@pytest.fixture
def start() -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Start emulators as processes; gives each process and the block that it printed when ready."""
    processes: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "coupa_provider.emulator", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        processes.append(process)
        assert process.stdout is not None
        lines = []
        while not lines or "control" not in lines[-1]:
            line = process.stdout.readline()
            assert line, process.stderr.read() if process.stderr else ""
            lines.append(line)
        return process, "".join(lines)

    yield begin
    for process in processes:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def url_in(block: str) -> str:
    match = re.search(r"url +(\S+)", block)
    assert match is not None
    return match[1]


class TestProcess:
    def test_prints_one_block_and_ends_cleanly(self, start: Callable[..., Any]) -> None:
        begin = time.monotonic()
        process, block = start(
            "--seed", "7", "--size", "invoices=120", "--set", "U7=200", "--latency-ms", "1"
        )
        assert time.monotonic() - begin < 5
        assert "emulator-secret" in block
        assert "invoices 120" in block
        with httpx.Client(base_url=url_in(block), trust_env=False) as http:
            assert len(http.get("/_emulator/ids/invoices").json()) == 120
            assert http.get("/_emulator").json()["switches"]["U7"]["now"] == "200"
            process.send_signal(signal.SIGTERM)
            assert process.wait(5) == 0
        assert process.stderr.read() == ""

    def test_interrupt_while_a_request_is_under_way(self, start: Callable[..., Any]) -> None:
        process, block = start("--empty", "--latency-ms", "60000")
        with httpx.Client(base_url=url_in(block), trust_env=False) as http:
            form = {
                "grant_type": "client_credentials",
                "client_id": "emulator",
                "client_secret": "emulator-secret",
            }
            bearer = http.post("/oauth2/token", data=form).json()["access_token"]
            with pytest.raises(httpx.ReadTimeout):
                http.get("/api/invoices", headers={"Authorization": f"Bearer {bearer}"}, timeout=0.2)
            process.send_signal(signal.SIGINT)
            assert process.wait(5) == 0

    def test_own_records_from_a_file(self, start: Callable[..., Any], tmp_path: Path) -> None:
        file = tmp_path / "mine.json"
        file.write_text(json.dumps({"suppliers": [{"id": 4, "name": "Mine"}]}))
        _, block = start("--empty", "--data", str(file), "--no-rate-limit")
        record = httpx.get(f"{url_in(block)}/_emulator/record/suppliers/4", trust_env=False).json()
        assert record["name"] == "Mine"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--set", "U7=999"], "cannot be '999'"),
            (["--set", "U7"], "write it as NAME=VALUE"),
            (["--size", "invoices=many"], "whole number"),
            (["--size", "invoice=5"], "no resource 'invoice' in the catalog; near are"),
            (["--data", "/does/not/exist.json"], "No such file"),
        ],
    )
    def test_wrong_arguments(
        self, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        assert message in capsys.readouterr().err

    def test_a_port_that_is_taken(self, capsys: pytest.CaptureFixture[str], coupa: Caller) -> None:
        port = coupa.emulator.url.rpartition(":")[2]
        assert main(["--empty", "--port", port]) == 1
        assert "Cannot listen" in capsys.readouterr().err

    def test_the_help_lists_switches_and_profiles(self) -> None:
        text = build_parser().format_help()
        assert "U34" in text
        assert all(name in text for name in PROFILES)


class TestOwnRecords:
    def test_what_is_left_out_is_null_or_empty_or_now(self, coupa: Caller) -> None:
        assert coupa.emulator.load({"invoices": [{"id": 3, "invoice-number": "A", "my-field": 1}]}) == {
            "invoices": 1
        }
        record = coupa.get("invoices/3").json()
        assert record["invoice-number"] == "A"
        assert record["gross-total"] is None
        assert record["invoice-lines"] == []
        assert record["exported"] is False
        assert record["updated-at"]
        assert coupa.ids("invoices", {"my-field": "1"}) == [3]

    def test_records_without_an_id_get_one(self, coupa: Caller) -> None:
        coupa.emulator.load({"departments": [{"id": 8}, {}, {}]})
        assert coupa.emulator.ids("departments") == [8, 9, 10]

    def test_the_same_id_replaces(self, coupa: Caller) -> None:
        for name in ("A", "B"):
            coupa.emulator.load({"departments": [{"id": 1, "name": name}]})
        assert [r["name"] for r in coupa.get("departments").json()] == ["B"]

    def test_in_a_nested_collection(self, coupa: Caller) -> None:
        coupa.emulator.load({"suppliers": [{"id": 7}], "suppliers/7/addresses": [{"id": 1, "city": "Reno"}]})
        assert coupa.get("suppliers/7/addresses").json()[0]["city"] == "Reno"

    @pytest.mark.parametrize(
        "data",
        [[], {"zork": []}, {"invoices": {}}, {"invoices": ["x"]}, {"suppliers/:supplier_id/addresses": []}],
    )
    def test_other_forms_are_refused(self, coupa: Caller, data: Any) -> None:
        with pytest.raises(SettingError):
            coupa.emulator.load(data)
        answer = coupa.http.post("/_emulator/data", json=data)
        assert answer.status_code == 400
        assert answer.json()["error"]

    def test_beside_seeded_data(self) -> None:
        with Emulator(scale=0.01, data={"suppliers": [{"id": 999, "name": "Mine"}]}) as emulator:
            assert emulator.ids("suppliers")[-1] == 999
            assert len(emulator.ids("suppliers")) == 7


class TestControl:
    def test_configure_seen_reset(self, coupa: Caller) -> None:
        http = coupa.http
        answer = http.post("/_emulator/configure", json={"switches": {"U7": 200}, "rate_limit": None})
        assert answer.json()["switches"]["U7"] == "200"
        coupa.send("POST", "departments", {"name": "A"})
        assert http.get("/_emulator/seen").json()["requests"] == 1
        assert http.get("/_emulator/ids/departments").json() == coupa.emulator.ids("departments")
        http.post("/_emulator/reset_seen")
        assert http.get("/_emulator/seen").json()["requests"] == 0
        http.post("/_emulator/reset")
        assert http.get("/_emulator/ids/departments").json() == []
        assert coupa.send("POST", "departments", {"name": "A"}).status_code == 201

    def test_clients_and_tokens(self, coupa: Caller) -> None:
        http = coupa.http
        http.post(
            "/_emulator/clients", json={"client_id": "c", "client_secret": "s", "scopes": ["core.user.read"]}
        )
        assert coupa.token(client_id="c", client_secret="s").json()["scope"] == "core.user.read"
        token = http.post("/_emulator/refresh_tokens", json={"scopes": ["core.user.read"]}).json()[
            "refresh_token"
        ]
        assert coupa.token(grant_type="refresh_token", refresh_token=token).status_code == 200
        assert http.post("/_emulator/revoke_tokens").json()["revoked"] >= 2
        assert coupa.get("users").status_code == 401

    def test_drift_and_records(self, coupa: Caller) -> None:
        coupa.emulator.load({"departments": [{"id": 1, "name": "A"}]})
        assert coupa.http.get("/_emulator/drift").json()["deleted"] == []
        assert coupa.http.get("/_emulator/record/departments/1").json()["name"] == "A"
        assert coupa.http.get("/_emulator/record/departments/2").status_code == 404

    @pytest.mark.parametrize(
        "body", ['{"zork": 1}', "[]", "{", '{"latency": {"x": 1}}', '{"rate_limit": 0}', '{"burst": "x"}']
    )
    def test_wrong_settings_are_refused_with_words(self, coupa: Caller, body: str) -> None:
        answer = coupa.http.post("/_emulator/configure", content=body)
        assert answer.status_code == 400
        assert answer.json()["error"]


class TestProfiles:
    @pytest.mark.parametrize("name", sorted(PROFILES))
    def test_each_can_be_set(self, name: str) -> None:
        Settings().with_changes(PROFILES[name].settings)

    def test_strict_refuses_and_lenient_does_not(self, coupa: Caller) -> None:
        queries = ({"zork": 1}, {"limit": 100}, {"fields": '["zork"]'})
        strict = {**PROFILES["strict"].settings["switches"], "U2": "off"}
        coupa.emulator.configure(switches=strict)
        assert [coupa.get("departments", query).status_code for query in queries] == [400, 400, 400]
        coupa.emulator.reset()
        coupa.emulator.configure(**PROFILES["lenient"].settings)
        assert [coupa.get("departments", query).status_code for query in queries] == [200, 200, 200]

    def test_hostile_hurts(self, caller: Callable[..., Caller]) -> None:
        with Emulator(profile="hostile", scale=0.02, rate_limit=None, latency=None) as emulator:
            emulator.configure(faults={"rate": 0.5, "seed": 3})
            coupa = caller(emulator)
            statuses = []
            for _ in range(40):
                try:
                    statuses.append(coupa.get("invoices", {"limit": 1}).status_code)
                except httpx.TransportError:
                    statuses.append(0)
            assert len(set(statuses)) >= 4
            time.sleep(0.2)
            assert emulator.drift_log()["updated"]

    def test_an_unknown_one_is_refused(self) -> None:
        with pytest.raises(SettingError, match="there are default, hostile, lenient, strict"):
            Emulator(profile="zork")


class TestFixture:
    @pytest.mark.coupa_emulator(empty=True, data={"suppliers": [{"id": 4, "name": "Mine"}]}, client_id="me")
    def test_with_arguments(self, coupa_emulator: Emulator) -> None:
        assert coupa_emulator.ids("suppliers") == [4]
        assert coupa_emulator.client_id == "me"

    def test_importing_the_plugin_loads_nothing_heavy(self) -> None:
        code = (
            "import sys, coupa_provider.emulator.pytest_plugin as plugin\n"
            "print([name for name in ('starlette', 'uvicorn', 'msgspec', 'sqlite3') if name in sys.modules])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=True,
        )
        assert done.stdout.strip() == "[]"

    def test_the_client_side_is_never_imported(self) -> None:
        files = (ROOT / "coupa_provider" / "emulator").rglob("*.py")
        forbidden = re.compile(
            r"^\s*(?:from|import) (?:httpx|airflow|coupa_provider\.(?!emulator|resources))", re.M
        )
        assert [file.name for file in files if forbidden.search(file.read_text(encoding="utf-8"))] == []


def test_small_answers_are_not_held_back(coupa: Caller) -> None:
    coupa.emulator.load({"departments": [{"id": 1}]})
    elapsed = sorted(
        coupa.get("departments", {"fields": '["id"]'}).elapsed.total_seconds() for _ in range(20)
    )
    assert elapsed[5] < 0.03, "Nagle's algorithm waits 40 ms"


@pytest.mark.parametrize("parser", ["h11", "httptools"])
def test_connections_can_be_dropped_under_both_parsers_of_uvicorn(
    parser: Any, monkeypatch: pytest.MonkeyPatch, caller: Callable[..., Caller]
) -> None:
    pytest.importorskip(parser)
    monkeypatch.setattr(emulator_module, "server_for", lambda instance: server_for(instance, parser))
    with Emulator(scale=0.02, rate_limit=None) as emulator:
        coupa = caller(emulator)
        assert len(coupa.get("invoices").json()) == 40
        for kind in ("drop_before", "drop_middle", "stall"):
            emulator.configure(faults={"always": True, "kinds": [kind], "stall_s": 0})
            with pytest.raises(httpx.RemoteProtocolError):
                coupa.get("invoices")
        assert sum(emulator.seen()["faults_served"].values()) == 3
