"""
Hold a configuration that was read, and make the parts of it.

Never does: show a password.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import attrs

from htpoort.agent import Agent, Outbox, Pop3Inbox, SmtpInbox, Timing
from htpoort.delivery import Delivery
from htpoort.directory import Directory
from htpoort.ledger import Ledger, Reply
from htpoort.party import PartyId
from htpoort.routing import Router

__all__ = ["AgentConfig", "LedgerConfig"]


@final
@attrs.frozen(kw_only=True)
class LedgerConfig:
    """
    Hold what every command on a ledger needs.

    Args:
        directory: The published systems and those of the file.
        parties: The declarants that replies are taken for.
        url: Of the ledger; a relative file is made absolute. Not shown in the repr: it may hold a password.
        retention_days: Days that nothing younger is pruned.
    """

    directory: Directory
    parties: tuple[PartyId, ...]
    url: str = attrs.field(repr=False)
    retention_days: int

    def open(self) -> Ledger:
        """
        Open the ledger.

        Returns:
            The ledger; close it, or use it as a context.

        Raises:
            LedgerError: It cannot be opened.
        """
        return Ledger.open(self.url)

    def router(self, ledger: Ledger) -> Router:
        """
        Make the router of a ledger.

        Args:
            ledger: Knows what was sent.

        Returns:
            A router for the parties and systems of the file.
        """
        return Router(directory=self.directory, parties=self.parties, sent=ledger.sent)


@final
@attrs.frozen(kw_only=True)
class AgentConfig:
    """
    Hold everything that an agent needs; nothing of it is started.

    Args:
        ledger: What every command needs.
        outboxes: Where declarations go.
        inboxes: Where replies come in, SMTP first.
        deliveries: Where the replies of each system go, by its name.
        timing: How long to wait.
    """

    ledger: LedgerConfig
    outboxes: tuple[Outbox, ...]
    inboxes: tuple[SmtpInbox | Pop3Inbox, ...]
    deliveries: Mapping[str, Delivery[Reply]]
    timing: Timing

    def agent(self, ledger: Ledger) -> Agent:
        """
        Make the agent; enter it to start it.

        Args:
            ledger: Open; stays open.

        Returns:
            The agent of this configuration.
        """
        return Agent(
            ledger=ledger,
            router=self.ledger.router(ledger),
            outboxes=self.outboxes,
            inboxes=self.inboxes,
            deliveries=self.deliveries,
            timing=self.timing,
        )
