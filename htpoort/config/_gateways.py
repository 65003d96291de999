"""
Read ``[[gateway]]``: the file gateways that files are uploaded to and fetched from.

Nothing connects here, and no password is shown.
"""

from __future__ import annotations

import functools
from typing import Final

from htpoort.agent import FileGatewaySettings
from htpoort.config._sources import Sources, check_login, password_of, tls_of
from htpoort.config._tables import GatewayTable
from htpoort.core.text import ascii_lower
from htpoort.core.toml_reader import KeyPath
from htpoort.files import FileService, GatewayUser
from htpoort.transport import FtpsAccount, client_context

_KEYS: Final = {"host": "server", "poll_interval": "poll", "retry_schedule": "retry"}


def gateways(sources: Sources) -> tuple[FileGatewaySettings, ...]:
    """
    Build the gateways; one that is wrong is left out, and reported.

    Args:
        sources: What the file refers to.

    Returns:
        The gateways, in their order.
    """
    document = sources.document
    found: dict[str, FileGatewaySettings] = {}
    uploaded: dict[str, KeyPath] = {}
    for path in document.tables(("gateway",)):
        table = document.read(path, GatewayTable)
        if table is None:
            continue
        gateway = _gateway(sources, path, table)
        if gateway is None:
            continue
        if gateway.server.ledger_name in found:
            document.report("config.twice", path, f"{gateway.server.label} is already listed.")
        found[gateway.server.ledger_name] = gateway
        for service in gateway.services if gateway.upload else ():
            first = uploaded.setdefault(service.name, path)
            if first != path:
                message = (
                    f"{service.name} is already uploaded by {first[0]}[{first[1]}]; set upload = false in one of them."
                )
                document.report("config.twice", path, message)
    return tuple(found.values())


def _gateway(sources: Sources, path: KeyPath, table: GatewayTable) -> FileGatewaySettings | None:
    """Build one gateway; None if it is wrong."""
    document = sources.document
    if table.certificate is None:  # otherwise the server may know the user by it
        check_login(document, path, table, required=True)
    user, services = _user(sources, path, table), _services(sources, path, table)
    build = functools.partial(
        FtpsAccount,
        host=table.server,
        security=table.security,
        username=table.username or "",
        password=password_of(sources, path, table),
        tls=tls_of(sources, path, table, client_context),
        timeout=table.timeout.total_seconds(),
        transfer_timeout=table.transfer_timeout.total_seconds(),
        file_limit=table.file_limit,
        listing_limit=table.listing_limit,
    )
    with_port = build if table.port is None else functools.partial(build, port=table.port)
    server = document.build(path, with_port, None, names=_KEYS)
    if not (server and user and services):
        return None
    return document.build(
        path,
        lambda: FileGatewaySettings(
            server=server,
            user=user,
            services=services,
            upload=table.upload,
            fetch=table.fetch,
            unique_names=table.unique_names,
            poll_interval=table.poll,
            connections=table.connections,
            per_hour=table.per_hour,
            retry_schedule=table.retry,
        ),
        None,
        names=_KEYS,
    )


def _user(sources: Sources, path: KeyPath, table: GatewayTable) -> GatewayUser | None:
    """Read the user; its folders follow from its name."""
    if table.username is None:
        if not sources.document.is_refused(path, "username"):
            sources.document.report("toml.missing", (*path, "username"), "give the user of the gateway.")
        return None
    parse = functools.partial(GatewayUser.parse, table.username)
    return sources.document.build((*path, "username"), parse, None)


def _services(sources: Sources, path: KeyPath, table: GatewayTable) -> tuple[FileService, ...]:
    """Find the services; all of the file if none is named."""
    document, known = sources.document, {ascii_lower(service.name): service for service in sources.services}
    if not table.services and not document.is_refused(path, "services"):
        # If a table of a system is wrong, it may be that of the service.
        if not known and not document.is_refused((), "systems"):
            message = 'the file has no service; add a table [systems.MANIFEST] with service = "Manifest".'
            document.report("config.system", path, message)
        return tuple(known.values())
    found: dict[str, FileService] = {}
    for at, name in enumerate(table.services):
        service = known.get(ascii_lower(name))
        if service is not None:
            found[service.name] = service
        elif not document.is_refused((), "systems"):
            names = f" Known: {', '.join(sorted(each.name for each in known.values()))}." if known else ""
            message = f"{name!r} is no system with a service.{names}"
            document.report("config.system", (*path, "services", at), message)
    return tuple(found.values())
