"""
Make outboxes and inboxes of their tables.

Never does: connect or listen.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable
from typing import Final

from htpoort.agent import Outbox, Pop3Inbox, SmtpInbox
from htpoort.config import _lines
from htpoort.config._document import Document
from htpoort.config._secrets import Sources
from htpoort.config._tables import Login, OutboxTable, Pop3Table, SmtpTable, Tls, structured
from htpoort.transport import Incoming, Limits, Receiver, SmtpServer, TlsSettings, client_context, server_context
from htpoort.transport.pop3 import Pop3Server

# What stands for a server that cannot be made, so that what is around it can be checked.
_NO_SMTP: Final = SmtpServer(host="localhost")
_NO_POP3: Final = Pop3Server(host="localhost", username="-", password="-")  # noqa: S106 - it is none


def _tls(
    sources: Sources, path: _lines.Path, table: Tls, context: Callable[[TlsSettings], ssl.SSLContext]
) -> TlsSettings:
    """Make TLS settings, and see whether their files can be used."""
    key_password = sources.secret(
        path,
        "key_password",
        literal=table.key_password,
        variable=table.key_password_env,
        file=table.key_password_file,
    )
    if sources.document.refused(path, "certificate"):
        # Nothing can be said of its key and its peers.
        return TlsSettings()
    files = [None if text is None else sources.path(text) for text in (table.ca_file, table.certificate, table.key)]

    def made() -> TlsSettings:
        ca_file, certificate, key = files
        settings = TlsSettings(ca_file=ca_file, certificate=certificate, key=key, key_password=key_password)
        if sources.real and any(files):
            context(settings)
        return settings

    return sources.document.made(path, made, TlsSettings())


def _password(sources: Sources, path: _lines.Path, table: Login) -> str | None:
    return sources.secret(
        path, "password", literal=table.password, variable=table.password_env, file=table.password_file
    )


def outbox(sources: Sources, path: _lines.Path, table: OutboxTable) -> Outbox:
    """Make one outbox; which systems it is for is checked elsewhere."""
    make = functools.partial(
        SmtpServer,
        host=table.server,
        security=table.security,
        username=table.username,
        password=_password(sources, path, table),
        tls=_tls(sources, path, table, client_context),
        timeout=table.timeout.total_seconds(),
        final_timeout=table.final_timeout.total_seconds(),
        local_hostname=table.local_hostname,
    )
    # Which port is the usual one depends on the security.
    with_port = make if table.port is None else functools.partial(make, port=table.port)
    server = sources.document.made(path, with_port, _NO_SMTP, {"host": "server"})
    return sources.document.made(
        path,
        lambda: Outbox(
            server=server,
            systems=table.systems,
            connections=table.connections,
            per_hour=table.per_hour,
            schedule=table.retry,
        ),
        Outbox(server=server),
    )


def smtp_inboxes(sources: Sources) -> list[SmtpInbox]:
    """Make the inboxes of ``[[smtp]]``."""
    made: list[SmtpInbox] = []
    for path, entry in sources.document.tables("smtp"):
        table = structured(sources.document, path, entry, SmtpTable)
        if table is not None:
            made.append(_smtp_inbox(sources, path, table))
    return made


def _smtp_inbox(sources: Sources, path: _lines.Path, table: SmtpTable) -> SmtpInbox:
    settings = _tls(sources, path, table, server_context)
    context = None
    if table.certificate is not None or sources.document.refused(path, "certificate"):
        # Without the files it is only checked that there would be a context.
        ready = sources.real and settings.certificate is not None
        context = server_context(settings) if ready else ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    make = functools.partial(
        SmtpInbox,
        hostname=table.hostname,
        mailboxes=table.mailboxes,
        host=table.host,
        port=table.port,
        tls=context,
        require_tls=table.require_tls,
        networks=table.networks,
        size_limit=table.size_limit,
        limits=sources.document.made(path, lambda: _limits(table), Limits()),
    )
    with_relays = functools.partial(make, mail_from_rewritten_by=table.mail_from_rewritten_by)
    # Whether they are admitted cannot be told where the networks are wrong themselves.
    known = not sources.document.refused(path, "networks")
    inbox = sources.document.made(path, with_relays, make()) if known else make()

    # The receiver checks its arguments when it is made, and listens when it is entered.
    sources.document.made(path, lambda: _receiver(inbox), None)
    return inbox


def _limits(table: SmtpTable) -> Limits:
    return Limits(
        connections=table.connections,
        connections_per_peer=table.connections_per_peer,
        held_limit=table.held_limit,
        commands_per_turn=table.commands_per_turn,
    )


def _receiver(inbox: SmtpInbox) -> Receiver:
    return Receiver(
        _nobody,
        hostname=inbox.hostname,
        mailboxes=inbox.mailboxes,
        host=inbox.host,
        port=inbox.port,
        tls=inbox.tls,
        require_tls=inbox.require_tls,
        networks=inbox.networks,
        size_limit=inbox.size_limit,
        limits=inbox.limits,
    )


async def _nobody(incoming: Incoming) -> None:
    """Take messages for a receiver that never listens."""


def pop3_inboxes(sources: Sources) -> list[Pop3Inbox]:
    """Make the inboxes of ``[[pop3]]``."""
    document = sources.document
    made: dict[str, Pop3Inbox] = {}
    for path, entry in document.tables("pop3"):
        table = structured(document, path, entry, Pop3Table)
        if table is None:
            continue
        _login_is_there(document, path, table)
        make = functools.partial(
            Pop3Server,
            host=table.host,
            security=table.security,
            username=table.username or "",
            password=_password(sources, path, table) or "",
            tls=_tls(sources, path, table, client_context),
            timeout=table.timeout.total_seconds(),
            mail_timeout=table.mail_timeout.total_seconds(),
            session_timeout=table.session_timeout.total_seconds(),
            mail_limit=table.mail_limit,
            listing_limit=table.listing_limit,
        )
        with_port = make if table.port is None else functools.partial(make, port=table.port)
        server = document.made(path, with_port, _NO_POP3)
        if server is _NO_POP3 or document.refused(path, "host", "port", "security", "username"):
            continue
        if server.account in made:
            document.refusal("config.twice", path, f"{server.account} stands here a second time.")
        made[server.account] = Pop3Inbox(server=server, every=table.every)
    return list(made.values())


def _login_is_there(document: Document, path: _lines.Path, table: Pop3Table) -> None:
    """Refuse what has no user name or no password; what else they may not be, the server says."""
    if table.username is None and not document.refused(path, "username"):
        document.refusal("toml.missing", (*path, "username"), "this setting is needed.")
    named = (table.password, table.password_env, table.password_file) != (None, None, None)
    if not named and not document.refused(path, "password", "password_env", "password_file"):
        document.refusal("toml.missing", (*path, "password"), "give it by password_env or password_file.")
