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
from htpoort.transport.pop3 import FetchError, Left, Pop3Mailbox, Pop3Server

__all__ = ["Look", "fetch_once"]

_SESSIONS: Final = 4  # of one look: so many mails less one may each break a session, and the rest still comes


@final
@attrs.frozen(kw_only=True)
class Look:
    """
    Say what one look into a POP3 mailbox came to.

    Args:
        account: The mailbox, as ``user@host:port``.
        stored: What became of each mail that was fetched, in the mailbox's order; all of it is synced.
        seen_again: The UIDLs of those that an earlier look stored and that were in the mailbox still, as
            after a session that broke. They are neither counted as copies nor delivered again.
        deleted: The UIDLs of what left the mailbox.
        left: What stays in the mailbox, and why.
        problems: What is wrong beside *left*.
        error: Why a session broke, the first one of several; None where there was one, and it came to its end.
            Where the last one broke too, nobody knows what was deleted, so *deleted*, *left* and *problems*
            are empty.
    """

    account: str
    stored: tuple[Stored, ...]
    seen_again: tuple[str, ...]
    deleted: tuple[str, ...] = ()
    left: tuple[Left, ...] = ()
    problems: tuple[Problem, ...] = ()
    error: FetchError | None = None


async def fetch_once(  # noqa: PLR0913 - one argument for each thing that takes part
    ledger: Ledger,
    router: Router,
    server: Pop3Server,
    *,
    clock: Callable[[], datetime] = _clock.now,
    taken: Callable[[Stored], object] | None = None,
    skip: frozenset[str] = frozenset(),
) -> Look:
    """
    Look once into a POP3 mailbox: fetch each mail, store it, then delete it there.

    A session that breaks while a mail comes is followed by another that leaves this mail alone, so that one
    mail which the server cannot give stops no other.

    Args:
        ledger: Open.
        router: Its *sent* should be the ledger's.
        server: The mailbox.
        clock: Gives the time, aware.
        taken: Called with each mail as soon as it is synced.
        skip: The UIDLs of mails to leave alone, as `Pop3Mailbox.fetch` takes them.

    Returns:
        What was stored, deleted and left; with the error where the session broke.

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
        # POP3 tells no MAIL FROM.
        submitted = ledger.replies.take_in_soon(router, raw, mail_from=None, at=clock(), account=account, uidl=uidl)
        one = await asyncio.wrap_future(submitted)
        stored.append(one)
        if one.repeated and uidl in known:
            again.append(uidl)
        known |= {uidl}
        if taken is not None:
            taken(one)

    first: FetchError | None = None
    for _ in range(_SESSIONS):
        try:
            session = await Pop3Mailbox(server).fetch(store, known=known, skip=skip)
        except FetchError as error:
            first = first or error
            if error.uidl is None:
                break
            skip |= {error.uidl}
            continue
        if session.gone:
            await asyncio.to_thread(ledger.fetched.forget, account, session.gone)
        return Look(
            account=account,
            stored=tuple(stored),
            seen_again=tuple(again),
            deleted=session.deleted,
            left=session.left,
            problems=session.problems,
            error=first,
        )
    return Look(account=account, stored=tuple(stored), seen_again=tuple(again), error=first)
