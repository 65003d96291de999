"""The folders and the logins of a file store, in the forms that pyftpdlib asks for."""

# pyright: basic
# pyftpdlib has no types, so that what is derived from it has none either.

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, cast, final

from htpoort.simulator._file_store import FileStore, Visitor
from htpoort.simulator._ftps_library import AbstractedFS, AuthenticationFailed, DummyAuthorizer, FilesystemError
from htpoort.simulator.clock import Clock
from htpoort.simulator.files import OutFile

_FILE_MODE: Final = stat.S_IFREG | 0o600
_FOLDER_MODE: Final = stat.S_IFDIR | 0o700
_NO_FOLDER: Final = "No such folder"
_NO_FILE: Final = "No such file"
_WRONG: Final = "Not logged in"


class Session(Protocol):
    """What folders and logins need of the session that they belong to."""

    store: FileStore
    clock: Clock
    certificate: str
    visitor: Visitor | None
    sending: OutFile | None

    def refuse_login(self, username: str) -> None:
        """Record a login with a wrong user name, password or certificate."""


@final
class FileBuffer(io.BytesIO):
    """A file on its way in or out; pyftpdlib asks for its name."""

    def __init__(self, octets: bytes, name: str) -> None:
        super().__init__(octets)
        self.name = name
        self.arrived: Callable[[int], object] = lambda _size: None

    def write(self, octets: Any) -> int:  # noqa: ANN401 - as the base class has it
        """Keep a piece, and report how much there is now."""
        count = super().write(octets)
        self.arrived(self.getbuffer().nbytes)
        return count


class Folders(AbstractedFS):  # type: ignore[misc]
    """The folders of the store, as a file system."""

    def __init__(self, root: str, cmd_channel: Session) -> None:
        super().__init__(root, cmd_channel)
        self._store = cmd_channel.store
        self._visitor = cast("Visitor", cmd_channel.visitor)

    def validpath(self, path: str) -> bool:  # noqa: ARG002, PLR6301 - a hook
        return True

    def realpath(self, path: str) -> str:  # noqa: PLR6301 - a hook
        return path

    def chdir(self, path: str) -> None:
        if not self.isdir(path):
            raise FilesystemError(_NO_FOLDER)
        self.cwd = path

    def listdir(self, path: str) -> list[str]:
        return list(self._listing(path))

    def isdir(self, path: str) -> bool:
        return self._store.listing(self._visitor, path) is not None

    def isfile(self, path: str) -> bool:
        return self._entry(path) is not None

    def lexists(self, path: str) -> bool:
        return self.isdir(path) or self.isfile(path)

    def lstat(self, path: str) -> os.stat_result:
        size = self._entry(path)
        if size is None and not self.isdir(path):
            raise FilesystemError(_NO_FILE)
        moment = self.getmtime(path)
        mode = _FOLDER_MODE if size is None else _FILE_MODE
        return os.stat_result((mode, 1, 1, 1, 0, 0, size or 0, moment, moment, moment))

    stat = lstat

    def getsize(self, path: str) -> int:
        return self._entry(path) or 0

    def getmtime(self, path: str) -> int:
        file = self._store.file(self._visitor, path)
        return int((self.cmd_channel.clock() if file is None else file.at).timestamp())

    def open(self, filename: str, mode: str) -> FileBuffer:
        if "w" in mode:
            return FileBuffer(b"", filename)
        file = self._store.file(self._visitor, filename)
        if file is None:
            raise FilesystemError(_NO_FILE)
        self.cmd_channel.sending = file
        return FileBuffer(file.octets, filename)

    def remove(self, path: str) -> None:
        if not self._store.delete(self._visitor, path):
            raise FilesystemError(_NO_FILE)

    def get_user_by_uid(self, uid: int) -> str:  # noqa: ARG002, PLR6301 - a hook
        return "gateway"

    def get_group_by_gid(self, gid: int) -> str:  # noqa: ARG002, PLR6301 - a hook
        return "gateway"

    def _listing(self, path: str) -> Mapping[str, int | None]:
        listing: Mapping[str, int | None] | None = self._store.listing(self._visitor, path)
        if listing is None:
            raise FilesystemError(_NO_FOLDER)
        return listing

    def _entry(self, path: str) -> int | None:
        """Return the size of a file; None if there is none."""
        folder, _, name = path.rpartition("/")
        return (self._store.listing(self._visitor, folder or "/") or {}).get(name)


@final
class Logins(DummyAuthorizer):  # type: ignore[misc]
    """Check logins against the store, with the certificate of the session."""

    def validate_authentication(self, username: str, password: str, handler: Session) -> None:  # noqa: PLR6301 - a hook
        handler.visitor = handler.store.log_in(username, password, handler.certificate)
        if handler.visitor is None:
            handler.refuse_login(username)
            raise AuthenticationFailed(_WRONG)

    def get_home_dir(self, username: str) -> str:  # noqa: ARG002, PLR6301 - a hook
        return "/"

    def get_msg_login(self, username: str) -> str:  # noqa: ARG002, PLR6301 - a hook
        return "Logged in"

    def get_msg_quit(self, username: str) -> str:  # noqa: ARG002, PLR6301 - a hook
        return "Goodbye"

    def has_perm(self, username: str, perm: str, path: str | None = None) -> bool:  # noqa: ARG002, PLR6301 - a hook
        # The store decides.
        return True

    def get_perms(self, username: str) -> str:  # noqa: ARG002, PLR6301 - a hook
        return "elrdw"
