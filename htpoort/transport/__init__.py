"""
Send and receive messages by mail; needs `pip install htpoort[smtp]`.

Users find everything here. Receiving is in six modules: `smtp_inbox` has the settings, and `receiver` listens with
them; `receiver_connections` accepts, counts and closes connections, `receiver_dialogue` speaks SMTP on one of them,
`content` finds the end of a message and checks it, and `receiver_messages` has the message for the handler and the
answers for the peer. All but the first two, and `hosts`, are also the base of the simulator's servers.

This package never stores, routes or repeats a message.
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
