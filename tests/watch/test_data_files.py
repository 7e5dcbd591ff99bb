"""Which load a sensor waits for, how it stands, and whether it will do: pure decisions, and one look for all."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from coupa_provider.client import pacing
from coupa_provider.client.client import CoupaClient
from coupa_provider.client.config import CoupaConfig
from coupa_provider.client.errors import CoupaIncompleteError, CoupaQueryError
from coupa_provider.client.token import forget_tokens
from coupa_provider.emulator import Emulator
from coupa_provider.watch.data_file_load import Load
from coupa_provider.watch.data_files import DataFileSources, DataFileWait, LoadWant, same_file
from coupa_provider.watch.verdict import State, Verdict

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SAMPLE = {
    "id": 1338,
    "status": "done",
    "file-file-name": "_Incoming_LookupValues_x.csv",
    "result-text": "27 rows processed, creating 0 new rows and updating 11 rows.",
}
FOLDERS = ("LookupValues", "Suppliers", "Users", "ExchangeRates")
NAMES = st.from_regex(r"[A-Za-z0-9_.\-]{1,12}\.(csv|zip)", fullmatch=True)


class TestNames:
    @pytest.mark.parametrize(
        ("wanted", "shown", "same"),
        [
            ("rates.csv", "rates.csv", True),
            ("rates.csv", "_Incoming_ExchangeRates_rates.csv", True),
            ("rates.csv", "Incoming_ExchangeRates_rates.csv", True),
            ("rates.csv", "._Incoming_ExchangeRates_rates.csv", True),
            ("rates.csv", "/Incoming/ExchangeRates/rates.csv", True),
            ("rates_2026 11.csv", "_Incoming_ExchangeRates_rates_2026_11.csv", True),
            ("./Incoming/ExchangeRates/rates.csv", "_Incoming_ExchangeRates_rates.csv", True),
            ("/Incoming/ExchangeRates/rates.csv", "_Incoming_ExchangeRates_rates.csv", True),
            ("Incoming/My_Own/rates.csv", "_sftp_Incoming_My_Own_rates.csv", True),
            ("./Incoming/Suppliers/rates.csv", "_Incoming_ExchangeRates_rates.csv", False),
            ("rates.csv", "_Incoming_ExchangeRates_old_rates.csv", False),
            ("rates.csv", "_Incoming_ExchangeRates_rates.csv.zip", False),
            ("rates.csv", "old_rates.csv", False),
            ("rates.csv", "xrates.csv", False),
            ("Rates.csv", "_Incoming_ExchangeRates_rates.csv", False),
            ("rates.csv", "", False),
        ],
    )
    def test_known_forms(self, wanted: str, shown: str, same: bool) -> None:
        assert same_file(wanted, shown) is same

    @given(st.sampled_from(FOLDERS), NAMES, NAMES)
    @example("Users", "users.csv", "active_users.csv")
    def test_a_name_is_that_file_only_in_whatever_folder(self, folder: str, name: str, other: str) -> None:
        assume("incoming" not in other.lower())
        assert same_file(name, f"_Incoming_{folder}_{name}")
        assert same_file(name, f"_Incoming_{folder}_{other}") is (name == other)
        assert same_file(name, other) is (name == other)

    @given(st.sampled_from(FOLDERS), st.sampled_from(FOLDERS), NAMES)
    def test_a_path_is_that_folder_only(self, folder: str, other: str, name: str) -> None:
        wanted = f"./Incoming/{folder}/{name}"
        assert same_file(wanted, f"_Incoming_{other}_{name}") is (folder == other)


def wait(**how) -> DataFileWait:
    given = {"file_name": "rates.csv", "since": NOON} if "data_file_source_id" not in how else {}
    return DataFileWait.parse(**{"started_at": 1000.0, "pick_up_timeout": 600, **given, **how})


def shown(status: object, **more) -> dict:
    return {"id": 7, "file-file-name": "_Incoming_ExchangeRates_rates.csv", "status": status, **more}


class TestStanding:
    @pytest.mark.parametrize(
        ("status", "state"),
        [
            *((it, State.MET) for it in ("Done", "done", " DONE")),
            *((it, State.NEVER) for it in ("Failed", "failed", "Stopped", "stopped")),
            *(
                (it, State.WAITING)
                for it in (
                    *("Pending", "Uploading", "Submitted to Resque", "submitted_to_resque"),
                    *("Loading", "Retrying", "Paused", "paused", "Done soon", "", None),
                )
            ),
        ],
    )
    def test_every_status(self, status: object, state: State) -> None:
        verdict = wait().hold_against(shown(status), 9e9)
        assert verdict.state is state
        assert verdict.result == (None if state is State.WAITING else {"id": 7})
        assert "rates.csv" in verdict.reason

    def test_progress_is_told_and_a_status_that_nobody_documents(self) -> None:
        assert wait().hold_against(shown("Loading", progress=120), 0).reason == (
            "Data file source 7 (_Incoming_ExchangeRates_rates.csv) is 'Loading', progress 120"
        )
        assert "'Dreaming', which is no status that is documented" in (
            wait().hold_against(shown("Dreaming"), 0).reason
        )

    @given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 3e6))
    def test_never_picked_up_after_its_time_only(self, start: float, most: float, now: float) -> None:
        verdict = wait(started_at=start, pick_up_timeout=most).hold_against(None, now)
        assert verdict.state is (State.NEVER if now > start + most else State.WAITING)

    def test_what_to_check_when_it_was_never_picked_up(self) -> None:
        reason = wait(source_for="ExchangeRate").hold_against(None, 1601).reason
        for part in (
            "rates.csv was never picked up in 600 seconds",
            "for ExchangeRate",
            "2026-11-23T12:00:00+00:00",
            "the name of the folder under Incoming",
            "ending",
        ):
            assert part in reason

    def test_an_id_that_is_not_there(self) -> None:
        assert (
            wait(data_file_source_id="17")
            .hold_against(None, 0)
            .reason.startswith("There is no data file source 17")
        )
        assert wait(data_file_source_id=17).hold_against(None, 9e9).state is State.NEVER


class TestArguments:
    @pytest.mark.parametrize(
        ("how", "message"),
        [
            ({"file_name": None}, "Give either file_name"),
            ({"file_name": " "}, "Give either file_name"),
            ({"file_name": "None"}, "Give either file_name"),
            ({"file_name": 5}, "are texts, not int"),
            ({"file_name": "a", "data_file_source_id": 3}, "Give either file_name"),
            ({"data_file_source_id": "x7"}, "is not the id of a record"),
            ({"data_file_source_id": True}, "is not the id of a record"),
            ({"data_file_source_id": 0}, "is not the id of a record"),
            ({"since": None}, "since: None is no instant"),
            ({"since": "2026-11-23"}, "since: '2026-11-23' is no instant"),
            ({"since": "yesterday"}, "since: 'yesterday' is no instant"),
        ],
    )
    def test_what_is_wrong_is_named(self, how: dict, message: str) -> None:
        with pytest.raises(CoupaQueryError, match=re.escape(message)):
            wait(**how)

    @pytest.mark.parametrize(
        "how",
        [{}, {"source_for": "User", "since": "2026-11-23T13:00:00.5+01:00"}, {"data_file_source_id": "9"}],
    )
    def test_they_survive_as_json(self, how: dict) -> None:
        one = wait(**how)
        assert DataFileWait.parse(**json.loads(json.dumps(one.arguments()))) == one


def error(row: int | None, text: object = "has already been taken", field: str = "name") -> dict:
    return {
        "row": row,
        "first-column": f"F{row}",
        "field-with-error": field,
        "value": f"VALUE{row}",
        "field-errors": text,
    }


class TestLoad:
    def test_the_counts_are_in_the_text_where_they_are_nowhere_else(self) -> None:
        load = Load.read({**SAMPLE, "upload-errors": []})
        assert (load.records, load.created, load.updated, load.errors) == (27, 0, 11, 0)

    @pytest.mark.parametrize(
        "text", [None, "", "Something else", "1 row processed", "5,000 rows processed, creating 12 new rows."]
    )
    def test_any_text_will_do(self, text: str | None) -> None:
        load = Load.read({"id": 1, "result-text": text, "upload-errors": []})
        counts = {"1 row processed": (1, None), "5,000 rows processed, creating 12 new rows.": (5000, 12)}
        assert (load.records, load.created) == counts.get(text or "", (None, None))

    def test_the_counts_of_newer_instances_come_first(self) -> None:
        newer = {
            "records-count": "30",
            "records-created": 1,
            "records-updated": 2,
            "upload-errors-count": "4",
        }
        load = Load.read({**SAMPLE, **newer, "upload-errors": [error(2)]})
        assert (load.records, load.created, load.updated, load.errors) == (30, 1, 2, 4)

    @pytest.mark.parametrize(
        ("more", "errors"),
        [
            ({}, None),
            ({"upload-errors": None}, None),
            ({"upload-errors-count": 3}, 3),
            ({"upload-errors-count": 0}, 0),
            ({"upload-errors-count": 0, "upload-errors": [error(2)]}, 1),
            ({"upload-errors": [error(2), error(3)]}, 2),
            ({"records-updated": 27}, 0),
        ],
    )
    def test_how_many_errors(self, more: dict, errors: int | None) -> None:
        load = Load.read({**SAMPLE, **more})
        assert load.errors == errors
        verdict = load.verdict(Verdict(State.MET, ""), 0, None)
        assert verdict.state is (State.MET if errors == 0 else State.NEVER)
        assert ("cannot be told" in verdict.reason) is (errors is None)

    @pytest.mark.parametrize(
        ("given", "messages"),
        [
            (["a", "b"], ["a", "b"]),
            ("a, b", ["a, b"]),
            (None, []),
            ("", []),
            ([], []),
            ({"name": ["a"]}, ["{'name': ['a']}"]),
        ],
    )
    def test_messages_come_as_a_list_or_as_text(self, given: object, messages: list[str]) -> None:
        load = Load.read({**SAMPLE, "upload-errors": [error(2, given)]})
        assert load.summary(None)["error_rows"] == [
            {"row": 2, "field": "name", "value": "VALUE2", "messages": messages}
        ]
        assert [json.loads(line) for line in load.lines()] == [
            {"row": 2, "first_column": "F2", "field": "name", "value": "VALUE2", "messages": messages}
        ]

    @given(st.integers(0, 300), st.integers(1, 400), st.one_of(st.integers(0, 300), st.floats(0, 1)))
    def test_the_threshold(self, errors: int, records: int, most: float) -> None:
        load = Load.read({"id": 1, "records-count": records, "upload-errors-count": errors})
        borne = errors <= (most if isinstance(most, int) else most * records)
        assert (load.verdict(Verdict(State.MET, ""), most, None).state is State.MET) is borne

    def test_a_share_of_nobody_knows_how_many(self) -> None:
        load = Load.read({"id": 1, "upload-errors": [error(2)]})
        assert load.verdict(Verdict(State.MET, ""), 0.99, None).state is State.NEVER
        assert load.verdict(Verdict(State.MET, ""), 1, None).state is State.MET

    @given(st.sets(st.integers(2, 5001), min_size=1, max_size=250))
    def test_up_to_a_hundred_rows_are_named(self, rows: set[int]) -> None:
        load = Load.read(
            {"id": 1, "records-count": 5000, "upload-errors": [error(row) for row in sorted(rows)]}
        )
        reason = load.verdict(Verdict(State.MET, ""), 0, "file:///errors").reason
        listed = re.search(r"Rows? (\d+(?:, \d+)*)( and (\d+) more)?\.", reason)
        assert listed is not None
        assert [int(row) for row in listed[1].split(", ")] == sorted(rows)[:100]
        assert int(listed[3] or 0) == max(0, len(rows) - 100)
        assert f"in {len(rows)} of 5,000 rows" in reason
        assert reason.endswith("All errors are in file:///errors")
        assert "VALUE" not in reason
        assert "F2" not in reason

    def test_messages_are_grouped_and_few(self) -> None:
        errors = [
            *(error(row) for row in range(2, 32)),
            *(error(row, [f"odd {row}" * 100]) for row in range(40, 47)),
        ]
        reason = Load.read({"id": 1, "upload-errors": errors}).verdict(Verdict(State.MET, ""), 0, None).reason
        assert "name: has already been taken (30 times) | name: odd 40" in reason
        assert "and 3 other messages" in reason
        assert len(reason) < 2000

    def test_a_load_that_failed_tells_what_coupa_says(self) -> None:
        load = Load.read({**SAMPLE, "result-text": "No header", "upload-errors": [error(None, "No header")]})
        reason = load.verdict(Verdict(State.NEVER, "It is failed", {"id": 7}), 100, None).reason
        assert reason == "It is failed. Coupa says: 'No header'. Coupa's messages: name: No header"

    def test_fewer_errors_than_there_are(self) -> None:
        load = Load.read({"id": 1, "upload-errors-count": 37, "upload-errors": [error(2)]})
        assert "Coupa shows 1 of the errors" in load.verdict(Verdict(State.MET, ""), 0, None).reason


@pytest.fixture(scope="module")
def emulator():
    with Emulator(seed=7, empty=True, rate_limit=None) as emulator:
        yield emulator


@pytest.fixture
def look(emulator):
    """Look once: ``look(*wants)``; returns the answers in their order."""
    forget_tokens()
    pacing._pacers.clear()
    emulator.reset()

    def look(*wants: LoadWant) -> list:
        async def read() -> list:
            config = CoupaConfig.from_fields(
                "coupa_test", host=emulator.url, login=emulator.client_id, password=emulator.client_secret,
                extra={"requests_per_second": 2000},
            )  # fmt: skip
            async with CoupaClient(config) as client:
                answers = await DataFileSources().read(client, wants)
            return [answers[want] for want in wants]

        emulator.reset_seen()
        return asyncio.run(read())

    return look


def stored(number: int, name: str, hours: float = 1, kind: str = "User") -> dict:
    return {
        "id": number,
        "file-file-name": name,
        "source-for": kind,
        "status": "Loading",
        "created-at": (NOON + timedelta(hours=hours)).isoformat(),
    }


class TestLook:
    def test_each_gets_its_own_and_the_newest(self, emulator, look) -> None:
        emulator.load(
            {
                "data_file_sources": [
                    stored(1, "_Incoming_Users_users.csv", -1),
                    stored(2, "_Incoming_Users_users.csv"),
                    stored(3, "_Incoming_Users_users.csv", 2),
                    stored(4, "_Incoming_Users_active_users.csv", 3),
                    stored(5, "_Incoming_Suppliers_users.csv", 4, "Supplier"),
                    stored(6, "rates.csv", -5),
                ]
            }
        )
        found = look(
            LoadWant(None, "users.csv", "user", NOON),
            LoadWant(None, "users.csv", None, NOON),
            LoadWant(None, "users.csv", "User", NOON + timedelta(hours=3)),
            LoadWant(None, "rates.csv", None, NOON),
            LoadWant(None, "rates.csv", None, NOON - timedelta(days=1)),
            LoadWant(1),
            LoadWant(99),
        )
        assert [it and it["id"] for it in found] == [3, 5, None, None, 6, 1, None]
        assert all("upload-errors" not in it for it in found if it)

    def test_hundreds_share_the_requests(self, emulator, look) -> None:
        emulator.load({"data_file_sources": [stored(n, f"file{n}.csv") for n in range(1, 301)]})
        found = look(*(LoadWant(None, f"file{n}.csv", None, NOON) for n in range(1, 301)))
        assert [it["id"] for it in found] == list(range(1, 301))
        assert emulator.seen()["requests"] <= 12

    def test_one_load_among_few_costs_one_request(self, emulator, look) -> None:
        emulator.load({"data_file_sources": [stored(n, f"file{n}.csv", n - 100) for n in range(1, 131)]})
        assert look(LoadWant(None, "file130.csv", None, NOON))[0]["id"] == 130
        assert emulator.seen()["requests"] == 1

    @pytest.mark.parametrize("name", ["created-at", "file-file-name", "status"])
    def test_what_is_needed_and_not_shown(self, name: str) -> None:
        async def read() -> None:
            class Silent(DataFileSources):
                async def _since(self, client, since):
                    return [{key: value for key, value in stored(1, "a.csv").items() if key != name}]

            await Silent().read(None, [LoadWant(None, "a.csv", None, NOON)])  # type: ignore[arg-type]

        with pytest.raises(CoupaIncompleteError, match=f"Coupa shows {name} of none of the 1 data file"):
            asyncio.run(read())
