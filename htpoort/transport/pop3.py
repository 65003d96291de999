"""
Fetch replies of Customs from a POP3 mailbox, and delete there only what has been stored.

Never does: route or store a mail, repeat a session by itself, or speak before TLS stands.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
from collections.abc import Awaitable, Callable
from typing import final

import attrs

from htpoort import _grammar
from htpoort.transport._pop3 import Mail, Session
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

    async def fetch(self, store: Store, *, known: frozenset[str] = frozenset()) -> Fetched:
        """
        Fetch each mail that is not known, store it, and delete what is stored.

        The server deletes at QUIT only, so a session that breaks brings all its mails back; those are
        *known* then, and deleted without being fetched again. Where two mails share one UIDL, as equal
        ones may, nobody can tell which of them is stored: both are fetched.

        Cancelling closes the connection at once, without QUIT.

        Args:
            store: Is given a UIDL and its mail: lines ended by CRLF, doubled dots taken away, else
                untouched. Called for one mail after another. What it raises ends the session and
                passes through; that mail stays, those before it are deleted.
            known: The UIDLs of what is stored and may still be in the mailbox.

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
            context = await asyncio.to_thread(client_context, self.server.tls)
        session = await Session.opened(self.server, context)
        try:
            return await self._visited(session, store, known)
        finally:
            session.close()

    async def _visited(self, session: Session, store: Store, known: frozenset[str]) -> Fetched:
        """Go through the mailbox, and leave it in good order."""
        mails, problems = await session.listing()
        times = collections.Counter(mail.uidl for mail in mails)
        fetched: list[str] = []
        left: dict[int, Left] = {}
        for mail in mails:
            stays = None
            if mail.uidl not in known or times[mail.uidl] > 1:
                stays = await self._handed_over(session, mail, store)
                if stays is None:
                    fetched.append(mail.uidl)
            stays = stays or await session.delete(mail)
            if stays is not None:
                left[mail.number] = stays
        deleted = tuple(mail.uidl for mail in mails if mail.number not in left)
        gone = known.union(fetched).difference(one.uidl for one in left.values())
        if refused := await session.leave():
            # Nobody knows which mails the server has deleted; those it has not will be recognised.
            problems, deleted, gone = [*problems, refused], (), frozenset[str]()
        return Fetched(
            fetched=tuple(fetched),
            deleted=deleted,
            left=tuple(left.values()),
            gone=gone,
            problems=tuple(problems),
        )

    async def _handed_over(self, session: Session, mail: Mail, store: Store) -> Left | None:
        """Fetch and store one mail; say why it stays where it cannot be fetched."""
        got = await session.content(mail, self.largest)
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
