"""Fetch mails from a POP3 mailbox, and delete there only what has been stored."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, final

import attrs

from htpoort._aio import run_in_thread
from htpoort.core.errors import Problem
from htpoort.transport._pop3_client import ListedMail, Listing, Pop3Client
from htpoort.transport.pop3_results import FetchError, LeftMail, SessionReport
from htpoort.transport.servers import Pop3Account, Security
from htpoort.transport.tls import client_context

__all__ = ["Pop3Mailbox", "Store"]

Store = Callable[[str, bytes], Awaitable[object]]
"""Stores a mail, given its UIDL and its octets; the mail is deleted from the mailbox after this returns."""

_BY_CONTENT: Final = "sha256 "  # contains a blank, so it is never a UIDL


@final
@attrs.frozen
class Pop3Mailbox:
    """
    Fetch the mails of a POP3 mailbox; each `fetch` is one session.

    Args:
        server: How to reach the mailbox.
        largest: Octets of the largest mail that is fetched; by default *mail_limit* of the account.
    """

    server: Pop3Account
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
        limit: int | None = None,
    ) -> SessionReport:
        """
        Fetch each mail, store it, and delete it.

        The server deletes at QUIT only, so the mails of a broken session may still be there. They are fetched again,
        and *store* recognises them by their content. It must not rely on the UIDL: if the answer to QUIT was lost, the
        server may have deleted the mail and given its UIDL to another one.

        A mail without a usable UIDL is fetched by its number; ``sha256`` and the digest of its octets then take the
        place of the UIDL.

        Cancelling closes the connection at once, without QUIT.

        Args:
            store: Called with a UIDL and its mail: lines ended by CRLF, doubled dots undone, otherwise untouched.
                Called for one mail after another. If it raises, the session ends and the error passes through; that
                mail stays, those before it are deleted.
            known: The UIDLs of stored mails that may still be in the mailbox; *gone* lists those that are not.
            skip: The UIDLs of mails to skip this time, such as a stored mail that the server did not delete.
            skip_numbers: The numbers of mails to skip that have no usable UIDL, from *staying* of the session before.
            limit: The number of mails after which the session ends, so that these are deleted; None for all. Some
                servers end each session after a number of mails, and then delete none of them.

        Returns:
            What was fetched, deleted and left, and which UIDLs to forget.

        Raises:
            InputError: A file of the TLS settings cannot be used.
            FetchError: The session failed. Has *account*, *kind*, *reply* and *retryable*.

        Source:
            RFC 1939, sections 5 to 7.
        """
        context = None
        if self.server.security is not Security.PLAIN:
            # This reads files, which may have been renewed since the last session.
            context = await run_in_thread(client_context, self.server.tls)
        client = await Pop3Client.open(self.server, context)
        try:
            listing = await client.listing()
            mails = [mail for mail in listing.mails if mail.uidl not in skip and mail.number not in skip_numbers]
            session = _FetchSession(client, store, self.largest)
            await session.fetch(mails, len(mails) if limit is None else limit)
            return session.report(listing, known, skip_numbers, await session.quit())
        except FetchError as error:
            error.logged_in = True
            raise
        finally:
            client.close()


@final
@attrs.define(eq=False)
class _FetchSession:
    """Fetch the mails of one session, and keep account of each."""

    client: Pop3Client
    store: Store
    largest: int
    keys: dict[int, str] = attrs.field(factory=dict[int, str])
    """By number, the UIDL or digest of each stored mail."""
    deleted: set[int] = attrs.field(factory=set[int])
    left: list[LeftMail] = attrs.field(factory=list[LeftMail])
    more: int = 0

    async def fetch(self, mails: Sequence[ListedMail], limit: int) -> None:
        """Fetch, store and delete, until *limit* mails are stored."""
        for place, mail in enumerate(mails):
            if len(self.keys) >= limit:
                self.more = len(mails) - place
                return
            done = len(self.keys)
            try:
                left = await self._store(mail) or await self.client.delete(mail)
            except FetchError as error:
                # The caller can skip this mail, or end the next session before it.
                error.uidl, error.number, error.done = mail.uidl or None, mail.number, done
                raise
            if left is None:
                self.deleted.add(mail.number)
            else:
                self.left.append(left)

    async def _store(self, mail: ListedMail) -> LeftMail | None:
        """Fetch and store one mail; report why it stays if it cannot be fetched."""
        content = await self.client.content(mail, self.largest)
        if isinstance(content, LeftMail):
            return content
        key = mail.uidl or f"{_BY_CONTENT}{hashlib.sha256(content).hexdigest()}"
        try:
            await self.store(key, content)
        except Exception:
            # This QUIT deletes the mails stored before; without it they would be fetched again.
            with contextlib.suppress(FetchError):
                await self.client.quit()
            raise
        self.keys[mail.number] = key
        return None

    async def quit(self) -> Problem | None:
        """End the session; report why the server may have kept mails that were marked for deletion."""
        try:
            return await self.client.quit()
        except FetchError as error:
            error.done = len(self.keys)
            raise

    def report(
        self, listing: Listing, known: frozenset[str], skipped: frozenset[int], refused: Problem | None
    ) -> SessionReport:
        """Report on the session after its QUIT."""
        fetched, problems = tuple(self.keys.values()), listing.problems
        deleted, gone, staying = self.deleted, frozenset[str](), frozenset[int]()
        if refused is None:
            gone = self._gone(listing, known)
            nameless = {left.number for left in self.left if not left.uidl} | skipped
            # Each deleted mail lowers the numbers of the mails after it.
            staying = frozenset(number - sum(other < number for other in deleted) for number in nameless)
        else:
            # The server may have deleted some of the mails; the others will be recognised.
            problems, deleted = (*problems, refused), set[int]()
        return SessionReport(
            fetched=fetched,
            deleted=tuple(key for number, key in self.keys.items() if number in deleted),
            left=tuple(self.left),
            gone=gone,
            problems=problems,
            more=self.more,
            staying=staying,
        )

    def _gone(self, listing: Listing, known: frozenset[str]) -> frozenset[str]:
        """List the mails that are no longer in the mailbox, as far as its listing shows."""
        stay = [mail for mail in listing.mails if mail.number not in self.deleted]
        gone = {self.keys[number] for number in self.deleted}
        if listing.whole:
            # A mail known by its digest is gone if every mail without a UIDL was fetched, and is a different one.
            fetched = all(mail.uidl or mail.number in self.keys for mail in stay)
            gone |= {key for key in known if fetched or not key.startswith(_BY_CONTENT)}
        return frozenset(gone.difference(self.keys.get(mail.number, mail.uidl) for mail in stay))
