"""Put router, ledger, transport and delivery together, and run them unattended."""

from htpoort.agent.agent import Agent
from htpoort.agent.fetching import Look, fetch_once
from htpoort.agent.settings import Outbox, Pop3Inbox, SmtpInbox, Timing

__all__ = ["Agent", "Look", "Outbox", "Pop3Inbox", "SmtpInbox", "Timing", "fetch_once"]
