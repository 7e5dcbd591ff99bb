"""What a try of a task has finished, noted so that the next try of the same task goes on from there."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import msgspec

from coupa_provider import __version__
from coupa_provider.client.id_ranges import IdRange, IdRanges
from coupa_provider.extract.destination import NOTE_NAME, UNFINISHED, Destination
from coupa_provider.extract.drift import Drift
from coupa_provider.extract.errors import ExtractError
from coupa_provider.extract.manifest import File
from coupa_provider.extract.manifest_reader import ManifestReader, checksum_of
from coupa_provider.extract.window import Window

log = logging.getLogger(__name__)

#: Records read so long ago are read again rather than mixed with those of now.
_LONGEST_PAUSE = timedelta(hours=24)


class StoredFile(msgspec.Struct, frozen=True):
    """A finished file that is not published yet.

    :param table: name of the table of lines it belongs to; empty for the records themselves.
    :param stored: where it stands in the folder.
    :param file: what the manifest will say of it.
    """

    table: str
    stored: str
    file: File


class Unfinished(msgspec.Struct, kw_only=True):
    """A run of a task as far as it has come; kept in ``_unfinished/progress.json`` of its destination.

    :param run: names the task instance; another one does not go on from here.
    :param request: what was asked for, as :func:`fingerprint` gives it; a changed task does not go on from here.
    :param window: bounds of the window, which the next try keeps although its clock shows another time.
    :param watermark: where a watermark stood when the window was made from it.
    :param tries: tries that have finished a part of it, and this one.
    :param started: when the first try began.
    :param saved: when this was last written.
    :param covered: ranges of ids that the files hold.
    :param files: finished files, in order.
    :param drift: of each table, what was counted until the last of its files.
    :param reports: remarks of the walks.
    :param requests: requests sent, likewise throttled and retried.
    """

    provider_version: str = __version__
    run: str
    request: str
    window: tuple[datetime | None, datetime | None] = (None, None)
    watermark: str | None = None
    tries: int = 1
    started: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))
    saved: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))
    covered: list[IdRange] = msgspec.field(default_factory=list)
    files: list[StoredFile] = msgspec.field(default_factory=list)
    drift: dict[str, Drift] = msgspec.field(default_factory=dict)
    reports: list[str] = msgspec.field(default_factory=list)
    requests: int = 0
    throttled: int = 0
    retried: int = 0

    @property
    def records(self) -> int:
        """Records in the finished files."""
        return sum(stored.file.rows for stored in self.files if not stored.table)

    @classmethod
    def find(cls, folder: Destination, *, run: str, request: str) -> Self | None:
        """Return what an earlier try of the same run has finished, checked file by file.

        :param folder: the destination.
        :param run: names the task instance.
        :param request: what is asked for.
        :return: what there is, or None where a new start is needed; the log says why.
        """
        try:
            found = msgspec.json.decode(
                folder.fs.cat_file(folder.path_of(f"{UNFINISHED}/{NOTE_NAME}")), type=cls
            )
        except FileNotFoundError:
            return None
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            log.warning(
                "Starting over: %s cannot be read (%s).", folder.url_of(f"{UNFINISHED}/{NOTE_NAME}"), error
            )
            return None
        doubt = found._doubt(folder, run, request)
        if doubt:
            log.info(
                "Starting over, without the %s records of an earlier try: %s.", f"{found.records:,}", doubt
            )
            return None
        found.tries += 1
        log.info(
            "Going on where try %d stopped: %s records in %d file(s) are kept, each checksum is right.",
            found.tries - 1, f"{found.records:,}", len(found.files),
        )  # fmt: skip
        return found

    def _doubt(self, folder: Destination, run: str, request: str) -> str | None:
        if self.run != run:
            return "it was another run of a task"
        if self.request != request or self.provider_version != __version__:
            return "the task has changed since"
        if datetime.now(UTC) - self.saved > _LONGEST_PAUSE:
            return f"it was more than {_LONGEST_PAUSE.total_seconds() / 3600:g} hours ago"
        try:
            IdRanges(self.covered)
        except ValueError as error:
            return str(error)
        for stored in self.files:
            try:
                with folder.fs.open(folder.path_of(stored.stored), "rb") as file:
                    if checksum_of(file) != stored.file.sha256:
                        return f"{stored.stored} has changed"
            except FileNotFoundError:
                return f"{stored.stored} is gone"
        return None

    def to_json(self) -> bytes:
        """Return the text of the file."""
        self.saved = datetime.now(UTC)
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    def as_window(self) -> Window:
        """Return the window."""
        return Window(*self.window)


def window_published(folder: Destination, *, run: str) -> Window | None:
    """Return the window of what a run has published in a folder, None if nothing there is its own.

    :param folder: the destination.
    :param run: names the task instance; its tries share the name.
    """
    try:
        manifest = ManifestReader(folder).manifest
    except ExtractError:
        return None
    return Window(*manifest.window) if manifest.run == run else None


def fingerprint(arguments: Mapping[str, Any]) -> str:
    """Return a short text that differs where what is asked for differs.

    :param arguments: what the result depends on: plain values, lists and dicts.
    """
    text = msgspec.json.encode(arguments, enc_hook=str, order="deterministic")
    return hashlib.sha256(text).hexdigest()[:32]
