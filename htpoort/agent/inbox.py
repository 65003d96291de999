"""
Receive replies by SMTP and fetch them by POP3: store each one first, acknowledge it afterwards.

A message gets its 250, and a mail is deleted, only after the ledger has synced it.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from datetime import datetime
from typing import Final, final

import attrs

from htpoort import _clock
from htpoort._aio import run_in_thread
from htpoort._log import event
from htpoort.agent._context import LOG, WorkerContext
from htpoort.agent._polling import Polled, PollTrouble, PollWorker
from htpoort.agent.metrics import QUARANTINED, REPLIES
from htpoort.agent.settings import Pop3Inbox
from htpoort.core.errors import LedgerError, Problem
from htpoort.core.routing import Correlation, Quarantined, Router
from htpoort.core.text import one_line
from htpoort.ledger import Ledger, Stored
from htpoort.transport import (
    FetchError,
    FetchFailure,
    Incoming,
    LeftMail,
    Pop3Account,
    Pop3Mailbox,
    Receiver,
    SessionReport,
    SmtpInbox,
)

__all__ = ["FetchReport", "fetch_once"]

MAX_MAILS: Final = 500
"""The most mails of one session; fewer after a server has ended a session itself."""
_MAX_SESSIONS: Final = 20  # of one poll; the next poll fetches the rest
_MAX_BREAKING_MAILS: Final = 4  # mails of one poll that may break a session before the poll ends
_LEFT_ALONE: Final = frozenset({"pop3.not-deleted", "pop3.endless"})


@final
class Intake:
    """
    Store messages that come in by SMTP, and log what came.

    Args:
        context: What the workers of the agent share.
        stored: Called with the name of the system of each new reply.
    """

    def __init__(self, context: WorkerContext, stored: Callable[[str], None]) -> None:
        self._context = context
        self._stored = stored

    def receiver(self, inbox: SmtpInbox) -> Receiver:
        """Make the receiver of an inbox."""
        return Receiver(functools.partial(self._take, inbox), inbox)

    async def _take(self, inbox: SmtpInbox, incoming: Incoming) -> None:
        """Store one message; an error of the ledger is passed on, so that the peer gets 451."""
        context = self._context
        mail_from = inbox.comparable_mail_from(incoming.mail_from, incoming.peer)
        submitted = context.ledger.replies.take_in_soon(
            context.router, incoming.raw, mail_from=mail_from, at=context.clock()
        )
        try:
            stored = await asyncio.wrap_future(submitted)
        except LedgerError as error:
            # The receiver logs no texts of errors; this one explains what to do.
            LOG.error(
                "Not stored; the peer is asked to send it again: %s",
                error,
                extra=event("reply.not-stored", peer=incoming.peer, why=error),
            )
            raise
        self.report(stored)

    def report(self, stored: Stored) -> None:
        """Log what became of a message that was stored, and wake the delivery of a new reply."""
        if isinstance(stored.routing, Quarantined):
            reason = stored.routing.reason.value
            if not stored.repeated:
                self._context.metrics.count(QUARANTINED, reason=reason)
            why, claimed = one_line(stored.routing.problems[0].message), stored.routing.envelope
            LOG.warning(
                "In quarantine as %d (%s): %s",
                *(stored.key, reason, why),
                extra=event(
                    "reply.quarantined",
                    quarantine=stored.key,
                    reason=reason,
                    repeated=stored.repeated,
                    # What the message claims; it may belong to no exchange.
                    sender=None if claimed is None else claimed.sender,
                    addressee=None if claimed is None else claimed.addressee,
                    reference=None if claimed is None else claimed.reference,
                    why=why,
                ),
            )
        elif not stored.repeated:
            routed = stored.routing
            self._context.metrics.count(REPLIES, system=routed.system.name)
            system, party, reference = routed.system.name, routed.party, routed.reference
            LOG.info(
                "Reply %d of %s for %s under %s was stored",
                *(stored.key, system, party, reference),
                extra=event("reply.stored", system=system, party=party, reference=reference, reply=stored.key),
            )
            if routed.correlation is Correlation.NOT_SENT:
                LOG.warning(
                    "Reply %d of %s for %s came under %s, but that declaration cannot have been sent yet. "
                    "The reply does not count as an answer; see htpoort show %s",
                    *(stored.key, system, party, reference, reference),
                    extra=event("reply.too-early", system=system, party=party, reference=reference, reply=stored.key),
                )
            self._stored(system)


def pop3_worker(context: WorkerContext, intake: Intake, inbox: Pop3Inbox) -> PollWorker:
    """Make the worker that polls a POP3 mailbox; *intake* reports each mail that is stored."""
    name = f"POP3 {inbox.server.label}"
    poll = _Pop3Poll(context, intake, inbox)
    return PollWorker(context, "POP3", name, interval=inbox.poll_interval, things="mails", poll=poll)


@final
@attrs.define(eq=False)
class _Pop3Poll:
    """Poll a mailbox once, with as many mails in a session as its server has shown to send."""

    _context: WorkerContext
    _intake: Intake
    _inbox: Pop3Inbox
    _limit: int = MAX_MAILS

    async def __call__(self, skip: frozenset[str], /) -> Polled:
        report = await fetch_once(
            self._context.ledger,
            self._context.router,
            self._inbox.server,
            clock=self._context.clock,
            on_stored=self._intake.report,
            skip=skip,
            limit=self._limit,
        )
        self._limit = MAX_MAILS if report.error is None else report.limit
        return Polled(
            trouble=None if report.error is None else _trouble(report.error),
            stored=bool(report.stored),
            seen_again=len(report.seen_again),
            problems=(*report.problems, *(left.problem for left in report.left)),
            leave_alone=[left.uidl for left in report.left if left.uidl and left.problem.code in _LEFT_ALONE],
            # If nothing has left the mailbox, the same mails would come again at once.
            more=bool(report.more and report.deleted),
        )


def _trouble(error: FetchError) -> PollTrouble:
    return PollTrouble(
        kind=error.kind,
        reason=error.reason,
        text=str(error),
        logged_in=error.logged_in,
        login_refused=error.kind is FetchFailure.LOGIN and not error.retryable,
    )


# ── one poll ─────────────────────────────────────────────────────────────────


@final
@attrs.frozen(kw_only=True)
class FetchReport:
    """
    The result of one poll of a POP3 mailbox.

    Args:
        account: The mailbox, as ``user@host:port``.
        stored: What became of each mail that was fetched, in the order of the mailbox. All of it is synced.
        seen_again: The UIDLs of the mails among them that an earlier session had stored but not deleted, as after a
            session that broke. They are neither counted as copies nor delivered again. For a mail without a
            usable UIDL this is ``sha256`` and its digest.
        deleted: The UIDLs, in the same form, of the mails whose deletion the server has confirmed.
        left: The mails that stay in the mailbox, each with the reason; also those that broke a session.
        problems: Other problems, such as a server that ends its sessions after some mails.
        error: Why the poll could not go on, or why the first mail was left that broke a session; None if the
            poll reached its end, and later sessions fetched what a broken one had not.
        more: The number of mails that this poll did not reach.
        limit: The limit of mails of its last session; fewer than 500 after the server has ended a session itself.
    """

    account: str
    stored: tuple[Stored, ...]
    seen_again: tuple[str, ...]
    deleted: tuple[str, ...] = ()
    left: tuple[LeftMail, ...] = ()
    problems: tuple[Problem, ...] = ()
    error: FetchError | None = None
    more: int = 0
    limit: int = MAX_MAILS


async def fetch_once(  # noqa: PLR0913 - one argument for each thing that takes part
    ledger: Ledger,
    router: Router,
    server: Pop3Account,
    *,
    clock: Callable[[], datetime] = _clock.now,
    on_stored: Callable[[Stored], object] | None = None,
    skip: frozenset[str] = frozenset(),
    limit: int = MAX_MAILS,
) -> FetchReport:
    """
    Poll a POP3 mailbox once: fetch each mail, store it, then delete it from the mailbox.

    A session ends after 500 mails and another one begins, at most 20 in one poll. Some servers end a session
    themselves after some mails or minutes, and then delete nothing. After a session that broke, the next one ends
    after half as many mails. If a session breaks at its first mail, the next one skips that mail, so that a mail
    that the server cannot send does not stop the others.

    Args:
        ledger: The open ledger.
        router: Finds the party and system of each reply. Leave out its *sent*: the ledger itself compares each reply
            with what was sent.
        server: The mailbox.
        clock: Returns the current time, aware.
        on_stored: Called with each mail as soon as it is synced.
        skip: The UIDLs of mails to leave alone, as for `Pop3Mailbox.fetch`.
        limit: The most mails of a session. After a poll with an error, give the *limit* of its report: a server that
            ends its sessions may also keep the mailbox locked afterwards, so that a poll cannot go on.

    Returns:
        What was stored, deleted and left, and the error if the poll could not go on.

    Raises:
        LedgerError: A mail could not be stored; it stays in the mailbox.
        InputError: A file of the TLS settings cannot be used.
    """
    account = server.ledger_name
    stored: list[Stored] = []
    seen_again: list[str] = []
    known = await run_in_thread(ledger.fetched.known, account)

    async def store(uidl: str, raw: bytes) -> None:
        nonlocal known
        # POP3 has no MAIL FROM.
        submitted = ledger.replies.take_in_soon(router, raw, mail_from=None, at=clock(), account=account, uidl=uidl)
        result = await asyncio.wrap_future(submitted)
        stored.append(result)
        if result.repeated and uidl in known:
            seen_again.append(uidl)
        known |= {uidl}
        if on_stored is not None:
            on_stored(result)

    plan = _FetchPlan(skip=skip, limit=limit)
    for _ in range(_MAX_SESSIONS):
        try:
            session = await Pop3Mailbox(server).fetch(
                store, known=known, skip=plan.skip, skip_numbers=plan.skip_numbers, limit=plan.limit
            )
        except FetchError as error:
            if plan.continue_after_error(error):
                continue
            break
        if session.gone:
            await run_in_thread(ledger.fetched.forget, account, session.gone)
            known -= session.gone
        if plan.is_done(session):
            break
    return plan.report(account, stored, seen_again)


@final
@attrs.define(kw_only=True, eq=False)
class _FetchPlan:
    """
    Decide from the sessions of a poll what the next one fetches, and collect their results.

    Args:
        skip: The UIDLs of mails that the next session leaves alone.
        skip_numbers: The numbers, in the next session, of mails without a usable UIDL that it leaves alone.
        limit: The most mails of the next session.
    """

    skip: frozenset[str]
    skip_numbers: frozenset[int] = frozenset()
    limit: int
    deleted: list[str] = attrs.field(factory=list[str])
    left: list[LeftMail] = attrs.field(factory=list[LeftMail])
    problems: dict[str, Problem] = attrs.field(factory=dict[str, Problem])
    first_error: FetchError | None = None
    last_error: FetchError | None = None
    breaking_mails: int = 0
    more: int = 0

    def continue_after_error(self, error: FetchError) -> bool:
        """Take note of a session that broke; return whether another one may get further."""
        self.last_error = error
        if error.done > 1 or (error.done and error.number is not None):
            # The server may send no more than this in one session.
            self.limit = max(1, error.done // 2)
            message = f"{error} A session ends after {self.limit} mails from now on."
            self.problems[message] = Problem("pop3.session-ends", message)
            return True
        self.first_error = self.first_error or error
        if error.number is None or error.done:
            return False
        self._skip_mail(error, error.number)
        return self.breaking_mails < _MAX_BREAKING_MAILS

    def _skip_mail(self, error: FetchError, number: int) -> None:
        """Skip the mail that broke a session, so that it does not stop the others."""
        if error.uidl is None:
            self.skip_numbers |= {number}
        else:
            self.skip |= {error.uidl}
        name = error.uidl or f"number {number}"
        if error.kind is FetchFailure.LIMIT:
            problem = Problem(
                "pop3.endless", f"The mail {name} exceeds the limits of a session and is left there: {error.reply}"
            )
        else:
            problem = Problem("pop3.breaks", f"The mail {name} breaks a session and is left there: {error.reply}")
        self.left.append(LeftMail(uidl=error.uidl or "", number=number, size=0, problem=problem))
        # The mail was the reason, and not the number of mails before it.
        self.limit = MAX_MAILS
        self.breaking_mails += 1

    def is_done(self, session: SessionReport) -> bool:
        """Take note of a session that reached its end; return whether the poll is done."""
        self.last_error = None
        self.deleted += session.deleted
        self.left += session.left
        self.problems |= {problem.message: problem for problem in session.problems}
        self.skip |= {left.uidl for left in session.left if left.uidl}
        self.skip_numbers = session.staying
        self.more = session.more
        return not (session.more and (session.deleted or session.left))

    def report(self, account: str, stored: list[Stored], seen_again: list[str]) -> FetchReport:
        """Return the result of the poll."""
        return FetchReport(
            account=account,
            stored=tuple(stored),
            seen_again=tuple(seen_again),
            deleted=tuple(self.deleted),
            left=tuple(self.left),
            problems=tuple(self.problems.values()),
            error=self.first_error or self.last_error,
            more=self.more,
            limit=self.limit,
        )
