"""
Play the Handel & Transport Gateway: take declarations, reply to them, and show the faults of a script.

This module never leaves loopback, unless the caller sets *beyond_loopback*.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self, final

import attrs

from htpoort.core.directory import HTPOORT, Directory
from htpoort.core.errors import InputError, Problem, SendError
from htpoort.core.message import Submission
from htpoort.core.notices import Notice, NoticeName
from htpoort.core.text import ascii_lower
from htpoort.simulator._pop3_server import Pop3Server
from htpoort.simulator._replier import PUSH_SCHEDULE, Replier, ReplySender
from htpoort.simulator._smtp_server import SubmissionServer
from htpoort.simulator.certificates import GatewayTls
from htpoort.simulator.clock import Clock, RealClock, SimulatedClock
from htpoort.simulator.declarants import Declarant, Declarants, FailedLogin, Mailbox
from htpoort.simulator.declarations import Declaration, DeclarationIntake, MessageRecorder, PlannedReply, SentReply
from htpoort.simulator.faults import FaultCounter, Pop3Fault, SmtpFault
from htpoort.simulator.journal import Journal, RefusedMessage, TimePassed
from htpoort.simulator.notices import played_notices
from htpoort.simulator.script import Script
from htpoort.transport import LOOPBACK, Incoming, Refusal, SmtpInbox, SmtpServer, hosts

__all__ = ["Gateway"]

_SCRIPT: Final = Script()
_HOSTNAME: Final = "gateway.example"
_ANYWHERE: Final = ("0.0.0.0/0", "::/0")


@final
class Gateway:
    """
    Play the gateway in a box.

    ::

        async with Gateway(declarants={"edi@forwarder.example": server}) as gateway:
            print(gateway.smtp_port)

    Several gateways can run in one process; each listens on its own ports. Everything that a gateway takes and sends
    stays in memory, octets included, as long as the gateway does. The block may be entered again; replies that
    were still to be sent when it was left are dropped.

    A gateway needs asyncio's own event loop: under uvloop implicit TLS can hang, and no test covers it.

    Args:
        directory: The systems that it plays; by default the published ones.
        declarants: The declarants; or only the mail servers that replies are pushed to, by the declarant's mailbox.
            A declaration from another mailbox is accepted, and gets no reply.
        script: Its replies and faults; by default one acceptance at once.
        notices: Published notices whose windows it plays beside those of *script*, by its own clock.
        notice_names: Which names in *notices* are which of its systems.
        tls: Its certificate, for STARTTLS and for the ports of implicit TLS. The gateway then takes nothing before
            TLS, unless *tls* allows it. Without it there is no TLS.
        host: The address to listen on.
        port: For SMTP; 0 chooses a free one, here and below.
        tls_port: For SMTP with implicit TLS.
        pop3_port: For POP3, which runs if a declarant has a password.
        pop3s_port: For POP3 with implicit TLS.
        clock: Real time, or a `SimulatedClock`. Replies, windows, rates, greylisting and retried pushes
            follow it; a stall does not.
        retries: The wait after each push that was deferred or lost. A push that is refused, or fails after the last
            wait, is given up. A message that the server may have accepted is pushed again.
        journal: Where it keeps, within limits, what happened and what was said; by default a new one.
        record: A folder to which every message is written, as ``000001-in-K.eml`` and so on.
        beyond_loopback: Listen on, and push to, other machines too. Messages of declarants then leave this machine.

    Attributes:
        received: The declarations that it accepted, in order.
        refused: Subject and reason of each message that it refused, in order.
        sent: The replies that it sent or gave up, in order.
        undelivered: The errors of those that it gave up, in order.
        played: The windows that it plays of *notices*, and what it leaves out, with the reason.
        failed_logins: The logins with a wrong user name or password, by SMTP and POP3, in order.
        journal: What happened last, with the dialogues of the last sessions.
        directory: The systems that it plays.
        windows: The service windows that it plays: those of the script, and those of the notices.

    Raises:
        InputError: *host* or a declarant's server is not loopback, two declarants are the same, or a scenario
            or window names a system that the directory lacks; or nothing of the *notices* would be played.
        UnknownError: A name of *notice_names* is to mean a system that the directory lacks.
    """

    def __init__(  # noqa: PLR0913 - a gateway has as many settings; each has its default
        self,
        *,
        directory: Directory = HTPOORT,
        declarants: Mapping[str, SmtpServer] | Iterable[Declarant] = (),
        script: Script = _SCRIPT,
        notices: Iterable[Notice] = (),
        notice_names: Iterable[NoticeName] = (),
        tls: GatewayTls | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        tls_port: int = 0,
        pop3_port: int = 0,
        pop3s_port: int = 0,
        clock: Clock | None = None,
        retries: Sequence[timedelta] = PUSH_SCHEDULE,
        journal: Journal | None = None,
        record: Path | str | None = None,
        beyond_loopback: bool = False,
    ) -> None:
        problems = _unknown_systems(script, directory)
        self._clock = clock or RealClock()
        self.played = played_notices(notices, directory=directory, names=notice_names, at=self._clock())
        script = attrs.evolve(script, windows=(*script.windows, *self.played.windows))
        if not beyond_loopback and not hosts.is_loopback(host):
            message = f"host is {host!r}, which other machines can reach; allow it with beyond_loopback=True."
            problems.insert(0, Problem("simulator.beyond-loopback", message))
        if problems:
            raise InputError("", tuple(problems))
        self.journal = journal or Journal()
        self.journal.follow(self._clock)
        self._declarants = Declarants(declarants, beyond_loopback=beyond_loopback)
        self.directory = directory
        self.windows = script.windows
        self._faults = FaultCounter[SmtpFault](script.faults, self._clock)
        self._pop3_faults = FaultCounter[Pop3Fault](script.pop3_faults, self._clock)
        self._tls = tls
        self._host = host
        self._ports = {"smtp": port, "smtps": tls_port, "pop3": pop3_port, "pop3s": pop3s_port}
        self._listening: dict[str, SubmissionServer | Pop3Server] = {}
        self._networks = _ANYWHERE if beyond_loopback else LOOPBACK
        self._recorder = None if record is None else MessageRecorder(Path(record))
        self._intake = DeclarationIntake(script=script, directory=directory, clock=self._clock, recorder=self._recorder)
        self._replier = Replier(
            script=script,
            directory=directory,
            declarants=self._declarants,
            clock=self._clock,
            retries=retries,
            recorder=self._recorder,
            reported=functools.partial(self.journal.add, in_dialogue=False),
        )
        self._running = contextlib.AsyncExitStack()
        self.received: list[Declaration] = self._intake.received
        self.refused: list[tuple[str, str]] = self._intake.refused
        self.sent: list[SentReply] = self._replier.sent
        self.undelivered: list[SendError] = self._replier.undelivered
        self.failed_logins: list[FailedLogin] = []

    @property
    def smtp_port(self) -> int:
        """The port for declarations, with STARTTLS if there is TLS; before the start, the port that was asked for."""
        return self._port("smtp") or self._ports["smtp"]

    @property
    def smtps_port(self) -> int | None:
        """The port for declarations over implicit TLS; None without TLS."""
        return self._port("smtps")

    @property
    def pop3_port(self) -> int | None:
        """The port of the declarants' mailboxes, with STLS if there is TLS; None if no declarant has a password."""
        return self._port("pop3")

    @property
    def pop3s_port(self) -> int | None:
        """The port of the declarants' mailboxes over implicit TLS; None without TLS or without a password."""
        return self._port("pop3s")

    @property
    def clock(self) -> Clock:
        """The clock that it follows."""
        return self._clock

    @property
    def tls(self) -> GatewayTls | None:
        """Its certificate."""
        return self._tls

    @property
    def declarants(self) -> tuple[Declarant, ...]:
        """The declarants that it knows now."""
        return tuple(self._declarants)

    @property
    def planned(self) -> tuple[PlannedReply, ...]:
        """The replies, and the retried pushes, that are still to come, in the order in which they are due."""
        return self._replier.planned

    @property
    def shown_faults(self) -> tuple[tuple[datetime, SmtpFault], ...]:
        """The SMTP faults that it showed, with their moments, in order."""
        return tuple(self._faults.shown)

    @property
    def shown_pop3_faults(self) -> tuple[tuple[datetime, Pop3Fault], ...]:
        """The POP3 faults that it showed, with their moments, in order."""
        return tuple(self._pop3_faults.shown)

    @property
    def next_moment(self) -> datetime | None:
        """When the next reply, or the next retried push, is due; None if there is none."""
        return self._replier.timetable.next_moment

    async def __aenter__(self) -> Self:
        """
        Start to listen.

        Raises:
            InputError: A file of *tls* cannot be used.
            OSError: An address cannot be listened on.
        """
        async with contextlib.AsyncExitStack() as starting:
            self._replier.timetable.open()
            starting.push_async_callback(self._replier.timetable.close)
            if isinstance(self._clock, SimulatedClock):
                starting.callback(self._clock.join(self.wait_for_due_replies))
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
        Return a declarant's POP3 mailbox, to inspect it.

        Args:
            mailbox: The declarant's mailbox.

        Returns:
            The messages in it, and those fetched from it.

        Raises:
            KeyError: No declarant of this mailbox has a password.
        """
        box = self._declarants.mailbox(mailbox)
        if box is None:
            raise KeyError(mailbox)
        return box

    def register(self, mailbox: str, server: SmtpServer) -> None:
        """
        Set the mail server that replies to a declarant are pushed to from now on.

        Args:
            mailbox: The declarant's mailbox.
            server: The declarant's own mail server.

        Raises:
            InputError: The server is not on this machine.
        """
        self._declarants.register(mailbox, server)

    async def wait_for_due_replies(self) -> None:
        """
        Wait until every reply that is due now is delivered, given up, or postponed.

        This does not wait for replies that are due later; `play` does.
        """
        await self._replier.timetable.wait_until_idle()

    async def play(self, until: timedelta | None = None) -> None:
        """
        Wait until every reply is delivered or given up.

        With a `SimulatedClock` the time jumps from one due moment to the next; in real time this takes
        as long as the script does. Declarations that arrive meanwhile get their replies too.

        Args:
            until: How far from now, at most; a simulated clock is moved there. None until no reply is left.

        Raises:
            InputError: *until* is below 0.
        """
        since = self._clock()
        end = None if until is None else since + until
        await self.wait_for_due_replies()
        while (moment := self.next_moment) is not None and (end is None or moment <= end):
            await self._pass_to(moment)
            await self.wait_for_due_replies()
        if end is not None and isinstance(self._clock, SimulatedClock):
            await self._clock.advance_to(end)
            self.journal.add(TimePassed(since=since), in_dialogue=False)

    async def answer_now(self, number: int) -> bool:
        """
        Send a reply before it is due; the clock stays as it is.

        Args:
            number: Of one of `planned`.

        Returns:
            False if it is not planned any more, because it was due meanwhile.
        """
        hastened = self._replier.timetable.hasten(number)
        if hastened:
            await self.wait_for_due_replies()
        return hastened

    async def push(self, message: Submission) -> None:
        """
        Send any message to a declarant's server, such as a forged one.

        Args:
            message: Sent to the server of its *rcpt_to*. MAIL FROM may be empty.

        Raises:
            SendError: The server did not accept it.
            InputError: It cannot be sent by SMTP at all.
            KeyError: *rcpt_to* is not the mailbox of a declarant with a server.
        """
        known = self._declarants.find(message.rcpt_to)
        if known is None or known.server is None:
            raise KeyError(message.rcpt_to)
        if self._recorder is not None:
            await self._recorder.write("out", message.envelope.reference, message.data)
        async with ReplySender(known.server) as sender:
            await sender.send(message)

    async def _take(self, incoming: Incoming) -> None:
        """Take a declaration, and schedule its replies."""
        try:
            declaration = await self._intake.take(incoming)
        except Refusal:
            # Nothing else runs between the refusal and here.
            _, reason = self.refused[-1]
            addresses = {"mail_from": incoming.mail_from, "rcpt_to": incoming.rcpt_to}
            self.journal.add(RefusedMessage(**addresses, reason=reason, raw=incoming.raw))
            raise
        self.journal.add(self.received[-1])
        if declaration is not None:
            self._replier.begin(declaration)

    async def _pass_to(self, moment: datetime) -> None:
        if isinstance(self._clock, SimulatedClock):
            await self._clock.advance_to(max(moment, self._clock()))
        else:
            await self._clock.sleep_until(moment)

    def _login_by(self, protocol: Literal["SMTP", "POP3"]) -> Callable[[str, str], Mailbox | None]:
        """Check the logins of a protocol, and remember those that are wrong."""

        def log_in(username: str, password: str) -> Mailbox | None:
            box = self._declarants.open_mailbox(username, password)
            if box is None:
                failed = FailedLogin(at=self._clock(), protocol=protocol, username=username)
                self.failed_logins.append(failed)
                self.journal.add(failed)
            return box

        return log_in

    def _port(self, name: str) -> int | None:
        return self._listening[name].port if name in self._listening else None

    def _servers(self) -> dict[str, SubmissionServer | Pop3Server]:
        """Make the servers that listen."""
        context = None if self._tls is None else self._tls.context()
        require_tls = self._tls is not None and self._tls.require_tls
        served = {"smtp": False} if context is None else {"smtp": False, "smtps": True}
        servers: dict[str, SubmissionServer | Pop3Server] = {
            name: SubmissionServer(
                self._take,
                SmtpInbox(
                    hostname=_HOSTNAME,
                    mailboxes=[system.mailbox for system in self.directory],
                    host=self._host,
                    port=self._ports[name],
                    tls=context,
                    require_tls=require_tls,
                    networks=self._networks,
                ),
                declarants=self._declarants,
                log_in=self._login_by("SMTP"),
                faults=self._faults,
                journal=self.journal,
                implicit=implicit,
            )
            for name, implicit in served.items()
        }
        if self._declarants.have_passwords:
            for name, implicit in served.items():
                pop3 = name.replace("smtp", "pop3")
                servers[pop3] = Pop3Server(
                    self._login_by("POP3"),
                    host=self._host,
                    port=self._ports[pop3],
                    tls=context,
                    implicit=implicit,
                    require_tls=require_tls,
                    faults=self._pop3_faults,
                    journal=self.journal,
                )
        return servers


def _unknown_systems(script: Script, directory: Directory) -> list[Problem]:
    """Find the scenarios and windows of a system that the directory lacks; they would never apply."""
    named = {f"scenarios[{at}]": one.system for at, one in enumerate(script.scenarios)}
    named |= {f"windows[{at}]": one.system for at, one in enumerate(script.windows)}
    known = {ascii_lower(system.name): system.name for system in directory}
    return [
        Problem(
            "simulator.system",
            f"{place}.system is {name!r}, which is not in the directory; give one of {', '.join(known.values())}.",
        )
        for place, name in named.items()
        if name is not None and ascii_lower(name) not in known
    ]
