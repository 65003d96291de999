"""
Take replies in by SMTP and by POP3: store first, acknowledge then.

Never does: answer 250 or delete a mail before the ledger has synced it.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Final, final

from htpoort.agent._common import LOG, Common, forever
from htpoort.agent._resting import Rest
from htpoort.agent.fetching import MAILS, Look, fetch_once
from htpoort.agent.settings import Pop3Inbox, SmtpInbox
from htpoort.errors import InputError, LedgerError
from htpoort.ledger import Stored
from htpoort.routing import Correlation, Quarantined
from htpoort.transport import FetchFailure, Incoming, Receiver

_STUCK: Final = timedelta(hours=1)  # a mail that is not deleted, or never ends, would else be fetched at every look
_REPORTED: Final = 20  # warnings of one look; a mailbox may have a hundred thousand mails that cannot be read
_LEFT_ALONE: Final = frozenset({"pop3.not-deleted", "pop3.endless"})


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

    async def take(self, inbox: SmtpInbox, incoming: Incoming) -> None:
        """Store one message that came by SMTP; raises what the ledger raises, so that the peer gets 451."""
        common = self._common
        mail_from = inbox.compared(incoming.mail_from, incoming.peer)
        submitted = common.ledger.replies.take_in_soon(
            common.router, incoming.raw, mail_from=mail_from, at=common.clock()
        )
        try:
            stored = await asyncio.wrap_future(submitted)
        except LedgerError as error:
            # The receiver tells no texts of errors; this one says what to do.
            LOG.error("Not stored, so the peer must come again: %s", error)
            raise
        self.told(stored)

    def told(self, stored: Stored) -> None:
        """Say what became of a message that was stored."""
        if isinstance(stored.found, Quarantined):
            LOG.warning("In quarantine as %d: %s", stored.key, stored.found.reason.value)
        elif not stored.repeated:
            found = stored.found
            LOG.info(
                "Reply %d of %s for %s under %s was stored",
                *(stored.key, found.system.name, found.party, found.reference),
            )
            if found.correlation is Correlation.NOT_SENT:
                LOG.warning(
                    "Reply %d of %s for %s came under %s, which cannot have been sent yet; it is no answer. "
                    "Look at it: htpoort show %s",
                    *(stored.key, found.system.name, found.party, found.reference, found.reference),
                )
            self._stored(found.system.name)


def receiver(intake: Intake, inbox: SmtpInbox) -> Receiver:
    """Make the receiver of an inbox."""
    return Receiver(
        functools.partial(intake.take, inbox),
        hostname=inbox.hostname,
        mailboxes=inbox.mailboxes,
        host=inbox.host,
        port=inbox.port,
        tls=inbox.tls,
        require_tls=inbox.require_tls,
        networks=inbox.networks,
        size_limit=inbox.size_limit,
        limits=inbox.limits,
    )


@final
class Fetching:
    """
    Look into one POP3 mailbox again and again.

    Args:
        common: What the parts of an agent share.
        intake: Is told what was stored.
        inbox: The mailbox.
    """

    def __init__(self, common: Common, intake: Intake, inbox: Pop3Inbox) -> None:
        self._common = common
        self._intake = intake
        self._inbox = inbox
        # What is stored and the server would not delete, by UIDL: left alone until then.
        self._stuck: dict[str, datetime] = {}
        # Mails of a session; fewer after a look that a server's end of one broke off.
        self._most = MAILS
        self._name = f"POP3 {inbox.server.shown}"
        self._rest = Rest(self._name, common.timing)

    async def run(self) -> None:
        """Look until the sign to stop."""
        # What an agent before this one noted.
        await self._note(self._common.ledger.servers.works_soon(self._name))
        await forever("POP3", self._common, self._turn)

    async def _turn(self) -> None:
        pause = self._inbox.every
        try:
            look = await self._look()
        except InputError as error:
            # A file of the TLS settings, which may have been renewed or taken away while the agent runs.
            for problem in error.problems:
                LOG.error("%s: %s", self._name, problem.message)
        else:
            pause = await self._pause_after(look)
            # Where nothing has left the mailbox, the same mails would come again at once.
            if look.more and look.deleted and look.error is None:
                return
        await self._common.pause(pause * (1 + self._common.chance.random() / 10))

    async def _pause_after(self, look: Look) -> timedelta:
        """Say how long to wait: longer after each session that could not be opened."""
        error, servers = look.error, self._common.ledger.servers
        if self._rest.since is not None and (look.stored or error is None or error.logged_in):
            self._rest.worked()
            await self._note(servers.works_soon(self._name))
        if error is None:
            return self._inbox.every
        if error.logged_in:
            LOG.warning("%s", error)
            return self._inbox.every
        refused = error.kind is FetchFailure.LOGIN and not error.retryable
        least = self._common.timing.rest_login if refused else self._inbox.every
        now, why = self._common.clock(), str(error)
        pause = self._rest.failed(why, kind=error.kind, at=now, least=least)
        since = self._rest.since or now
        await self._note(servers.rests_soon(self._name, since=since, next_try=now + pause, why=why))
        return pause

    async def _note(self, future: Future[None]) -> None:
        """Wait until the ledger has noted how the mailbox is; trouble with the ledger does not shorten the pause."""
        try:
            async with self._common.limited():
                await asyncio.wrap_future(future)
        except TimeoutError:
            pass  # the agent is ending
        except LedgerError as error:
            LOG.error("POP3: %s", error)

    async def _look(self) -> Look:
        """Look once, and log what a person may want to know."""
        common, now = self._common, self._common.clock()
        self._stuck = {uidl: until for uidl, until in self._stuck.items() if now < until <= now + _STUCK}
        look = await fetch_once(
            common.ledger,
            common.router,
            self._inbox.server,
            clock=common.clock,
            taken=self._intake.told,
            skip=frozenset(self._stuck),
            most=self._most,
        )
        self._most = MAILS if look.error is None else look.most
        if look.seen_again:
            LOG.info("%s: seen again, and stored before: %d mails", self._name, len(look.seen_again))
        problems = [*look.problems, *(left.problem for left in look.left)]
        for problem in problems[:_REPORTED]:
            LOG.warning("%s: %s", self._name, problem.message)
        if len(problems) > _REPORTED:
            LOG.warning("%s: left out %d more warnings like these", self._name, len(problems) - _REPORTED)
        alone = (left.uidl for left in look.left if left.uidl and left.problem.code in _LEFT_ALONE)
        self._stuck |= dict.fromkeys(alone, now + _STUCK)
        return look
