"""The settings of an agent: where it sends, where it receives, and how long it waits."""

from __future__ import annotations

import re
import stat
import string
from datetime import timedelta
from pathlib import Path
from typing import Final, cast, final

import attrs

from htpoort.core.errors import InputError, Problem
from htpoort.core.exchange import RETRY_SCHEDULE
from htpoort.core.files import FileService, GatewayUser, clashes
from htpoort.core.message import Layout, TransferEncoding
from htpoort.core.text import placeholders, unknown_placeholders
from htpoort.delivery import DELIVERY_SCHEDULE
from htpoort.transport import FtpsAccount, Pop3Account, SmtpServer

__all__ = ["DeclarationFolder", "FileGatewaySettings", "Outbox", "Pop3Inbox", "Timing"]

PAUSE_SCHEDULE: Final = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 15, 30))
"""The pause of a server that cannot be used, after each failed attempt."""

_PLACEHOLDERS: Final = ("system", "party", "reference")
_MAX_CONNECTIONS: Final = 64  # connections at once; a gateway closes some if there are more


@final
@attrs.frozen(kw_only=True)
class Outbox:
    """
    Where the declarations of some systems are sent.

    Args:
        server: The mail server that accepts them.
        systems: Names of systems; if empty, every system of the directory.
        connections: The most connections at once, 1 to 64. Each sends one message at a time and is kept open.
        per_hour: The most attempts an hour, counted over all agents of the ledger; None for no limit. The
            business test environment accepts 100 (seen in the field).
        retry_schedule: The delay after each deferred attempt. When it is used up, the declaration has failed.

    Raises:
        InputError: *connections* or *per_hour* is out of range.
    """

    server: SmtpServer
    systems: tuple[str, ...] = ()
    connections: int = 4
    per_hour: int | None = None
    retry_schedule: tuple[timedelta, ...] = RETRY_SCHEDULE

    def __attrs_post_init__(self) -> None:
        if problems := _wrong_limits(self.connections, self.per_hour):
            raise InputError("", problems)


def _wrong_limits(connections: int, per_hour: int | None) -> tuple[Problem, ...]:
    """List what is wrong with the limits of a sender."""
    problems: list[Problem] = []
    if not 1 <= connections <= _MAX_CONNECTIONS:
        problems.append(Problem("outbox.connections", f"connections is {connections}; give 1 to {_MAX_CONNECTIONS}."))
    if per_hour is not None and per_hour < 1:
        problems.append(Problem("outbox.per-hour", f"per_hour is {per_hour}; give at least 1, or leave it out."))
    return tuple(problems)


@final
@attrs.frozen(kw_only=True)
class FileGatewaySettings:
    """
    A file gateway that a user uploads declarations to, and fetches status files and responses from.

    While one gateway replaces another, both are used: the old one with *upload* false, until its ``out`` is empty.

    Args:
        server: The gateway, and the login there.
        user: The user whose folders these are.
        services: The services that the user uploads to; at least one.
        upload: Whether files are uploaded here.
        fetch: Whether files are fetched here.
        unique_names: Whether the gateway refuses a name that was used. If so, a file of which it is unknown whether it
            arrived is uploaded again under the same name, which shows it; otherwise it waits for a status file or a
            person. Give False for a server that would overwrite the file.
        poll_interval: The time between two polls of ``out``. A random tenth at most is added.
        connections: The most connections for uploads at once, 1 to 64.
        per_hour: The most uploads an hour, counted over all agents of the ledger; None for no limit.
        retry_schedule: The delay after each deferred upload. When it is used up, the file has failed.

    Raises:
        InputError: *services* is empty, or two of them could be mistaken for each other; neither *upload* nor *fetch*
            is set; or *connections* or *per_hour* is out of range.
    """

    server: FtpsAccount
    user: GatewayUser
    services: tuple[FileService, ...]
    upload: bool = True
    fetch: bool = True
    unique_names: bool = True
    poll_interval: timedelta = timedelta(minutes=1)
    connections: int = 1
    per_hour: int | None = None
    retry_schedule: tuple[timedelta, ...] = RETRY_SCHEDULE

    def __attrs_post_init__(self) -> None:
        problems = (*_wrong_limits(self.connections, self.per_hour), *clashes((), self.services))
        if not self.services:
            problems += (Problem("gateway.services", "services is empty; give at least one service."),)
        if not self.upload and not self.fetch:
            problems += (Problem("gateway.no-use", "upload and fetch are both false; set one of them to true."),)
        if problems:
            raise InputError("", problems)


