"""The folders of Coupa's file server: what waits to be picked up, and what was archived.

They are folders of this machine, so that a real SFTP server can be put before them.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from pathlib import Path, PurePosixPath

from coupa_provider.emulator.settings import SettingError

INCOMING = "Incoming"
_ARCHIVE = "Archive"


class FileFolders:
    """The folders.

    :param root: where they are; None for a temporary folder that :meth:`close` removes.
    """

    def __init__(self, root: Path | None = None) -> None:
        self._given = root
        self._own: Path | None = None

    @property
    def root(self) -> Path:
        """The folder that holds ``Incoming``; made on first use."""
        if self._given is not None:
            self._given.mkdir(parents=True, exist_ok=True)
            return self._given
        if self._own is None:
            self._own = Path(tempfile.mkdtemp(prefix="coupa-files-"))
        return self._own

    def close(self) -> None:
        """Remove the folders, unless they are somebody else's."""
        if self._own is not None:
            shutil.rmtree(self._own, ignore_errors=True)
            self._own = None

    def put(self, path: str, content: bytes) -> None:
        """Put a file into a folder, whole at once.

        :param path: path on the server, as ``"./Incoming/LookupValues/colours.csv"``.
        :param content: what is in it.
        :raises SettingError: it is no path of a file in a folder below ``Incoming``.
        """
        parts = PurePosixPath(path.strip().lstrip("/")).parts
        if len(parts) != 3 or parts[0] != INCOMING or ".." in parts or parts[1] == _ARCHIVE:
            raise SettingError(f"{path}: files are put into a folder, as Incoming/LookupValues/colours.csv")
        place = self.root.joinpath(*parts)
        place.parent.mkdir(parents=True, exist_ok=True)
        # Under another name until it is whole: a file that is still written is picked up as it is.
        staged = place.with_name(f".{place.name}.{uuid.uuid4().hex[:8]}")
        staged.write_bytes(content)
        staged.replace(place)

    def paths(self) -> list[str]:
        """Return the paths of all files, sorted: those that wait and those that were archived."""
        if not self._is_there:
            return []
        found = (file for file in self.root.rglob("*") if file.is_file() and not file.name.startswith("."))
        return sorted(file.relative_to(self.root).as_posix() for file in found)

    def waiting(self) -> list[tuple[str, str]]:
        """Return folder and name of each file that waits, in the order in which Coupa takes them: by name."""
        incoming = self.root / INCOMING if self._is_there else None
        if incoming is None or not incoming.is_dir():
            return []
        found = [
            (folder.name, file.name)
            for folder in incoming.iterdir()
            if folder.is_dir() and folder.name != _ARCHIVE
            for file in folder.iterdir()
            if file.is_file() and not file.name.startswith(".")
        ]
        return sorted(found, key=lambda one: (one[1], one[0]))

    @property
    def _is_there(self) -> bool:
        return self._given is not None or self._own is not None

    def pick_up(self, folder: str, name: str, mode: str) -> bytes:
        """Move a file to the archive, as Coupa does before it reads it, and return what is in it.

        :param folder: its folder below ``Incoming``.
        :param name: its name.
        :param mode: where the archive is, see switch U27.
        """
        place = self.root / INCOMING / folder / name
        order = (INCOMING, _ARCHIVE) if mode == "incoming_archive" else (_ARCHIVE, INCOMING)
        archived = self.root.joinpath(*order, folder, name)
        archived.parent.mkdir(parents=True, exist_ok=True)
        place.replace(archived)
        return archived.read_bytes()
