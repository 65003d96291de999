"""
Hold a configuration that was read, and make the parts of it.

Never does: show a password.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import final

import attrs

from htpoort.agent import Agent, Outbox, Pop3Inbox, SmtpInbox, Timing
from htpoort.cutover import CutoverPlan
from htpoort.delivery import CommandDelivery, Delivery, MaildirDelivery
from htpoort.directory import DeclarationSystem, Directory
from htpoort.ledger import Ledger, Reply
from htpoort.ledger.ledger import TRANSACTION_TIMEOUT
from htpoort.party import PartyId
from htpoort.routing import Router
from htpoort.transport import Security

__all__ = ["AgentConfig", "CutoverConfig", "LedgerConfig"]


@final
@attrs.frozen(kw_only=True)
class CutoverConfig:
    """
    Hold who moves from one system to another, and when.

    Args:
        plan: Says which system takes the declarations of which party, day by day.
        leaving: The system that is left.
        quiet_days: Days without a reply of it before it may be switched off.
        shadow: The system that every message is built for too, and never sent to; None in live mode.
    """

    plan: CutoverPlan
    leaving: DeclarationSystem
    quiet_days: int
    shadow: DeclarationSystem | None


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
        cutover: Who moves, and when; None where the file says nothing about it.
        transaction_timeout: How long a transaction may take on PostgreSQL.
    """

    directory: Directory
    parties: tuple[PartyId, ...]
    url: str = attrs.field(repr=False)
    retention_days: int
    cutover: CutoverConfig | None = None
    transaction_timeout: timedelta = TRANSACTION_TIMEOUT

    def open(self, *, create: bool = True) -> Ledger:
        """
        Open the ledger.

        Args:
            create: Whether to make one where none is.

        Returns:
            The ledger; close it, or use it as a context.

        Raises:
            LedgerError: It cannot be opened.
        """
        return Ledger.open(self.url, create=create, transaction_timeout=self.transaction_timeout)

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

    def settings_of(self, system: DeclarationSystem) -> dict[str, str]:
        """
        Tell which settings concern a system, for a comparison of two.

        Args:
            system: A system of the directory.

        Returns:
            By their names; empty texts for what is missing.
        """
        server = next(
            (
                one.server
                for one in self.outboxes
                if not one.systems or system.name.lower() in map(str.lower, one.systems)
            ),
            None,
        )
        tls = None if server is None or server.security is Security.PLAIN else server.tls
        return {
            "mail server": "" if server is None else f"{server.host}:{server.port}",
            "security": "" if server is None else server.security.value,
            "user name": "none" if server is None or server.username is None else server.username,
            "TLS policy": "none"
            if tls is None
            else f"{tls.policy.environment.value}, from {tls.policy.valid_from or 'the beginning'}",
            "own certificate": "none" if tls is None or tls.certificate is None else str(tls.certificate),
            "trusted authorities": "none" if tls is None else str(tls.ca_file or "those of the system"),
            "delivery": _told(self.deliveries.get(system.name)),
        }

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


def _told(delivery: Delivery[Reply] | None) -> str:
    """Name a delivery; the arguments of a command may hold what is nobody's business."""
    if isinstance(delivery, MaildirDelivery):
        return f"Maildir {delivery.path}"
    return f"command {delivery.argv[0]}" if isinstance(delivery, CommandDelivery) else ""
