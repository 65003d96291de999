"""
Fetch replies of Customs from a POP3 mailbox, and delete there only what has been stored.

Never does: route or store a mail, repeat a session by itself, or speak before TLS stands.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import final

import attrs

from htpoort import _grammar
from htpoort.transport._pop3 import Mail, Session
from htpoort.transport._threads import apart
from htpoort.transport.accounts import Fetched, FetchError, FetchFailure, Left, Pop3Server
from htpoort.transport.servers import Security
from htpoort.transport.tls import client_context

__all__ = ["FetchError", "FetchFailure", "Fetched", "Left", "Pop3Mailbox", "Pop3Server", "Store"]

Store = Callable[[str, bytes], Awaitable[object]]
"""What a mail is given to, with its UIDL: it has been stored when this returns."""


@final
@attrs.frozen
class Pop3Mailbox:
    """
    Fetch what is in a POP3 mailbox; each `fetch` is one session.

    Args:
        server: Where it is.
        largest: Octets of a mail that is fetched; a larger one stays there and is reported. Far above
            what is routed, so that a mail too large for that is stored, in quarantine.
    """

    server: Pop3Server
    largest: int = attrs.field(default=4 * _grammar.MESSAGE_LIMIT, kw_only=True)

    async def fetch(
        self, store: Store, *, known: frozenset[str] = frozenset(), skip: frozenset[str] = frozenset()
    ) -> Fetched:
        """
        Fetch each mail, store it, and delete it.

        The server deletes at QUIT only, so a session that breaks may bring its mails back. They are
        fetched again, and *store* recognises them by their content. A UIDL does not: where the answer to
        QUIT was lost, the server may have deleted the mail and given its UIDL to another one.

        Cancelling closes the connection at once, without QUIT.

        Args:
            store: Is given a UIDL and its mail: lines ended by CRLF, doubled dots taken away, else
                untouched. Called for one mail after another. What it raises ends the session and
                passes through; that mail stays, those before it are deleted.
            known: The UIDLs of what was stored and may still be in the mailbox; *gone* tells which are not.
            skip: The UIDLs of mails to leave alone this time, such as one that is stored and that the
                server would not delete.

        Returns:
            What was fetched, deleted and left, and what can be forgotten.

        Raises:
            InputError: A file of the TLS settings cannot be used.
            FetchError: The session broke. Has *account*, *kind*, *reply* and *retryable*.

        Source:
            RFC 1939, sections 5 to 7.
        """
        context = None
        if self.server.security is not Security.PLAIN:
            # Reads files, which may have been renewed since the last session.
            context = await apart(client_context, self.server.tls)
        session = await Session.opened(self.server, context)
        try:
            return await self._visited(session, store, known, skip)
        finally:
            session.close()

    async def _visited(self, session: Session, store: Store, known: frozenset[str], skip: frozenset[str]) -> Fetched:
        """Go through the mailbox, and leave it in good order."""
        mails, problems = await session.listing()
        fetched: list[str] = []
        deleted: list[str] = []
        left: list[Left] = []
        for mail in mails:
            if mail.uidl in skip:
                continue
            stays = await self._handed_over(session, mail, store)
            if stays is None:
                fetched.append(mail.uidl)
                stays = await session.delete(mail)
            if stays is None:
                deleted.append(mail.uidl)
            else:
                left.append(stays)
        there = skip.intersection(mail.uidl for mail in mails)
        gone = known.union(fetched).difference(there, (one.uidl for one in left))
        if refused := await session.leave():
            # Nobody knows which mails the server has deleted; those it has not will be recognised.
            problems, deleted, gone = [*problems, refused], [], frozenset[str]()
        return Fetched(
            fetched=tuple(fetched), deleted=tuple(deleted), left=tuple(left), gone=gone, problems=tuple(problems)
        )

    async def _handed_over(self, session: Session, mail: Mail, store: Store) -> Left | None:
        """Fetch and store one mail; say why it stays where it cannot be fetched."""
        try:
            got = await session.content(mail, self.largest)
        except FetchError as error:
            # Whoever looks again can go around it.
            error.uidl = mail.uidl
            raise
        if isinstance(got, Left):
            return got
        try:
            await store(mail.uidl, got)
        except Exception:
            # What was stored before is deleted by this QUIT; without it, it would come again.
            with contextlib.suppress(FetchError):
                await session.leave()
            raise
        return None
