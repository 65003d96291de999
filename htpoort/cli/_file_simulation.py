"""The file gateway of `htpoort simulate --ftps`: its options, how to use it, and what happens at it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Final, Self, final

import attrs

from htpoort import _clock
from htpoort._extras import how_to_install
from htpoort.cli import _input, _show
from htpoort.cli._facts import Facts
from htpoort.files import FileName, GatewayUser
from htpoort.simulator import (
    Clock,
    FileGateway,
    FileScript,
    FileUser,
    FtpsFault,
    GatewayTls,
    OutFile,
    RefusedFile,
    UploadedFile,
)

__all__ = ["FileSimulation", "read_file_user", "show_lines", "table"]

_VARIABLE: Final = "HTPOORT_SIMULATOR_FTPS"
_PARTY: Final = "NL123456789.02.05"  # of the official example; no file needs it
_USER: Final = "CVR_12345678_UI_12345678"
_NAME: Final = FileName("MANIFEST_2026_0001")


def read_file_user(text: str) -> FileUser:
    """
    Read ``user:password`` or ``user``, which gets a password.

    Raises:
        InputError: The user has another form.
    """
    name, _, password = text.partition(":")
    return FileUser(user=GatewayUser.parse(name), password=password or _clock.unique()[:16])


def show_lines(title: str, lines: list[str]) -> None:
    """Print lines to paste, under a title."""
    _show.line(f"\n{title}\n")
    for text in lines:
        _show.line(f"  {_show.printable(text)}".rstrip())


def table(head: str, settings: Facts) -> str:
    """Write a table of TOML. The JSON of a text, a number, a truth value or an array of texts is also TOML."""
    values = {key: json.dumps(value, ensure_ascii=False) for key, value in settings.items()}
    return "".join(f"{text}\n" for text in (head, *(f"{key} = {value}" for key, value in values.items())))


@final
@attrs.frozen(kw_only=True)
class FileSimulation:
    """
    A file gateway that is played, and the address it listens on.

    Args:
        gateway: The gateway.
        host: Its address.
    """

    gateway: FileGateway
    host: str

    @classmethod
    def made(  # noqa: PLR0913 - one for each option
        cls,
        tls: GatewayTls,
        users: Sequence[str],
        script: FileScript,
        *,
        host: str,
        ports: Mapping[str, int],
        clock: Clock | None,
        beyond_loopback: bool,
    ) -> FileSimulation:
        """
        Make the gateway from the values of options.

        Raises:
            InputError: A user has another form, or is named twice, or the gateway cannot play the script.
        """
        with _input.about("--ftps-user"):
            known = [read_file_user(text) for text in users or (_USER,)]
        gateway = FileGateway(
            tls=tls,
            users=known,
            script=script,
            host=host,
            port=ports["ftps_port"],
            tls_port=ports["ftps_tls_port"],
            clock=clock,
            beyond_loopback=beyond_loopback,
        )
        return cls(gateway=gateway, host=host)

    async def __aenter__(self) -> Self:
        """
        Start the gateway.

        Raises:
            InputError: pyftpdlib is not installed.
            OSError: An address cannot be listened on.
        """
        try:
            await self.gateway.__aenter__()
        except ModuleNotFoundError as error:
            library = str(error.name).partition(".")[0]
            message = f"--ftps needs {library}; {how_to_install('simulator')}"
            raise _input.refusal("input.usage", message) from None
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.gateway.__aexit__(kind, error, traceback)

    # ── how to use it ──

    @property
    def facts(self) -> Facts:
        """Ports, files and logins, for JSON."""
        return {
            "port": self.gateway.port,
            "tls_port": self.gateway.tls_port,
            **self._files,
            "services": [one.service for one in self.gateway.services],
            "htpoort_toml": self._toml(alone=True),
            "users": [
                {"username": one.username, "password": one.password, "folder": one.user.folder, "out": one.user.out}
                for one in self.gateway.users
            ],
        }

    @property
    def rows(self) -> Facts:
        """The same, for a terminal."""
        logins = [{"message": f"{one.username}, password {one.password}"} for one in self.gateway.users]
        return {
            "ftps_port": self.gateway.port,
            "ftps_tls_port": self.gateway.tls_port,
            **self._files,
            "ftps_user": logins,
        }

    def show(self, *, alone: bool) -> None:
        """
        Print what to paste into other programs, for the first user.

        Args:
            alone: Whether the part of ``htpoort.toml`` is all of it, because no declarant has one.
        """
        user, service = self.gateway.users[0].user, self.gateway.services[0]
        for title, words in (
            (
                "To upload, for example:",
                ["--upload-file", "manifest.xml", self._url(f"{service.folder(user)}/{_NAME}")],
            ),
            ("To list what is out:", ["--list-only", self._url(f"{user.out}/")]),
        ):
            show_lines(title, [shlex.join([*self._curl, *words])])
        show_lines("For htpoort:", [f"export {_VARIABLE}={shlex.quote(self.gateway.users[0].password)}"])
        show_lines("In htpoort.toml:", self._toml(alone=alone).splitlines())
        _show.line("")

    def _toml(self, *, alone: bool) -> str:
        first = self.gateway.users[0]
        gateway = {"server": self.host, "port": self.gateway.port, "username": first.username}
        tables = (
            [f"parties = {json.dumps([_PARTY])}\n", table("[ledger]", {"url": "sqlite:///htpoort.db"})] if alone else []
        )
        tables += [table(f"[systems.{one.name}]", {"service": one.service}) for one in self.gateway.services]
        tables.append(table("[[gateway]]", {**gateway, "password_env": _VARIABLE, **self._files}))
        tables += [
            table("[[delivery]]", {"system": one.name, "directory": "replies/{system}", "payload": True})
            for one in self.gateway.services
        ]
        return "\n".join(tables)

    @property
    def _files(self) -> dict[str, str]:
        tls = self.gateway.tls
        return {"ca_file": str(tls.ca_file), "certificate": str(tls.client_certificate)}

    @property
    def _curl(self) -> list[str]:
        user, files = self.gateway.users[0], self._files
        login = ["--user", f"{user.username}:{user.password}"]
        return ["curl", "--ssl-reqd", "--cacert", files["ca_file"], "--cert", files["certificate"], *login]

    def _url(self, path: str) -> str:
        place = f"[{self.host}]" if ":" in self.host else self.host
        return f"ftp://{place}:{self.gateway.port}{path}"

    # ── what happens ──

    def news(self, seen: dict[str, int]) -> list[tuple[datetime, Facts]]:
        """
        Describe what has happened since the last call.

        Args:
            seen: How much of each record was described before; it is brought up to date.

        Returns:
            Each event with its moment.
        """
        gateway = self.gateway
        records: dict[str, list[tuple[datetime, Facts]]] = {
            "uploads": [(one.at, _uploaded(one)) for one in gateway.uploads],
            "files_refused": [(one.at, _refused(one)) for one in gateway.refused],
            "put_out": [(one.at, _put_out(one)) for one in gateway.put_out],
            "fetched": [(one.at, _event("fetched", one.file, "by FTPS")) for one in gateway.fetched],
            "deleted": [
                (one.at, _event("deleted", one.file, "" if one.fetched else "without being fetched"))
                for one in gateway.deleted
            ],
            "ftps_faults": [(at, _fault(one)) for at, one in gateway.shown_faults],
            "ftps_logins": [
                (one.at, _row("login", f"wrong user name, password or certificate by FTPS: {one.username}"))
                for one in gateway.failed_logins
            ],
        }
        found = [event for name, events in records.items() for event in events[seen.get(name, 0) :]]
        seen |= {name: len(events) for name, events in records.items()}
        return found

    def summary(self) -> Facts:
        """Count what happened."""
        gateway = self.gateway
        return {
            "uploads": len(gateway.uploads),
            "files_refused": len(gateway.refused),
            "put_out": len(gateway.put_out),
            "fetched": len(gateway.fetched),
            "deleted": len(gateway.deleted),
            "ftps_faults": len(gateway.shown_faults),
            "ftps_failed_logins": len(gateway.failed_logins),
        }


def _row(event: str, what: str, *, system: str = "", mailbox: str = "", reference: str = "") -> Facts:
    return {"event": event, "system": system, "mailbox": mailbox, "reference": reference, "what": what}


def _event(event: str, file: OutFile, what: str) -> Facts:
    """Describe something that happened to a file of ``out``."""
    about = file.upload
    return _row(
        event,
        f"{file.name} {what}".strip(),
        system="" if about is None else about.service.name,
        mailbox=str(file.user),
        reference="" if about is None else about.name,
    )


def _fault(one: FtpsFault) -> Facts:
    return _row("fault", f"{one.action} at {one.at} of FTPS")


def _put_out(one: OutFile) -> Facts:
    return _event("put out", one, "")


def _uploaded(one: UploadedFile) -> Facts:
    only = ", for validation only" if one.validation_only else ""
    wrong = "" if one.processed else ", not processed"
    what = f"{len(one.octets):,} octets{only}{wrong}"
    return _row("uploaded", what, system=one.service.name, mailbox=str(one.user), reference=one.name)


def _refused(one: RefusedFile) -> Facts:
    return _row("refused", f"{one.path}: {one.reason}", mailbox=str(one.user), reference=one.path.rpartition("/")[2])