@final
@attrs.frozen(kw_only=True)
class Pop3Inbox:
    """
    A mailbox that replies are fetched from by POP3.

    Args:
        server: The mailbox.
        poll_interval: The time between two polls. A random tenth at most is added, so that many agents do not
            poll at the same moment.
    """

    server: Pop3Account
    poll_interval: timedelta = timedelta(minutes=1)


@final
@attrs.frozen(kw_only=True)
class Timing:
    """
    How long an agent waits.

    Args:
        poll_interval: Between two polls of the ledger, for what another process has queued.
        lease: How long a worker may be silent before other agents take over its work. The exchange that it was
            sending is unknown then.
        grace: How long work in progress may take when the agent stops. Ending it takes a few seconds more.
        retry_delay: Between two attempts to write to a ledger that fails.
        redelivery_schedule: The delay after each failed delivery; the last one is repeated.
        pause_schedule: The pause after each failed attempt to use a mail server or mailbox; the last one is repeated.
        login_pause: The shortest pause after a refused login, because many servers lock an account.
        delivery_timeout: How long one delivery may take before it is cancelled and has failed. Choose more than
            the timeout of a command or Maildir: its error explains more.
        release_spread: How long it takes to let go of the declarations that a service window held, so that they do not
            all come at its end.

    Raises:
        InputError: A time is not above 0, or a schedule is empty.
    """

    poll_interval: timedelta = timedelta(seconds=1)
    lease: timedelta = timedelta(minutes=2)
    grace: timedelta = timedelta(seconds=30)
    retry_delay: timedelta = timedelta(seconds=5)
    redelivery_schedule: tuple[timedelta, ...] = DELIVERY_SCHEDULE
    pause_schedule: tuple[timedelta, ...] = PAUSE_SCHEDULE
    login_pause: timedelta = timedelta(minutes=15)
    delivery_timeout: timedelta = timedelta(minutes=5)
    release_spread: timedelta = timedelta(minutes=10)

    def __attrs_post_init__(self) -> None:
        names = ("poll_interval", "lease", "grace", "retry_delay", "login_pause", "delivery_timeout", "release_spread")
        times: dict[str, timedelta] = {name: getattr(self, name) for name in names}
        for name in ("redelivery_schedule", "pause_schedule"):
            times |= {f"{name}[{number}]": delay for number, delay in enumerate(getattr(self, name))}
        problems = tuple(
            Problem("timing.value", f"{name} is {value}; give a time above 0.")
            for name, value in times.items()
            if value <= timedelta(0)
        )
        if not self.redelivery_schedule:
            message = "redelivery_schedule is empty; give at least one delay: delivery is repeated until it succeeds."
            problems += (Problem("timing.value", message),)
        if not self.pause_schedule:
            message = "pause_schedule is empty; give at least one pause: a server is tried until it works."
            problems += (Problem("timing.value", message),)
        if problems:
            raise InputError("", problems)


