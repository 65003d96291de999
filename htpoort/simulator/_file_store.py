"""
Keep the files of a simulated gateway in memory, for the server's thread and for the event loop.

This module knows nothing of FTP but the texts of two refusals.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, final

import attrs

from htpoort.core.errors import InputError
from htpoort.files import NAME_REUSED, FileName, FileService
from htpoort.simulator.clock import Clock
from htpoort.simulator.file_script import NameReuse
from htpoort.simulator.files import DeletedFile, FetchedFile, FileUser, OutFile, RefusedFile, UploadedFile

_NO_NAME: Final = "553 File name not allowed"
_NO_FOLDER: Final = "550 No uploads here"
_REUSED: Final = f"550 {NAME_REUSED}"

Report = Callable[[UploadedFile | FetchedFile | DeletedFile | RefusedFile], object]
"""Called, in the thread of the caller, with each thing that happened."""


@final
@attrs.frozen(kw_only=True)
class Visitor:
    """
    Who is logged in.

    Args:
        user: The user.
        certificate: The fingerprint of the certificate that was shown; empty if there was none.
    """

    user: FileUser
    certificate: str


@final
@attrs.frozen(kw_only=True)
class StoreRules:
    """
    What a gateway demands, as far as the files concern it.

    Args:
        needs_password: Whether the password is checked; otherwise only the certificate counts.
        unique_names: Whether a name can be used only once.
        bound_out: Whether a file in ``out`` belongs to one certificate; otherwise to all of the user's company.
        kept: How long files stay in ``out``.
        names: How a name that was used before is refused.
        lists_uploads: Whether service folders can be listed.
    """

    needs_password: bool
    unique_names: bool
    bound_out: bool
    kept: timedelta
    names: NameReuse
    lists_uploads: bool


@final
class FileStore:
    """
    The folders of all users. Every method may be called from any thread.

    Args:
        users: The users.
        services: The services.
        rules: What the gateway demands.
        clock: For the moments.
        report: Gets what happens.

    Attributes:
        closed: Returns why nothing can be uploaded now, as a response; None if uploads are taken.
    """

    def __init__(
        self,
        users: Iterable[FileUser],
        services: Iterable[FileService],
        *,
        rules: StoreRules,
        clock: Clock,
        report: Report,
    ) -> None:
        self.closed: Callable[[], str | None] = lambda: None
        self._users = {one.username: one for one in users}
        self._services = {one.service: one for one in services}
        self._rules = rules
        self._clock = clock
        self._report = report
        self._lock = threading.Lock()
        self._count = 0
        self._used: set[tuple[str, str]] = set()
        self._waiting: dict[tuple[str, str], dict[str, bytes]] = {}
        self._out: dict[str, dict[str, OutFile]] = {name: {} for name in self._users}
        self._fetched: list[OutFile] = []

    @property
    def needs_password(self) -> bool:
        """Whether a login needs a password."""
        return self._rules.needs_password

    def log_in(self, username: str, password: str, certificate: str) -> Visitor | None:
        """
        Check a login.

        Args:
            username: As it was sent.
            password: The same.
            certificate: The fingerprint of the certificate that was shown.

        Returns:
            Who it is; None if the login is wrong, or the certificate is not registered for the user.
        """
        user = self._users.get(username)
        if user is None and not self._rules.needs_password:
            # Any name will do: the user is the one for whom the certificate is registered, or the only one.
            known = [one for one in self._users.values() if certificate in one.certificates]
            user = known[0] if known else next(iter(self._users.values())) if len(self._users) == 1 else None
        if user is None or (self._rules.needs_password and password != user.password):
            return None
        if user.certificates and certificate not in user.certificates:
            return None
        return Visitor(user=user, certificate=certificate)

    # ── folders ──

    def listing(self, visitor: Visitor, path: str) -> Mapping[str, int | None] | None:
        """
        List a folder.

        Args:
            visitor: Who asks.
            path: The folder, from the root, without a slash at its end.

        Returns:
            The size of each file in it, and None for each folder; None if there is no such folder for the visitor.
        """
        user = visitor.user.user
        folders: dict[str, Mapping[str, int | None]] = {
            "/": {user.company: None},
            f"/{user.company}": {user.user: None},
            user.folder: {**dict.fromkeys(self._services), "out": None},
        }
        with self._lock:
            if path in folders:
                return folders[path]
            if path == user.out:
                return {name: len(file.octets) for name, file in self._visible(visitor).items()}
            service = self._service_of(visitor, f"{path}/x")
            if service is None:
                return None
            waiting = self._waiting.get((visitor.user.username, service.service), {})
            return {name: len(octets) for name, octets in waiting.items()} if self._rules.lists_uploads else {}

    def file(self, visitor: Visitor, path: str) -> OutFile | None:
        """Return a file of ``out`` that the visitor may fetch."""
        folder, _, name = path.rpartition("/")
        with self._lock:
            return self._visible(visitor).get(name) if folder == visitor.user.user.out else None

    # ── uploads ──

    def check_upload(self, visitor: Visitor, path: str) -> str | None:
        """
        Decide about an upload before its content.

        Args:
            visitor: Who uploads.
            path: The file, from the root.

        Returns:
            The response that refuses it; None if the content may come.
        """
        name = path.rpartition("/")[2]
        with self._lock:
            if self._service_of(visitor, path) is None:
                reason: str | None = _NO_FOLDER
            elif (reason := self.closed()) is not None:
                pass
            elif not _is_name(name):
                reason = _NO_NAME
            elif self._rules.names is NameReuse.STOR and self._is_used(visitor, name):
                reason = _REUSED
        self._record_refusal(visitor, path, reason)
        return reason

    def take(self, visitor: Visitor, path: str, octets: bytes, *, whole: bool = True) -> str | None:
        """
        Take a file that has arrived.

        Args:
            visitor: Who uploads.
            path: The file, from the root; `check_upload` let it pass.
            octets: What arrived.
            whole: Whether that is the whole file.

        Returns:
            The response that refuses it after all; None if it is taken.
        """
        name = path.rpartition("/")[2]
        with self._lock:
            service = self._service_of(visitor, path)
            if service is None or ((repeated := self._is_used(visitor, name)) and self._rules.names is NameReuse.END):
                reason = _NO_FOLDER if service is None else _REUSED
            else:
                reason = None
                self._count += 1
                self._used.add((visitor.user.username, name))
                if not repeated:
                    self._waiting.setdefault((visitor.user.username, service.service), {})[name] = octets
                upload = UploadedFile(
                    number=self._count,
                    at=self._clock(),
                    user=visitor.user.user,
                    service=service,
                    name=name,
                    octets=octets,
                    certificate=visitor.certificate,
                    whole=whole,
                    repeated=repeated,
                    read=bool(octets),
                )
                # Before the client can hear of it, and before another upload can follow.
                self._report(upload)
        self._record_refusal(visitor, path, reason)
        return reason

    def keep_part(self, visitor: Visitor, path: str, octets: bytes) -> None:
        """Keep what arrived of an upload in its folder; the name stays as free as before."""
        name = path.rpartition("/")[2]
        with self._lock:
            service = self._service_of(visitor, path)
            if service is not None and not self._is_used(visitor, name):
                self._waiting.setdefault((visitor.user.username, service.service), {})[name] = octets

    def hand_over(self, upload: UploadedFile) -> None:
        """Remove an upload from its folder."""
        with self._lock:
            if not upload.repeated:
                self._waiting.get((str(upload.user), upload.service.service), {}).pop(upload.name, None)

    def adopt(self, upload: UploadedFile) -> UploadedFile:
        """Take a file that was uploaded to another gateway; return it with a number of this one."""
        with self._lock:
            key = (str(upload.user), upload.name)
            repeated = self._rules.unique_names and key in self._used
            self._used.add(key)
            self._count += 1
            return attrs.evolve(upload, number=self._count, repeated=repeated)

    # ── out ──

    def put_out(self, file: OutFile) -> None:
        """Put a file out for its user; one of the same name is replaced."""
        with self._lock:
            self._out[str(file.user)][file.name] = file

    def out(self, username: str) -> tuple[OutFile, ...]:
        """Return all files of a user that are still there, in the order of their names."""
        with self._lock:
            self._forget_old()
            return tuple(file for _, file in sorted(self._out[username].items()))

    def fetched(self, visitor: Visitor, file: OutFile) -> None:
        """Record that a file was sent whole."""
        with self._lock:
            self._fetched.append(file)
        self._report(FetchedFile(at=self._clock(), file=file, certificate=visitor.certificate))

    def delete(self, visitor: Visitor, path: str) -> bool:
        """Delete a file of ``out``; return whether there was one that the visitor may delete."""
        folder, _, name = path.rpartition("/")
        with self._lock:
            file = self._visible(visitor).get(name) if folder == visitor.user.user.out else None
            if file is None:
                return False
            del self._out[str(file.user)][name]
            fetched = any(one is file for one in self._fetched)
        self._report(DeletedFile(at=self._clock(), file=file, certificate=visitor.certificate, fetched=fetched))
        return True

    # ── with the lock held ──

    def _service_of(self, visitor: Visitor, path: str) -> FileService | None:
        folder, _, service = path.rpartition("/")[0].rpartition("/")
        return self._services.get(service) if folder == visitor.user.user.folder else None

    def _is_used(self, visitor: Visitor, name: str) -> bool:
        return self._rules.unique_names and (visitor.user.username, name) in self._used

    def _visible(self, visitor: Visitor) -> dict[str, OutFile]:
        """Return the files of ``out`` that a visitor sees."""
        self._forget_old()
        files = self._out[visitor.user.username]
        if self._rules.bound_out:
            return {name: file for name, file in files.items() if file.certificate in {None, visitor.certificate}}
        return files

    def _forget_old(self) -> None:
        oldest = self._oldest()
        for files in self._out.values():
            for name in [name for name, file in files.items() if file.at < oldest]:
                del files[name]

    def _oldest(self) -> datetime:
        return self._clock() - self._rules.kept

    def _record_refusal(self, visitor: Visitor, path: str, reason: str | None) -> None:
        if reason is not None:
            self._report(RefusedFile(at=self._clock(), user=visitor.user.user, path=path, reason=reason))


def _is_name(text: str) -> bool:
    """Check whether a name is one that the gateway allows."""
    try:
        FileName.parse(text)
    except InputError:
        return False
    return True
