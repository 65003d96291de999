"""
Look up what the file refers to, and build outboxes, inboxes, deliveries and folders from their tables.

Nothing connects, listens, is delivered or created here, and no password is shown.
"""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import ssl
import stat
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from htpoort.agent import DeclarationFolder, Outbox, Pop3Inbox
from htpoort.config._sources import Sources, check_login, key_password_of, password_of, tls_of
from htpoort.config._tables import DeliveryTable, FolderTable, OutboxTable, Pop3Table, SmtpTable
from htpoort.core import address
from htpoort.core.errors import UnknownError
from htpoort.core.party import PartyId, find_party
from htpoort.core.toml_reader import Document, KeyPath
from htpoort.delivery import CommandDelivery, Delivery, DirectoryDelivery, MaildirDelivery
from htpoort.files import GatewayUser
from htpoort.ledger import Reply
from htpoort.transport import Limits, Pop3Account, SmtpInbox, SmtpServer, client_context, server_context

# Replace a server that cannot be built, so that the rest can be checked.
_NO_SMTP: Final = SmtpServer(host="localhost")
_NO_POP3: Final = Pop3Account(host="localhost", username="-", password="-")  # noqa: S106 - not a real one
_NO_INBOX: Final = SmtpInbox(hostname="localhost", mailboxes=("edi@forwarder.example",))


