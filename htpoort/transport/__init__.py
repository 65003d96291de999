"""
Send to Customs and receive from Customs by mail; needs `pip install htpoort[smtp]`.

Never does: store, route or repeat a message.
"""

from htpoort.transport.incoming import Incoming, Refusal
from htpoort.transport.limits import Limits
from htpoort.transport.pop3 import Fetched, FetchError, FetchFailure, Left, Pop3Mailbox, Pop3Server
from htpoort.transport.receiving import Receiver
from htpoort.transport.sending import Accepted, Sender, send
from htpoort.transport.servers import Security, SmtpServer
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
    "POLICIES",
    "Accepted",
    "Environment",
    "FetchError",
    "FetchFailure",
    "Fetched",
    "Incoming",
    "Left",
    "Limits",
    "Pop3Mailbox",
    "Pop3Server",
    "Receiver",
    "Refusal",
    "Security",
    "Sender",
    "SmtpServer",
    "TlsPolicy",
    "TlsSettings",
    "client_context",
    "policy_for",
    "send",
    "server_context",
]