@final
@attrs.frozen(kw_only=True)
class DeclarationFolder:
    """
    A folder whose files are declarations: each is queued, and then moved to ``sent`` or ``bad`` in that folder.

    K follows from the name of the file, or from the party and the content; the date of the message is that of the file,
    and its Message-ID follows from party, K and content. A file that is there again, for example because the program
    ended before it was moved, gives the same exchange. The reason why a file is in ``bad`` is beside it, in a file with
    the ending ``.reason.txt``; correct the declaration and move it back.

    A file is left alone while it is younger than *settle*, because another program may still be writing it; so are
    files whose name begins with a dot or does not have the form of *pattern*. A program that needs longer for a file
    writes it under another name, and renames it when it is complete.

    Args:
        path: The folder.
        mailbox: The declarant's own mailbox.
        pattern: The form of the names of files, with ``/`` between folders. ``{reference}``, ``{party}`` and
            ``{system}`` stand for K, V and the system, such as ``{party}/{reference}.xml``; ``*`` for anything. Without
            ``{reference}``, K follows from the party and the content, see `htpoort.automatic_reference`.
        party: V of every file, if *pattern* has no ``{party}``.
        system: The system of every file; without it and without ``{system}``, the dispatcher's plan decides.
        settle: Seconds for which a file must not have changed.
        layout: As for `htpoort.build`.
        transfer_encoding: As for `htpoort.build`.

    Raises:
        InputError: *pattern*, *party*, *system* or *settle* is invalid; reports all.
    """

    path: Path
    mailbox: str
    pattern: str = "{reference}.xml"
    party: str | None = None
    system: str | None = None
    settle: float = 2.0
    layout: Layout = "body"
    transfer_encoding: TransferEncoding | None = None
    _form: re.Pattern[str] = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        problems = [Problem("folder.pattern", problem) for problem in _wrong_pattern(self.pattern)]
        if not problems:
            names = placeholders(self.pattern)
            if "party" in names and self.party is not None:
                message = f"party is {self.party!r}, but pattern has {{party}}; leave one of them out."
                problems.append(Problem("folder.party", message))
            if "system" in names and self.system is not None:
                message = f"system is {self.system!r}, but pattern has {{system}}; leave one of them out."
                problems.append(Problem("folder.system", message))
            if "party" not in names and self.party is None:
                message = "party is not given, and pattern has no {party}; give the party ID of all files."
                problems.append(Problem("folder.party", message))
        settle = cast("object", self.settle)
        if not isinstance(settle, (int, float)) or not 0 <= settle < float("inf"):
            problems.append(Problem("folder.settle", f"settle is {settle!r}; give seconds, 0 or more."))
        if problems:
            raise InputError("", tuple(problems))
        object.__setattr__(self, "_form", re.compile(_form(self.pattern), re.DOTALL))

    def why_left_alone(self, name: str) -> str:
        """
        Say why a file is left alone.

        Args:
            name: Its path below the folder.

        Returns:
            A part of a sentence.
        """
        try:
            mode = (self.path / name).lstat().st_mode
        except OSError:  # it is gone
            mode = stat.S_IFREG
        if stat.S_ISLNK(mode):
            return "it is a link, and only files are sent"
        if not stat.S_ISREG(mode):
            kind = "a named pipe" if stat.S_ISFIFO(mode) else "a socket or a device"
            return f"it is {kind}, and only files are sent"
        form = f"only files of the form {self.pattern} are sent"
        if name.count("/") > self.pattern.count("/"):
            return f"it is in a subfolder, and {form}"
        return f"{form}; upper and lower case differ"

    def match(self, name: str) -> dict[str, str] | None:
        """
        Take the values out of the name of a file.

        Args:
            name: The path of the file below the folder, with ``/`` between folders.

        Returns:
            The values by the names of the placeholders; None if the name does not have the form of *pattern*.
        """
        matched = self._form.fullmatch(name)
        return None if matched is None else matched.groupdict()


def _form(pattern: str) -> str:
    """Make the regular expression of a pattern."""
    form = ""
    for literal, name, _, _ in string.Formatter().parse(pattern):
        form += "[^/]*".join(map(re.escape, literal.split("*")))
        if name is not None:
            form += f"(?P<{name}>[^/]+)"
    return form


def _wrong_pattern(pattern: str) -> list[str]:
    """List what is wrong with a pattern."""
    allowed = "{reference}, {party} and {system}"
    try:
        names, unknown = placeholders(pattern), unknown_placeholders(pattern, _PLACEHOLDERS)
    except (TypeError, ValueError):
        return [f"pattern is {pattern!r}; write placeholders as in {{party}}/{{reference}}.xml."]
    wrong = [f"pattern has the placeholder {{{name}}}; only {allowed} are known." for name in unknown]
    wrong += [f"pattern has {{{name}}} twice; write it once." for name in _PLACEHOLDERS if names.count(name) > 1]
    if not pattern or any(part in {"", ".", ".."} for part in pattern.split("/")):
        wrong.append(f"pattern is {pattern!r}; give the form of a name below the folder, such as {{reference}}.xml.")
    return wrong
