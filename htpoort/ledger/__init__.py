"""
Keep the durable record of what goes out and comes in: SQLite in a file, or PostgreSQL for many machines.

Which module builds on which: `ledger` opens it, and has a part for each of `outbox` (what is sent), `inbox` (what came
in), `quarantine`, `servers`, `reports` (read only), and `notices` with `windows` and `recoveries`; `_overview` answers
questions about the whole. `outbox` builds on `_queueing` (put in), `_attempts` (claims and outcomes), `_lists` (read)
and `_knowledge` (what notices say), which holds back what is claimed. `inbox` builds on `_received` (read) and on
`_attempts`, because a reply settles its exchange, and `quarantine` on `inbox`, because a released message becomes a
reply, and on `_withdrawing`, which takes that back. The methods of all of them are made by `_connection` (one writing
thread, readers beside it), and use `_statement` (statements prepared once, the log of events) on the tables of
`_schema`. At the bottom, `_sqlite` and `_postgresql` connect to a database and keep a second agent away from a file,
`_driver_errors` explains errors, and `records` are the values that are returned.
"""

from htpoort.ledger._overview import RETENTION_DAYS
from htpoort.ledger.inbox import Replies
from htpoort.ledger.ledger import SECRET_PARAMETERS, TRANSACTION_TIMEOUT, Ledger, check_url
from htpoort.ledger.notices import Notices
from htpoort.ledger.outbox import Exchanges
from htpoort.ledger.quarantine import Quarantine
from htpoort.ledger.records import (
    Claimed,
    Entry,
    Exchange,
    HeldSystem,
    LedgerEvent,
    NoticeForm,
    PausedServer,
    QuarantinedMessage,
    QuarantineState,
    Reply,
    Shadow,
    Status,
    Stored,
    StoredNotice,
    Story,
    Unanswered,
    WithdrawnRelease,
)
from htpoort.ledger.recoveries import Concern, Recoveries, RecoveryOrder
from htpoort.ledger.reports import Excerpt, FailingDelivery, Reports, TrafficCount
from htpoort.ledger.servers import Fetched, Servers
from htpoort.ledger.windows import Exemption, Release, WindowReview, Windows

__all__ = [
    "RETENTION_DAYS",
    "SECRET_PARAMETERS",
    "TRANSACTION_TIMEOUT",
    "Claimed",
    "Concern",
    "Entry",
    "Excerpt",
    "Exchange",
    "Exchanges",
    "Exemption",
    "FailingDelivery",
    "Fetched",
    "HeldSystem",
    "Ledger",
    "LedgerEvent",
    "NoticeForm",
    "Notices",
    "PausedServer",
    "Quarantine",
    "QuarantineState",
    "QuarantinedMessage",
    "Recoveries",
    "RecoveryOrder",
    "Release",
    "Replies",
    "Reply",
    "Reports",
    "Servers",
    "Shadow",
    "Status",
    "Stored",
    "StoredNotice",
    "Story",
    "TrafficCount",
    "Unanswered",
    "WindowReview",
    "Windows",
    "WithdrawnRelease",
    "check_url",
]
