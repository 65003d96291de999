"""Send the replies of a script when they are due, and retry those that a declarant's server does not accept."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final, cast, final

import attrs

from htpoort import _clock
from htpoort.core import grammar
from htpoort.core.directory import Directory
from htpoort.core.errors import InputError, Problem, SendError, SendFailure
from htpoort.core.message import Submission
from htpoort.core.text import ascii_lower
from htpoort.simulator.clock import Clock, Timetable
from htpoort.simulator.declarants import Declarant, Declarants, Mailbox
from htpoort.simulator.declarations import Channel, Declaration, MessageRecorder, PlannedReply, SentReply, window_of
from htpoort.simulator.faults import ReplyFault
from htpoort.simulator.replies import OTHER_MAILBOX, scripted_reply
from htpoort.simulator.scenarios import Behaviour, Scenario, ScriptedReply
from htpoort.simulator.script import Script
from htpoort.transport import Sender, SmtpServer

_HOSTNAME: Final = "gateway.example"

PUSH_SCHEDULE: Final = (
    *(timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(minutes=30)),
    *(timedelta(hours=1), timedelta(hours=2), timedelta(hours=4), timedelta(hours=8)),
)
"""The wait after each failed attempt. What the real gateway does is unknown."""


@final
class ReplySender(Sender):
    """
    Send any message over one connection, also with an empty MAIL FROM.

    Args:
        server: The declarant's server.
    """

    def __init__(self, server: SmtpServer) -> None:
        # An empty MAIL FROM has no domain to use as the host name.
        super().__init__(attrs.evolve(server, local_hostname=server.local_hostname or _HOSTNAME))

    @staticmethod
    def _check(mail_from: str, rcpt_to: str, raw: bytes) -> None:
        """Refuse only what would break the dialogue; a declarant must cope with everything else."""
        for field, value in (("mail_from", mail_from), ("rcpt_to", rcpt_to)):
            if not grammar.ADDRESS.fullmatch(value) and not (field == "mail_from" and not value):
                raise InputError(field, (Problem("input.mailbox", f"{field} is not a plain mailbox, name@domain."),))
        if not raw.endswith(b"\r\n"):
            raise InputError("data", (Problem("input.data", "data does not end with CRLF, so no dot can end it."),))


def push_delay(error: SendError, attempts: int, schedule: Sequence[timedelta]) -> timedelta | None:
    """
    Return the wait after a failed attempt.

    A message that the server may have accepted is sent again: mail servers deliver twice rather than not at all.

    Args:
        error: Why it failed.
        attempts: The number of attempts, this one included.
        schedule: The waits.

    Returns:
        None to give up: the server refused the message permanently, or there were enough attempts.
    """
    if error.kind is SendFailure.REFUSED or attempts > len(schedule):
        return None
    return schedule[attempts - 1]


@final
@attrs.frozen(kw_only=True)
class _DueReply:
    """
    A reply that is due, or will be.

    Args:
        declaration: The declaration.
        scripted: What to reply.
        message: The reply as it is sent; None until it is due, so that it is written with the right date.
        attempts: How often it was pushed.
    """

    declaration: Declaration
    scripted: ScriptedReply
    message: Submission | None = None
    attempts: int = 0


@final
@attrs.frozen
class _Lane:
    """
    One lane of the timetable: a step of the work for one declarant.

    Args:
        mailbox: The declarant's mailbox, in lower case.
        channel: How the replies in it are sent; None for those that are still to be written.
    """

    mailbox: str = attrs.field(converter=ascii_lower)
    channel: Channel | None = None

    def __str__(self) -> str:
        return f"{self.channel or 'write'} {self.mailbox}"


_UNKNOWN: Final = "No declarant with this mailbox receives replies"


@final
class Replier:
    """
    Reply to declarations in the way that a script describes.

    Args:
        script: Scenarios and windows.
        directory: The systems.
        declarants: Where replies go.
        clock: For the moments at which replies are due.
        retries: The wait after each failed push.
        recorder: Writes the messages to a folder; None for no folder.
        reported: Called with each reply that was sent or given up.

    Attributes:
        timetable: The replies that are still to be sent.
        sent: The replies that were sent or given up.
        undelivered: The errors of those given up.
    """

    def __init__(  # noqa: PLR0913 - it needs as many things
        self,
        *,
        script: Script,
        directory: Directory,
        declarants: Declarants,
        clock: Clock,
        retries: Sequence[timedelta],
        recorder: MessageRecorder | None,
        reported: Callable[[SentReply], object],
    ) -> None:
        self.sent: list[SentReply] = []
        self.undelivered: list[SendError] = []
        self.timetable: Timetable[_Lane, _DueReply] = Timetable(clock, self._work)
        self._windows = script.windows
        self._form = script.form
        self._written = 0
        self._left = [(scenario, scenario.times) for scenario in script.scenarios]
        self._directory = directory
        self._declarants = declarants
        self._clock = clock
        self._retries = tuple(retries)
        self._recorder = recorder
        self._reported = reported

    @property
    def planned(self) -> tuple[PlannedReply, ...]:
        """The replies that are still to be sent, in the order in which they are due."""
        return tuple(
            PlannedReply(
                number=number, declaration=one.declaration, scripted=one.scripted, due=moment, attempts=one.attempts
            )
            for moment, number, one in self.timetable.later
        )

    def begin(self, declaration: Declaration) -> None:
        """Choose the scenario of a declaration, and put its replies into the timetable."""
        scenario = self._chosen(declaration)
        if scenario is None:
            return
        begins = declaration.at
        window = window_of(self._windows, declaration.system.name, begins)
        if window is not None and window.behaviour is Behaviour.LOSE:
            return
        if window is not None and window.behaviour is Behaviour.QUEUE:
            begins = window.ends
        elif window is not None and window.behaviour is Behaviour.DELAY:
            begins += window.delay
        for scripted in scenario.in_order:
            due = _DueReply(declaration=declaration, scripted=scripted)
            self.timetable.put(begins + scripted.after, _Lane(declaration.mailbox), due)

    def _chosen(self, declaration: Declaration) -> Scenario | None:
        """Return the first scenario that fits and is not used up, and count it."""
        envelope = declaration.envelope
        for number, (scenario, left) in enumerate(self._left):
            if left != 0 and scenario.fits(
                system=declaration.system.name, party=envelope.sender, reference=envelope.reference
            ):
                self._left[number] = scenario, left if left is None else left - 1
                return scenario
        return None

    async def _work(self, lane: _Lane, due: deque[_DueReply]) -> None:
        """Write, store or push the replies that are due in a lane."""
        if lane.channel is Channel.PUSH:
            await self._push(lane, due)
            return
        while due:
            if lane.channel is Channel.POP3:
                self._store(lane.mailbox, due.popleft())
            else:
                await self._write(due.popleft())

    async def _write(self, due: _DueReply) -> None:
        """Write a reply, and hand it to every channel of the declarant."""
        declaration, scripted, now = due.declaration, due.scripted, self._clock()
        message = scripted_reply(
            scripted,
            declaration,
            date=now,
            message_id=_clock.message_id(declaration.system.mailbox),
            directory=self._directory,
            other_mailbox=self._other_mailbox(declaration),
            form=(scripted.form or self._form).of_reply(self._written),
        )
        self._written += 1
        # A stray reply to an unknown mailbox is offered to the declarant's own server, which refuses it.
        owner = self._declarants.find(message.rcpt_to) or self._declarants.find(declaration.mailbox)
        channels = () if owner is None else owner.channels
        for _ in range(2 if scripted.fault is ReplyFault.DUPLICATE else 1):
            for channel in channels:
                if self._recorder is not None:
                    await self._recorder.write("out", message.envelope.reference, message.data)
                lane = _Lane(cast("Declarant", owner).mailbox, channel)
                self.timetable.put(now, lane, attrs.evolve(due, message=message))

    def _other_mailbox(self, declaration: Declaration) -> str:
        """Return the mailbox of another declarant that receives replies, if there is one, for a stray reply."""
        own = ascii_lower(declaration.mailbox)
        others = (one.mailbox for one in self._declarants if one.channels and ascii_lower(one.mailbox) != own)
        return next(others, OTHER_MAILBOX)

    def _store(self, mailbox: str, due: _DueReply) -> None:
        """Store a reply in the declarant's mailbox; give up one that is for an unknown mailbox."""
        message, error = cast("Submission", due.message), None
        if ascii_lower(message.rcpt_to) == mailbox:
            cast("Mailbox", self._declarants.mailbox(mailbox)).deliver(message.data)
        else:
            error = SendError(recipient=message.rcpt_to, kind=SendFailure.REFUSED, code=None, reply=_UNKNOWN)
            self.undelivered.append(error)
        self._report(attrs.evolve(due, attempts=1), Channel.POP3, error)

    async def _push(self, lane: _Lane, due: deque[_DueReply]) -> None:
        """Push the replies that are due over one connection, as long as the declarant's server stays the same."""
        server = self._server_of(lane.mailbox)
        async with ReplySender(server) as sender:
            while due and self._server_of(lane.mailbox) is server:
                await self._push_one(sender, lane, due.popleft())

    async def _push_one(self, sender: ReplySender, lane: _Lane, due: _DueReply) -> None:
        tried = attrs.evolve(due, attempts=due.attempts + 1)
        try:
            await sender.send(cast("Submission", due.message))
        except SendError as error:
            wait = push_delay(error, tried.attempts, self._retries)
            if wait is not None:
                self.timetable.put(self._clock() + wait, lane, tried)
                return
            self.undelivered.append(error)
            self._report(tried, Channel.PUSH, error)
        else:
            self._report(tried, Channel.PUSH, None)

    def _server_of(self, mailbox: str) -> SmtpServer:
        """Return the server of a declarant that has one; it is never removed."""
        return cast("SmtpServer", cast("Declarant", self._declarants.find(mailbox)).server)

    def _report(self, due: _DueReply, channel: Channel, error: SendError | None) -> None:
        sent = SentReply(
            declaration=due.declaration,
            scripted=due.scripted,
            message=cast("Submission", due.message),
            at=self._clock(),
            channel=channel,
            attempts=due.attempts,
            error=error,
        )
        self.sent.append(sent)
        self._reported(sent)