def outbox(sources: Sources, path: KeyPath, table: OutboxTable) -> Outbox:
    """Build one outbox; the caller checks its systems."""
    document = sources.document
    check_login(document, path, table, required=False)
    build = functools.partial(
        SmtpServer,
        host=table.server,
        security=table.security,
        username=table.username,
        password=password_of(sources, path, table),
        tls=tls_of(sources, path, table, client_context),
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
        settings = tls_of(sources, path, table, server_context)
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
    key_password = key_password_of(sources, path, table)
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
        check_login(document, path, table, required=True)
        build = functools.partial(
            Pop3Account,
            host=table.server,
            security=table.security,
            username=table.username or "",
            password=password_of(sources, path, table) or "",
            tls=tls_of(sources, path, table, client_context),
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
            document.report("config.twice", path, f"{server.label} is already listed.")
        inboxes[server.ledger_name] = Pop3Inbox(server=server, poll_interval=table.poll)
    return list(inboxes.values())


_TARGETS: Final = ("directory", "maildir", "command")
_TIMEOUT: Final = MaildirDelivery("replies").timeout  # a command has the same default


def deliveries(
    sources: Sources, parties: tuple[PartyId | GatewayUser, ...], limit: timedelta
) -> tuple[dict[str, Delivery[Reply]], dict[tuple[str, str], Delivery[Reply]]]:
    """
    Build the deliveries of ``[[delivery]]``.

    Args:
        sources: What the file refers to.
        parties: The parties of the file, and the users of its gateways.
        limit: How long the agent lets one delivery run; each needs less, because its own error explains more.

    Returns:
        The deliveries by the name of the system, and those for one party by system and party.
    """
    document = sources.document
    by_system: dict[str, Delivery[Reply]] = {}
    by_party: dict[tuple[str, str], Delivery[Reply]] = {}
    if isinstance(document.table.get("delivery"), Mapping):
        document.report("toml.type", ("delivery",), 'write [[delivery]], with a key such as system = "DMS".')
        return by_system, by_party
    seen: set[tuple[str, str | None]] = set()
    for path in document.tables(("delivery",)):
        if (table := document.read(path, DeliveryTable)) is None:
            continue
        name = None if document.is_refused(path, "system") else sources.any_system((*path, "system"), table.system)
        party = _known_party(document, (*path, "party"), table.party, parties)
        if name is not None and not document.is_refused(path, "party"):
            if (name, party) in seen:
                whose = name if party is None else f"{name} for {party}"
                document.report("config.twice", path, f"replies of {whose} already have a delivery.")
            seen.add((name, party))
        delivery = _delivery(sources, path, table)
        if delivery is None:
            continue
        _check_timeout(document, path, table.timeout, limit)
        if name is not None and party is None:
            by_system[name] = delivery
        elif name is not None and party is not None:
            by_party[name, party] = delivery
    return by_system, by_party


def _known_party(
    document: Document, path: KeyPath, text: str | None, parties: tuple[PartyId | GatewayUser, ...]
) -> str | None:
    """Find a party of the file as the file spells it; None if none is named, or if it is unknown."""
    if text is None:
        return None
    try:
        return str(find_party(parties, text, "parties"))
    except UnknownError as error:
        # If the parties are wrong, none can be missing among them.
        if not document.is_refused((), "parties"):
            message = f"{text!r} is not in {error.place}; check its spelling, or add it there."
            document.report("config.party", path, message)
        return None


def folders(sources: Sources, parties: tuple[PartyId, ...]) -> tuple[DeclarationFolder, ...]:
    """Read the folders of ``[[folder]]``; no folder is created, and no file is read."""
    document = sources.document
    found: list[DeclarationFolder] = []
    for path in document.tables(("folder",)):
        if (table := document.read(path, FolderTable)) is None:
            continue
        _known_party(document, (*path, "party"), table.party, parties)
        system = None if table.system is None else sources.system((*path, "system"), table.system)
        for problem in address.mailbox_problems("mailbox", table.mailbox):
            if not document.is_refused(path, "mailbox"):
                document.add_problem((*path, "mailbox"), problem)
        build = functools.partial(
            DeclarationFolder,
            path=sources.path(table.path),
            mailbox=table.mailbox,
            pattern=table.pattern,
            party=table.party,
            system=system,
            settle=table.settle.total_seconds(),
            layout=table.layout,
            transfer_encoding=table.transfer_encoding,
        )
        folder = document.build(path, build, None)
        if folder is None:
            continue
        if any(folder.path == other.path for other in found):
            document.report("config.twice", (*path, "path"), f"{folder.path} is already a [[folder]].")
        elif sources.places and not document.is_refused(path, "path") and not folder.path.is_dir():
            document.report("config.file", (*path, "path"), f"there is no folder {folder.path}; create it.")
        found.append(folder)
    return tuple(found)


def _check_timeout(document: Document, path: KeyPath, given: timedelta | None, limit: timedelta) -> None:
    """Report a time limit of a delivery that the agent's own would never let it reach."""
    seconds = _TIMEOUT if given is None else given.total_seconds()
    if seconds < limit.total_seconds() or document.is_refused((), "timing") or document.is_refused(path, "timeout"):
        return
    start = f"timeout, by default {seconds:g} s," if given is None else f"{seconds:g} s"
    message = f"{start} is not below the {limit.total_seconds():g} s of timing.delivery, which ends a delivery first"
    place = path if given is None else (*path, "timeout")
    document.report("delivery.timeout", place, f"{message}; give less here, or more there.")


def _delivery(sources: Sources, path: KeyPath, table: DeliveryTable) -> Delivery[Reply] | None:
    document = sources.document
    if document.is_refused(path, *_TARGETS):
        return None
    targets = [target for target in _TARGETS if getattr(table, target) is not None]
    if len(targets) != 1:
        several = f"give only one of them, not {' and '.join(targets)}" if targets else "give one of them"
        document.report("toml.value", path, f"a delivery has directory, maildir or command; {several}.")
        return None
    if table.command is not None:
        return _command(sources, path, table)
    return _folder(sources, path, table)


def _folder(sources: Sources, path: KeyPath, table: DeliveryTable) -> Delivery[Reply] | None:
    """Build a delivery to a Maildir or a directory."""
    document, key = sources.document, "maildir" if table.directory is None else "directory"
    text = str(table.maildir if table.directory is None else table.directory)
    timeout = _TIMEOUT if table.timeout is None else table.timeout.total_seconds()

    def build() -> Delivery[Reply]:
        if table.directory is None:
            return MaildirDelivery(sources.path(text), timeout=timeout)
        # Braces in the path of the configuration file itself are no placeholders.
        folder = str(sources.folder).replace("{", "{{").replace("}", "}}")
        return DirectoryDelivery(Path(folder) / text, payload=table.payload, timeout=timeout)

    if table.payload and table.directory is None:
        message = "a Maildir holds whole messages; give directory in place of maildir, or leave payload out."
        document.report("toml.value", (*path, "payload"), message)
    delivery: Delivery[Reply] | None = document.build(path, build, None, names={"path": key})
    if delivery is not None and sources.places:
        # Up to the first placeholder: what is below it does not exist before the first reply.
        fixed = itertools.takewhile(lambda part: table.directory is None or "{" not in part, Path(text).parts)
        if (obstacle := _obstacle(sources.path(str(Path(*fixed))))) is not None:
            document.report("config.file", (*path, key), f"{sources.path(text)} cannot be written: {obstacle}.")
    return delivery


def _obstacle(folder: Path) -> str | None:
    """Find out why a folder can be neither written nor created, and what to do; None if it can."""
    while True:
        try:
            status = folder.stat()
        except FileNotFoundError:
            folder = folder.parent
        except OSError as error:
            # No permission, a name that is too long, or a parent that is not a folder.
            return f"{error.strerror}; check the path and the permissions of its folders"
        else:
            if not stat.S_ISDIR(status.st_mode):
                return f"{folder} is not a folder; name another"
            if os.access(folder, os.W_OK | os.X_OK):
                return None
            owner = f"user {status.st_uid} owns {folder}, with permissions {stat.S_IMODE(status.st_mode):03o}"
            return (
                f"{owner}; let user {os.geteuid()}, who runs this, write there (chown, chmod), or name another folder"
            )


def _command(sources: Sources, path: KeyPath, table: DeliveryTable) -> Delivery[Reply] | None:
    document, argv = sources.document, list(table.command or ())
    if not argv or not argv[0]:
        document.report("toml.value", (*path, "command"), "give the program and its arguments.")
        return None
    # As in a shell, a name is looked up in PATH, and a path is used as it is.
    if os.sep in argv[0]:
        argv[0] = str(sources.path(argv[0]))
    build = functools.partial(CommandDelivery, tuple(argv), payload=table.payload)
    timed = build if table.timeout is None else functools.partial(build, timeout=table.timeout.total_seconds())
    delivery = document.build(path, timed, None, names={"argv": "command"})
    if delivery is not None and sources.places and shutil.which(argv[0], path=sources.environ.get("PATH")) is None:
        message = f"there is no program {argv[0]} that this user can run; check the path, and chmod +x the file."
        document.report("config.file", (*path, "command", 0), message)
    return delivery
