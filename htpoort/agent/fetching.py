"""
Look once into a POP3 mailbox, and store what is there.

Never does: delete a mail that was not stored in the same look, or route by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final, final

import attrs

from htpoort import _clock
from htpoort.errors import Problem
from htpoort.ledger import Ledger, Stored
from htpoort.routing import Router
from htpoort.transport.pop3 import Fetched, FetchError, FetchFailure, Left, Pop3Mailbox, Pop3Server

__all__ = ["Look", "fetch_once"]

MAILS: Final = 500
"""Of one session; fewer where a server ends its sessions before."""
_SESSIONS: Final = 20  # of one look; what is left then comes in the next one
_BROKEN: Final = 4  # mails of one look at which sessions may break; the rest of it comes all the same


@final
@attrs.frozen(kw_only=True)
class Look:
    """
    Say what one look into a POP3 mailbox came to.

    Args:
        account: The mailbox, as ``user@host:port``.
        stored: What became of each mail that was fetched, in the mailbox's order; all of it is synced.
        seen_again: The UIDLs of those that an earlier session stored and that were in the mailbox still, as
            after a session that broke. They are neither counted as copies nor delivered again. In the place of
            a UIDL that cannot be used stands ``sha256`` and the digest of the mail.
        deleted: The same of what left the mailbox, as far as the server has confirmed it.
        left: What stays in the mailbox, and why; also the mails at which sessions broke.
        problems: What is wrong beside *left*; also that the server ends its sessions after some mails.
        error: Why the look could not go on, or why the first mail is left at which a session broke; None where
            the look came to its end and every session that broke was made good by later ones.
        more: How many mails are there that this look did not come to.
        most: Mails after which its last session was to end; fewer than 500 where the server ended one before.
    """

    account: str
    stored: tuple[Stored, ...]
    seen_again: tuple[str, ...]
    deleted: tuple[str, ...] = ()
    left: tuple[Left, ...] = ()
    problems: tuple[Problem, ...] = ()
    error: FetchError | None = None
    more: int = 0
    most: int = MAILS


async def fetch_once(  # noqa: PLR0913 - one argument for each thing that takes part
    ledger: Ledger,
    router: Router,
    server: Pop3Server,
    *,
    clock: Callable[[], datetime] = _clock.now,
    taken: Callable[[Stored], object] | None = None,
    skip: frozenset[str] = frozenset(),
    most: int = MAILS,
) -> Look:
    """
    Look once into a POP3 mailbox: fetch each mail, store it, then delete it there.

    A session ends after 500 mails, and another one begins; there are at most 20 in one look. Some servers end a
    session themselves after some mails or minutes, and delete nothing then: where a session breaks, the next one
    ends after half of the mails that came before. One that breaks at its first mail is followed by one that leaves
    this mail alone, so that a mail which the server cannot give stops no other.

    Args:
        ledger: Open.
        router: Its *sent* should be the ledger's.
        server: The mailbox.
        clock: Gives the time, aware.
        taken: Called with each mail as soon as it is synced.
        skip: The UIDLs of mails to leave alone, as `Pop3Mailbox.fetch` takes them.
        most: Mails after which a session ends. Give that of the look before where it had an error: a server that
            ends its sessions may also keep the mailbox locked behind one, so that the look cannot go on.

    Returns:
        What was stored, deleted and left; with the error where the look could not go on.

    Raises:
        LedgerError: A mail could not be stored; it stays in the mailbox.
        InputError: A file of the TLS settings cannot be used.
    """
    account = server.account
    stored: list[Stored] = []
    again: list[str] = []
    known = await asyncio.to_thread(ledger.fetched.known, account)

    async def store(uidl: str, raw: bytes) -> None:
        nonlocal known
        # POP3 has no MAIL FROM.
        submitted = ledger.replies.take_in_soon(router, raw, mail_from=None, at=clock(), account=account, uidl=uidl)
        one = await asyncio.wrap_future(submitted)
        stored.append(one)
        if one.repeated and uidl in known:
            again.append(uidl)
        known |= {uidl}
        if taken is not None:
            taken(one)

    course = _Course(skip=skip, most=most)
    for _ in range(_SESSIONS):
        try:
            session = await Pop3Mailbox(server).fetch(
                store, known=known, skip=course.skip, skip_numbers=course.numbers, most=course.most
            )
        except FetchError as error:
            if course.broken(error):
                continue
            break
        if session.gone:
            await asyncio.to_thread(ledger.fetched.forget, account, session.gone)
            known -= session.gone
        if course.ended(session):
            break
    return course.look(account, stored, again)


@final
@attrs.define(kw_only=True, eq=False)
class _Course:
    """
    Decide from the sessions of a look how the next one goes, and gather what they came to.

    Args:
        skip: The UIDLs of mails that the next session leaves alone.
        numbers: The numbers, in the next session, of mails without a usable UIDL that it leaves alone.
        most: Mails after which it ends.
    """

    skip: frozenset[str]
    numbers: frozenset[int] = frozenset()
    most: int
    deleted: list[str] = attrs.field(factory=list[str])
    left: list[Left] = attrs.field(factory=list[Left])
    problems: dict[str, Problem] = attrs.field(factory=dict[str, Problem])
    error: FetchError | None = None
    last: FetchError | None = None
    breaking: int = 0
    more: int = 0

    def broken(self, error: FetchError) -> bool:
        """Take in a session that broke; says whether another one may come further."""
        self.last = error
        if error.done > 1 or (error.done and error.number is not None):
            # Perhaps the server gives no more in one session.
            self.most = max(1, error.done // 2)
            message = f"{error} A session ends after {self.most} mails from now on."
            self.problems[message] = Problem("pop3.session-ends", message)
            return True
        self.error = self.error or error
        if error.number is None or error.done:
            return False
        self._go_around(error, error.number)
        return self.breaking < _BROKEN

    def _go_around(self, error: FetchError, number: int) -> None:
        """Leave the mail alone at which a session broke, so that it stops no other."""
        if error.uidl is None:
            self.numbers |= {number}
        else:
            self.skip |= {error.uidl}
        name = error.uidl or f"number {number}"
        if error.kind is FetchFailure.LIMIT:
            problem = Problem("pop3.endless", f"The mail {name} does not fit into a session, and stays: {error.reply}")
        else:
            problem = Problem("pop3.breaks", f"The mail {name} breaks a session, and stays: {error.reply}")
        self.left.append(Left(uidl=error.uidl or "", number=number, size=0, problem=problem))
        # It was the mail, and not the number of mails before it.
        self.most = MAILS
        self.breaking += 1

    def ended(self, session: Fetched) -> bool:
        """Take in a session that came to its end; says whether the look did."""
        self.last = None
        self.deleted += session.deleted
        self.left += session.left
        self.problems |= {problem.message: problem for problem in session.problems}
        self.skip |= {left.uidl for left in session.left if left.uidl}
        self.numbers = session.staying
        self.more = session.more
        return not (session.more and (session.deleted or session.left))

    def look(self, account: str, stored: list[Stored], again: list[str]) -> Look:
        """Say what the look came to."""
        return Look(
            account=account,
            stored=tuple(stored),
            seen_again=tuple(again),
            deleted=tuple(self.deleted),
            left=tuple(self.left),
            problems=tuple(self.problems.values()),
            error=self.error or self.last,
            more=self.more,
            most=self.most,
        )
