"""
Play the gateway of Dutch Customs on loopback, for tests and rehearsals; needs the extra `htpoort[smtp]`.

A file gateway too: `FileGateway` needs `htpoort[simulator]`.

If the behaviour of the real gateway is not published, the simulator makes a choice and marks it as such.
"""

from htpoort.simulator.certificates import ClientCertificate, GatewayTls
from htpoort.simulator.clock import Clock, IdleWait, RealClock, SimulatedClock
from htpoort.simulator.declarants import Declarant, FailedLogin, Mailbox, MailboxMessage
from htpoort.simulator.declarations import Channel, Declaration, PlannedReply, SentReply
from htpoort.simulator.dialogues import Dialogue, DialogueLine, DialogueRecorder, Speaker
from htpoort.simulator.faults import FaultAction, Pop3Fault, ReplyFault, SmtpFault, SmtpStep
from htpoort.simulator.file_faults import FtpsFault, FtpsStep, Kept
from htpoort.simulator.file_gateway import MANIFEST, FileGateway
from htpoort.simulator.file_script import BackendAway, FileScenario, FileScript, NameReuse, OutKind, PutOut
from htpoort.simulator.file_switch import SimulatedGateways
from htpoort.simulator.files import (
    DeletedFile,
    FetchedFile,
    FileUser,
    OutFile,
    RefusedFile,
    UploadedFile,
    fingerprint,
)
from htpoort.simulator.gateway import Gateway
from htpoort.simulator.journal import Happening, Journal, JournalEntry, RefusedMessage, TimePassed
from htpoort.simulator.notices import PlayedNotices, notice_windows, played_notices
from htpoort.simulator.scenarios import Behaviour, ReplyForm, ReplyKind, Scenario, ScriptedReply, Window
from htpoort.simulator.script import RepeatedK, Script

__all__ = [
    "MANIFEST",
    "BackendAway",
    "Behaviour",
    "Channel",
    "ClientCertificate",
    "Clock",
    "Declarant",
    "Declaration",
    "DeletedFile",
    "Dialogue",
    "DialogueLine",
    "DialogueRecorder",
    "FailedLogin",
    "FaultAction",
    "FetchedFile",
    "FileGateway",
    "FileScenario",
    "FileScript",
    "FileUser",
    "FtpsFault",
    "FtpsStep",
    "Gateway",
    "GatewayTls",
    "Happening",
    "IdleWait",
    "Journal",
    "JournalEntry",
    "Kept",
    "Mailbox",
    "MailboxMessage",
    "NameReuse",
    "OutFile",
    "OutKind",
    "PlannedReply",
    "PlayedNotices",
    "Pop3Fault",
    "PutOut",
    "RealClock",
    "RefusedFile",
    "RefusedMessage",
    "RepeatedK",
    "ReplyFault",
    "ReplyForm",
    "ReplyKind",
    "Scenario",
    "Script",
    "ScriptedReply",
    "SentReply",
    "SimulatedClock",
    "SimulatedGateways",
    "SmtpFault",
    "SmtpStep",
    "Speaker",
    "TimePassed",
    "UploadedFile",
    "Window",
    "fingerprint",
    "notice_windows",
    "played_notices",
]
