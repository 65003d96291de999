"""
Give the answers of a script when they are due, and again where a declarant does not take one.

Never does: judge a declaration.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, cast, final

import attrs

from htpoort import _clock
from htpoort._words import ascii_lower
from htpoort.directory import Directory
from htpoort.errors import SendError, SendFailure
from htpoort.message import Submission
from htpoort.simulator import answers
from htpoort.simulator._mailbox import Mailbox
from htpoort.simulator._push import Pushing, again_after
from htpoort.simulator._record import Record
from htpoort.simulator._schedule import Schedule
from htpoort.simulator._taking import window_of
from htpoort.simulator.clock import Clock
from htpoort.simulator.declarants import Declarant, Declarants
from htpoort.simulator.declarations import Declaration, Sent, Way
from htpoort.simulator.faults import AnswerFault
from htpoort.simulator.scenarios import Answer, Scenario, Script
from htpoort.simulator.windows import Behaviour
from htpoort.transport import SmtpServer


@final
@attrs.frozen(kw_only=True)
class _Due:
    """
    Hold what is due.

    Args:
        declaration: What is answered.
        answer: With what.
        message: The answer as it is sent; None while it is still to be written, which waits until it is
            due so that its date is right.
        attempts: How often it was pushed.
    """

    declaration: Declaration
    answer: Answer
    message: Submission | None = None
    attempts: int = 0


_WRITE: Final = "write"
_NOBODY: Final = "No declarant that takes answers has this mailbox"


def written(
    answer: Answer, declaration: Declaration, *, at: datetime, directory: Directory, **astray: str
) -> Submission:
    """
    Write an answer to a declaration.

    Args:
        answer: With what.
        declaration: What is answered.
        at: Now, aware: the date of the answer.
        directory: The systems.
        astray: *other_mailbox* and *other_party* of `answers.answer`, for one that goes astray.

    Returns:
        The message, with an identifier of its own.
    """
    return answers.answer(
        answer,
        system=declaration.system,
        mailbox=declaration.mailbox,
        request=declaration.envelope,
        declaration=declaration.raw,
        number=declaration.number,
        date=at,
        taken=declaration.at,
        message_id=_clock.message_id(declaration.system.mailbox),
        directory=directory,
        **astray,
    )


@final
class Answering:
    """
    Answer declarations as a script says.

    Args:
        script: Scenarios and windows.
        directory: The systems.
        declarants: Where answers go.
        clock: Tells when they are due.
        retries: How long to wait after each push that failed.
        record: Where messages are written; None for nowhere.

    Attributes:
        schedule: What is still to come.
        sent: What was given, or given up.
        undelivered: The errors of what was given up.
    """

    def __init__(  # noqa: PLR0913 - what answering needs
        self,
        *,
        script: Script,
        directory: Directory,
        declarants: Declarants,
        clock: Clock,
        retries: Sequence[timedelta],
        record: Record | None,
    ) -> None:
        self.sent: list[Sent] = []
        self.undelivered: list[SendError] = []
        self.schedule: Schedule[_Due] = Schedule(clock, self._work)
        self._windows = script.windows
        self._left = [(scenario, scenario.times) for scenario in script.scenarios]
        self._directory = directory
        self._declarants = declarants
        self._clock = clock
        self._retries = tuple(retries)
        self._record = record

    def begin(self, declaration: Declaration) -> None:
        """Choose the scenario of a declaration, and put its answers into the schedule."""
        scenario = self._chosen(declaration)
        if scenario is None:
            return
        begins = declaration.at
        window = window_of(self._windows, declaration.system.name, begins)
        if window is not None and window.behaviour is Behaviour.QUEUE:
            begins = window.ends
        elif window is not None and window.behaviour is Behaviour.DELAY:
            begins += window.delay
        for answer in scenario.in_order:
            lane = f"{_WRITE} {ascii_lower(declaration.mailbox)}"
            self.schedule.put(begins + answer.after, lane, _Due(declaration=declaration, answer=answer))

    def _chosen(self, declaration: Declaration) -> Scenario | None:
        """Give the first scenario that fits and is not used up, and count it."""
        envelope = declaration.envelope
        for number, (scenario, left) in enumerate(self._left):
            if left != 0 and scenario.fits(
                system=declaration.system.name, party=envelope.sender, reference=envelope.reference
            ):
                self._left[number] = scenario, left if left is None else left - 1
                return scenario
        return None

    async def _work(self, lane: str, due: deque[_Due]) -> None:
        """Do what is due in a lane."""
        step, _, mailbox = lane.partition(" ")
        if step == _WRITE:
            while due:
                await self._write(due.popleft())
        elif step == Way.POP3:
            while due:
                self._drop(mailbox, due.popleft())
        else:
            await self._push(mailbox, due)

    async def _write(self, due: _Due) -> None:
        """Write an answer, and hand it to every way that leads to the declarant."""
        declaration, answer, now = due.declaration, due.answer, self._clock()
        message = written(answer, declaration, at=now, directory=self._directory, **self._elsewhere(declaration))
        # An answer that goes astray to nobody we know is offered to the declarant's own server, which says no.
        owner = self._declarants.find(message.rcpt_to) or self._declarants.find(declaration.mailbox)
        ways = () if owner is None else owner.ways
        for _ in range(2 if answer.fault is AnswerFault.DUPLICATE else 1):
            for way in ways:
                if self._record is not None:
                    await self._record.write("out", message.envelope.reference, message.data)
                lane = f"{way} {ascii_lower(cast('Declarant', owner).mailbox)}"
                self.schedule.put(now, lane, attrs.evolve(due, message=message))

    def _elsewhere(self, declaration: Declaration) -> dict[str, str]:
        """Give the mailbox of another declarant that takes answers, if there is one, for one that goes astray."""
        own = ascii_lower(declaration.mailbox)
        others = (one.mailbox for one in self._declarants if one.ways and ascii_lower(one.mailbox) != own)
        other = next(others, None)
        return {} if other is None else {"other_mailbox": other}

    def _drop(self, mailbox: str, due: _Due) -> None:
        """Put an answer into the declarant's mailbox; one that is for nobody we know into none."""
        message, error = cast("Submission", due.message), None
        if ascii_lower(message.rcpt_to) == mailbox:
            cast("Mailbox", self._declarants.mailbox(mailbox)).deliver(message.data)
        else:
            error = SendError(recipient=message.rcpt_to, kind=SendFailure.REFUSED, code=None, reply=_NOBODY)
            self.undelivered.append(error)
        self._told(attrs.evolve(due, attempts=1), Way.POP3, error)

    async def _push(self, mailbox: str, due: deque[_Due]) -> None:
        """Push what is due over one connection, while the declarant's server stays the same."""
        server = self._server_of(mailbox)
        async with Pushing(server) as sender:
            while due and self._server_of(mailbox) is server:
                await self._pushed(sender, mailbox, due.popleft())

    async def _pushed(self, sender: Pushing, mailbox: str, due: _Due) -> None:
        tried = attrs.evolve(due, attempts=due.attempts + 1)
        try:
            await sender.send(cast("Submission", due.message))
        except SendError as error:
            wait = again_after(error, tried.attempts, self._retries)
            if wait is not None:
                self.schedule.put(self._clock() + wait, f"{Way.PUSH} {mailbox}", tried)
                return
            self.undelivered.append(error)
            self._told(tried, Way.PUSH, error)
        else:
            self._told(tried, Way.PUSH, None)

    def _server_of(self, mailbox: str) -> SmtpServer:
        """Give the server of a declarant that has one; it is never taken away again."""
        return cast("SmtpServer", cast("Declarant", self._declarants.find(mailbox)).server)

    def _told(self, due: _Due, way: Way, error: SendError | None) -> None:
        self.sent.append(
            Sent(
                declaration=due.declaration,
                answer=due.answer,
                message=cast("Submission", due.message),
                at=self._clock(),
                way=way,
                attempts=due.attempts,
                error=error,
            )
        )
