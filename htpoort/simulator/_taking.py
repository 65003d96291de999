"""
Judge what comes in: take a declaration, or say why not.

Never does: answer a declaration.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, NoReturn, final

from htpoort._words import ascii_lower
from htpoort.directory import DeclarationSystem, Directory
from htpoort.message import Received, read
from htpoort.simulator._record import Record
from htpoort.simulator.clock import Clock
from htpoort.simulator.declarations import Declaration
from htpoort.simulator.scenarios import RepeatedK, Script
from htpoort.simulator.windows import Behaviour, Window
from htpoort.transport import Incoming, Refusal

_HOUR: Final = timedelta(hours=1)
_NO: Final = 554
_LATER: Final = 452


def window_of(windows: Iterable[Window], system: str, moment: datetime) -> Window | None:
    """
    Find the window that counts.

    Args:
        windows: In their order.
        system: The name of a system.
        moment: Aware.

    Returns:
        The first that is of the system and covers the moment; None where all is as usual.
    """
    return next((one for one in windows if one.is_of(system) and one.covers(moment)), None)


@final
class Taking:
    """
    Take declarations.

    What the real gateway does with a bad Subject, with a repeated K, and with more messages than it
    takes in an hour is unknown. Here a refusal shows the mistake to a person who tests; the other two
    are as the script says.

    Args:
        script: Windows, rate, and what a repeated K means.
        directory: The systems.
        clock: Tells when something was taken.
        record: Where messages are written; None for nowhere.

    Attributes:
        received: The declarations that were taken.
        refused: Subject and reason of each message that was refused.
    """

    def __init__(self, *, script: Script, directory: Directory, clock: Clock, record: Record | None) -> None:
        self.received: list[Declaration] = []
        self.refused: list[tuple[str, str]] = []
        self._script = script
        self._directory = directory
        self._clock = clock
        self._record = record
        self._sent: set[tuple[str, str]] = set()
        self._hour: dict[str, deque[datetime]] = {}

    async def take(self, incoming: Incoming) -> Declaration | None:
        """
        Take a declaration.

        Args:
            incoming: What came.

        Returns:
            The declaration, if it is to be answered.

        Raises:
            Refusal: It was not taken.
            OSError: It could not be recorded.
        """
        found = read(incoming.raw)
        if self._record is not None:
            reference = None if found.envelope is None else found.envelope.reference
            await self._record.write("in", reference, incoming.raw)
        system = self._directory.by_mailbox(incoming.rcpt_to)
        declaration = self._declaration(incoming, found, system)
        envelope = declaration.envelope
        window = window_of(self._script.windows, system.name, declaration.at)
        if window is not None and window.behaviour is Behaviour.REJECT:
            self._refuse(declaration.subject, f"{system.name} takes nothing until {window.ends.isoformat()}.")
        repeated = (ascii_lower(envelope.sender), envelope.reference) in self._sent
        if repeated and self._script.repeated is RepeatedK.REFUSE:
            self._refuse(declaration.subject, f"K {envelope.reference} was used before.")
        self._keep_to_the_rate(declaration)
        self._sent.add((ascii_lower(envelope.sender), envelope.reference))
        self.received.append(declaration)
        return None if repeated and self._script.repeated is RepeatedK.IGNORE else declaration

    def _declaration(self, incoming: Incoming, found: Received, system: DeclarationSystem) -> Declaration:
        """Give what came as a declaration; refuses what is none."""
        if found.problems or found.envelope is None or found.subject is None:
            self._refuse(found.subject, found.problems[0].message)
        if ascii_lower(found.envelope.addressee) != ascii_lower(system.process_id):
            self._refuse(found.subject, f"The mailbox is of {system.name}; A must be {system.process_id}.")
        if ascii_lower(incoming.mail_from) != found.mailbox:
            self._refuse(found.subject, "MAIL FROM and From are not the same mailbox.")
        return Declaration(
            number=len(self.received) + 1,
            at=self._clock(),
            system=system,
            mailbox=incoming.mail_from,
            subject=found.subject,
            envelope=found.envelope,
            raw=incoming.raw,
            payload=found.body,
        )

    def _keep_to_the_rate(self, declaration: Declaration) -> None:
        """Defer what is too much for an hour: any hour, counted for each mailbox."""
        if self._script.per_hour is None:
            return
        taken = self._hour.setdefault(ascii_lower(declaration.mailbox), deque())
        while taken and taken[0] + _HOUR <= declaration.at:
            taken.popleft()
        if len(taken) >= self._script.per_hour:
            why = f"More than {self._script.per_hour} messages in an hour"
            self.refused.append((declaration.subject, why))
            raise Refusal(_LATER, f"4.7.1 {why}, try again later")
        taken.append(declaration.at)

    def _refuse(self, subject: str | None, why: str) -> NoReturn:
        self.refused.append((subject or "", why))
        raise Refusal(_NO, why.encode("ascii", "replace").decode())
