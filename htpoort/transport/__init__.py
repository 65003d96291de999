"""
Send and receive messages by mail; needs `pip install htpoort[smtp]`.

Users find everything here. The modules `connections`, `content`, `hosts`, `incoming` and `receiver_dialogue` are also
the base of the servers of the simulator.

Never does: store, route or repeat a message.
"""

from htpoort.transport.pop3 import Pop3Mailbox, Store
from htpoort.transport.pop3_results import FetchError, FetchFailure, LeftMail, SessionReport
from htpoort.transport.receiver import Receiver
from htpoort.transport.receiver_messages import Incoming, Refusal
from htpoort.transport.sending import Accepted, Sender, send
from htpoort.transport.servers import MailServer, Pop3Account, Security, SmtpServer
from htpoort.transport.smtp_inbox import LOOPBACK, Authenticator, Handler, Limits, SmtpInbox
from htpoort.transport.tls import (
    POLICIES,
    Environment,
    TlsPolicy,
    TlsSettings,
    client_context,
    policy_for,
    server_context,
)

__all__ = [
    "LOOPBACK",
    "POLICIES",
    "Accepted",
    "Authenticator",
    "Environment",
    "FetchError",
    "FetchFailure",
    "Handler",
    "Incoming",
    "LeftMail",
    "Limits",
    "MailServer",
    "Pop3Account",
    "Pop3Mailbox",
    "Receiver",
    "Refusal",
    "Security",
    "Sender",
    "SessionReport",
    "SmtpInbox",
    "SmtpServer",
    "Store",
    "TlsPolicy",
    "TlsSettings",
    "client_context",
    "policy_for",
    "send",
    "server_context",
]
