"""
Play the Handel & Transport Gateway: take declarations, answer them, and do wrong what a script says.

Never does: leave loopback, unless it is told to by name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, Self, final

from htpoort._words import ascii_lower
from htpoort.directory import HTPOORT, Directory
from htpoort.errors import InputError, Problem, SendError
from htpoort.message import Submission
from htpoort.simulator._answering import Answering
from htpoort.simulator._faulty import Faulty
from htpoort.simulator._mailbox import Mailbox
from htpoort.simulator._pop3 import Pop3Faults, Pop3Server
from htpoort.simulator._push import PUSH_SCHEDULE, Pushing
from htpoort.simulator._record import Record
from htpoort.simulator._submission import Submitting
from htpoort.simulator._taking import Taking
from htpoort.simulator.certificates import GatewayTls
from htpoort.simulator.clock import Clock, RealClock, SimulatedClock
from htpoort.simulator.declarants import Declarant, Declarants
from htpoort.simulator.declarations import Declaration, Sent
from htpoort.simulator.faults import Pop3Fault, SmtpFault
from htpoort.simulator.scenarios import Script
from htpoort.transport import Incoming, SmtpServer, _hosts

__all__ = ["Gateway"]

_SCRIPT: Final = Script()
_HERE: Final = ("127.0.0.0/8", "::1/128")
_ANYWHERE: Final = ("0.0.0.0/0", "::/0")


@final
class Gateway:
    """
    Play the gateway in a box.

    ::

        async with Gateway(declarants={"edi@forwarder.example": server}) as gateway:
            print(gateway.smtp_port)

    Several can run in one process; each listens on ports of its own. All that it took and sent stays in
    memory, each message with its octets, until the gateway is forgotten. The block may be entered again;
    what was still to come when it was left is forgotten.

    It needs asyncio's own event loop: under uvloop implicit TLS can hang, and nothing is tested.

    Args:
        directory: The systems that it plays; the published ones where not given.
        declarants: The declarants; or only their mail servers, by their mailbox, where answers are pushed
            to. A declaration from another mailbox is taken and not answered.
        script: How it answers, and what it does wrong; one acceptance at once where not given.
        tls: Its certificate, for STARTTLS and for the ports of implicit TLS; then nothing is taken before
            TLS, unless it says otherwise. Without it there is no TLS.
        host: The address to listen on.
        port: For SMTP; 0 chooses a free one, here and below.
        tls_port: For SMTP with implicit TLS.
        pop3_port: For POP3, served where a declarant has a password.
        pop3s_port: For POP3 with implicit TLS.
        clock: Real time, or a `SimulatedClock`. Answers, windows, rates, greylisting and repeated pushes
            live by it; what stalls does not.
        retries: How long to wait after each push that was deferred or lost. One that is refused, or fails
            after the last wait, is given up. A message that may have been taken is pushed again.
        record: A folder into which every message is written, ``000001-in-K.eml`` and so on.
        beyond_loopback: Listen on, and push to, other machines too. The declarants' messages go there.

    Attributes:
        received: The declarations that it took, in order.
        refused: Subject and reason of each message that it refused, in order.
        sent: The answers that it gave, or gave up, in order.
        undelivered: The errors of what it gave up, in order.

    Raises:
        InputError: *host* or a declarant's server is not loopback; two declarants are the same; a scenario
            or a window is for a system that the directory lacks.
    """

    def __init__(  # noqa: PLR0913 - a gateway has as many settings; each has its default
        self,
        *,
        directory: Directory = HTPOORT,
        declarants: Mapping[str, SmtpServer] | Iterable[Declarant] = (),
        script: Script = _SCRIPT,
        tls: GatewayTls | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        tls_port: int = 0,
        pop3_port: int = 0,
        pop3s_port: int = 0,
        clock: Clock | None = None,
        retries: Sequence[timedelta] = PUSH_SCHEDULE,
        record: Path | str | None = None,
        beyond_loopback: bool = False,
    ) -> None:
        problems = _unknown_systems(script, directory)
        if not beyond_loopback and not _hosts.is_loopback(host):
            message = f"host is {host!r}, which other machines reach; give beyond_loopback=True if that is meant."
            problems.insert(0, Problem("simulator.beyond-loopback", message))
        if problems:
            raise InputError("", tuple(problems))
        self._clock = clock or RealClock()
        self._declarants = Declarants(declarants, beyond_loopback=beyond_loopback)
        self._directory = directory
        self._faulty = Faulty(script.faults, self._clock)
        self._pop3_faults = Pop3Faults(script.pop3_faults, self._clock)
        self._tls = tls
        self._host = host
        self._ports = {"smtp": port, "smtps": tls_port, "pop3": pop3_port, "pop3s": pop3s_port}
        self._listening: dict[str, Submitting | Pop3Server] = {}
        self._networks = _ANYWHERE if beyond_loopback else _HERE
        self._record = None if record is None else Record(Path(record))
        self._taking = Taking(script=script, directory=directory, clock=self._clock, record=self._record)
        self._answering = Answering(
            script=script,
            directory=directory,
            declarants=self._declarants,
            clock=self._clock,
            retries=retries,
            record=self._record,
        )
        self._running = contextlib.AsyncExitStack()
        self.received: list[Declaration] = self._taking.received
        self.refused: list[tuple[str, str]] = self._taking.refused
        self.sent: list[Sent] = self._answering.sent
        self.undelivered: list[SendError] = self._answering.undelivered

    @property
    def smtp_port(self) -> int:
        """The port that takes declarations, with STARTTLS where there is TLS; the one asked for, before the start."""
        return self._port("smtp") or self._ports["smtp"]

    @property
    def smtps_port(self) -> int | None:
        """The port that takes declarations over implicit TLS; None where there is no TLS."""
        return self._port("smtps")

    @property
    def pop3_port(self) -> int | None:
        """The port of the declarants' mailboxes, with STLS where there is TLS; None where nobody has a password."""
        return self._port("pop3")

    @property
    def pop3s_port(self) -> int | None:
        """The port of the declarants' mailboxes over implicit TLS; None where there is no TLS, or no password."""
        return self._port("pop3s")

    @property
    def clock(self) -> Clock:
        """The clock that it lives by."""
        return self._clock

    @property
    def tls(self) -> GatewayTls | None:
        """Its certificate."""
        return self._tls

    @property
    def shown(self) -> tuple[tuple[datetime, SmtpFault], ...]:
        """The faults of SMTP that it showed, with their moments, in order."""
        return tuple(self._faulty.shown)

    @property
    def pop3_shown(self) -> tuple[tuple[datetime, Pop3Fault], ...]:
        """The faults of POP3 that it showed, with their moments, in order."""
        return tuple(self._pop3_faults.shown)

    @property
    def next_moment(self) -> datetime | None:
        """When the next answer, or the next push that is tried again, is due; None where nothing is to come."""
        return self._answering.schedule.next_moment

    async def __aenter__(self) -> Self:
        """
        Begin to listen.

        Raises:
            InputError: A file of *tls* cannot be used.
            OSError: An address cannot be listened on.
        """
        async with contextlib.AsyncExitStack() as starting:
            self._answering.schedule.open()
            starting.push_async_callback(self._answering.schedule.close)
            if isinstance(self._clock, SimulatedClock):
                starting.callback(self._clock.join(self.answered))
            for name, server in self._servers().items():
                self._listening[name] = await starting.enter_async_context(server)
            self._running = starting.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._running.aclose()

    def mailbox(self, mailbox: str) -> Mailbox:
        """
        Give a declarant's POP3 mailbox, to look into.

        Args:
            mailbox: The declarant's mailbox.

        Returns:
            What is in it, and what was fetched from it.

        Raises:
            KeyError: No declarant of this mailbox has a password.
        """
        found = self._declarants.mailbox(mailbox)
        if found is None:
            raise KeyError(mailbox)
        return found

    def register(self, mailbox: str, server: SmtpServer) -> None:
        """
        Say where the answers to a declarant are pushed to from now on.

        Args:
            mailbox: The declarant's mailbox.
            server: The declarant's own mail server.

        Raises:
            InputError: The server is not on this machine.
        """
        self._declarants.register(mailbox, server)

    async def answered(self) -> None:
        """
        Wait until every answer that is due by now was delivered, given up, or put off to a later moment.

        What is due later is not waited for: `play` lets its time come.
        """
        await self._answering.schedule.settled()

    async def play(self, until: timedelta | None = None) -> None:
        """
        Let the time of every answer come, and wait until it was delivered or given up.

        With a `SimulatedClock` the time jumps from one due moment to the next; with real time this takes
        as long as the answers do. What comes in meanwhile is answered too.

        Args:
            until: How far from now, at most; a simulated clock stands there afterwards. None until nothing
                is to come.

        Raises:
            InputError: *until* is below 0.
        """
        end = None if until is None else self._clock() + until
        await self.answered()
        while (moment := self.next_moment) is not None and (end is None or moment <= end):
            await self._pass_to(moment)
            await self.answered()
        if end is not None and isinstance(self._clock, SimulatedClock):
            await self._clock.advance_to(end)

    async def push(self, message: Submission) -> None:
        """
        Send any message to a declarant's server, a forged one for example.

        Args:
            message: Goes to the server of its *rcpt_to*. MAIL FROM may be empty.

        Raises:
            SendError: The server did not take it.
            InputError: It cannot go over SMTP at all.
            KeyError: No server is known for *rcpt_to*.
        """
        known = self._declarants.find(message.rcpt_to)
        if known is None or known.server is None:
            raise KeyError(message.rcpt_to)
        if self._record is not None:
            await self._record.write("out", message.envelope.reference, message.data)
        async with Pushing(known.server) as sender:
            await sender.send(message)

    async def _take(self, incoming: Incoming) -> None:
        """Take a declaration, and begin to answer it."""
        declaration = await self._taking.take(incoming)
        if declaration is not None:
            self._answering.begin(declaration)

    async def _pass_to(self, moment: datetime) -> None:
        if isinstance(self._clock, SimulatedClock):
            await self._clock.advance_to(max(moment, self._clock()))
        else:
            await self._clock.sleep_until(moment)

    def _port(self, name: str) -> int | None:
        return self._listening[name].port if name in self._listening else None

    def _servers(self) -> dict[str, Submitting | Pop3Server]:
        """Make what listens."""
        context = None if self._tls is None else self._tls.context()
        require_tls = self._tls is not None and self._tls.require_tls
        served = {"smtp": False} if context is None else {"smtp": False, "smtps": True}
        servers: dict[str, Submitting | Pop3Server] = {
            name: Submitting(
                self._take,
                declarants=self._declarants,
                faulty=self._faulty,
                mailboxes=[system.mailbox for system in self._directory],
                host=self._host,
                port=self._ports[name],
                tls=context,
                implicit=implicit,
                require_tls=require_tls,
                networks=self._networks,
            )
            for name, implicit in served.items()
        }
        if self._declarants.have_passwords:
            for name, implicit in served.items():
                pop3 = name.replace("smtp", "pop3")
                servers[pop3] = Pop3Server(
                    self._declarants.opened,
                    host=self._host,
                    port=self._ports[pop3],
                    tls=context,
                    implicit=implicit,
                    require_tls=require_tls,
                    faults=self._pop3_faults,
                )
        return servers


def _unknown_systems(script: Script, directory: Directory) -> list[Problem]:
    """Find the scenarios and windows that would never count, because their system is not there."""
    named = {f"scenarios[{at}]": one.system for at, one in enumerate(script.scenarios)}
    named |= {f"windows[{at}]": one.system for at, one in enumerate(script.windows)}
    known = {ascii_lower(system.name): system.name for system in directory}
    return [
        Problem(
            "simulator.system",
            f"{place}.system is {name!r}, which is no system here; give one of {', '.join(known.values())}.",
        )
        for place, name in named.items()
        if name is not None and ascii_lower(name) not in known
    ]
