"""Keep the durable record of what goes out and comes in: SQLite in a file, or PostgreSQL for many machines."""

from htpoort.ledger.ledger import Ledger
from htpoort.ledger.records import (
    Claimed,
    Entry,
    Exchange,
    Held,
    HeldState,
    HeldSummary,
    Reply,
    Resting,
    Shadow,
    Status,
    Stored,
    Story,
)
from htpoort.ledger.url import check_url

__all__ = [
    "Claimed",
    "Entry",
    "Exchange",
    "Held",
    "HeldState",
    "HeldSummary",
    "Ledger",
    "Reply",
    "Resting",
    "Shadow",
    "Status",
    "Stored",
    "Story",
    "check_url",
]
