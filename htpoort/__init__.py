"""
Exchange declarations with Dutch Customs by e-mail.

This is the front of the pure core: everything that its functions take, return and raise. It builds and reads the
routing envelope, picks mailbox and process ID, routes replies, and follows a move from one system to another.
Sending, receiving, storing and simulating are packages of their own: `htpoort.transport`, `htpoort.ledger`,
`htpoort.delivery`, `htpoort.agent`, `htpoort.config`, `htpoort.simulator`, `htpoort.rehearsal`, `htpoort.testing`.
"""

from htpoort.core.cutover import (
    QUIET_DAYS,
    CutoverPlan,
    Difference,
    Move,
    MovePreview,
    MoveProgress,
    MoveStage,
    OldSystemFacts,
    PartyTotals,
    SettingChange,
    SwitchOff,
    SystemSettings,
    Totals,
    day_of,
    decide_switch_off,
    differences,
    move_progress,
    preview_moves,
)
from htpoort.core.directory import AGS, DMS, HTPOORT, DeclarationSystem, Directory, Mark
from htpoort.core.envelope import RoutingEnvelope
from htpoort.core.errors import (
    EnvelopeError,
    HtpoortError,
    InputError,
    LedgerError,
    Problem,
    SendError,
    SendFailure,
    UnknownError,
)
from htpoort.core.exchange import RETRY_SCHEDULE, Decision, Event, NextStep, Outcome, State, decide, retry_delay
from htpoort.core.message import Layout, Received, Submission, TransferEncoding, automatic_reference, build, read
from htpoort.core.party import PartyId
from htpoort.core.payload import Part, Payload, read_payload
from htpoort.core.routing import (
    Correlation,
    Quarantined,
    Reason,
    Routed,
    Router,
    SentLookup,
    SentRecord,
    correlate,
)

__all__ = [
    "AGS",
    "DMS",
    "HTPOORT",
    "QUIET_DAYS",
    "RETRY_SCHEDULE",
    "Correlation",
    "CutoverPlan",
    "Decision",
    "DeclarationSystem",
    "Difference",
    "Directory",
    "EnvelopeError",
    "Event",
    "HtpoortError",
    "InputError",
    "Layout",
    "LedgerError",
    "Mark",
    "Move",
    "MovePreview",
    "MoveProgress",
    "MoveStage",
    "NextStep",
    "OldSystemFacts",
    "Outcome",
    "Part",
    "PartyId",
    "PartyTotals",
    "Payload",
    "Problem",
    "Quarantined",
    "Reason",
    "Received",
    "Routed",
    "Router",
    "RoutingEnvelope",
    "SendError",
    "SendFailure",
    "SentLookup",
    "SentRecord",
    "SettingChange",
    "State",
    "Submission",
    "SwitchOff",
    "SystemSettings",
    "Totals",
    "TransferEncoding",
    "UnknownError",
    "automatic_reference",
    "build",
    "correlate",
    "day_of",
    "decide",
    "decide_switch_off",
    "differences",
    "move_progress",
    "preview_moves",
    "read",
    "read_payload",
    "retry_delay",
]
