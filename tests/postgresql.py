"""A throw-away PostgreSQL server, from the binaries that Debian's package `postgresql` brings.

How to use it: mark the test (or the module, by ``pytestmark``) and ask for the fixture.

    @pytest.mark.postgresql
    def test_it_lands(postgresql):
        database = postgresql.fresh_database()
        connection = psycopg.connect(database.url)           # or host, port, user, password, dbname by name

The server is started once a session, listens on 127.0.0.1 only, and is gone with its data at the end. The
user is a superuser and the password is checked, so that a wrong one fails. ``make test`` leaves these tests
out, ``make test-postgresql`` runs them. Where the binaries are missing they fail: they were asked for.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

START_SECONDS = 60
STOP_SECONDS = 20
INITDB = ("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
#: Nothing here has to survive anything; durability would only cost time.
SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")
#: A name for each fresh database, never the same in one process.
_numbers = itertools.count(1)


@dataclass(frozen=True)
class PostgreSQL:
    """A database of a running server.

    :param binaries: the folder of `psql` and the like, of the server's version.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    dbname: str
    binaries: Path

    @property
    def url(self) -> str:
        """What psycopg and ADBC take; SQLAlchemy does too."""
        return f"postgresql://{self.user}:{self.password}@{self.host}:{self.port}/{self.dbname}"

    def fresh_database(self) -> PostgreSQL:
        """Make an empty database on the same server."""
        name = f"fresh_{next(_numbers)}"
        subprocess.run(
            [self.binaries / "createdb", "-h", self.host, "-p", str(self.port), "-U", self.user, name],
            env={**os.environ, "PGPASSWORD": self.password},
            check=True,
            timeout=START_SECONDS,
        )
        return replace(self, dbname=name)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A server for the whole session."""
    with running_server() as database:
        yield database


@contextmanager
def running_server() -> Iterator[PostgreSQL]:
    """Start a server; stop it at the end, whatever happened."""
    binaries = find_binaries()
    owner = server_owner()
    folder = Path(tempfile.mkdtemp(prefix="coupa-postgresql-"))
    try:
        database = PostgreSQL("127.0.0.1", free_port(), "coupa", "postgresql-secret", "postgres", binaries)
        password = folder / "password"
        password.write_text(database.password)
        if owner:
            for path in (folder, password):
                shutil.chown(path, owner["user"], owner["group"])
        data, log = folder / "data", folder / "log"
        made = subprocess.run(
            [binaries / "initdb", "-D", data, *INITDB, "-U", database.user, "--pwfile", password],
            **owner,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
        )
        if made.returncode:
            pytest.fail(f"initdb failed:\n{made.stdout}{made.stderr}")
        listen = (f"listen_addresses={database.host}", f"unix_socket_directories={folder}")
        options = [part for setting in (*listen, *SETTINGS) for part in ("-c", setting)]
        with log.open("wb") as sink:
            server = subprocess.Popen(
                [binaries / "postgres", "-D", data, "-p", str(database.port), *options],
                **owner,
                cwd=folder,
                stdout=sink,
                stderr=sink,
                start_new_session=True,  # Ctrl-C is for pytest; the server is stopped below
            )
        try:
            wait_until_ready(database, server, log)
            yield database
        finally:
            stop(server)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def find_binaries() -> Path:
    """Return the folder of the newest server installed; Debian keeps it off PATH."""
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if on_path := shutil.which("postgres"):
        folders.append(Path(on_path).resolve().parent)
    if not folders:
        pytest.fail("No PostgreSQL server: apt-get install postgresql.")
    return max(folders, key=lambda folder: [int(part) for part in folder.parts if part.isdecimal()])


def server_owner() -> dict[str, Any]:
    """Return whom to start the server as, as arguments of subprocess: PostgreSQL refuses to be root."""
    if os.geteuid() != 0:
        return {}
    try:
        entry = pwd.getpwnam("postgres")
    except KeyError:
        pytest.fail("PostgreSQL refuses to run as root and there is no user postgres: useradd postgres.")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_ready(database: PostgreSQL, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    ask = [database.binaries / "pg_isready", "-q", "-h", database.host, "-p", str(database.port)]
    while subprocess.run(ask, timeout=START_SECONDS).returncode:
        if server.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"The PostgreSQL server did not start:\n{log.read_text()[-3000:]}")
        time.sleep(0.1)


def stop(server: subprocess.Popen[bytes]) -> None:
    """End the server at once, its clients' work included; its own children end with it."""
    for number in (signal.SIGQUIT, signal.SIGKILL):
        server.send_signal(number)
        try:
            server.wait(timeout=STOP_SECONDS)
            return
        except subprocess.TimeoutExpired:
            continue
