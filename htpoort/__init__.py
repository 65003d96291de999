"""
Exchange declarations with Dutch Customs by e-mail.

The pure core: build and read the routing envelope, pick mailbox and process ID, route replies.
Sending, receiving, simulating and the command line are rooms of their own, imported on their own.
"""

from htpoort.cutover import CutoverPlan
from htpoort.directory import AGS, DMS, HTPOORT, DeclarationSystem, Directory, Mark
from htpoort.envelope import RoutingEnvelope
from htpoort.errors import (
    EnvelopeError,
    HtpoortError,
    InputError,
    LedgerError,
    Problem,
    SendError,
    SendFailure,
    UnknownError,
)
from htpoort.message import Received, Submission, build, read
from htpoort.party import PartyId
from htpoort.routing import Correlation, Quarantined, Reason, Routed, Router, SentRecord

__all__ = [
    "AGS",
    "DMS",
    "HTPOORT",
    "Correlation",
    "CutoverPlan",
    "DeclarationSystem",
    "Directory",
    "EnvelopeError",
    "HtpoortError",
    "InputError",
    "LedgerError",
    "Mark",
    "PartyId",
    "Problem",
    "Quarantined",
    "Reason",
    "Received",
    "Routed",
    "Router",
    "RoutingEnvelope",
    "SendError",
    "SendFailure",
    "SentRecord",
    "Submission",
    "UnknownError",
    "build",
    "read",
]
