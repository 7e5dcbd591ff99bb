"""The life of a CSV file: picked up and archived, waiting, loading, done or failed."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from coupa_provider.emulator.answers import Answer, Refusal
from coupa_provider.emulator.coercion import label
from coupa_provider.emulator.csv_rows import CORRUPT, CsvRow, UnreadableFile, read_csv
from coupa_provider.emulator.file_load import KINDS, FileKind, FileLoad, flattened
from coupa_provider.emulator.instance import Instance, resource_at
from coupa_provider.emulator.query import parse_query
from coupa_provider.emulator.references import References
from coupa_provider.emulator.routes import Target
from coupa_provider.emulator.rules import written_attributes
from coupa_provider.emulator.store import decode, encode
from coupa_provider.emulator.writes import Writer
from coupa_provider.resources import Resource

DATA_FILE_SOURCES = "data_file_sources"
#: So that a large file does not hold up the server.
_MOST_ROWS_AT_ONCE = 250
_SEGMENT = re.compile(r"segment-(\d+)")


def begin_load(instance: Instance, kind: FileKind, shown_name: str, content: bytes) -> int:
    """Take a file, and let its data file source appear.

    :param instance: the instance.
    :param kind: what it is for.
    :param shown_name: the name that the data file source shows.
    :param content: what is in it.
    :return: id of the data file source.
    """
    record = instance.completed(
        resource_at(DATA_FILE_SOURCES),
        {
            "type": "BackgroundCsvFileLoad",
            "source-for": kind.source_for,
            "status": "Pending",
            "file-file-name": shown_name,
            "file-content-type": "text/csv",
            "file-file-size": str(len(content)),
        },
    )
    instance.store.put(DATA_FILE_SOURCES, record)
    instance.loads.append(FileLoad(record["id"], kind, content))
    return int(record["id"])


def pick_up(instance: Instance, kind: FileKind, folder: str, name: str) -> int:
    """Archive a file that waits, and take it; see :func:`begin_load`.

    :param instance: the instance.
    :param kind: what the folder takes.
    :param folder: the file's folder below ``Incoming``.
    :param name: its name.
    :return: id of the data file source.
    :raises FileNotFoundError: it is not there any more.
    """
    content = instance.files.pick_up(folder, name, instance.settings.switches["U27"])
    return begin_load(instance, kind, flattened(f"/Incoming/{folder}/{name}"), content)


class FileLoader:
    """Picks files up on a fixed schedule and loads them one after the other.

    :param instance: the instance.
    """

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._picked_up_at = self._last = time.monotonic()
        self._room = 0.0

    def carry_on(self, now: float) -> None:
        """Do what is due.

        :param now: by the clock that does not jump.
        """
        settings = self._instance.settings
        if now >= self._picked_up_at + settings.file_pick_up_s:
            self._picked_up_at = now
            for folder, name in self._instance.files.waiting():
                # What is put anywhere else is never picked up.
                if (kind := KINDS.get(folder)) is not None:
                    with contextlib.suppress(FileNotFoundError):  # somebody took it back
                        pick_up(self._instance, kind, folder, name)
        self._room += (now - self._last) * settings.file_rows_per_s
        self._last = now
        waiting = [load for load in self._instance.loads if load.status == "Pending"]
        if self._instance.loads and self._instance.loads[0] not in waiting:
            self._work(self._instance.loads[0])
        else:
            self._room = 0.0
        for load in waiting:
            load.status = "Submitted to Resque"
            self._show(load)

    def _work(self, load: FileLoad) -> None:
        if load.rows is None:
            self._begin(load)
            return
        rows = min(int(self._room), _MOST_ROWS_AT_ONCE)
        self._room = min(self._room - rows, _MOST_ROWS_AT_ONCE)
        for _ in range(rows):
            row = next(load.rows, None)
            if row is None:
                break
            self._load_row(load, row)
            load.worked += 1
        if load.worked < load.count:
            self._show(load, progress=load.worked)
        else:
            self._end(load, "done", load.result())

    def _begin(self, load: FileLoad) -> None:
        load.status, self._room = "Loading", 0.0
        path, started = load.kind.path, {"start-time": self._instance.stamp()}
        try:
            if path is None:
                raise UnreadableFile(f"This emulator does not load files for {load.kind.source_for}.")
            file = read_csv(load.content, written_attributes(resource_at(path).type))
        except UnreadableFile as unreadable:
            self._end(load, "Failed", {**started, "result-text": str(unreadable)})
            return
        load.rows, load.count = file.rows(), len(file.lines)
        load.columns = file.columns
        self._show(load, **{"records-count": load.count, "progress": 0}, **started)

    def _end(self, load: FileLoad, status: str, result: Mapping[str, Any]) -> None:
        load.status = status
        with contextlib.suppress(ValueError):  # a reset has dropped it
            self._instance.loads.remove(load)
        progress = {"progress": load.worked} if status == "done" else {}
        self._show(load, **progress, **result, **{"end-time": self._instance.stamp()})

    def _show(self, load: FileLoad, **more: Any) -> None:
        record = self._instance.store.record(DATA_FILE_SOURCES, load.record_id)
        if record is not None:
            record.update({"status": load.status, "updated-at": self._instance.stamp(), **more})
            self._instance.store.put(DATA_FILE_SOURCES, record)

    # ---- rows

    def _load_row(self, load: FileLoad, row: CsvRow) -> None:
        messages = [CORRUPT] if row.payload is None else self._write(load, row.payload)
        if messages:
            field, value = _place_of(messages[0], load.columns, row.cells)
            load.errors.append(
                {
                    "id": self._instance.new_line_id(),
                    "type": "UploadRowError",
                    "row": row.number,
                    "first-column": row.cells[0] if row.cells else None,
                    "field-with-error": field,
                    "value": value,
                    "field-errors": messages,
                }
            )

    def _write(self, load: FileLoad, payload: dict[str, Any]) -> list[str]:
        """Create or update a record as the API does; return what is wrong with it."""
        resource = resource_at(load.kind.path or "")
        known = self._existing(load.kind, resource, payload)
        if known is None and "id" in payload:
            return [f"There is no record with id {payload['id']}"]
        body = encode({name: value for name, value in payload.items() if name != "id"})
        writer = Writer(self._instance, Target(resource, known), as_xml=False)
        try:
            if known is None:
                writer.create("application/json", body)
                load.created += 1
            else:
                switches = self._instance.settings.switches
                writer.update("application/json", body, parse_query("", resource.type, switches, ()))
                load.updated += 1
        except Refusal as refusal:
            return _messages(refusal.answer)
        return []

    def _existing(self, kind: FileKind, resource: Resource, payload: Mapping[str, Any]) -> int | None:
        """Return the record that a row is about; the first key that the row gives decides."""
        references, attributes = References(self._instance), written_attributes(resource.type)
        given = {
            name: references.find(attributes[name].target or "", value) if isinstance(value, dict) else value
            for name, value in payload.items()
        }
        if resource.path == "accounts" and "code" not in given:
            segments = sorted((int(m[1]), v) for n, v in payload.items() if (m := _SEGMENT.fullmatch(n)))
            given["code"] = "-".join(value for _, value in segments)
        for names in kind.keys:
            if all(name in given for name in names):
                equal = references.keys_of_record(resource.type, names, given)
                found = self._instance.store.matching(resource.path, equal) if equal else []
                return found[0] if found else None
        return None


def _messages(answer: Answer) -> list[str]:
    [messages] = decode(answer.body)["errors"].values()
    return list(messages)


def _place_of(
    message: str, columns: Sequence[tuple[str, ...]], cells: Sequence[str]
) -> tuple[str | None, str | None]:
    """Return the attribute that a message is about, and what stands in its column."""
    for path, cell in zip(columns, cells, strict=False):
        name = path[0]
        if message.startswith(f"{label(name)} ") or f" for {name.replace('-', '_')} with keys" in message:
            return name, cell
    return None, None
