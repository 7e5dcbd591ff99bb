"""The emulator as an object of the test that uses it."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from coupa_provider.emulator.downloads import file_of
from coupa_provider.emulator.instance import Data, Instance, read_data_file
from coupa_provider.emulator.running import listening_socket, server_for, url_of
from coupa_provider.emulator.settings import Outage
from coupa_provider.emulator.stamps import DEFAULT_ZONE
from coupa_provider.emulator.timed_changes import Change, addition

_START_S = 120


class Emulator:
    """A Coupa instance that runs in a thread of this process.

    Further keyword arguments are settings, see :class:`coupa_provider.emulator.settings.Settings`.

    :param seed: decides the seeded data.
    :param scale: multiplies their number.
    :param port: port to listen on; 0 for any that is free.
    :param host: address to listen on.
    :param profile: bundle of settings: ``default``, ``lenient``, ``strict`` or ``hostile``.
    :param switches: positions of the switches U1 to U34.
    :param data: records of the user's own by resource, or a JSON file that holds them.
    :param empty: start without seeded data.
    :param sizes: number of records by resource.
    :param client_id: client that has every scope.
    :param client_secret: its secret.
    :param zone: zone of the company, in which instants are printed.
    :param files: folder of this machine that is Coupa's file server; None for a temporary one.
    """

    def __init__(
        self,
        *,
        seed: int = 7,
        scale: float = 1.0,
        port: int = 0,
        host: str = "127.0.0.1",
        profile: str | None = None,
        switches: Mapping[str, object] | None = None,
        data: Data | Path | str | None = None,
        empty: bool = False,
        sizes: Mapping[str, int] | None = None,
        client_id: str = "emulator",
        client_secret: str = "emulator-secret",  # noqa: S107 - known to all, it protects nothing
        zone: str = DEFAULT_ZONE,
        files: Path | str | None = None,
        **settings: Any,
    ) -> None:
        if switches is not None:
            settings["switches"] = switches
        self._instance = Instance(
            seed=seed,
            scale=scale,
            sizes=sizes,
            profile=profile,
            empty=empty,
            data=read_data_file(Path(data)) if isinstance(data, str | Path) else data,
            client_id=client_id,
            client_secret=client_secret,
            zone=zone,
            files=Path(files) if files is not None else None,
            changes=settings,
        )
        self._host = host
        self._port = port
        self._url = ""
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        """Start to listen.

        :return: the emulator itself.
        """
        listener = listening_socket(self._host, self._port)
        self._url = url_of(listener)
        self._server = server_for(self._instance)
        self._listener = listener
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="coupa-emulator", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + _START_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("the emulator did not start")
            time.sleep(0.005)
        return self

    def stop(self) -> None:
        """Stop listening and free the records."""
        if self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(10)
        self._thread = None
        self._listener.close()
        self._instance.store.close()
        self._instance.files.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Base URL, as ``http://127.0.0.1:8810``."""
        return self._url

    @property
    def client_id(self) -> str:
        """Identifier of the client that has every scope."""
        return self._instance.client_id

    @property
    def client_secret(self) -> str:
        """Secret of that client."""
        return self._instance.client_secret

    def ids(self, resource: str) -> list[int]:
        """Return the ids now alive.

        :param resource: catalog path.
        :return: sorted ids.
        """
        return self._instance.ids(resource)

    def record(self, resource: str, record_id: int) -> dict[str, Any] | None:
        """Return a record as a default GET answers it.

        :param resource: catalog path.
        :param record_id: its id.
        :return: the record, or None when it is gone.
        """
        return self._instance.record(resource, record_id)

    def file(self, resource: str, record_id: int, kind: str = "attachment") -> bytes | None:
        """Return what is in a file.

        :param resource: catalog path: ``"invoices/:invoice_id/attachments"``, or ``"invoices"`` for the other kinds.
        :param record_id: id of the attachment or the invoice.
        :param kind: ``attachment``, ``image_scan``, ``legal_invoice_pdf`` or ``clearance_document``.
        :return: its bytes, None where there is none.
        """
        record = self._instance.record(resource, record_id)
        found = file_of(self._instance, resource, record, kind) if record else None
        return b"".join(found.content.chunks()) if found else None

    def configure(self, **changes: Any) -> None:
        """Change settings; see :meth:`.settings.Settings.with_changes`.

        :param changes: new values by name.
        """
        self._instance.configure(changes)

    def seen(self) -> dict[str, Any]:
        """Return what the server saw since its start or the last :meth:`reset_seen`."""
        return self._instance.observed.report()

    def writes(self) -> dict[str, int]:
        """Return how often each write was carried out since then: ``{"PUT /api/invoices/7": 1}``."""
        return self._instance.observed.writes()

    def reset_seen(self) -> None:
        """Begin counting anew."""
        self._instance.observed.reset()

    def load(self, data: Data) -> dict[str, int]:
        """Take records of the user's own.

        :param data: records in Coupa's dashed form by catalog path.
        :return: number of records taken by path.
        """
        return self._instance.load(data)

    def change(
        self,
        resource: str,
        record_id: int,
        attributes: Mapping[str, Any],
        *,
        after_seconds: float = 0,
        after_reads: int | None = None,
    ) -> None:
        """Change a record, at once or later, as if somebody did it in the user interface.

        Nothing is validated, and ``updated-at`` moves unless it is given.

        :param resource: catalog path.
        :param record_id: id of the record.
        :param attributes: new values in Coupa's dashed form, nested ones whole.
        :param after_seconds: when, by the real clock from now on.
        :param after_reads: right after this many GET answers that contain the record, in place of a time.
        :raises SettingError: when there is no such record, or an argument cannot be.
        """
        self._instance.plan(
            Change(resource, record_id, attributes, after_seconds=after_seconds, after_reads=after_reads)
        )

    def add(self, resource: str, record: Mapping[str, Any], *, after_seconds: float = 0) -> int:
        """Let a record appear, at once or later.

        :param resource: catalog path; that of a nested collection holds the id of the parent.
        :param record: the record in Coupa's dashed form; what it leaves out is filled in.
        :param after_seconds: when, by the real clock from now on.
        :return: the id that it has or will have.
        :raises SettingError: when an argument cannot be.
        """
        return self._instance.plan(addition(resource, record, after_seconds))

    def changes(self) -> dict[str, list[dict[str, Any]]]:
        """Return what :meth:`change` and :meth:`add` were told: ``pending``, ``done`` and ``missed``.

        Those done hold the time ``at``, in seconds since 1970 by the real clock; the records of those missed were
        gone by then.
        """
        return self._instance.timed_changes.report()

    def outage(
        self,
        kind: str,
        *,
        seconds: float,
        after_seconds: float = 0,
        paths: Collection[str] = (),
        methods: Collection[str] = (),
    ) -> None:
        """Let every request concerned go wrong for a while; several outages make a schedule.

        :param kind: a kind of fault, or ``refused``: no connection can be opened then.
        :param seconds: how long, by the real clock.
        :param after_seconds: when it begins, from now on.
        :param paths: only for paths that begin with one of these, as ``"invoices"`` or ``"/oauth2"``; empty
            means all of ``/api``.
        :param methods: only for these methods; empty means all.
        :raises SettingError: when an argument cannot be.
        """
        given = {"seconds": seconds, "after_seconds": after_seconds, "paths": paths, "methods": methods}
        self._instance.outages.plan(Outage.read({"kind": kind, **given}))

    def outages(self) -> dict[str, list[dict[str, Any]]]:
        """Return the outages that are ``over``, ``running`` and ``to_come``, with ``begin`` and ``end`` of each.

        Times are seconds since 1970 by the real clock.
        """
        return self._instance.outages.report()

    def put_file(self, path: str, content: bytes | str) -> None:
        """Put a file onto Coupa's file server, whence Coupa picks it up and loads it.

        :param path: its path there, as ``"./Incoming/LookupValues/colours.csv"``.
        :param content: what is in it; text is written as UTF-8.
        :raises SettingError: it is no path of a file in a folder below ``Incoming``.
        """
        self._instance.files.put(path, content.encode() if isinstance(content, str) else content)

    def files(self) -> list[str]:
        """Return the paths of all files on the file server: those that wait, and those that are in the archive."""
        return self._instance.files.paths()

    def drift_log(self) -> dict[str, list[dict[str, Any]]]:
        """Return what drift did so far: events by kind, each with resource, id and time."""
        return self._instance.drift_log.report()

    def issued_tokens(self) -> set[str]:
        """Return every access and refresh token given out, to look whether one of them leaked."""
        return self._instance.authority.issued()

    def revoke_tokens(self) -> int:
        """Take back every access token.

        :return: how many there were.
        """
        return self._instance.authority.revoke_tokens()

    def add_client(
        self, client_id: str, secret: str, scopes: Collection[str] | None = None, active: bool = True
    ) -> None:
        """Make or replace an OAuth client.

        :param client_id: its identifier.
        :param secret: its secret.
        :param scopes: granted scopes; None for all there are.
        :param active: False for one that is switched off.
        """
        self._instance.authority.add_client(client_id, secret, scopes, active)

    def deactivate_client(self, client_id: str) -> None:
        """Switch a client off.

        :param client_id: its identifier.
        """
        self._instance.authority.deactivate_client(client_id)

    def issue_refresh_token(self, client_id: str, scopes: Collection[str]) -> str:
        """Make a refresh token as if a user had consented.

        :param client_id: client that it is for.
        :param scopes: what the user consented to.
        :return: the token.
        """
        return self._instance.issue_refresh_token(client_id, scopes)

    def set_clock(self, instant: datetime | None) -> None:
        """Stamp records with another time than the real one, and let drift go on only by :meth:`advance`.

        :param instant: the time to show, with a zone; it stands still. None for the real time.
        """
        self._instance.clock.set(instant)

    def advance(self, seconds: float) -> None:
        """Move a clock that was set forward; drift happens on the way, each change at its own time.

        :param seconds: how far.
        """
        self._instance.advance(seconds)

    def now(self) -> datetime:
        """Return the time that records are stamped with, in UTC."""
        return datetime.fromtimestamp(self._instance.clock.now(), UTC)

    def reset(self) -> None:
        """Go back to the state at the start: records, settings, clock, counts. Clients and tokens stay."""
        self._instance.reset()
