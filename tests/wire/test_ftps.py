"""Files over FTPS with a server that we did not write: they arrive octet for octet, and only over TLS."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ftps_server import MANIFEST, OUT, PASSWORD, USER, FtpsServer

from htpoort.transport import FtpsAccount, FtpsConnection, RemoteFile, RemoteListing, Security, TlsSettings, Uploaded

EVERY_OCTET = bytes(range(256)) * 1000


def account(port: int, authority: SimpleNamespace, **settings: Any) -> FtpsAccount:
    """Describe the account at a server of a test."""
    tls = settings.pop("tls", TlsSettings(ca_file=authority.ca, certificate=authority.client))
    usual = {"host": "localhost", "username": USER, "password": PASSWORD, "timeout": 60}
    return FtpsAccount(**(usual | settings), port=port, tls=tls)


class TestExchange:
    """What a gateway demands: TLS, a certificate and a login, and its own session for the data."""

    @pytest.mark.parametrize("version", ["1.2", "1.3"])
    @pytest.mark.parametrize("security", [Security.STARTTLS, Security.IMPLICIT])
    async def test_there_and_back(
        self, tmp_path: Path, authority: SimpleNamespace, version: str, security: Security
    ) -> None:
        """An upload arrives, is listed, comes back and is deleted, each octet as it was, over sessions of ours."""
        implicit = security is Security.IMPLICIT
        with FtpsServer(tmp_path, authority, tls=version, implicit=implicit, client=True, reuse=True) as server:
            async with FtpsConnection(account(server.port, authority, security=security)) as connection:
                uploaded = await connection.upload(folder=MANIFEST, name="cusdec_1", octets=EVERY_OCTET)
                listed = await connection.listed(MANIFEST)
                fetched = await connection.fetch(MANIFEST, "cusdec_1")
                await connection.delete(MANIFEST, "cusdec_1")
                left = await connection.listed(OUT)
        assert uploaded == Uploaded(code=226, reply="Transfer complete.", size=256_000)
        assert listed == RemoteListing(files=(RemoteFile("cusdec_1", 256_000),))
        assert (EVERY_OCTET, RemoteListing(files=())) == (fetched, left)
        assert ([True] * 4, 1) == (server.reused, server.certificates)
        assert [] == list(server.file(MANIFEST).iterdir())
