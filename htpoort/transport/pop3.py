"""
Fetch replies of Customs from a POP3 mailbox, and delete there only what has been stored.

Never does: route or store a mail, repeat a session by itself, or speak before TLS stands.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, final

import attrs

from htpoort.errors import Problem
from htpoort.transport._pop3 import Listing, Mail, Session
from htpoort.transport._threads import apart
from htpoort.transport.accounts import Fetched, FetchError, FetchFailure, Left, Pop3Server
from htpoort.transport.servers import Security
from htpoort.transport.tls import client_context

__all__ = ["FetchError", "FetchFailure", "Fetched", "Left", "Pop3Mailbox", "Pop3Server", "Store"]

Store = Callable[[str, bytes], Awaitable[object]]
"""What a mail is given to, with its UIDL: it has been stored when this returns."""

_BY_CONTENT: Final = "sha256 "  # with a blank, so that it is never a UIDL


@final
@attrs.frozen
class Pop3Mailbox:
    """
    Fetch what is in a POP3 mailbox; each `fetch` is one session.

    Args:
        server: Where it is.
        largest: Octets of a mail that is fetched; *mail_limit* of the server where not given.
    """

    server: Pop3Server
    largest: int = attrs.field(
        default=attrs.Factory(lambda mailbox: mailbox.server.mail_limit, takes_self=True), kw_only=True
    )

    async def fetch(
        self,
        store: Store,
        *,
        known: frozenset[str] = frozenset(),
        skip: frozenset[str] = frozenset(),
        skip_numbers: frozenset[int] = frozenset(),
        most: int | None = None,
    ) -> Fetched:
        """
        Fetch each mail, store it, and delete it.

        The server deletes at QUIT only, so a session that breaks may bring its mails back. They are
        fetched again, and *store* recognises them by their content. A UIDL does not: where the answer to
        QUIT was lost, the server may have deleted the mail and given its UIDL to another one.

        Nothing rests on a UIDL, so a mail is fetched by its number where the server gives none that can be
        used. In the place of the UIDL stands then ``sha256`` and the digest of its octets.

        Cancelling closes the connection at once, without QUIT.

        Args:
            store: Is given a UIDL and its mail: lines ended by CRLF, doubled dots taken away, else
                untouched. Called for one mail after another. What it raises ends the session and
                passes through; that mail stays, those before it are deleted.
            known: The UIDLs of what was stored and may still be in the mailbox; *gone* tells which are not.
            skip: The UIDLs of mails to leave alone this time, such as one that is stored and that the
                server would not delete.
            skip_numbers: The numbers of mails to leave alone that have no usable UIDL. They hold for the session
                after the one that named them only.
            most: Mails after which the session ends, so that those are deleted; None for all. Some servers end
                each session after so many mails, and then delete none of them.

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
            listing = await session.listing()
            mails = [mail for mail in listing.mails if mail.uidl not in skip and mail.number not in skip_numbers]
            visit = _Visit(session, store, self.largest)
            await visit.through(mails, len(mails) if most is None else most)
            return visit.result(listing, known, skip_numbers, await visit.end())
        except FetchError as error:
            error.logged_in = True
            raise
        finally:
            session.close()


@final
@attrs.define(eq=False)
class _Visit:
    """Go through a mailbox, and note what came of each mail."""

    session: Session
    store: Store
    largest: int
    keys: dict[int, str] = attrs.field(factory=dict[int, str])
    """By number, what each stored mail is known by."""
    deleted: set[int] = attrs.field(factory=set[int])
    left: list[Left] = attrs.field(factory=list[Left])
    more: int = 0

    async def through(self, mails: Sequence[Mail], most: int) -> None:
        """Fetch, store and delete, until so many are stored."""
        for place, mail in enumerate(mails):
            if len(self.keys) >= most:
                self.more = len(mails) - place
                return
            done = len(self.keys)
            try:
                stays = await self._handed_over(mail) or await self.session.delete(mail)
            except FetchError as error:
                # The caller can go around it, or end the next session before it.
                error.uidl, error.number, error.done = mail.uidl or None, mail.number, done
                raise
            if stays is None:
                self.deleted.add(mail.number)
            else:
                self.left.append(stays)

    async def _handed_over(self, mail: Mail) -> Left | None:
        """Fetch and store one mail; say why it stays where it cannot be fetched."""
        got = await self.session.content(mail, self.largest)
        if isinstance(got, Left):
            return got
        key = mail.uidl or f"{_BY_CONTENT}{hashlib.sha256(got).hexdigest()}"
        try:
            await self.store(key, got)
        except Exception:
            # What was stored before is deleted by this QUIT; without it, it would come again.
            with contextlib.suppress(FetchError):
                await self.session.leave()
            raise
        self.keys[mail.number] = key
        return None

    async def end(self) -> Problem | None:
        """Leave the mailbox; say why the server may have kept what was to be deleted."""
        try:
            return await self.session.leave()
        except FetchError as error:
            error.done = len(self.keys)
            raise

    def result(
        self, listing: Listing, known: frozenset[str], passed: frozenset[int], refused: Problem | None
    ) -> Fetched:
        """Say what came of the session after its QUIT."""
        fetched, problems = tuple(self.keys.values()), listing.problems
        deleted, gone, staying = self.deleted, frozenset[str](), frozenset[int]()
        if refused is None:
            gone = self._gone(listing, known)
            nameless = {left.number for left in self.left if not left.uidl} | passed
            # What is deleted before a mail makes its number smaller.
            staying = frozenset(number - sum(one < number for one in deleted) for number in nameless)
        else:
            # The server may have deleted some of the mails; those it has not will be recognised.
            problems, deleted = (*problems, refused), set[int]()
        return Fetched(
            fetched=fetched,
            deleted=tuple(key for number, key in self.keys.items() if number in deleted),
            left=tuple(self.left),
            gone=gone,
            problems=problems,
            more=self.more,
            staying=staying,
        )

    def _gone(self, listing: Listing, known: frozenset[str]) -> frozenset[str]:
        """Say which mails are in the mailbox no more, as far as its listing tells."""
        stay = [mail for mail in listing.mails if mail.number not in self.deleted]
        gone = {self.keys[number] for number in self.deleted}
        if listing.whole:
            # A mail that is known by its content is gone where each one without a UIDL was fetched, and is another.
            fetched = all(mail.uidl or mail.number in self.keys for mail in stay)
            gone |= {key for key in known if fetched or not key.startswith(_BY_CONTENT)}
        return frozenset(gone.difference(self.keys.get(mail.number, mail.uidl) for mail in stay))
