"""Take declarations or refuse them; keep each one, and the replies that were sent to it."""

from __future__ import annotations

import contextlib
import enum
import re
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, NoReturn, final

import attrs

from htpoort._aio import run_in_thread
from htpoort._disk import write_private
from htpoort.core.directory import DeclarationSystem, Directory
from htpoort.core.envelope import RoutingEnvelope
from htpoort.core.errors import SendError
from htpoort.core.message import Received, Submission, read
from htpoort.core.payload import Payload, read_payload
from htpoort.core.text import ascii_lower
from htpoort.simulator.clock import Clock
from htpoort.simulator.scenarios import Behaviour, ScriptedReply, Window
from htpoort.simulator.script import RepeatedK, Script
from htpoort.transport import Incoming, Refusal

__all__ = ["Channel", "Declaration", "PlannedReply", "SentReply"]

_NUMBER: Final = re.compile(r"([0-9]+)-.*\.eml")
_OTHER: Final = re.compile(r"[^A-Za-z0-9]")
_LONGEST: Final = 64  # characters of a K in a name; a file name may have 255 octets


@final
class MessageRecorder:
    """
    Write a copy of each message to a folder, as ``000001-in-K.eml``, ``000002-out-K.eml`` and so on.

    The numbers continue after those in the folder, and no file is replaced: another gateway may record there too. Every
    character of K but letters and digits becomes an underscore.

    Args:
        folder: Created if it is missing; only its owner may read it and its files.

    Raises:
        OSError: The folder cannot be created or read.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        matches = (_NUMBER.fullmatch(path.name) for path in folder.iterdir())
        self._folder = folder
        self._number = max((int(name[1]) for name in matches if name is not None), default=0)

    async def write(self, direction: str, reference: str | None, raw: bytes) -> None:
        """
        Write one message, in a thread.

        Args:
            direction: ``in`` or ``out``.
            reference: K; None if the message has none.
            raw: The octets, written unchanged.

        Raises:
            OSError: The file cannot be written.
        """
        shown = _OTHER.sub("_", reference or "none")[:_LONGEST]
        while True:
            # Counted here and not in the thread, so that the names follow the order of the calls.
            self._number += 1
            path = self._folder / f"{self._number:06}-{direction}-{shown}.eml"
            with contextlib.suppress(FileExistsError):
                return await run_in_thread(partial(write_private, path, raw, new=True))


@final
@attrs.frozen(kw_only=True)
class Declaration:
    """
    One declaration that the gateway accepted.

    Args:
        number: Counted from 1, in the order of acceptance.
        at: When it was accepted, by the gateway's clock.
        system: The system that it was sent to.
        mailbox: The declarant's mailbox, from MAIL FROM.
        subject: The Subject as it was on the wire.
        envelope: The envelope in the Subject.
        raw: The whole message.
    """

    number: int
    at: datetime
    system: DeclarationSystem
    mailbox: str
    subject: str
    envelope: RoutingEnvelope
    raw: bytes = attrs.field(repr=False)

    @property
    def payload(self) -> Payload:
        """What the message carries, decoded; it is decoded anew each time."""
        return read_payload(self.raw)


class Channel(enum.StrEnum):
    """How a reply reaches a declarant."""

    PUSH = "push"
    """By SMTP to the declarant's server."""
    POP3 = "pop3"
    """Stored in the declarant's mailbox at the gateway, to be fetched."""


@final
@attrs.frozen(kw_only=True)
class SentReply:
    """
    One reply that was sent, or given up.

    Args:
        declaration: The declaration.
        scripted: The reply in the script.
        message: The message itself; with a fault, its mailboxes may differ from those of the declaration.
        at: When it was sent or given up, by the gateway's clock.
        channel: How it was sent.
        attempts: The number of attempts.
        error: Why it was given up; None if it was accepted.
    """

    declaration: Declaration
    scripted: ScriptedReply
    message: Submission
    at: datetime
    channel: Channel
    attempts: int = 1
    error: SendError | None = None


@final
@attrs.frozen(kw_only=True)
class PlannedReply:
    """
    One reply that is still to be sent, or one push of it that is to be retried.

    Args:
        number: For `Gateway.answer_now`.
        declaration: The declaration.
        scripted: The reply in the script.
        due: When it is due, by the gateway's clock.
        attempts: How often it was pushed already.
    """

    number: int
    declaration: Declaration
    scripted: ScriptedReply
    due: datetime
    attempts: int


