"""Build outboxes and inboxes from their tables; nothing connects or listens yet."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable
from typing import Final

from htpoort.agent import Outbox, Pop3Inbox
from htpoort.config._sources import Sources
from htpoort.config._tables import Login, OutboxTable, Pop3Table, SmtpTable, Tls
from htpoort.core.toml_reader import Document, KeyPath
from htpoort.transport import Limits, Pop3Account, SmtpInbox, SmtpServer, TlsSettings, client_context, server_context

# Replace a server that cannot be built, so that the rest can be checked.
_NO_SMTP: Final = SmtpServer(host="localhost")
_NO_POP3: Final = Pop3Account(host="localhost", username="-", password="-")  # noqa: S106 - not a real one
_NO_INBOX: Final = SmtpInbox(hostname="localhost", mailboxes=("edi@forwarder.example",))


def _tls(sources: Sources, path: KeyPath, table: Tls, context: Callable[[TlsSettings], ssl.SSLContext]) -> TlsSettings:
    """Build TLS settings, and check that their files can be used."""
    key_password = _key_password(sources, path, table)
    if sources.document.is_refused(path, "certificate"):
        # Its key and its peers cannot be checked without it.
        return TlsSettings()
    files = [None if text is None else sources.path(text) for text in (table.ca_file, table.certificate, table.key)]

    def build() -> TlsSettings:
        ca_file, certificate, key = files
        settings = TlsSettings(ca_file=ca_file, certificate=certificate, key=key, key_password=key_password)
        if sources.look_up and any(files):
            context(settings)
        return settings

    return sources.document.build(path, build, TlsSettings())


def _key_password(sources: Sources, path: KeyPath, table: Tls) -> str | None:
    return sources.secret(
        path, "key_password", literal=table.key_password, variable=table.key_password_env, file=table.key_password_file
    )


def _password(sources: Sources, path: KeyPath, table: Login) -> str | None:
    return sources.secret(
        path, "password", literal=table.password, variable=table.password_env, file=table.password_file
    )


def _check_login(document: Document, path: KeyPath, table: Login, *, required: bool) -> None:
    """Report a user name without a password, or the other way round, by the keys of the file."""
    has_password = (table.password, table.password_env, table.password_file) != (None, None, None)
    if table.username is None and (required or has_password) and not document.is_refused(path, "username"):
        document.report("toml.missing", (*path, "username"), "this setting is needed with a password.")
    wrong = document.is_refused(path, "password", "password_env", "password_file")
    if not has_password and (required or table.username is not None) and not wrong:
        document.report("toml.missing", (*path, "password"), "give it by password_env or password_file.")


def outbox(sources: Sources, path: KeyPath, table: OutboxTable) -> Outbox:
    """Build one outbox; the caller checks its systems."""
    document = sources.document
    _check_login(document, path, table, required=False)
    build = functools.partial(
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
    # The usual port depends on the security, so the class chooses it.
    with_port = build if table.port is None else functools.partial(build, port=table.port)
    server = document.build(path, with_port, _NO_SMTP, names={"host": "server"})
    return document.build(
        path,
        lambda: Outbox(
            server=server,
            systems=table.systems,
            connections=table.connections,
            per_hour=table.per_hour,
            retry_schedule=table.retry,
        ),
        Outbox(server=server),
    )


def smtp_inboxes(sources: Sources) -> list[SmtpInbox]:
    """Build the inboxes of ``[[smtp]]``."""
    document = sources.document
    inboxes: list[SmtpInbox] = []
    for path in document.tables(("smtp",)):
        table = document.read(path, SmtpTable)
        if table is None:
            continue
        inbox = _smtp_inbox(sources, path, table)
        taken = {(other.host, other.port) for other in inboxes if other.port}
        if (inbox.host, inbox.port) in taken and not document.is_refused(path, "host", "port"):
            document.report("config.twice", (*path, "port"), f"{inbox.host}:{inbox.port} is already listed.")
        inboxes.append(inbox)
    return inboxes


def _smtp_inbox(sources: Sources, path: KeyPath, table: SmtpTable) -> SmtpInbox:
    document, context = sources.document, None
    if table.certificate is not None or document.is_refused(path, "certificate"):
        settings = _tls(sources, path, table, server_context)
        # Without the files, an empty context only shows that there would be one.
        ready = sources.look_up and settings.certificate is not None
        context = server_context(settings) if ready else ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    else:
        _refuse_tls(sources, path, table)
    build = functools.partial(
        SmtpInbox,
        hostname=table.hostname,
        mailboxes=table.mailboxes,
        host=table.host,
        port=table.port,
        tls=context,
        require_tls=table.require_tls and context is not None,
        networks=table.networks,
        size_limit=table.size_limit,
        limits=document.build(path, lambda: _limits(table), Limits()),
    )
    # A relay is checked against the networks, which is not possible where those were refused.
    relays = () if document.is_refused(path, "networks") else table.mail_from_rewritten_by
    return document.build(path, functools.partial(build, mail_from_rewritten_by=relays), _NO_INBOX)


def _refuse_tls(sources: Sources, path: KeyPath, table: SmtpTable) -> None:
    """Refuse every setting that a listener without a certificate cannot keep."""
    key_password = _key_password(sources, path, table)
    useless = (("require_tls", table.require_tls), ("ca_file", table.ca_file), ("key", table.key))
    for key, value in (*useless, ("key_password", key_password)):
        if value:
            sources.document.report("tls.certificate", (*path, key), "it needs certificate; give both, or neither.")


def _limits(table: SmtpTable) -> Limits:
    return Limits(
        connections=table.connections,
        connections_per_peer=table.connections_per_peer,
        held_limit=table.held_limit,
        commands_per_turn=table.commands_per_turn,
    )


def pop3_inboxes(sources: Sources) -> list[Pop3Inbox]:
    """Build the inboxes of ``[[pop3]]``."""
    document = sources.document
    inboxes: dict[str, Pop3Inbox] = {}
    for path in document.tables(("pop3",)):
        table = document.read(path, Pop3Table)
        if table is None:
            continue
        _check_login(document, path, table, required=True)
        build = functools.partial(
            Pop3Account,
            host=table.server,
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
        with_port = build if table.port is None else functools.partial(build, port=table.port)
        server = document.build(path, with_port, _NO_POP3, names={"host": "server"})
        if server is _NO_POP3 or document.is_refused(path, "server", "port", "security", "username"):
            continue
        if server.ledger_name in inboxes:
            document.report("config.twice", path, f"{server.ledger_name} is already listed.")
        inboxes[server.ledger_name] = Pop3Inbox(server=server, poll_interval=table.poll)
    return list(inboxes.values())
