"""
Take replies in by SMTP and by POP3: store first, acknowledge then.

Never does: answer 250 or delete a mail before the ledger has synced it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import final

from htpoort.agent._common import LOG, Common, forever
from htpoort.agent.settings import Pop3Inbox, SmtpInbox
from htpoort.errors import LedgerError
from htpoort.ledger import Stored
from htpoort.routing import Quarantined
from htpoort.transport import Incoming, Receiver
from htpoort.transport.pop3 import FetchError, Pop3Mailbox


@final
class Intake:
    """
    Store what comes in, and say so to whoever delivers.

    Args:
        common: What the parts of an agent share.
        stored: Called with each reply that is new.
    """

    def __init__(self, common: Common, stored: Callable[[str], None]) -> None:
        self._common = common
        self._stored = stored

    async def take(self, incoming: Incoming) -> None:
        """Store one message that came by SMTP; raises what the ledger raises, so that the peer gets 451."""
        common = self._common
        submitted = common.ledger.replies.take_in_soon(
            common.router, incoming.raw, mail_from=incoming.mail_from, at=common.clock()
        )
        try:
            stored = await asyncio.wrap_future(submitted)
        except LedgerError as error:
            # The receiver tells no texts of errors; this one says what to do.
            LOG.error("Not stored, so the peer must come again: %s", error)
            raise
        self._told(stored)

    async def fetched(self, account: str, uidl: str, raw: bytes) -> None:
        """Store one message that was fetched by POP3."""
        common = self._common
        submitted = common.ledger.replies.take_in_soon(
            common.router, raw, mail_from=None, at=common.clock(), account=account, uidl=uidl
        )
        self._told(await asyncio.wrap_future(submitted))

    def _told(self, stored: Stored) -> None:
        if isinstance(stored.found, Quarantined):
            LOG.warning("In quarantine as %d: %s", stored.key, stored.found.reason.value)
        elif not stored.repeated:
            self._stored(stored.found.system.name)


def receiver(intake: Intake, inbox: SmtpInbox) -> Receiver:
    """Make the receiver of an inbox."""
    return Receiver(
        intake.take,
        hostname=inbox.hostname,
        mailboxes=inbox.mailboxes,
        host=inbox.host,
        port=inbox.port,
        tls=inbox.tls,
        require_tls=inbox.require_tls,
        networks=inbox.networks,
        size_limit=inbox.size_limit,
    )


@final
class Fetching:
    """
    Look into one POP3 mailbox again and again.

    Args:
        common: What the parts of an agent share.
        intake: Stores what was fetched.
        inbox: The mailbox.
    """

    def __init__(self, common: Common, intake: Intake, inbox: Pop3Inbox) -> None:
        self._common = common
        self._intake = intake
        self._inbox = inbox

    async def run(self) -> None:
        """Look until the sign to stop."""
        await forever("POP3", self._common, self._turn)

    async def _turn(self) -> None:
        try:
            await self.once()
        except FetchError as error:
            LOG.warning("%s", error)
        await self._common.pause(self._inbox.every * (1 + self._common.chance.random() / 10))

    async def once(self) -> int:
        """
        Look once.

        Returns:
            How many mails were fetched.

        Raises:
            FetchError: The session failed; what was stored before is stored.
            LedgerError: A mail could not be stored; it stays in the mailbox.
        """
        ledger, account = self._common.ledger, self._inbox.server.account

        async def store(uidl: str, raw: bytes) -> None:
            await self._intake.fetched(account, uidl, raw)

        known = await asyncio.to_thread(ledger.fetched.known, account)
        session = await Pop3Mailbox(self._inbox.server).fetch(store, known=known)
        for problem in (*session.problems, *(left.problem for left in session.left)):
            LOG.warning("POP3 %s: %s", account, problem.message)
        if session.gone:
            await asyncio.to_thread(ledger.fetched.forget, account, session.gone)
        return len(session.fetched)
