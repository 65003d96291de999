"""Run router, ledger, transport and delivery together, unattended."""

from htpoort.agent.agent import Agent
from htpoort.agent.dispatch import Destination, Dispatched, Dispatcher
from htpoort.agent.inbox import FetchReport, fetch_once
from htpoort.agent.settings import Outbox, Pop3Inbox, Timing
from htpoort.transport import SmtpInbox

__all__ = [
    "Agent",
    "Destination",
    "Dispatched",
    "Dispatcher",
    "FetchReport",
    "Outbox",
    "Pop3Inbox",
    "SmtpInbox",
    "Timing",
    "fetch_once",
]
