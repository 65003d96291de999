"""
Play the gateway of Dutch Customs on loopback, for tests and rehearsals; needs the extra `htpoort[smtp]`.

If the behaviour of the real gateway is not published, the simulator makes a choice and marks it as such.
"""

from htpoort.simulator.certificates import ClientCertificate, GatewayTls
from htpoort.simulator.clock import Clock, IdleWait, RealClock, SimulatedClock
from htpoort.simulator.declarants import Declarant, FailedLogin, Mailbox, MailboxMessage
from htpoort.simulator.declarations import Channel, Declaration, PlannedReply, SentReply
from htpoort.simulator.dialogues import Dialogue, DialogueLine, DialogueRecorder, Speaker
from htpoort.simulator.faults import FaultAction, Pop3Fault, ReplyFault, SmtpFault, SmtpStep
from htpoort.simulator.gateway import Gateway
from htpoort.simulator.journal import Happening, Journal, JournalEntry, RefusedMessage, TimePassed
from htpoort.simulator.notices import PlayedNotices, notice_windows, played_notices
from htpoort.simulator.scenarios import Behaviour, ReplyForm, ReplyKind, Scenario, ScriptedReply, Window
from htpoort.simulator.script import RepeatedK, Script

__all__ = [
    "Behaviour",
    "Channel",
    "ClientCertificate",
    "Clock",
    "Declarant",
    "Declaration",
    "Dialogue",
    "DialogueLine",
    "DialogueRecorder",
    "FailedLogin",
    "FaultAction",
    "Gateway",
    "GatewayTls",
    "Happening",
    "IdleWait",
    "Journal",
    "JournalEntry",
    "Mailbox",
    "MailboxMessage",
    "PlannedReply",
    "PlayedNotices",
    "Pop3Fault",
    "RealClock",
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
    "SmtpFault",
    "SmtpStep",
    "Speaker",
    "TimePassed",
    "Window",
    "notice_windows",
    "played_notices",
]
