"""Keep the durable record of what goes out and comes in: SQLite in a file, or PostgreSQL for many machines."""

from htpoort.ledger._engine import SECRET_PARAMETERS, check_url
from htpoort.ledger._overview import RETENTION_DAYS
from htpoort.ledger.inbox import Fetched, Replies
from htpoort.ledger.ledger import TRANSACTION_TIMEOUT, Ledger, Servers
from htpoort.ledger.outbox import Exchanges
from htpoort.ledger.quarantine import Quarantine
from htpoort.ledger.records import (
    Claimed,
    Entry,
    Exchange,
    QuarantinedMessage,
    QuarantineState,
    Reply,
    Resting,
    Shadow,
    Status,
    Stored,
    Story,
)

__all__ = [
    "RETENTION_DAYS",
    "SECRET_PARAMETERS",
    "TRANSACTION_TIMEOUT",
    "Claimed",
    "Entry",
    "Exchange",
    "Exchanges",
    "Fetched",
    "Ledger",
    "Quarantine",
    "QuarantineState",
    "QuarantinedMessage",
    "Replies",
    "Reply",
    "Resting",
    "Servers",
    "Shadow",
    "Status",
    "Stored",
    "Story",
    "check_url",
]
