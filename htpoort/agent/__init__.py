"""Put router, ledger, transport and delivery together, and run them unattended."""

from htpoort.agent.agent import Agent
from htpoort.agent.settings import Outbox, Pop3Inbox, SmtpInbox, Timing

__all__ = ["Agent", "Outbox", "Pop3Inbox", "SmtpInbox", "Timing"]