_HOUR: Final = timedelta(hours=1)
_NO: Final = 554
_LATER: Final = 452


def window_of(windows: Iterable[Window], system: str, moment: datetime) -> Window | None:
    """
    Find the window that a system is in.

    Args:
        windows: In their order.
        system: The name of a system.
        moment: Aware.

    Returns:
        The first window of the system that covers the moment; None if the system works as usual.
    """
    return next((one for one in windows if one.is_of(system) and one.covers(moment)), None)


@final
class DeclarationIntake:
    """
    Take declarations, or refuse them.

    What the real gateway does with a bad Subject, with a repeated K, and with more messages than it
    accepts in an hour is unknown. Here a bad Subject is refused, so that the tester sees the mistake; the other
    two are handled as the script orders.

    Args:
        script: Windows, rate, and what happens to a repeated K.
        directory: The systems.
        clock: For the moment of acceptance.
        recorder: Writes the messages to a folder; None for no folder.

    Attributes:
        received: The declarations that were accepted.
        refused: Subject and reason of each message that was refused.
    """

    def __init__(self, *, script: Script, directory: Directory, clock: Clock, recorder: MessageRecorder | None) -> None:
        self.received: list[Declaration] = []
        self.refused: list[tuple[str, str]] = []
        self._script = script
        self._directory = directory
        self._clock = clock
        self._recorder = recorder
        self._sent: set[tuple[str, str]] = set()
        self._hour: dict[str, deque[datetime]] = {}

    async def take(self, incoming: Incoming) -> Declaration | None:
        """
        Take a declaration.

        Args:
            incoming: The message.

        Returns:
            The declaration; None if it gets no reply.

        Raises:
            Refusal: It was refused.
            OSError: It could not be recorded.
        """
        received = read(incoming.raw)
        if self._recorder is not None:
            reference = None if received.envelope is None else received.envelope.reference
            await self._recorder.write("in", reference, incoming.raw)
        system = self._directory.by_mailbox(incoming.rcpt_to)
        declaration = self._declaration(incoming, received, system)
        envelope = declaration.envelope
        window = window_of(self._script.windows, system.name, declaration.at)
        if window is not None and window.behaviour is Behaviour.REJECT:
            self._refuse(declaration.subject, f"{system.name} accepts nothing until {window.ends.isoformat()}.")
        repeated = (ascii_lower(envelope.sender), envelope.reference) in self._sent
        if repeated and self._script.repeated is RepeatedK.REFUSE:
            self._refuse(declaration.subject, f"K {envelope.reference} was used before.")
        self._keep_to_the_rate(declaration)
        self._sent.add((ascii_lower(envelope.sender), envelope.reference))
        self.received.append(declaration)
        return None if repeated and self._script.repeated is RepeatedK.IGNORE else declaration

    def _declaration(self, incoming: Incoming, received: Received, system: DeclarationSystem) -> Declaration:
        """Read a declaration; refuse a message that is not one."""
        if received.problems or received.envelope is None or received.subject is None:
            self._refuse(received.subject, received.problems[0].message)
        if ascii_lower(received.envelope.addressee) != ascii_lower(system.process_id):
            self._refuse(received.subject, f"This mailbox belongs to {system.name}; set A to {system.process_id}.")
        if ascii_lower(incoming.mail_from) != received.mailbox:
            self._refuse(received.subject, "MAIL FROM and From differ; use the same mailbox for both.")
        return Declaration(
            number=len(self.received) + 1,
            at=self._clock(),
            system=system,
            mailbox=incoming.mail_from,
            subject=received.subject,
            envelope=received.envelope,
            raw=incoming.raw,
        )

    def _keep_to_the_rate(self, declaration: Declaration) -> None:
        """Defer what exceeds the rate, in any hour, counted for each mailbox."""
        if self._script.per_hour is None:
            return
        accepted = self._hour.setdefault(ascii_lower(declaration.mailbox), deque())
        while accepted and accepted[0] + _HOUR <= declaration.at:
            accepted.popleft()
        if len(accepted) >= self._script.per_hour:
            why = f"More than {self._script.per_hour} messages in an hour"
            self.refused.append((declaration.subject, why))
            raise Refusal(_LATER, f"4.7.1 {why}, try again later")
        accepted.append(declaration.at)

    def _refuse(self, subject: str | None, why: str) -> NoReturn:
        self.refused.append((subject or "", why))
        raise Refusal(_NO, why.encode("ascii", "replace").decode())
