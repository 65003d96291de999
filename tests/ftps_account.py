"""Uploading to and fetching from an FTPS server of a test: its account, and the outcome of an error."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from ftps_box import Fault, FtpsBox
from ftps_server import MANIFEST, PASSWORD, USER

from htpoort.transport import FtpsAccount, FtpsConnection, FtpsError, FtpsFailure, Presence, TlsSettings

FILE = b"<IE547/>"


def account(port: int, authority: SimpleNamespace, **settings: Any) -> FtpsAccount:
    """Describe the account at a server of a test."""
    tls = TlsSettings(ca_file=authority.ca, certificate=authority.client)
    usual = {"host": "localhost", "username": USER, "password": PASSWORD, "timeout": 60, "tls": tls}
    return FtpsAccount(**(usual | settings), port=port)


def box(authority: SimpleNamespace, files: dict[str, bytes] | None = None, **faults: Fault) -> FtpsBox:
    """Make a gateway that plays faults; a blank in a name is written as an underscore."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.host)
    return FtpsBox(context, files, faults={name.replace("_", " "): fault for name, fault in faults.items()})


async def upload(connection: FtpsConnection, name: str = "m1", octets: bytes = FILE, **settings: Any) -> Any:
    """Upload a file."""
    return await connection.upload(folder=MANIFEST, name=name, octets=octets, **settings)


async def failure(to: FtpsAccount, operation: Callable[[FtpsConnection], Awaitable[object]] = upload) -> FtpsError:
    """Do something over a new connection, and return the error."""
    async with FtpsConnection(to) as connection:
        with pytest.raises(FtpsError) as caught:
            await operation(connection)
    return caught.value


def outcome(error: FtpsError) -> tuple[FtpsFailure, Presence, bool, bool]:
    """Return the data of an error: how it failed, whether the file is there, of the server, and retryable."""
    return error.kind, error.presence, error.is_server_trouble, error.retryable
