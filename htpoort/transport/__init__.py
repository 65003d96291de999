"""
Send and receive messages by mail; needs the extra `htpoort[smtp]`.

Users find everything here. Receiving is in six modules: `smtp_inbox` has the settings, and `receiver` listens with
them; `receiver_connections` accepts, counts and closes connections, `receiver_dialogue` speaks SMTP on one of them,
`content` finds the end of a message and checks it, and `smtp_inbox` has the message for the handler and the
answers for the peer. All but the first two, and `hosts`, are also the base of the simulator's servers.

A name is imported from its module when it is first used: a program that only sends loads no server.

This package never stores, routes or repeats a message.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from htpoort.transport.ftps import FtpsConnection
    from htpoort.transport.ftps_results import (
        FtpsError,
        FtpsFailure,
        Presence,
        RemoteFile,
        RemoteListing,
        Uploaded,
    )
    from htpoort.transport.pop3 import Pop3Mailbox, Store
    from htpoort.transport.pop3_results import FetchError, FetchFailure, LeftMail, SessionReport
    from htpoort.transport.probing import (
        Certificate,
        ProbedStep,
        ProbeStep,
        certificate_end,
        probe,
        served_certificate,
    )
    from htpoort.transport.receiver import Receiver
    from htpoort.transport.sending import Accepted, Sender, send
    from htpoort.transport.servers import FtpsAccount, MailServer, Pop3Account, Security, SmtpServer
    from htpoort.transport.smtp_inbox import LOOPBACK, Authenticator, Handler, Incoming, Limits, Refusal, SmtpInbox
    from htpoort.transport.tls import (
        FILE_GATEWAY,
        POLICIES,
        Environment,
        TlsPolicy,
        TlsSettings,
        client_context,
        policy_for,
        server_context,
    )

__all__ = [
    "FILE_GATEWAY",
    "LOOPBACK",
    "POLICIES",
    "Accepted",
    "Authenticator",
    "Certificate",
    "Environment",
    "FetchError",
    "FetchFailure",
    "FtpsAccount",
    "FtpsConnection",
    "FtpsError",
    "FtpsFailure",
    "Handler",
    "Incoming",
    "LeftMail",
    "Limits",
    "MailServer",
    "Pop3Account",
    "Pop3Mailbox",
    "Presence",
    "ProbeStep",
    "ProbedStep",
    "Receiver",
    "Refusal",
    "RemoteFile",
    "RemoteListing",
    "Security",
    "Sender",
    "SessionReport",
    "SmtpInbox",
    "SmtpServer",
    "Store",
    "TlsPolicy",
    "TlsSettings",
    "Uploaded",
    "certificate_end",
    "client_context",
    "policy_for",
    "probe",
    "send",
    "served_certificate",
    "server_context",
]

_MODULES = {
    "FILE_GATEWAY": "htpoort.transport.tls",
    "LOOPBACK": "htpoort.transport.smtp_inbox",
    "POLICIES": "htpoort.transport.tls",
    "Accepted": "htpoort.transport.sending",
    "Authenticator": "htpoort.transport.smtp_inbox",
    "Certificate": "htpoort.transport.probing",
    "Environment": "htpoort.transport.tls",
    "FetchError": "htpoort.transport.pop3_results",
    "FetchFailure": "htpoort.transport.pop3_results",
    "FtpsAccount": "htpoort.transport.servers",
    "FtpsConnection": "htpoort.transport.ftps",
    "FtpsError": "htpoort.transport.ftps_results",
    "FtpsFailure": "htpoort.transport.ftps_results",
    "Handler": "htpoort.transport.smtp_inbox",
    "Incoming": "htpoort.transport.smtp_inbox",
    "LeftMail": "htpoort.transport.pop3_results",
    "Limits": "htpoort.transport.smtp_inbox",
    "MailServer": "htpoort.transport.servers",
    "Pop3Account": "htpoort.transport.servers",
    "Pop3Mailbox": "htpoort.transport.pop3",
    "Presence": "htpoort.transport.ftps_results",
    "ProbeStep": "htpoort.transport.probing",
    "ProbedStep": "htpoort.transport.probing",
    "Receiver": "htpoort.transport.receiver",
    "Refusal": "htpoort.transport.smtp_inbox",
    "RemoteFile": "htpoort.transport.ftps_results",
    "RemoteListing": "htpoort.transport.ftps_results",
    "Security": "htpoort.transport.servers",
    "Sender": "htpoort.transport.sending",
    "SessionReport": "htpoort.transport.pop3_results",
    "SmtpInbox": "htpoort.transport.smtp_inbox",
    "SmtpServer": "htpoort.transport.servers",
    "Store": "htpoort.transport.pop3",
    "TlsPolicy": "htpoort.transport.tls",
    "TlsSettings": "htpoort.transport.tls",
    "Uploaded": "htpoort.transport.ftps_results",
    "certificate_end": "htpoort.transport.probing",
    "client_context": "htpoort.transport.tls",
    "policy_for": "htpoort.transport.tls",
    "probe": "htpoort.transport.probing",
    "send": "htpoort.transport.sending",
    "served_certificate": "htpoort.transport.probing",
    "server_context": "htpoort.transport.tls",
}

if not TYPE_CHECKING:  # a type checker would accept any name

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        return getattr(importlib.import_module(_MODULES[name]), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
